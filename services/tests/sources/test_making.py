"""Every source that the settings can name is made, and what it cannot be made without is named."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from structlog.testing import capture_logs

from millrace import sources
from millrace.config import Settings
from millrace.errors import ConfigurationError

FEEDS = {
    "metals_api": "metals",
    "alpha_vantage": "stocks",
    "replay": "stocks",
    "generator": "quotes",
    "workload": "gpu_metrics",
    "nvml": "gpu_metrics",
    "dcgm": "gpu_metrics",
    "nvidia_smi": "gpu_metrics",
    "vllm": "token_usage",
    "openai_usage": "token_usage",
}
NAMES = [name for name in get_args(Settings.model_fields["producer_source"].annotation) if name]


@pytest.mark.parametrize("name", NAMES)
def test_a_source_gives_its_feed(
    settings: Callable[..., Settings], tmp_path: Path, name: str
) -> None:
    prices = tmp_path / "prices.csv"
    prices.touch()
    made = sources.make(
        settings(
            producer_source=name,
            producer_feed=FEEDS[name],
            producer_interval_seconds=5,
            producer_url="http://127.0.0.1:1",
            replay_file=prices,
        )
    )
    assert made.feed == FEEDS[name]
    assert made.units
    assert made.endless is (name != "replay")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("alpha_vantage", "quotes.json"),
        ("openai_usage", "usage.json"),
        ("vllm", "counters.json"),
    ],
)
def test_what_a_source_has_kept_is_found_by_every_version(
    settings: Callable[..., Settings], tmp_path: Path, name: str, file: str
) -> None:
    """It says which file it cannot read."""
    (tmp_path / file).write_text("{")
    with capture_logs() as said:
        sources.make(
            settings(
                producer_source=name,
                producer_feed=FEEDS[name],
                producer_interval_seconds=5,
                producer_url="http://127.0.0.1:1",
            )
        )
    assert [line["file"] for line in said] == [str(tmp_path / file)]


@pytest.mark.parametrize("missing", ["name", "source", "feed"])
def test_what_every_source_needs_is_named(settings: Callable[..., Settings], missing: str) -> None:
    whole = settings(producer_source="generator", producer_feed="quotes")
    made = whole.model_copy(update={f"producer_{missing}": ""})
    with pytest.raises(ConfigurationError, match=f"^set MILLRACE_PRODUCER_{missing.upper()}$"):
        sources.make(made)
