"""Proof of what the pipeline promises: its data, and who may come in."""

import sys
from typing import Any

import msgspec

from millrace.config import Settings
from millrace.runtime.exit_codes import Exit


def show_data(settings: Settings, *, as_json: bool) -> None:
    """Compare everything that is stored with the log and its source; exit with 1 if it differs."""
    from millrace.verify import tables
    from millrace.verify.data import stored

    report = stored.verify(settings)
    _show(report, tables.data, as_json=as_json)


def show_access(settings: Settings, *, as_json: bool) -> None:
    """Try to come in without the right to; exit with 1 if anything but a refusal happens."""
    from millrace.verify import tables
    from millrace.verify.access import authorization

    report = authorization.verify(settings)
    _show(report, tables.access, as_json=as_json)


def show_kafka(settings: Settings, *, as_json: bool) -> None:
    """Ask the brokers and look at the topics; exit with 1 if anything is not as declared."""
    from millrace.verify import tables
    from millrace.verify.health import cluster

    _show(cluster.verify(settings), tables.part, as_json=as_json)


def show_mongodb(settings: Settings, *, as_json: bool) -> None:
    """Ask the members and look at the collections; exit with 1 if anything is not as declared."""
    from millrace.verify import tables
    from millrace.verify.health import replica_set

    _show(replica_set.verify(settings), tables.part, as_json=as_json)


def show_processor(settings: Settings, *, as_json: bool) -> None:
    """Ask the processor, its group and the API; exit with 1 if one of them does not work."""
    from millrace.verify import tables
    from millrace.verify.health import processor

    _show(processor.verify(settings), tables.part, as_json=as_json)


def show_workflow(settings: Settings, *, seconds: float, as_json: bool) -> None:
    """Follow the next events into the database; exit with 1 if none come, or one is lost."""
    from millrace.verify import tables
    from millrace.verify.data import arrivals

    _show(arrivals.verify(settings, seconds), tables.workflow, as_json=as_json)


def _show(report: Any, show: Any, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        show(report)
    if not report.ok:
        sys.exit(Exit.FAILED)
