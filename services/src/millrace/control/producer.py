"""`millrace producer`: shows the producer of this container and gives it commands."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from millrace import sources
from millrace.clients.services import Peer, ask
from millrace.config import LONGEST_SECONDS, Settings
from millrace.errors import MillraceError
from millrace.producer import overrides, table
from millrace.producer.overrides import Overrides
from millrace.runtime.console import console
from millrace.runtime.retry import wait_for

PATIENCE_SECONDS = 5.0
POLL_SECONDS = 0.2
HIGHEST_RATE = 10_000.0

Command = Callable[[Settings, Overrides, Mapping[str, Any]], Overrides]
"""Returns new overrides, from the settings, the current overrides and the producer's status."""
replace = msgspec.structs.replace


class Refused(MillraceError):
    """The producer does not support the command."""


def show(settings: Settings, *, as_json: bool) -> None:
    """Print the producer's status."""
    peer = _ask(settings)
    if as_json:
        sys.stdout.write(msgspec.json.encode(peer.says).decode() + "\n")
    else:
        table.show(console(), [peer])


def give(settings: Settings, command: Command, *, check: bool, as_json: bool) -> None:
    """Give a command, wait until it is applied, and print the result."""
    says = _ask(settings).says
    now, changed = overrides.change(
        settings.producer_state_dir, lambda before: command(settings, before, says), check=check
    )
    if not check:
        says = _noticed(settings, now.number)
    noticed = says.get("commands", 0) >= now.number
    if as_json:
        answer = {"changed": changed, "noticed": noticed, "producer": says}
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        return
    if not changed:
        result = "that is so already"
    elif check:
        result = "that would be new"
    else:
        result = "done" if noticed else "kept, but not noticed yet"
    sys.stdout.write(f"{settings.producer_name}: {result}; {_line(says)}\n")


def pause(_settings: Settings, before: Overrides, _says: Mapping[str, Any]) -> Overrides:
    """Stop polling."""
    return replace(before, paused=True)


def resume(_settings: Settings, before: Overrides, _says: Mapping[str, Any]) -> Overrides:
    """Resume polling."""
    return replace(before, paused=False)


def run_now(_settings: Settings, before: Overrides, says: Mapping[str, Any]) -> Overrides:
    """Request an extra poll."""
    if before.paused:
        raise Refused("it is paused: resume it first")
    if says.get("state") == "finished":
        raise Refused("everything is published: there is nothing left to poll")
    return replace(before, runs=before.runs + 1)


def rate(per_second: float | None) -> Command:
    """Set a rate, or the declared one."""
    if per_second is not None and not 0 < per_second <= HIGHEST_RATE:
        raise Refused(f"a rate is more than 0 and at most {HIGHEST_RATE:,.0f} a second")

    def command(settings: Settings, before: Overrides, _says: Mapping[str, Any]) -> Overrides:
        asked = (settings.producer_source, settings.producer_feed)
        if asked not in sources.WITH_RATE:
            those = ", ".join(" for ".join(one) for one in sources.WITH_RATE)
            raise Refused(f"source {' for '.join(asked)} has no rate (there is one of {those})")
        return replace(before, rate_per_second=per_second)

    return command


def interval(seconds: float | None) -> Command:
    """Set an interval, or the declared one."""
    if seconds is not None and not 0 < seconds <= LONGEST_SECONDS:
        raise Refused(f"an interval is more than 0 and at most {LONGEST_SECONDS:,} seconds")

    def command(settings: Settings, before: Overrides, says: Mapping[str, Any]) -> Overrides:
        if settings.producer_schedule:
            raise Refused(
                f"it polls at a schedule ({settings.producer_schedule}), which is declared"
            )
        if says.get("timing") == "once":
            raise Refused(f"source {settings.producer_source} is polled once: it has no interval")
        longest = sources.LONGEST_INTERVALS.get(settings.producer_source, math.inf)
        if seconds is not None and seconds > longest:
            raise Refused(
                f"source {settings.producer_source} must be polled every {longest:g} seconds"
                " at least"
            )
        return replace(before, interval_seconds=seconds)

    return command


def _ask(settings: Settings) -> Peer:
    settings.require("producer_name", "producer_source")
    return replace(ask(settings, "localhost"), host=settings.producer_name)


def _noticed(settings: Settings, number: int) -> dict[str, Any]:
    """The producer's status once it has applied the command, or after some seconds."""
    return wait_for(
        lambda: _ask(settings).says,
        lambda says: says.get("commands", 0) >= number,
        PATIENCE_SECONDS,
        POLL_SECONDS,
    )


def _line(says: Mapping[str, Any]) -> str:
    if "state" not in says:
        return f"it {says.get('problem', 'says nothing')}"
    return f"{says['state']}, {table.pace(says)}"
