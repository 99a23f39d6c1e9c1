"""Verification of the pipeline's guarantees: its data, and access to it."""

import sys
from typing import Any

import msgspec

from millrace.config import Settings
from millrace.runtime.exit_codes import Exit


def show_data(settings: Settings, *, as_json: bool) -> None:
    """Compare all stored documents with the log and their source; exit with 1 on differences."""
    from millrace.verify import tables
    from millrace.verify.data import stored

    report = stored.verify(settings)
    show(report, tables.data, as_json=as_json)


def show_access(settings: Settings, *, as_json: bool) -> None:
    """Attempt unauthorised access; exit with 1 if anything but a refusal happens."""
    from millrace.verify import tables
    from millrace.verify.access import authorization

    report = authorization.verify(settings)
    show(report, tables.access, as_json=as_json)


def show_kafka(settings: Settings, *, as_json: bool) -> None:
    """Check the brokers and topics; exit with 1 if anything differs from the declaration."""
    from millrace.verify import tables
    from millrace.verify.health import cluster

    show(cluster.verify(settings), tables.part, as_json=as_json)


def show_mongodb(settings: Settings, *, as_json: bool) -> None:
    """Check the members and collections; exit with 1 if anything differs from the declaration."""
    from millrace.verify import tables
    from millrace.verify.health import replica_set

    show(replica_set.verify(settings), tables.part, as_json=as_json)


def show_processor(settings: Settings, *, as_json: bool) -> None:
    """Check the processor, its group and the API; exit with 1 if one of them does not work."""
    from millrace.verify import tables
    from millrace.verify.health import processor

    show(processor.verify(settings), tables.part, as_json=as_json)


def show_workflow(settings: Settings, *, seconds: float, as_json: bool) -> None:
    """Follow the next events into the database; exit with 1 if none arrive, or one is lost."""
    from millrace.verify import tables
    from millrace.verify.data import arrivals

    show(arrivals.verify(settings, seconds), tables.workflow, as_json=as_json)


def show(report: Any, table: Any, *, as_json: bool) -> None:
    """Print a report; exit with 1 unless it is ok."""
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        table(report)
    if not report.ok:
        sys.exit(Exit.FAILED)
