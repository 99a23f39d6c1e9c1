"""What a condition finds, and a pipeline makes of it.

`found` puts documents into an empty collection and asks for ids; `made` asks for what a pipeline
makes of them.
"""

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
Made = Callable[[Sequence[dict[str, Any]], list[dict[str, Any]]], list[dict[str, Any]]]


class Conditions:
    """Of every operator that is used here, also where a field is of another kind or not there."""

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ({}, "abcde"),
            ({"_id": "b"}, "b"),
            ({"n": 1}, "a"),
            ({"n": None}, "ce"),
            ({"n": {}}, ""),
            ({"kafka": {}}, "c"),
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


FRUITS: list[dict[str, Any]] = [
    {"_id": 1, "kind": "pear", "on": 2, "size": {"cm": 5, "g": 1}},
    {"_id": 2, "kind": "fig", "on": 1, "size": {"cm": 4}},
    {"_id": 3, "kind": "pear", "on": 1, "size": "small"},
    {"_id": 4, "kind": "fig", "on": 2},
]
NEWEST: list[dict[str, Any]] = [
    {"$match": {"on": {"$lte": 2}}},
    {"$sort": {"on": -1, "_id": 1}},
    {"$group": {"_id": "$kind", "newest": {"$first": "$$ROOT"}}},
    {"$replaceRoot": {"newRoot": "$newest"}},
    {"$sort": {"_id": 1}},
]


COUNTS: list[dict[str, Any]] = [
    {
        "$group": {
            "_id": {"kind": "$kind", "on": "$on"},
            "count": {"$sum": 1},
            "largest": {"$max": "$size.cm"},
        }
    },
    {"$sort": {"_id": 1}},
]
COUNTED = [("fig", 1, 2, 4), ("fig", 2, 1, None), ("pear", 1, 1, None), ("pear", 2, 1, 5)]
SMALLER = {"_id": 5, "kind": "fig", "on": 1, "size": {"cm": 3}}


class Counting:
    """Of a collection that has the fruits, and a smaller one."""

    def test_its_documents_are_counted(self, collection: Any) -> None:
        assert collection.estimated_document_count() == len(FRUITS) + 1

    def test_its_documents_are_grouped(self, collection: Any) -> None:
        found = [*collection.aggregate(COUNTS, maxTimeMS=5000)]
        assert [(*one["_id"].values(), one["count"], one["largest"]) for one in found] == COUNTED


class Listing:
    """Of a database that has the same in the collection `fruits`."""

    def test_what_is_there(self, listed: Any) -> None:
        assert "fruits" in listed.list_collection_names()
        assert listed["fruits"].estimated_document_count() == len(FRUITS) + 1

    def test_each_value_is_listed_once(self, listed: Any) -> None:
        assert sorted(listed["fruits"].distinct("kind")) == ["fig", "pear"]
        assert sorted(listed["fruits"].distinct("on")) == [1, 2]

    def test_indexes_have_their_fields_in_order(self, listed: Any) -> None:
        assert listed["fruits"].index_information()["_id_"]["key"] == [("_id", 1)]


class Pipelines:
    """Of every stage that is used here, and of a projection, which is one of them."""

    @pytest.mark.parametrize(
        ("pipeline", "expected"),
        [
            ([{"$match": {"kind": "fig"}}, {"$project": {"on": 1}}], [(2, 1), (4, 2)]),
            ([{"$sort": {"kind": 1, "on": -1}}, {"$project": {"on": 1}}], "4213"),
            ([{"$sort": {"on": 1, "_id": -1}}, {"$limit": 3}, {"$project": {"_id": 1}}], "324"),
            ([*NEWEST, {"$project": {"_id": 1, "on": 1}}], [(1, 2), (4, 2)]),
            ([*NEWEST, {"$project": {"nothing": 1}}], "14"),
        ],
    )
    def test_it_makes(self, made: Made, pipeline: list[dict[str, Any]], expected: Any) -> None:
        found = made(FRUITS, pipeline)
        if isinstance(expected, str):
            assert [str(one["_id"]) for one in found] == [*expected]
        else:
            assert found == [{"_id": name, "on": on} for name, on in expected]

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"_id": 1}, [{}, {}, {}, {}]),
            ({"size": 1}, [{"size": one["size"]} if "size" in one else {} for one in FRUITS]),
            ({"size.cm": 1}, [{"size": {"cm": 5}}, {"size": {"cm": 4}}, {}, {}]),
            ({"size.g": 1}, [{"size": {"g": 1}}, {"size": {}}, {}, {}]),
            ({"size.cm": 1, "size.g": 1}, [*({"size": one["size"]} for one in FRUITS[:2]), {}, {}]),
        ],
    )
    def test_it_shows(self, made: Made, fields: dict[str, int], expected: Any) -> None:
        order = {"$sort": {"_id": 1}}
        found = made(FRUITS, [order, {"$project": fields}])
        assert found == [{"_id": number, **rest} for number, rest in enumerate(expected, start=1)]
        if "_id" not in fields:
            assert made(FRUITS, [order, {"$project": {**fields, "_id": 0}}]) == expected
