"""What and when a producer polls, and the settings of each source."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr
from pydantic_core import PydanticCustomError

from millrace.config.addresses import url
from millrace.config.base import LONGEST_SECONDS
from millrace.parsing import scalars


def _host_of_gpus(text: str) -> str:
    if "/" in text:
        raise PydanticCustomError("host", "it is the name of a host, without a /")
    return _name(text, "it") if text else text


def _symbols(found: list[str]) -> list[str]:
    for number, symbol in enumerate(found, start=1):
        _name(symbol, f"item {number}")
        if symbol in found[: number - 1]:
            raise PydanticCustomError("symbol", "{symbol} is there twice", {"symbol": symbol})
    return found


def _name(text: str, what: str) -> str:
    """A name that observations can have: no observation would match any other."""
    try:
        return scalars.name(text)
    except ValueError as error:
        raise PydanticCustomError("name", "{problem}", {"problem": f"{what} {error}"}) from None


class ProducerSettings(BaseModel):
    """What and when a producer polls, and the settings of each source."""

    producer_name: str = Field(
        default="", description="Name of this producer: in its logs, metrics and Kafka client id."
    )
    producer_source: Literal[
        "",
        "metals_api",
        "alpha_vantage",
        "replay",
        "generator",
        "workload",
        "nvml",
        "dcgm",
        "nvidia_smi",
        "vllm",
        "openai_usage",
    ] = Field(default="", description="Where events come from.")
    producer_feed: str = Field(default="", description="Feed that the source's events belong to.")
    producer_interval_seconds: float = Field(
        default=60.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time between polls; longer if the request budget of the key requires it.",
    )
    producer_schedule: str = Field(
        default="",
        description="Times of polls in UTC, in place of the interval: a cron expression of minute,"
        " hour, day of month, month and day of week.",
    )
    producer_jitter_seconds: float = Field(
        default=0.0,
        ge=0,
        le=86_400,
        description="Maximum delay of a scheduled poll; it follows from the producer's name and"
        " the poll's time.",
    )
    producer_missed: Literal["run", "skip"] = Field(
        default="run",
        description="What to do about scheduled polls that were missed while the producer did not"
        " run: poll once at the start, or not at all.",
    )
    producer_symbols: Annotated[list[str], AfterValidator(_symbols)] = Field(
        default=[], description="Symbols to poll or to replay; empty: all that the source knows."
    )
    producer_rate_per_second: float = Field(
        default=20.0,
        gt=0,
        le=10_000,
        description="Events per second of the sources generator and workload.",
    )
    producer_seed: int = Field(
        default=1,
        description="Seed of generated events: of which share each quote is, and what GPUs do. No"
        " price depends on it.",
    )
    producer_state_dir: Path = Field(
        default=Path("/var/lib/millrace"),
        description="Directory that survives restarts: request budgets, replay progress.",
    )
    producer_url: Annotated[str, url("http://vllm:8000/metrics", or_empty=True)] = Field(
        default="",
        description="Base URL of the upstream API; empty: the provider's. Without an API key,"
        " the simulator's is required. For dcgm, nvidia_smi and vllm, the URL of their metrics.",
    )
    producer_host: Annotated[str, AfterValidator(_host_of_gpus)] = Field(
        default="",
        max_length=100,
        description="Name of the observed GPUs' host in events; empty: the name of this host.",
    )
    producer_gpu_index: int = Field(
        default=0,
        ge=0,
        le=999,
        description="Index of the GPU that runs the models whose tokens are counted.",
    )
    producer_gpu_name: str = Field(
        default="",
        max_length=100,
        description="Name of that GPU in the price table.",
    )
    producer_gpu_price_per_hour: float | None = Field(
        default=None,
        ge=0,
        le=1e6,
        description="Cost of a GPU in US dollars per hour; unset: the price in the price table.",
    )
    producer_usage_file: Path = Field(
        default=Path("/var/lib/millrace/usage.jsonl"),
        description="File to which a gateway appends the answers of OpenAI-compatible APIs, one"
        " per line.",
    )
    producer_stop_seconds: float = Field(
        default=6.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time that a stopping producer waits for unacknowledged events.",
    )
    metals_api_key: SecretStr = Field(
        default=SecretStr(""), description="Metals-API access key; empty: prices are simulated."
    )
    metals_api_requests_per_month: int = Field(
        default=50, ge=1, description="Requests per calendar month that the Metals-API key allows."
    )
    alpha_vantage_api_key: SecretStr = Field(
        default=SecretStr(""), description="Alpha Vantage API key; empty: prices are simulated."
    )
    alpha_vantage_requests_per_day: int = Field(
        default=25, ge=1, description="Requests per day that the Alpha Vantage key allows."
    )
    alpha_vantage_requests_per_second: float = Field(
        default=1.0, ge=0.1, description="Requests per second that the Alpha Vantage key allows."
    )
    replay_file: Path = Field(
        default=Path("/usr/share/millrace/stocks.csv.gz"),
        description="Daily prices that the replay source publishes.",
    )
