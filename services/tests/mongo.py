"""Finds, shows and sums documents as MongoDB does, as far as questions here go.

contracts.conditions and contracts.stored_events compare.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import bson

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}


def matches(document: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    """Whether a condition finds a document. KeyError for an operator that is not known here."""
    return all(_holds(document, name, wanted) for name, wanted in condition.items())


def _holds(document: Mapping[str, Any], name: str, wanted: Any) -> bool:
    if name == "$and":
        return all(matches(document, part) for part in wanted)
    if name == "$or":
        return any(matches(document, part) for part in wanted)
    found = _field(document, name)
    # Without an operator it is what is looked for, an empty one too.
    is_test = isinstance(wanted, Mapping) and any(part.startswith("$") for part in wanted)
    tests = wanted if is_test else {"$in": [wanted]}
    return all(_compares(found, test, value) for test, value in tests.items())


def _field(document: Mapping[str, Any], name: str) -> Any:
    found: Any = document
    for part in name.split("."):
        # What is not there is as null.
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _compares(found: Any, test: str, wanted: Any) -> bool:
    if test == "$in":
        return found in wanted
    if test == "$ne":
        return bool(found != wanted)
    compare = OPERATORS[test]
    try:
        return compare(found, wanted)
    except TypeError:
        return False  # only values of one kind are before or after each other


def in_order(
    documents: Iterable[Mapping[str, Any]], order: Iterable[tuple[str, int]]
) -> list[Mapping[str, Any]]:
    """By fields that all have, each rising (1) or falling (-1)."""
    found = [*documents]
    for name, direction in reversed([*order]):
        falls = {1: False, -1: True}[direction]
        found.sort(key=lambda document: _rank(_field(document, name)), reverse=falls)
    return found


def _rank(value: Any) -> Any:
    """By what it is sorted: documents of the same fields by one field after the other."""
    return [*value.values()] if isinstance(value, Mapping) else value


def shown(document: Mapping[str, Any], fields: Mapping[str, int]) -> dict[str, Any]:
    """What a projection shows that names what is wanted with 1: `_id`, too, unless it has a 0."""
    found: dict[str, Any] = {}
    for name, wanted in {"_id": 1, **fields}.items():
        if {0: False, 1: True}[wanted]:
            _copy(document, found, name.split("."))
    return found


def _copy(document: Mapping[str, Any], found: dict[str, Any], path: Sequence[str]) -> None:
    name, *rest = path
    if name not in document:
        return
    if not rest:
        found[name] = document[name]
    elif isinstance(document[name], Mapping):
        _copy(document[name], found.setdefault(name, {}), rest)


def aggregated(
    documents: Iterable[Mapping[str, Any]], pipeline: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """What a pipeline makes of documents. KeyError for a stage that is not known here."""
    found = [*documents]
    for stage in pipeline:
        ((name, wanted),) = stage.items()
        found = STAGES[name](found, wanted)
    return found


def _grouped(documents: list[Mapping[str, Any]], wanted: Any) -> list[Mapping[str, Any]]:
    groups: dict[bytes, tuple[Any, list[Mapping[str, Any]]]] = {}
    for one in documents:
        group = _value(one, wanted["_id"])
        groups.setdefault(bson.encode({"_id": group}), (group, []))[1].append(one)
    return [
        {
            "_id": group,
            **{
                name: COLLECTED[collect]([_value(one, of) for one in members])
                for name, field in wanted.items()
                if name != "_id"
                for collect, of in field.items()
            },
        }
        for group, members in groups.values()
    ]


def _value(document: Mapping[str, Any], expression: Any) -> Any:
    """What an expression is for a document. KeyError for an operator that is not known here."""
    if isinstance(expression, str) and expression.startswith("$"):
        return document if expression == "$$ROOT" else _field(document, expression[1:])
    if isinstance(expression, list):
        return [_value(document, part) for part in expression]
    if not isinstance(expression, Mapping):
        return expression
    parts = {name: _value(document, part) for name, part in expression.items()}
    for name, part in parts.items():
        if name.startswith("$"):
            return EXPRESSIONS[name](part)
    return parts


def _truncated(what: Mapping[str, Any]) -> datetime:
    found: datetime = what["date"].replace(second=0, microsecond=0, **UNITS[what["unit"]])
    return found


def _replaced(documents: list[Mapping[str, Any]], wanted: Any) -> list[Mapping[str, Any]]:
    found = [_value(one, wanted["newRoot"]) for one in documents]
    assert all(isinstance(one, Mapping) for one in found), "the server would end the question"
    return found


STAGES: Mapping[str, Callable[[list[Mapping[str, Any]], Any], list[Mapping[str, Any]]]] = {
    "$match": lambda documents, wanted: [one for one in documents if matches(one, wanted)],
    "$sort": lambda documents, wanted: in_order(documents, wanted.items()),
    "$limit": lambda documents, wanted: documents[:wanted],
    "$group": _grouped,
    "$replaceRoot": _replaced,
    "$project": lambda documents, wanted: [shown(one, wanted) for one in documents],
}
UNITS: Mapping[str, Mapping[str, Any]] = {"minute": {}, "hour": {"minute": 0}}
EXPRESSIONS: Mapping[str, Callable[[Any], Any]] = {
    "$concat": "".join,
    "$toString": str,
    "$dateTrunc": _truncated,
    "$eq": lambda pair: pair[0] == pair[1],
    "$cond": lambda parts: parts[1] if parts[0] else parts[2],
}
COLLECTED: Mapping[str, Callable[[list[Any]], Any]] = {
    "$first": lambda found: found[0],
    "$max": lambda found: max((one for one in found if one is not None), default=None),
    "$sum": lambda found: sum(one for one in found if one is not None),
}
