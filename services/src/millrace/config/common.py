"""Settings of all services."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from millrace.feeds import FEEDS


def _feeds(names: list[str]) -> list[str]:
    wrong = "name one at least"
    if unknown := sorted(set(names) - FEEDS.keys()):
        wrong = f"there is no feed {', '.join(unknown)}"
    elif twice := sorted({name for name in names if names.count(name) > 1}):
        wrong = f"{', '.join(twice)} is there more than once"
    elif names:
        return names
    raise PydanticCustomError(
        "feeds",
        "{wrong}; the feeds are {known}",
        {"wrong": wrong, "known": ", ".join(sorted(FEEDS))},
    )


class CommonSettings(BaseModel):
    """Settings of all services."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest severity that is logged."
    )
    feeds: Annotated[list[str], AfterValidator(_feeds)] = Field(
        default=["metals", "stocks"], description="Feeds that are processed, served and verified."
    )
    http_port: int = Field(
        default=8081,
        ge=1,
        le=65535,
        description="Port where producer and processor serve /live, /ready, /metrics and /status.",
    )
