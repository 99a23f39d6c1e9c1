"""What a condition finds: `found` puts documents into an empty collection and asks for ids."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

AT = datetime(2026, 1, 2, tzinfo=UTC)
DOCUMENTS: list[dict[str, Any]] = [
    {"_id": "a", "n": 1, "at": AT, "kafka": {"partition": 0, "offset": 5}},
    {"_id": "b", "n": 2, "kafka": {"partition": 1, "offset": 6}},
    {"_id": "c", "n": None, "kafka": {}},
    {"_id": "d", "n": "text", "kafka": None},
    {"_id": "e"},
]
Found = Callable[[Sequence[dict[str, Any]], dict[str, Any]], list[str]]


class Conditions:
    """Of every operator that is used here, also where a field is of another kind or not there."""

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ({}, "abcde"),
            ({"_id": "b"}, "b"),
            ({"n": 1}, "a"),
            ({"n": None}, "ce"),
            ({"n": {"$in": [1, "text"]}}, "ad"),
            ({"n": {"$in": []}}, ""),
            ({"n": {"$ne": 1}}, "bcde"),
            ({"n": {"$lt": 2}}, "a"),
            ({"n": {"$lte": 2}}, "ab"),
            ({"n": {"$gt": 1}}, "b"),
            ({"n": {"$gte": "t"}}, "d"),
            ({"n": {"$gt": 0, "$lt": 2}}, "a"),
            ({"at": {"$lte": AT}}, "a"),
            ({"at": {"$lt": AT}}, ""),
            ({"kafka.partition": 0}, "a"),
            ({"kafka.partition": {"$ne": 0}}, "bcde"),
            ({"kafka.partition": None}, "cde"),
            ({"kafka.offset": {"$gte": 5, "$lt": 6}, "n": 1}, "a"),
            ({"$or": [{"n": 1}, {"_id": "e"}]}, "ae"),
            ({"$and": [{"n": {"$ne": 1}}, {"n": {"$ne": 2}}]}, "cde"),
        ],
    )
    def test_it_finds(self, found: Found, condition: dict[str, Any], expected: str) -> None:
        assert "".join(sorted(found(DOCUMENTS, condition))) == expected
