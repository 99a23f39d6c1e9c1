"""What the inventory says of our services are settings that they have, and values they take."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT, load

from millrace.config import Settings
from millrace.feeds import FEEDS

SETTINGS = load(ROOT / "plugins/filter/settings.py")
TOLD: dict[str, Any] = yaml.safe_load((ROOT / "playbooks/vars/services.yml").read_text())
PRODUCER = yaml.safe_load((ROOT / "roles/producer/meta/argument_specs.yml").read_text())


@pytest.mark.parametrize("name", [name for name in TOLD if name.endswith("_settings")])
def test_a_service_is_told_settings(name: str) -> None:
    assert TOLD[name].keys() <= Settings.model_fields.keys() - {*Settings.secret_names()}


@pytest.mark.parametrize("name", [name for name in TOLD if name.endswith("_secrets")])
def test_secrets_are_files_that_a_setting_reads(name: str) -> None:
    assert TOLD[name].keys() <= {*Settings.secret_names()}


def test_what_is_declared_of_a_producer_are_its_settings() -> None:
    options = PRODUCER["argument_specs"]["main"]["options"]["producer_producers"]["options"]
    declared = {f"producer_{name}" for name in options.keys() - {"usage_volume"}}
    assert declared <= Settings.model_fields.keys()


def test_an_environment_is_text() -> None:
    settings = {"feeds": ["a", "b"], "stale_seconds": 0.5, "redis_host": "redis", "url": ""}
    assert SETTINGS.as_environment(settings) == {
        "MILLRACE_FEEDS": '["a", "b"]',
        "MILLRACE_STALE_SECONDS": "0.5",
        "MILLRACE_REDIS_HOST": "redis",
        "MILLRACE_URL": "",
    }


@pytest.mark.parametrize(
    ("feeds", "says"),
    [
        (["metals", "stonks"], "there is no feed stonks"),
        (["metals", "stocks", "metals"], "metals is there more than once"),
        ([], "name one at least"),
    ],
)
def test_feeds_are_some_of_those_that_there_are_and_each_is_there_once(
    feeds: list[str], says: str
) -> None:
    (line,) = SETTINGS.setting_problems({"millrace_feeds": feeds})
    assert line == f"millrace_feeds: {says}; the feeds are {', '.join(sorted(FEEDS))}"


@pytest.mark.parametrize("value", [0, 3, "abc", "", -1, 1.5, True, None, "1_0"])
def test_what_is_no_whole_number_within_its_bounds_is_refused(value: Any) -> None:
    assert SETTINGS.number_problems({"a": value, "b": "2"}, {"a": (1, 2), "b": (1, 2)}) == [
        f"a is {value}: it must be a whole number from 1 to 2"
    ]


def test_true_is_no_number_of_a_container() -> None:
    """Of YAML it is a word, which is what the container reads."""
    (line,) = SETTINGS.setting_problems({"millrace_stale_seconds": True})
    assert line.startswith("millrace_stale_seconds: Input should be a valid number")


def test_a_variable_that_is_called_like_a_setting_is_checked() -> None:
    variables = {"millrace_stale_seconds": "60", "millrace_instance": "x", "other": 5}
    assert SETTINGS.setting_problems(variables) == []
    variables = {"millrace_api_port": 0, "millrace_api_origins": ["https://a.example.org", "*"]}
    assert SETTINGS.setting_problems(variables) == [
        "millrace_api_port: Input should be greater than or equal to 1",
        "millrace_api_origins: item 2: write it as a browser sends it, in lower case and without"
        " a path, like https://dashboard.example.org",
    ]
