"""The breaker: a few bad records are none of its business, a bad stream is."""

from hypothesis import given
from hypothesis import strategies as st

from millrace.processor.breaker import Breaker, Tally


def opens(breaker: Breaker, *batches: tuple[int, int]) -> bool:
    reasons = [breaker.count(records, bad) for records, bad in batches]
    return any(reasons)


def test_one_bad_record_in_a_hundred_does_not_open_it() -> None:
    assert not opens(Breaker(1000, 0.5), *[(100, 1)] * 200)


def test_a_hundred_bad_records_in_a_row_do_not_open_it() -> None:
    assert not opens(Breaker(1000, 0.5), (1000, 0), (100, 100), (900, 0))


def test_few_records_are_no_reason_however_bad() -> None:
    assert not opens(Breaker(1000, 0.5), *[(1, 1)] * 999)


def test_most_of_a_window_being_bad_opens_it() -> None:
    assert opens(Breaker(1000, 0.5), *[(1, 1)] * 1000)
    assert opens(Breaker(1000, 0.5), (100_000, 0), *[(100, 60)] * 10)


def test_what_was_long_ago_is_forgotten() -> None:
    breaker = Breaker(1000, 0.5)
    assert not opens(breaker, (499, 499), *[(100, 0)] * 20)
    assert not opens(breaker, *[(1, 1)] * 499)


@given(
    st.lists(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))),
    st.integers(1, 50),
)
def test_it_opens_only_when_a_window_or_more_is_as_bad(
    batches: list[tuple[int, int]], window: int
) -> None:
    breaker = Breaker(window, 0.5)
    for number in range(len(batches)):
        if opens(breaker, batches[number]):
            tails = (batches[start : number + 1] for start in range(number + 1))
            sums = [(sum(r for r, _ in tail), sum(b for _, b in tail)) for tail in tails]
            assert any(records >= window and bad >= 0.5 * records for records, bad in sums)
            return


def test_it_goes_on_from_its_tally() -> None:
    breaker = Breaker(1000, 0.5)
    assert not opens(breaker, (400, 0), (590, 499))
    after = Breaker(1000, 0.5)
    after.restore(breaker.tally)
    assert opens(after, (10, 10))


def test_it_stays_open_without_counting_what_is_not_read() -> None:
    breaker = Breaker(10, 0.5)
    assert opens(breaker, (9, 4), (1, 1))
    assert opens(breaker, (100, 0))
    assert breaker.tally == (9, 4)
    breaker.restore(Tally())
    assert not opens(breaker, (9, 9))


def test_it_says_what_to_do() -> None:
    assert Breaker(4, 0.5).count(4, 3) == (
        "3 of the last 4 records could not be processed; stopped before more become dead letters."
        " Look at `millrace dead-letters list`"
    )
