"""How the API serves, and to whom."""

from pathlib import Path

from pydantic import BaseModel, Field

from millrace.config.addresses import Origin
from millrace.config.base import LONGEST_SECONDS, SECRETS


class ApiSettings(BaseModel):
    """How the API serves, and to whom."""

    api_port: int = Field(default=8443, ge=1, le=65535, description="HTTPS port of the API.")
    api_tls_cert: Path = Field(default=SECRETS / "tls.crt", description="Certificate of the API.")
    api_tls_key: Path = Field(default=SECRETS / "tls.key", description="Private key of the API.")
    api_tokens_file: Path = Field(
        default=SECRETS / "api_tokens.json",
        description="Accepted bearer tokens: a JSON list of {id, sha256, scopes}.",
    )
    api_origins: list[Origin] = Field(
        default=[],
        description="Origins of web pages that may use the API from a browser, each like"
        " https://dashboard.example.org.",
    )
    stale_seconds: float = Field(
        default=60.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Age from which the API calls a latest value stale.",
    )
