"""What stands for a library in a test is called as the library can be called, and in no other way.

What it answers is compared by the tests that CONTRIBUTING.md names.
"""

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, TypeVar

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError
from kafka.structs import TopicPartition
from pymongo import collection
from pymongo.cursor import Cursor

T = TypeVar("T")


def stands_for(*real: type, tools: Collection[str] = ()) -> Callable[[type[T]], type[T]]:
    """Check each call of a class's public methods against the classes that it stands for.

    `tools` are what tests do to it, which the library has not. TypeError for a call that the
    library would not take, and at once for a method that it has not.
    """

    def mark(fake: type[T]) -> type[T]:
        for name, method in [*vars(fake).items()]:
            if name.startswith("_") or name in tools or not inspect.isfunction(method):
                continue
            found = [getattr(one, name) for one in real if hasattr(one, name)]
            if not found:
                raise TypeError(f"{' and '.join(one.__name__ for one in real)} cannot {name}")
            setattr(fake, name, _checked(method, found[0]))
        return fake

    return mark


def standing_for(real: type, **methods: Callable[..., Any]) -> Any:
    """An object with some of a class's methods, which are given without `self`; as `stands_for`."""
    own = {name: _unbound(method) for name, method in methods.items()}
    made: Any = type(f"{real.__name__}StandIn", (), own)
    return stands_for(real)(made)()


def _unbound(method: Callable[..., Any]) -> Callable[..., Any]:
    def called(_: Any, *arguments: Any, **options: Any) -> Any:
        return method(*arguments, **options)

    return called


def refuse_unled(unled: Collection[TopicPartition], asked: Collection[TopicPartition]) -> None:
    """End as a consumer does that is asked for offsets of partitions without a leader."""
    if unled and len(unled) == len(asked):
        raise KafkaTimeoutError
    for partition in unled:
        raise KeyError(partition)


def _checked(method: Callable[..., Any], real: Any) -> Callable[..., Any]:
    signature = _signature(real)
    taken: set[tuple[int, frozenset[str]]] = set()

    @wraps(method)
    def called(*arguments: Any, **options: Any) -> Any:
        if real is KafkaProducer.send:
            _check_record(**signature.bind(*arguments, **options).arguments)
        # Whether it binds depends on how many there are, and on their names.
        elif (call := (len(arguments), frozenset(options))) not in taken:
            signature.bind(*arguments, **options)
            taken.add(call)
        return method(*arguments, **options)

    return called


def _signature(method: Any) -> inspect.Signature:
    if method not in (collection.Collection.find, collection.Collection.find_one):
        return inspect.signature(method)
    # These hand on what they are given.
    own, _, *parameters = inspect.signature(Cursor.__init__).parameters.values()
    return inspect.Signature([own, *parameters])


def _check_record(key: Any = None, value: Any = None, headers: Any = None, **_: Any) -> None:
    """What the library looks at before it sends."""
    if key is None and value is None:
        raise ValueError("Need at least one: key or value")
    if not isinstance(headers or [], list):
        raise TypeError("headers must be list-type")
    for name, content in headers or []:
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise TypeError("All headers items must be (str, bytes) tuples")
    for part in (key, value):
        if not isinstance(part, bytes | None):
            raise TypeError(f"Unsupported type: {type(part)}")
