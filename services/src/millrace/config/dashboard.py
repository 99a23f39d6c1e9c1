"""Port, certificate and login of the dashboard."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from millrace.config.base import SECRETS


class DashboardSettings(BaseModel):
    """Port, certificate and login of the dashboard."""

    dashboard_port: int = Field(
        default=8501, ge=1, le=65535, description="HTTPS port of the dashboard."
    )
    dashboard_tls_cert: Path = Field(default=SECRETS / "tls.crt", description="Its certificate.")
    dashboard_tls_key: Path = Field(default=SECRETS / "tls.key", description="Its private key.")
    dashboard_password_hash: SecretStr = Field(
        default=SecretStr(""),
        description="Hash of the password that opens it, as Werkzeug writes one:"
        " scrypt:32768:8:1$salt$hash.",
    )
