"""Address and login of Redis."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from millrace.config.addresses import NameOrEmpty
from millrace.config.base import SECRETS


class RedisSettings(BaseModel):
    """Address and login of Redis."""

    redis_host: NameOrEmpty = Field(
        default="", description="Redis server for the latest values; empty: none."
    )
    redis_port: int = Field(default=6379, ge=1, le=65535, description="TLS port of Redis.")
    redis_username: str = Field(default="", description="Redis user of this service.")
    redis_password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    redis_ca_file: Path = Field(
        default=SECRETS / "ca.pem",
        description="Certificate authority of the server's certificate.",
    )
    redis_ttl_seconds: int = Field(
        default=86_400, ge=1, description="Time after which Redis drops a value if not renewed."
    )
