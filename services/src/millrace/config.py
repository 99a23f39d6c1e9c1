"""Every setting of every service: the one place that reads the environment and secret files.

A setting is read from the environment variable `MILLRACE_<NAME>` (lists as JSON), else from the
file `<name>` in the secrets directory (`/run/secrets`, or `MILLRACE_SECRETS_DIR`), else it has the
default below. Secrets belong in files, never in the environment.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from millrace import environment, redaction
from millrace.errors import ConfigurationError
from millrace.feeds import FEEDS

ENV_PREFIX = "MILLRACE_"
LONGEST_SECONDS = 31_622_400
"""A year: what is longer is no time that anybody waits, and clocks and dates end some day."""
SECRETS = Path("/run/secrets")
ORIGIN = r"^https?://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?$"
"""As a browser sends it: in lower case and without a path."""


class Settings(BaseSettings):
    """The settings of all services. Each checks with `require` what it cannot do without."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    # All services
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

    # Kafka
    kafka_bootstrap_servers: str = Field(
        default="kafka-1:9092", description="Brokers to ask first: host:port, separated by commas."
    )
    kafka_username: str = Field(default="", description="SCRAM user of this service.")
    kafka_password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    kafka_ca_file: Path = Field(
        default=SECRETS / "ca.pem",
        description="Certificate authority of the brokers' certificates.",
    )
    dead_letters_topic: str = Field(
        default="dead-letters", description="Topic for records that cannot be processed."
    )

    # MongoDB
    mongodb_hosts: str = Field(
        default="mongodb:27017", description="Members to ask first: host:port, separated by commas."
    )
    mongodb_replica_set: str = Field(default="rs0", description="Name of the replica set.")
    mongodb_database: str = Field(
        default="millrace", description="Database of the feeds' collections."
    )
    mongodb_username: str = Field(default="", description="SCRAM user of this service.")
    mongodb_password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    mongodb_ca_file: Path = Field(
        default=SECRETS / "ca.pem",
        description="Certificate authority of the members' certificates.",
    )

    # Redis
    redis_host: str = Field(
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

    # Producer
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
        "vllm",
        "openai_usage",
    ] = Field(default="", description="Where events come from.")
    producer_feed: str = Field(default="", description="Feed that the source's events belong to.")
    producer_interval_seconds: float = Field(
        default=60.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time between polls; longer where the request budget of the key demands it.",
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
        description="Each scheduled poll is put off by up to this long, always by the same.",
    )
    producer_missed: Literal["run", "skip"] = Field(
        default="run",
        description="What becomes of a scheduled poll whose time passed while nothing ran: one poll"
        " at once, or none.",
    )
    producer_symbols: list[str] = Field(
        default=[], description="Symbols to poll, or to replay; empty: all that the source knows."
    )
    producer_rate_per_second: float = Field(
        default=20.0,
        gt=0,
        le=10_000,
        description="Events that generator and workload make in a second.",
    )
    producer_seed: int = Field(
        default=1, description="What invented events follow from: one seed, one story."
    )
    producer_state_dir: Path = Field(
        default=Path("/var/lib/millrace"),
        description="Directory that survives restarts: request budgets, replay progress.",
    )
    producer_url: str = Field(
        default="",
        description="Base URL of the upstream API; empty: the provider's. Without an API key it"
        " must be the simulator's. For dcgm and vllm, the URL of their metrics.",
    )
    producer_host: str = Field(
        default="",
        max_length=100,
        pattern="^[^/]*$",
        description="Host whose GPUs are observed, as events name it; empty: the name of this one.",
    )
    producer_gpu_index: int = Field(
        default=0, ge=0, le=999, description="GPU that the models run on whose tokens are counted."
    )
    producer_gpu_name: str = Field(
        default="",
        max_length=100,
        description="Name of that GPU, by which the table of prices knows it.",
    )
    producer_gpu_price_per_hour: float | None = Field(
        default=None,
        ge=0,
        le=1e6,
        description="US dollars that an hour of a GPU costs; unset: what the table of prices says.",
    )
    producer_usage_file: Path = Field(
        default=Path("/var/lib/millrace/usage.jsonl"),
        description="File to which a gateway appends the answers of OpenAI-compatible APIs, one a"
        " line.",
    )
    producer_stop_seconds: float = Field(
        default=6.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time that a stopping producer gives unacknowledged events.",
    )
    metals_api_key: SecretStr = Field(
        default=SecretStr(""), description="Metals-API access key; empty: prices are simulated."
    )
    metals_api_requests_per_month: int = Field(
        default=50, ge=1, description="Request allowance of the Metals-API key in a calendar month."
    )
    alpha_vantage_api_key: SecretStr = Field(
        default=SecretStr(""), description="Alpha Vantage API key; empty: prices are simulated."
    )
    alpha_vantage_requests_per_day: int = Field(
        default=25, ge=1, description="Request allowance of the Alpha Vantage key in a day."
    )
    alpha_vantage_requests_per_second: float = Field(
        default=1.0, ge=0.1, description="Burst allowance of the Alpha Vantage key."
    )
    replay_file: Path = Field(
        default=Path("/usr/share/millrace/stocks.csv.gz"),
        description="Daily prices that the replay source publishes.",
    )

    # Simulator
    simulator_port: int = Field(
        default=8443, ge=1, le=65535, description="HTTPS port of the simulator."
    )
    simulator_tls_cert: Path = Field(default=SECRETS / "tls.crt", description="Its certificate.")
    simulator_tls_key: Path = Field(default=SECRETS / "tls.key", description="Its private key.")
    simulator_refresh_seconds: float = Field(
        default=60.0, gt=0, le=LONGEST_SECONDS, description="How often the simulated prices change."
    )

    # Processor
    processor_group_id: str = Field(
        default="processor", description="Consumer group of the processor."
    )
    processor_name: str = Field(
        default="processor-1",
        description="Name of this processor: in its logs, and in those of Kafka.",
    )
    processor_batch_records: int = Field(
        default=4000, ge=1, description="Records that are written together at most."
    )
    processor_linger_ms: int = Field(
        default=15,
        ge=1,
        description="How long a broker that has little to send waits for more: a batch of few"
        " records costs as much as one of many.",
    )
    processor_writers: int = Field(
        default=2, ge=1, description="Threads that write batches while the next is built."
    )
    processor_max_in_flight: int = Field(
        default=3, ge=1, description="Batches being written at most before reading waits."
    )
    processor_retry_seconds: float = Field(
        default=5.0, gt=0, le=LONGEST_SECONDS, description="Longest pause between two attempts."
    )
    processor_stop_seconds: float = Field(
        default=20.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time that a stopping processor gives unfinished batches.",
    )
    processor_watchdog_seconds: float = Field(
        default=90.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="A processor that does not move for this long although there is work ends"
        " itself, to be restarted.",
    )
    processor_breaker_records: int = Field(
        default=1000, ge=1, description="How many of the last records the breaker looks at."
    )
    processor_breaker_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of bad records among them at which their feed stands still.",
    )
    stock_alert_threshold: float = Field(
        default=0.05,
        gt=0,
        description="Move of a share, as a fraction of the price before, that raises an alert.",
    )

    # API
    api_port: int = Field(default=8443, ge=1, le=65535, description="HTTPS port of the API.")
    api_tls_cert: Path = Field(default=SECRETS / "tls.crt", description="Certificate of the API.")
    api_tls_key: Path = Field(default=SECRETS / "tls.key", description="Private key of the API.")
    api_tokens_file: Path = Field(
        default=SECRETS / "api_tokens.json",
        description="Accepted bearer tokens: a JSON list of {id, sha256, scopes}.",
    )

    api_origins: list[Annotated[str, StringConstraints(pattern=ORIGIN)]] = Field(
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

    # Operator
    status_hosts: list[str] = Field(
        default=["processor"],
        description="Hosts that `status` and `verify` ask for their /status: processor, producers;"
        " host:port where it is not MILLRACE_HTTP_PORT.",
    )
    verify_replication_factor: int = Field(
        default=1, ge=1, description="Copies that each partition has to have: `verify` counts them."
    )
    verify_closed: list[str] = Field(
        default=[],
        description="Ports, as host:port, that must not be reachable from here at all:"
        " `verify` tries them.",
    )
    api_url: str = Field(
        default="https://api:8443", description="Where `status` asks the API for its health."
    )
    api_token: SecretStr = Field(
        default=SecretStr(""), description="Bearer token for that; empty: one word a dependency."
    )
    api_ingest_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token that may send events only: `verify` tries what it must not do.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - required by the base class
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - has the prefix
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Secret files are named like the fields, without the prefix of the environment."""
        directory = secrets_directory()
        if not directory.is_dir():
            return init_settings, env_settings
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=directory, env_prefix="")
        return init_settings, env_settings, secrets

    def require(self, *names: str) -> None:
        """Stop with one line unless all of these settings have a value."""
        missing = [name for name in names if not _plain(getattr(self, name))]
        if missing:
            variables = ", ".join(ENV_PREFIX + name.upper() for name in missing)
            raise ConfigurationError(
                f"set {variables}, or put the value in a file named {' or '.join(missing)}"
                " in the secrets directory"
            )

    def secrets(self) -> frozenset[str]:
        """The values that must appear in no output."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return frozenset(
            value.get_secret_value() for value in values if isinstance(value, SecretStr) and value
        )


def secrets_directory() -> Path:
    """Where the secret files of this process lie."""
    return Path(os.environ.get(f"{ENV_PREFIX}SECRETS_DIR", SECRETS))


def load() -> Settings:
    """Read the settings; what is wrong with them is one line, without the values."""
    wrong = "; ".join(environment.unknown(os.environ, ENV_PREFIX, Settings.model_fields))
    if wrong:
        raise ConfigurationError(wrong)
    try:
        settings = Settings()
    except SettingsError as error:
        raise ConfigurationError(environment.unreadable(error, ENV_PREFIX)) from None
    except ValidationError as error:
        wrong = "; ".join(
            f"{ENV_PREFIX}{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}"
            for item in error.errors(include_input=False, include_context=False)
        )
        raise ConfigurationError(wrong) from None
    unknown = sorted(set(settings.feeds) - FEEDS.keys())
    if unknown or not settings.feeds:
        known = ", ".join(sorted(FEEDS))
        raise ConfigurationError(
            f"{ENV_PREFIX}FEEDS: {', '.join(unknown) or 'none'}; the feeds are {known}"
        )
    redaction.keep(settings.secrets())
    return settings


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
