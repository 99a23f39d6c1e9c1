"""The metrics that dashboards and alarms name, as Prometheus reads them."""

from itertools import pairwise

from millrace.processor.metrics import Metrics

COUNTERS = {
    "alerts",
    "cache_failures",
    "cache_refused",
    "cache_writes",
    "commits",
    "conflicts",
    "dead_letters",
    "documents_stored",
    "duplicates",
    "new_logs",
    "rebalances",
    "records_consumed",
    "retries",
    "times_not_believed",
}
GAUGES = {"batches_in_flight", "cache_up", "lag_records", "standing"}


def test_each_is_told_under_its_name_from_the_first_moment_and_says_what_it_is() -> None:
    found = {family.name: family for family in Metrics().registry.collect()}
    kinds = dict.fromkeys(COUNTERS, "counter") | dict.fromkeys(GAUGES, "gauge")
    kinds["write_seconds"] = "histogram"
    assert {name: family.type for name, family in found.items()} == {
        f"millrace_processor_{name}": kind for name, kind in kinds.items()
    }
    for family in found.values():
        text = family.documentation
        assert text[0].isupper()
        assert text[1:] != text[1:].upper()
        assert text.endswith("."), "it is no sentence"


def test_a_batch_is_counted_by_what_became_of_its_records() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.account(consumed=31, stored=16, duplicates=8, dead=7, alerts=4)
    names = ("records_consumed", "documents_stored", "duplicates", "dead_letters", "alerts")
    assert [told(metrics, f"{name}_total") for name in names] == [62, 32, 16, 14, 8]


def test_partitions_that_went_are_told_no_more() -> None:
    metrics = Metrics()
    metrics.lag.show({("a", 0): (2, 9), ("b", 1): (9, 8)})
    metrics.show_standing([("a", 0), ("b", 1)])
    assert told(metrics, "lag_records", topic="a", partition="0") == 7
    assert told(metrics, "lag_records", topic="b", partition="1") == 0, "the end is of before"
    metrics.lag.show({("b", 1): (9, 10)})
    metrics.show_standing([("b", 1)])
    for name in ("lag_records", "standing"):
        assert told(metrics, name, topic="a", partition="0") is None
        assert told(metrics, name, topic="b", partition="1") == 1


def test_how_long_writes_take_is_told_from_milliseconds_to_an_outage() -> None:
    metrics = Metrics()
    bounds = [
        float(sample.labels["le"])
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.endswith("_bucket")
    ]
    assert bounds[0] <= 0.002
    assert bounds[-2] >= 20
    assert all(later <= 6 * earlier for earlier, later in pairwise(bounds[:-1]))


def told(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"millrace_processor_{name}", labels)
