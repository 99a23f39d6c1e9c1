"""What the role lets a producer be is what the services can be."""

from pathlib import Path
from typing import get_args

import yaml

from millrace.config import Settings
from millrace.feeds import FEEDS

ROOT = Path(__file__).parents[2]
SPEC = yaml.safe_load((ROOT / "roles/producer/meta/argument_specs.yml").read_text())
PRODUCER = SPEC["argument_specs"]["main"]["options"]["producer_producers"]["options"]


def test_every_source_can_be_declared() -> None:
    sources = get_args(Settings.model_fields["producer_source"].annotation)
    assert {*PRODUCER["source"]["choices"]} == {*sources} - {""}


def test_every_feed_can_be_declared() -> None:
    assert {*PRODUCER["feed"]["choices"]} == {*FEEDS}
