"""Compares a desired state with the actual one. No I/O, and independent of Kafka and MongoDB.

A state maps keys to their fields. A key is the kind of a thing and its name among its kind, such as
`("topic", "metal-prices")`. The caller provides the order of kinds: things are created in this
order and removed in the reverse order.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Key = tuple[str, ...]
Fields = Mapping[str, Any]
State = Mapping[Key, Fields]


@dataclass(frozen=True)
class Change:
    """A thing to create (`before` is None), to remove (`after` is None) or to update."""

    key: Key
    before: Fields | None
    after: Fields | None

    @property
    def kind(self) -> str:
        """The kind of the thing."""
        return self.key[0]

    @property
    def name(self) -> str:
        """The name of the thing, if its kind has one-part names."""
        return self.key[1]

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """The fields that differ: name -> (before, after), None where there is no such field."""
        before, after = self.before or {}, self.after or {}
        names = sorted(before.keys() | after.keys())
        pairs = {name: (before.get(name), after.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def __str__(self) -> str:
        thing = " ".join(self.key)
        if self.before is None:
            details = ", ".join(f"{name}={_text(a)}" for name, (_, a) in self.fields().items())
            return f"create {thing}" + (f": {details}" if details else "")
        if self.after is None:
            return f"remove {thing}"
        details = ", ".join(
            f"{name} {_text(b)} -> {_text(a)}" for name, (b, a) in self.fields().items()
        )
        return f"update {thing}: {details}"


def plan(desired: State, actual: State, kinds: Sequence[str]) -> list[Change]:
    """List the changes, in an order that depends only on the two states."""
    changes = [
        Change(key, actual.get(key), desired.get(key))
        for key in sorted(desired.keys() | actual.keys())
        if actual.get(key) != desired.get(key)
    ]
    kept = [change for change in changes if change.after is not None]
    gone = [change for change in changes if change.after is None]
    kept.sort(key=lambda change: kinds.index(change.kind))
    gone.sort(key=lambda change: -kinds.index(change.kind))
    return kept + gone


def simulate(actual: State, changes: Sequence[Change]) -> dict[Key, Fields]:
    """Return the state after the changes."""
    state = dict(actual)
    for change in changes:
        if change.after is None:
            del state[change.key]
        else:
            state[change.key] = change.after
    return state


def render(state: State) -> str:
    """Render a state for a diff, with one line per thing."""
    lines = (f"{' '.join(key)} {_text(state[key]) if state[key] else ''}" for key in sorted(state))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
