"""A producer that would not start is refused before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT, load

from millrace.sources import KINDS

FILTERS = load(ROOT / "plugins/filter/producers.py")
METALS = {"name": "a", "feed": "metals", "source": "metals_api"}
TOKENS = {"name": "a", "feed": "token_usage", "source": "workload"}
VLLM = {"name": "a", "feed": "token_usage", "source": "vllm"}
OPENAI = {"name": "a", "feed": "token_usage", "source": "openai_usage"}


def problems(*producers: Any) -> list[str]:
    """What is wrong, without the words that begin each line here."""
    return [
        line.removeprefix("millrace_producers: ").removeprefix("a: ")
        for line in FILTERS.producer_problems([*producers])
    ]


@pytest.mark.parametrize(
    "producer",
    [
        METALS,
        METALS | {"interval_seconds": 60},
        METALS | {"interval_seconds": "60", "symbols": ["XAU"]},
        METALS | {"schedule": "0 6 * * *"},
        METALS | {"schedule": "0 6 * * *", "jitter_seconds": 30, "missed": "skip"},
        TOKENS | {"rate_per_second": 4, "seed": 2, "host": "box"},
        VLLM | {"url": "http://vllm:8000/metrics", "interval_seconds": 30, "gpu_index": 1},
        OPENAI | {"usage_volume": "usage", "gpu_price_per_hour": 0},
    ],
)
def test_what_a_producer_takes_is_accepted(producer: dict[str, Any]) -> None:
    assert problems(producer) == []


@pytest.mark.parametrize(
    "path",
    [
        "inventories/shared/producers.yml",
        "inventories/demo.yml",
        "inventories/aws/fleets/four-hosts-gpus.yml",
    ],
)
def test_what_is_declared_here_is_accepted(path: str) -> None:
    declared = yaml.safe_load((ROOT / path).read_text())["millrace_producers"]
    assert problems(*declared) == []


@pytest.mark.parametrize(
    ("producer", "says"),
    [
        (METALS | {"interval_seconds": 0}, "interval_seconds: Input should be greater than 0"),
        (METALS | {"interval_seconds": "often"}, "argument 'interval_seconds' is of type str"),
        (METALS | {"symbols": "XAU"}, 'symbols: write it as a list, like ["a", "b"]'),
        (METALS | {"symbols": ["XAU", 1]}, "symbols: item 2: write it as text, in quotes"),
        (METALS | {"symbols": ["XAU", "IBM"]}, "symbols: no such metal: IBM (known: XAU,"),
        (METALS | {"symbols": ["XAU", "XAG", "XAU"]}, "symbols: XAU is there twice"),
        (METALS | {"symbols": ["XAU", "XAG "]}, "symbols: item 2 is 'XAG ': it must not begin or"),
        (METALS | {"symbols": [""]}, "symbols: item 1 is '', as programs write what is missing"),
        (OPENAI | {"usage_volume": "u", "host": " a"}, "host: it is ' a': it must not begin"),
        (METALS | {"feed": "stocks"}, "feed: source metals_api gives metals, not stocks"),
        (METALS | {"url": "simulator:8443"}, "url: write it with http:// or https:// and the host"),
        (METALS | {"url": "http://h:99999"}, "url: write it with http:// or https:// and the host"),
        (METALS | {"source": "yahoo"}, "value of source must be one of: metals_api, "),
        (METALS | {"rate_per_second": 5}, "rate_per_second: source metals_api for metals does not"),
        (METALS | {"usage_volume": "u"}, "usage_volume: source metals_api for metals does not"),
        (METALS | {"prise": 5}, "there is no field prise (there are name, feed, source, "),
        (METALS | {"name": "My metals"}, "My metals: name: it must consist of lower-case letters"),
        ({"name": "a", "source": "replay"}, "missing required arguments: feed"),
        (
            METALS | {"source": "nvml"},
            "nvml needs a GPU, and no container gets one: use dcgm (docs/feeds.md)",
        ),
        # Of YAML it is a whole number; a container reads the word.
        (TOKENS | {"seed": True}, "seed: Input should be a valid integer"),
        (METALS | {True: True}, "there is no field True (there are name, feed, source, "),
        (METALS | {"symbols": None}, "symbols: it is empty: fill it in, or leave it out"),
        (METALS | {"url": None}, "url: it is empty: fill it in, or leave it out"),
        (OPENAI | {"usage_volume": "../x"}, "usage_volume: it must be the name of a volume: "),
        (OPENAI, "usage_volume: openai_usage reads a file in it: name the volume of the gateway"),
        (VLLM | {"url": "http://v/m", "schedule": "* * * * *"}, "schedule: vllm must be polled "),
        (TOKENS | {"gpu_name": "H100"}, "gpu_name: source workload for token_usage does not read"),
        (VLLM | {"url": "http://v/metrics"}, "interval_seconds: vllm must be polled every 30 sec"),
        (VLLM | {"interval_seconds": 9}, "vllm has nothing to ask: set url to the URL of its"),
        (OPENAI | {"gpu_price_per_hour": -1}, "gpu_price_per_hour: Input should be greater than"),
        (
            METALS | {"interval_seconds": 60, "schedule": "0 6 * * *"},
            "parameters are mutually exclusive: interval_seconds|schedule",
        ),
        (METALS | {"jitter_seconds": 30}, "missing parameter(s) required by 'jitter_seconds'"),
        (METALS | {"missed": "skip"}, "missing parameter(s) required by 'missed': schedule"),
        (
            METALS | {"schedule": "0 25 * * *"},
            "schedule: the schedule '0 25 * * *' is wrong: Bad hour",
        ),
        (METALS | {"schedule": 6}, "schedule: the schedule '6' is not minute, hour"),
        (5, "item 1: write it as a list, each with name, feed and source"),
    ],
)
def test_what_it_would_not_take_is_named_with_its_field(producer: Any, says: str) -> None:
    found = problems(producer)
    assert found[-1].startswith(says)
    assert all(" MILLRACE_" not in line and "producer_" not in line for line in found)


def test_each_of_several_is_named() -> None:
    lines = FILTERS.producer_problems([METALS, METALS, TOKENS | {"name": "b", "seed": "x"}])
    assert lines == [
        "millrace_producers: a: this name is there more than once",
        "millrace_producers: b: argument 'seed' is of type str and we were unable to convert to"
        " int: \"'x'\" cannot be converted to an int",
    ]


@pytest.mark.parametrize("producers", [{"metals": METALS}, "metals", None])
def test_what_is_no_list_is_said_in_one_line(producers: Any) -> None:
    said = "millrace_producers: write it as a list, each with name, feed and source"
    assert FILTERS.producer_problems(producers) == [said]


def test_a_container_is_told_what_is_declared_and_where_it_is() -> None:
    declared = METALS | {"interval_seconds": 5, "symbols": ["XAU"]}
    assert FILTERS.settings_of_producer(declared, "here") == {
        "producer_name": "a",
        "producer_feed": "metals",
        "producer_source": "metals_api",
        "producer_interval_seconds": 5,
        "producer_symbols": ["XAU"],
    }
    told = FILTERS.settings_of_producer(OPENAI | {"host": "", "usage_volume": "usage"}, "here")
    assert told["producer_host"] == "here"
    assert told["producer_usage_file"] == "/var/lib/usage/usage.jsonl"
    assert "producer_usage_volume" not in told
    named = FILTERS.settings_of_producer(OPENAI | {"host": "box", "usage_volume": ""}, "here")
    assert named["producer_host"] == "box"
    assert "producer_usage_file" not in named


@pytest.mark.parametrize("source", sorted(KINDS))
def test_only_sources_that_read_it_are_told_their_host(source: str) -> None:
    told = FILTERS.settings_of_producer({"name": "a", "source": source, "feed": "any"}, "here")
    assert ("producer_host" in told) is ("host" in KINDS[source].reads)


@pytest.mark.parametrize(
    ("declared", "polled"),
    [
        ({}, "https://simulator"),
        ({"url": ""}, "https://simulator"),
        ({"url": "https://a"}, "https://a"),
    ],
)
def test_without_a_key_the_simulator_is_polled_unless_a_url_is_declared(
    declared: dict[str, str], polled: str
) -> None:
    told = FILTERS.settings_of_producer(METALS | declared, "here", "https://simulator")
    assert told["producer_url"] == polled
