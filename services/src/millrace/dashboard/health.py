"""How each component is, of what the API and the services say. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple

from millrace.api.health import OK
from millrace.clients.lag import PartitionLag
from millrace.clients.services import Peer
from millrace.feeds import FEEDS
from millrace.watch.snapshot import Position, positions, rates

SERVERS = {"kafka": "Kafka", "mongodb": "MongoDB", "redis": "Redis", "processor": "processor"}
TOPICS = {feed.topic: name for name, feed in FEEDS.items()}
SAYS = ("problem", "state", "source", "published", "last_error", "trouble")
KEPT = 120


class State(StrEnum):
    """How a component is."""

    OK = "ok"
    BAD = "not well"
    UNKNOWN = "unknown"


class Part(NamedTuple):
    """A component, and what it says."""

    name: str
    state: State
    says: str = ""


class Sample(NamedTuple):
    """Where the feeds were at a time, in seconds of a clock that only goes forward."""

    at: float
    positions: Mapping[str, Position]


def parts(health: Mapping[str, Any] | None, problem: str, peers: Sequence[Peer]) -> list[Part]:
    """Every component. Without an answer of the API, what it would know is unknown."""
    if health is None:
        found = [Part("API", State.BAD, problem)]
        found += [Part(name, State.UNKNOWN, "only the API knows") for name in SERVERS.values()]
    else:
        found = [Part("API", State.OK)]
        found += [
            Part(SERVERS[name], *_of_check(check))
            for name, check in health["checks"].items()
            if name in SERVERS
        ]
    return found + [Part(peer.host, _state(peer.ready), _line(peer)) for peer in peers]


def _of_check(check: Mapping[str, Any]) -> tuple[State, str]:
    if check["status"] != OK:
        return State.BAD, str(check.get("problem", "does not answer"))
    latency = check.get("latency_ms")
    return State.OK, "" if latency is None else f"answers in {latency:.0f} ms"


def _state(ready: bool) -> State:
    return State.OK if ready else State.BAD


def _line(peer: Peer) -> str:
    told = ((name.replace("_", " "), peer.says.get(name)) for name in SAYS)
    return ", ".join(f"{name}: {value}" for name, value in told if value)


def sample(health: Mapping[str, Any], at: float) -> Sample | None:
    """Where the feeds are; None while Kafka does not answer."""
    partitions = health["checks"]["kafka"].get("partitions")
    if not partitions:
        return None
    return Sample(at, positions((PartitionLag(**one) for one in partitions), TOPICS))


def throughput(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Rates between samples: rows of seconds before the last one, feed, published, stored."""
    return [
        {
            "seconds": after.at - samples[-1].at,
            "feed": feed,
            "published": rate.published,
            "stored": rate.stored,
        }
        for before, after in pairwise(samples)
        for feed, rate in rates(before.positions, after.positions, after.at - before.at).items()
    ]


GREEN, RED, GREY = "#d7f0e3", "#f8d7d4", "#e3e3e3"
_FILL = {State.OK: GREEN, State.BAD: RED, State.UNKNOWN: GREY}
EDGES = [
    ("producers", "Kafka"),
    ("Kafka", "processor"),
    ("processor", "MongoDB"),
    ("processor", "Redis"),
    ("MongoDB", "API"),
    ("Redis", "API"),
    ("Kafka", "archiver"),
    ("archiver", "warehouse"),
    ("API", "dashboard"),
    ("warehouse", "dashboard"),
]


def drawing(found: Sequence[Part]) -> str:
    """The pipeline with its state, for Graphviz. States are words, and colours besides."""
    states = {part.name: part.state for part in found}
    producers = [part.state for part in found if part.name.startswith("producer-")]
    if producers:
        states["producers"] = State.OK if set(producers) == {State.OK} else State.BAD
    states |= {"dashboard": State.OK}
    nodes = [
        f'"{name}" [label="{name}\\n{state}", fillcolor="{_FILL[state]}"]'
        for name, state in states.items()
        if any(name in edge for edge in EDGES)
    ]
    edges = [f'"{a}" -> "{b}"' for a, b in EDGES if a in states and b in states]
    return "\n".join(
        [
            "digraph pipeline {",
            'rankdir="LR" bgcolor="transparent"',
            'node [shape="box" style="filled,rounded" fontname="sans-serif" fontcolor="#111111"'
            ' color="#777777"]',
            'edge [color="#888888"]',
            *nodes,
            *edges,
            "}",
        ]
    )
