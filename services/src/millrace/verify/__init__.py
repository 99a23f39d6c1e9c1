"""Proof of what the pipeline promises: its data, and who may come in."""

import sys
from typing import Any

import msgspec

from millrace.config import Settings


def data(settings: Settings, *, as_json: bool) -> None:
    """Compare everything that is stored with the log and its source; exit with 1 if it differs."""
    from millrace.verify import stored, tables

    report = stored.verify(settings)
    _show(report, tables.data, as_json=as_json)


def access(settings: Settings, *, as_json: bool) -> None:
    """Try to come in without the right to; exit with 1 if anything but a refusal happens."""
    from millrace.verify import authorization, tables

    report = authorization.verify(settings)
    _show(report, tables.access, as_json=as_json)


def _show(report: Any, show: Any, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        show(report)
    if not report.ok:
        sys.exit(1)
