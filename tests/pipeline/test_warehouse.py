"""The warehouse: what is stored is in it, a build later, with the same latest prices."""

from __future__ import annotations

from typing import Any

from .pipeline import Pipeline, wait_until
from .test_archive import FLUSH_SECONDS, WRITE_SECONDS, lacking, stored

BUILD_SECONDS = 300
"""Two builds on a busy machine: one that began before, and the next."""
PRICED = ("metals", "stocks")


def read(pipeline: Pipeline) -> dict[str, Any]:
    return dict(pipeline.script("warehouse", "warehouse.py").json)


def builds(pipeline: Pipeline) -> bool:
    """Build now, and do not wait for the next time; False while the service builds."""
    done = pipeline.run("warehouse", "millrace", "warehouse", "build")
    assert done.status == 0 or "another process builds" in done.stderr, done.stderr
    return done.status == 0


def ids(found: dict[str, Any]) -> dict[str, set[str]]:
    return {feed: set(events) for feed, events in found["events"].items()}


def test_what_is_stored_is_in_the_warehouse_once_with_the_latest_prices(pipeline: Pipeline) -> None:
    before = stored(pipeline)
    wait_until(
        "every stored event is in the warehouse",
        lambda: builds(pipeline) and lacking(before, ids(read(pipeline))) == {},
        timeout=FLUSH_SECONDS + WRITE_SECONDS + BUILD_SECONDS,
    )
    found = read(pipeline)
    assert all(len(events) == len({*events}) for events in found["events"].values())
    prices = {feed: pipeline.script("operator", "prices.py", feed).json for feed in PRICED}
    assert lacking(ids(found), stored(pipeline)) == {}
    for feed, stored_prices in prices.items():
        newest: dict[tuple[str, str], tuple[str, str]] = {}
        for event in found["events"][feed]:
            source, symbol, at, _ = stored_prices[event]
            newest[source, symbol] = max(newest.get((source, symbol), ("", "")), (at, event))
        latest = {event: stored_prices[event][3] for _, event in newest.values()}
        assert found["latest"][feed] == latest
    # The counts of the build that readers have now are the archive's.
    checked = pipeline.run("warehouse", "millrace", "warehouse", "verify", "--json")
    assert checked.status == 0, checked.stdout + checked.stderr


def test_the_warehouse_cannot_change_the_archive_and_has_no_login(pipeline: Pipeline) -> None:
    touched = pipeline.run("warehouse", "touch", "/archive/written")
    assert touched.status != 0
    assert "Read-only file system" in touched.stderr
    assert pipeline.run("warehouse", "ls", "/run/secrets").stdout.split() == ["ca.pem"]
