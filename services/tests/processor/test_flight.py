"""What waits for which batch that is being written."""

from concurrent.futures import Future

import pytest

from millrace.feeds.stocks import STOCKS
from millrace.processor.batch import Batch
from millrace.processor.errors import Permanent, Transient
from millrace.processor.flight import InFlight

SHARES, METALS = "stock-data", "metal-prices"


class Flight:
    """Batches whose writes end when the test says so."""

    def __init__(self) -> None:
        self.writes: list[Future[None]] = []
        self.batches = InFlight(most=2)

    def add(self, topic: str, offset: int = 0) -> Batch:
        batch = Batch(STOCKS, {}, first={(topic, 0): offset}, consumed=3)
        self.writes.append(Future())
        self.batches.add(batch, lambda _: self.writes[-1])
        return batch


@pytest.fixture
def flight() -> Flight:
    return Flight()


def test_of_each_topic_the_oldest_comes_first_and_waits_for_no_other_topic(flight: Flight) -> None:
    slow, metals = flight.add(SHARES), flight.add(METALS)
    behind = flight.add(SHARES, 3)
    flight.writes[1].set_result(None)
    flight.writes[2].set_result(None)
    assert [*flight.batches.done()] == [(metals, None)]
    assert flight.batches.of(SHARES) == [slow, behind]
    flight.writes[0].set_exception(error := Transient("away"))
    assert [*flight.batches.done()] == [(slow, error), (behind, None)]
    assert len(flight.batches) == 0


def test_what_ends_everything_stays_with_what_is_behind_it(flight: Flight) -> None:
    flight.add(SHARES)
    flight.add(METALS)
    flight.writes[0].set_exception(Permanent("refused"))
    flight.writes[1].set_result(None)
    with pytest.raises(Permanent):
        [*flight.batches.done()]
    assert len(flight.batches) == 2


def test_batches_are_numbered_and_the_oldest_of_a_topic_is_known(flight: Flight) -> None:
    assert flight.batches.oldest(SHARES) == 0
    added = [flight.add(METALS), flight.add(SHARES), flight.add(SHARES, 3)]
    assert [batch.number for batch in added] == [0, 1, 2]
    assert flight.batches.oldest(METALS) == 0
    assert flight.batches.oldest(SHARES) == 1
    assert flight.batches.oldest("nothing-of-it") == 3
    assert flight.batches.first() == {(METALS, 0): 0, (SHARES, 0): 0}
    assert flight.batches.records() == 9
    assert flight.batches.topics() == {METALS, SHARES}
    assert flight.batches.heads() == flight.writes[:2]
    assert flight.batches.full(()) == {SHARES}
    assert flight.batches.full([METALS]) == {METALS, SHARES}
