"""dbt on a database: it runs in this process, and calls nobody."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.runtime.redaction import shown
from millrace.warehouse import engine
from millrace.warehouse.files import LONGEST_REASON

PROJECT = Path(__file__).parent / "project"
NAMED = 5
"""Failures that an error names."""
# Read when dbt is imported.
os.environ["DO_NOT_TRACK"] = "1"
os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"


class DbtFailed(MillraceError):
    """A model cannot be built, or a test of it failed."""


def digest() -> str:
    """A hash of all models: what was built by others is built anew."""
    found = hashlib.sha256()
    for path in sorted(PROJECT.rglob("*")):
        if path.is_file():
            found.update(f"{path.relative_to(PROJECT)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def on_duckdb(settings: Settings, database: Path, landing: Path) -> dict[str, Any]:
    """Where dbt builds, if that is a file of DuckDB, which has the landing beside it."""
    return {
        "type": "duckdb",
        "path": str(database),
        "schema": "main",
        "threads": settings.warehouse_threads,
        "attach": [{"path": str(landing), "alias": "landing", "read_only": True}],
        # Not set again for each model: the folder cannot change once something is in it.
        "config_options": engine.limits(settings, database.parent),
        "settings": {"TimeZone": "UTC"},
    }


class Dbt:
    """dbt, for one database. What it writes besides is in the folder."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        output: Mapping[str, Any],
        variables: Mapping[str, Any],
        say: Callable[[str], None],
    ) -> None:
        """`output` says where it builds, as in a profile; `variables` are those of the project."""
        self._folder = folder
        self._variables = {"stock_alert_threshold": settings.stock_alert_threshold, **variables}
        self._threads = settings.warehouse_threads
        self._say = say
        target = output["type"]
        profile = {"millrace": {"target": target, "outputs": {target: output}}}
        # JSON is YAML.
        (folder / "profiles.yml").write_text(json.dumps(profile))

    @property
    def target(self) -> Path:
        """Where dbt writes."""
        return self._folder / "target"

    def run(self, command: Sequence[str], *options: str) -> int:
        """Run a command of dbt, and return how many tests passed. Raises DbtFailed."""
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        runner = dbtRunner(callbacks=[self._progress])
        try:
            done = runner.invoke([*command, *self._common(), *options])
        finally:
            # Or it would keep the file, with changes that are not written to it.
            with DuckDBConnectionManager._LOCK:
                if environment := DuckDBConnectionManager._ENV:
                    environment.close()  # type: ignore[no-untyped-call]
                    DuckDBConnectionManager._ENV = None
        if done.exception is not None:
            raise DbtFailed(f"dbt: {_short(done.exception)}") from done.exception
        results = getattr(done.result, "results", None) or []
        if not done.success:
            raise DbtFailed(_failures(results))
        return sum(str(one.status) == "pass" for one in results)

    def _common(self) -> list[str]:
        folder = str(self._folder)
        return [
            *("--project-dir", str(PROJECT), "--profiles-dir", folder),
            *("--target-path", str(self.target), "--log-path", folder),
            *("--log-level", "none", "--log-level-file", "none"),
            *("--threads", str(self._threads), "--vars", json.dumps(self._variables)),
            *("--no-partial-parse", "--no-version-check", "--no-send-anonymous-usage-stats"),
        ]

    def _progress(self, event: Any) -> None:
        if event.info.name in ("LogModelResult", "LogSeedResult") and event.data.status:
            name = event.data.node_info.node_name
            self._say(f"{name}: {event.data.execution_time:.1f} s")


def _failures(results: Sequence[Any]) -> str:
    failed = [one for one in results if str(one.status) in ("error", "fail", "runtime error")]
    said = [f"{one.node.name}: {_short(one.message)}" for one in failed[:NAMED]]
    more = [f"and {len(failed) - NAMED} more"] if len(failed) > NAMED else []
    return "; ".join([*said, *more]) or "dbt failed, and does not say why"


def _short(reason: object) -> str:
    return shown(" ".join(str(reason).split()), LONGEST_REASON)
