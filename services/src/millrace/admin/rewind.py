"""`millrace admin rewind`: removes the offsets of a consumer group.

Its next member starts at the beginning of the log. The group must not have members meanwhile: they
would continue at their positions, and commit these again.
"""

from typing import Any

import msgspec

from millrace.admin.kafka import client_of
from millrace.admin.program import AdminError, Report, read, write
from millrace.runtime.retry import wait_for

MEMBERS_SECONDS = 45.0
"""Longer than Kafka waits for a member that has vanished."""
POLL_SECONDS = 1.0
DEAD, EMPTY = "Dead", "Empty"
DELETED = frozenset({"OK", "GroupIdNotFoundError"})


class Desired(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The group to rewind."""

    bootstrap_servers: str
    group: str
    wait_seconds: float = 60.0


def run(*, check: bool) -> None:
    """Rewind the group named on standard input, and print what changed."""
    desired = read(Desired)
    with client_of(desired.bootstrap_servers, desired.wait_seconds) as client:
        write(rewind(client, desired.group, check=check))


def rewind(client: Any, group: str, *, check: bool) -> Report:
    """Wait until the group is empty and remove it; a missing group needs nothing."""
    known = _state(client, group)[0] != DEAD
    if known and not check:
        state, members = wait_for(
            lambda: _state(client, group), _is_empty, MEMBERS_SECONDS, POLL_SECONDS
        )
        if not _is_empty((state, members)):
            raise AdminError(
                f"group {group} has {members} members after {MEMBERS_SECONDS:g} s: stop them first"
            )
        answer = client.delete_groups([group])[group]
        if answer not in DELETED:
            raise AdminError(f"group {group}: {answer}")
    changes = [f"group {group} starts at the beginning"] if known else []
    return Report(changed=known, changes=changes, notes=[], diff={"before": "", "after": ""})


def _is_empty(found: tuple[str, int]) -> bool:
    return found[0] in (EMPTY, DEAD)


def _state(client: Any, group: str) -> tuple[str, int]:
    found = client.describe_groups([group])[group]
    # Brokers report both this state and an error for a group that does not exist.
    if found["error"] and found["group_state"] != DEAD:
        raise AdminError(f"group {group}: {found['error']}")
    return str(found["group_state"]), len(found["members"])
