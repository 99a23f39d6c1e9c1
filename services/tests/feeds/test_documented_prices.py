"""The names of GPUs that docs/feeds.md lists are those that have a price."""

import re
from importlib.resources import files
from pathlib import Path

import msgspec

PAGE = Path(__file__).parents[3] / "docs" / "feeds.md"


def test_the_page_lists_each_name_that_has_a_price() -> None:
    table = msgspec.json.decode((files("millrace") / "data" / "gpu_prices.json").read_bytes())
    priced = list(dict.fromkeys((price["name"], *price["also"]) for price in table))
    _, following = PAGE.read_text().split(
        "These names, spelled exactly so, have a price there:\n\n"
    )
    listed = following.partition("\n\n")[0].splitlines()
    assert [tuple(re.findall("`(.+?)`", line)) for line in listed] == priced
