"""What all services are told."""

from typing import Literal

from pydantic import BaseModel, Field


class CommonSettings(BaseModel):
    """What all services are told."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe level that is logged."
    )
    feeds: list[str] = Field(
        default=["metals", "stocks"], description="Feeds that are processed, served and verified."
    )
    http_port: int = Field(
        default=8081,
        ge=1,
        le=65535,
        description="Port where producer and processor serve /live, /ready, /metrics and /status.",
    )
