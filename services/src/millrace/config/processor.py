"""Settings of the processor."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from millrace.config.base import LONGEST_SECONDS


def _fraction(value: float) -> float:
    if not 0 < value <= 1:
        raise PydanticCustomError(
            "fraction", "it is a fraction above 0, and 1 at most: 0.05 is 5 %"
        )
    return value


class ProcessorSettings(BaseModel):
    """Settings of the processor."""

    processor_group_id: str = Field(
        default="processor", description="Consumer group of the processor."
    )
    processor_name: str = Field(
        default="processor-1",
        description="Name of this processor in its own and in Kafka's logs.",
    )
    processor_batch_records: int = Field(
        default=4000, ge=1, description="Maximum number of records in a batch."
    )
    processor_linger_ms: int = Field(
        default=15,
        ge=1,
        description="How long a broker with few records waits for more: a batch of few records"
        " costs as much as one of many.",
    )
    processor_writers: int = Field(
        default=2, ge=1, description="Threads that write batches while the next one is built."
    )
    processor_max_in_flight: int = Field(
        default=3, ge=1, description="Maximum number of batches being written; then reading waits."
    )
    processor_retry_seconds: float = Field(
        default=5.0, gt=0, le=LONGEST_SECONDS, description="Longest pause between two attempts."
    )
    processor_stop_seconds: float = Field(
        default=20.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time that a stopping processor waits for unfinished batches.",
    )
    processor_watchdog_seconds: float = Field(
        default=90.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time without progress, although there is work, after which the processor ends"
        " itself, to be restarted.",
    )
    processor_breaker_records: int = Field(
        default=1000, ge=1, description="Number of latest records that the breaker counts."
    )
    processor_breaker_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of bad records among these at which the feed stands still.",
    )
    stock_alert_threshold: Annotated[float, AfterValidator(_fraction)] = Field(
        default=0.05,
        description="Move of a share, as a fraction of its previous price, at which an alert is"
        " raised: 0.05 is 5 %.",
    )
