"""Finds documents as MongoDB does, as far as conditions here go: contracts.conditions compares."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

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
    found: Any = document
    for part in name.split("."):
        # What is not there is as null.
        found = found.get(part) if isinstance(found, Mapping) else None
    tests = wanted if isinstance(wanted, Mapping) else {"$in": [wanted]}
    return all(_compares(found, test, value) for test, value in tests.items())


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
