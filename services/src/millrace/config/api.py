"""Ports, certificate and clients of the API."""

from pathlib import Path

from pydantic import BaseModel, Field

from millrace.config.addresses import Origin
from millrace.config.base import LONGEST_SECONDS, SECRETS


class ApiSettings(BaseModel):
    """Ports, certificate and clients of the API."""

    api_port: int = Field(default=8443, ge=1, le=65535, description="HTTPS port of the API.")
    api_tls_cert: Path = Field(default=SECRETS / "tls.crt", description="Certificate of the API.")
    api_tls_key: Path = Field(default=SECRETS / "tls.key", description="Private key of the API.")
    api_tokens_file: Path = Field(
        default=SECRETS / "api_tokens.json",
        description="Accepted bearer tokens: a JSON list of {id, sha256, scopes}.",
    )
    api_origins: list[Origin] = Field(
        default=[],
        description="Origins of web pages that may use the API from a browser, such as"
        " https://dashboard.example.org.",
    )
    stale_seconds: float = Field(
        default=60.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Age in seconds above which the API reports a latest value as stale.",
    )
