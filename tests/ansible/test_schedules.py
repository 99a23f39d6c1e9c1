"""A schedule that no producer would take is refused before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from tests.ansible.conftest import ROOT, load

SPEC = yaml.safe_load((ROOT / "roles/producer/meta/argument_specs.yml").read_text())
PRODUCERS = SPEC["argument_specs"]["main"]["options"]["producer_producers"]
PROBLEMS = load(ROOT / "plugins/filter/schedules.py").schedule_problems


def refusals(**declared: Any) -> list[str]:
    """What the role's specification says of a producer."""
    producer = {"name": "a", "feed": "metals", "source": "metals_api"} | declared
    found = ArgumentSpecValidator({"producers": PRODUCERS}).validate({"producers": [producer]})
    return list(found.error_messages)


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"interval_seconds": 60},
        {"schedule": "0 6 * * *"},
        {"schedule": "0 6 * * *", "jitter_seconds": 30, "missed": "skip"},
    ],
)
def test_one_timing_is_accepted(declared: dict[str, Any]) -> None:
    assert refusals(**declared) == []


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"interval_seconds": 60, "schedule": "0 6 * * *"}, "mutually exclusive"),
        ({"jitter_seconds": 30}, "required by 'jitter_seconds': schedule"),
        ({"missed": "skip", "interval_seconds": 60}, "required by 'missed': schedule"),
    ],
)
def test_two_timings_are_refused(declared: dict[str, Any], says: str) -> None:
    (message,) = refusals(**declared)
    assert says in message


def test_a_wrong_schedule_is_named_in_one_line() -> None:
    producers = [
        {"name": "a", "schedule": "0 6 * * 1-5"},
        {"name": "b"},
        {"name": "c", "schedule": "0 25 * * *"},
        {"name": "d", "schedule": 6},
    ]
    c, d = PROBLEMS(producers)
    assert c == "c: the schedule '0 25 * * *' is wrong: Bad hour"
    assert d.startswith("d: the schedule '6' is not minute, hour")
