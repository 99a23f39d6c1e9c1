"""A set that takes little memory answers as a set does."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from millrace.verify.data.seen import SMALLEST, Seen


@given(st.lists(st.text(max_size=3)))
def test_it_answers_as_a_set_does(texts: list[str]) -> None:
    seen, known = Seen(), set[str]()
    for text in texts:
        assert (text in seen) == (text in known)
        assert seen.add(text) == (text not in known)
        known.add(text)
        assert len(seen) == len(known)


def test_it_grows_and_forgets_nothing() -> None:
    seen = Seen()
    texts = [f"quotes:generator:SYM:{number}" for number in range(5 * SMALLEST)]
    assert all(seen.add(text) for text in texts)
    assert all(text in seen for text in texts)
    assert not any(seen.add(text) for text in texts)
    assert "quotes:generator:SYM:another" not in seen


def test_an_id_takes_few_bytes() -> None:
    count = 100_000
    tracemalloc.start()
    seen = Seen()
    for number in range(count):
        seen.add(f"quotes:generator:SYM:2026-01-02T15:00:00Z:{number}")
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen) == count
    assert taken / count < 32
