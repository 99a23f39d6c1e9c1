"""Where Redis is, and who asks it."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from millrace.config.addresses import NameOrEmpty
from millrace.config.base import SECRETS


class RedisSettings(BaseModel):
    """Where Redis is, and who asks it."""

    redis_host: NameOrEmpty = Field(
        default="", description="Server that keeps the latest values; empty: there is none."
    )
    redis_port: int = Field(default=6379, ge=1, le=65535, description="Its TLS port.")
    redis_username: str = Field(default="", description="User of this service in its access list.")
    redis_password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    redis_ca_file: Path = Field(
        default=SECRETS / "ca.pem",
        description="Certificate authority of the server's certificate.",
    )
    redis_ttl_seconds: int = Field(
        default=86_400, ge=1, description="How long Redis keeps a value that nobody renews."
    )
