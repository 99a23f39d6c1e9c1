"""What the role lets a producer be is what the services can be."""

from pathlib import Path
from typing import get_args

import yaml

from millrace.config import Settings

ROOT = Path(__file__).parents[2]
SPEC = yaml.safe_load((ROOT / "roles/producer/meta/argument_specs.yml").read_text())
PRODUCER = SPEC["argument_specs"]["main"]["options"]["producer_producers"]["options"]
# It needs a GPU, and no container gets one.
NOT_DEPLOYED = "nvml"


def test_every_source_that_can_run_in_a_container_can_be_declared() -> None:
    sources = get_args(Settings.model_fields["producer_source"].annotation)
    assert {*PRODUCER["source"]["choices"]} == {*sources} - {"", NOT_DEPLOYED}
