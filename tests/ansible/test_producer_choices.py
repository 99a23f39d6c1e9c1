"""What the role lets a producer be is what the services can be."""

from pathlib import Path
from typing import get_args

import yaml

from millrace.config import Settings
from millrace.feeds import FEEDS

ROOT = Path(__file__).parents[2]
SPEC = yaml.safe_load((ROOT / "roles/producer/meta/argument_specs.yml").read_text())
PRODUCER = SPEC["argument_specs"]["main"]["options"]["producer_producers"]["options"]
SHARED = ROOT / "inventories" / "shared"


def test_every_source_can_be_declared() -> None:
    sources = get_args(Settings.model_fields["producer_source"].annotation)
    assert {*PRODUCER["source"]["choices"]} == {*sources} - {""}


def test_every_feed_can_be_declared() -> None:
    assert {*PRODUCER["feed"]["choices"]} == {*FEEDS}


def test_every_feed_has_its_topic_with_its_partitions() -> None:
    topics = yaml.safe_load((SHARED / "kafka.yml").read_text())["kafka_topics"]
    declared = {topic["name"]: topic["partitions"] for topic in topics}
    assert {feed.topic: feed.partitions for feed in FEEDS.values()}.items() <= declared.items()


def test_the_processor_may_write_to_the_collection_of_every_feed_and_to_no_other() -> None:
    roles = yaml.safe_load((SHARED / "mongodb.yml").read_text())["mongodb_roles"]
    allowed = {entry["collection"] for role in roles for entry in role["privileges"]}
    assert allowed == {feed.collection for feed in FEEDS.values()}
