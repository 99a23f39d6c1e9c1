"""Generations: bounded, and nothing is forgotten that is still needed."""

from millrace.processor.generations import Generations


def test_what_is_not_used_for_two_generations_is_forgotten() -> None:
    known: Generations[int, str] = Generations()
    for now in range(10):
        known.age(2, now, now)
        for key in range(3 * now, 3 * now + 3):
            known.young[key] = "new"
        assert known.find(-1) is None
        known.young[-2] = known.find(-2) or "used"
        assert len(known) <= 9
    assert known.find(0) is None
    assert known.find(29) == "new"


def test_what_is_used_stays() -> None:
    known: Generations[str, int] = Generations()
    known.young["used"] = 7
    for now in range(10):
        known.age(0, now, now)
        known.young[str(now)] = now
        assert known.find("used") == 7
    assert "used" in known.young


def test_what_was_used_lately_is_not_forgotten_however_much_there_is() -> None:
    known: Generations[int, int] = Generations()
    for now in range(20):
        known.age(0, now, safe=0)
        known.young[now] = now
    assert [known.find(key) for key in range(20)] == [*range(20)]
    for safe in (20, 21):
        known.age(0, safe, safe)
        known.young[safe] = safe
    assert known.find(0) is None


def test_as_much_may_be_young_as_is_said_and_as_much_is_forgotten_as_is_safe() -> None:
    known: Generations[str, int] = Generations()
    known.young |= {"a": 1, "b": 2}
    known.age(2, 0, 0)
    assert known.young.keys() == {"a", "b"}
    for key in ("c", "d"):
        known.age(1, 0, 0)
        known.young |= {key: 3, key.upper(): 4}
    assert known.find("a") is None
    assert len(known) == 4
    assert (known.find("c"), known.find("D")) == (3, 4)
