"""Every source that the settings can name is made, and what it cannot be made without is named."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from structlog.testing import capture_logs

from millrace import sources
from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.sources import making

NAMES = [name for name in get_args(Settings.model_fields["producer_source"].annotation) if name]
PLACES = [(name, feed) for name in NAMES for feed in sources.KINDS[name].feeds]
OTHERS = {
    "symbols": ["XAU"],
    "seed": 2,
    "url": "http://127.0.0.1:1",
    "host": "box",
    "gpu_index": 1,
    "gpu_name": "H100",
    "gpu_price_per_hour": 2.5,
    "usage_file": "/usage.jsonl",
    "rate_per_second": 5.0,
}
"""A value of each setting that only some sources read: another than its default."""


def declared(name: str, feed: str = "") -> dict[str, Any]:
    """What such a producer needs."""
    kind = sources.KINDS[name]
    url = {"producer_url": OTHERS["url"]} if "url" in kind.reads else {}
    return {
        "producer_source": name,
        "producer_feed": feed or kind.feeds[0],
        "producer_interval_seconds": 5,
        **url,
    }


@pytest.mark.parametrize(("name", "feed"), PLACES)
def test_a_source_gives_its_feed(
    settings: Callable[..., Settings], tmp_path: Path, name: str, feed: str
) -> None:
    prices = tmp_path / "prices.csv"
    prices.touch()
    made = making.make(settings(**declared(name, feed), replay_file=prices))
    assert made.feed == feed
    assert made.units
    assert made.endless is (name != "replay")


class Recorded:
    """Settings that say which of them were read."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.read = settings, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name.removeprefix("producer_"))
        return getattr(self.settings, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_source_reads_what_is_said_of_it(
    settings: Callable[..., Settings], tmp_path: Path, name: str
) -> None:
    prices = tmp_path / "prices.csv"
    prices.touch()
    settings_of_it = Recorded(settings(**declared(name), replay_file=prices))
    module = importlib.import_module(f"millrace.sources.{name}")
    module.from_settings(cast("Settings", settings_of_it))
    said = sources.KINDS[name].reads
    assert said <= settings_of_it.read
    # A rate is read for one feed alone; what is about GPUs is read in one place, also for sources
    # that do not use it.
    others = settings_of_it.read & OTHERS.keys() - said - {"rate_per_second"}
    assert others <= ({"gpu_index", "gpu_name", "gpu_price_per_hour"} if "host" in said else set())


@pytest.mark.parametrize(("name", "feed"), PLACES)
def test_a_setting_that_its_source_does_not_read_is_refused(
    settings: Callable[..., Settings], name: str, feed: str
) -> None:
    for field, value in OTHERS.items():
        whole = settings(**declared(name, feed) | {f"producer_{field}": value})
        reads = (
            (name, feed) in sources.WITH_RATE
            if field == "rate_per_second"
            else field in sources.KINDS[name].reads
        )
        line = (
            f"MILLRACE_PRODUCER_{field.upper()}: source {name} for {feed} does not read it;"
            " remove it"
        )
        assert [*making.problems(whole)] == ([] if reads else [line])


def test_everything_that_is_wrong_is_said_at_once(settings: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        making.make(settings(producer_source="vllm", producer_feed="token_usage", producer_seed=7))
    assert str(caught.value) == (
        "MILLRACE_PRODUCER_SEED: source vllm for token_usage does not read it; remove it; vllm has"
        " nothing to ask: set MILLRACE_PRODUCER_URL to the URL of its metrics;"
        " MILLRACE_PRODUCER_INTERVAL_SECONDS: vllm must be polled every 30 seconds at least, for a"
        " rate to be known; it is 60"
    )


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
        making.make(settings(**declared(name)))
    assert [line["file"] for line in said] == [str(tmp_path / file)]


@pytest.mark.parametrize("missing", ["name", "source", "feed"])
def test_what_every_source_needs_is_named(settings: Callable[..., Settings], missing: str) -> None:
    whole = settings(producer_source="generator", producer_feed="quotes")
    made = whole.model_copy(update={f"producer_{missing}": ""})
    with pytest.raises(ConfigurationError, match=f"^set MILLRACE_PRODUCER_{missing.upper()}$"):
        making.make(made)


def test_what_is_known_of_sources_is_there_without_the_settings() -> None:
    """A deployment asks it in each process of a task: what reads settings takes long to load."""
    asked = "import sys; from millrace.sources import KINDS; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
