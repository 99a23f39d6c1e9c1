"""`millrace status`: the state of the pipeline from inside its network."""

import sys
from datetime import datetime
from typing import Any

import msgspec
from kafka.errors import KafkaError
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout, PyMongoError
from rich.table import Table

from millrace.clients import kafka, lag, mongodb
from millrace.clients.lag import PartitionLag
from millrace.clients.services import Peer, ask, ask_api
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS
from millrace.feeds.base import TIME_FIELD
from millrace.producer import table as producers
from millrace.runtime.console import console, text

LIMIT_MILLISECONDS = 5000
SHOWN = "problem", "state", "source", "published", "simulated", "last_error", "status", "cache"
"""Fields of a service's status that fit in a line."""
WAREHOUSE = "warehouse"


class NotWell(MillraceError):
    """The pipeline, or a part of it, does not work."""


class Stored(msgspec.Struct, frozen=True):
    """The documents of a source in a collection."""

    collection: str
    source: str
    simulated: bool
    count: int
    newest: datetime


class StatusReport(msgspec.Struct, frozen=True):
    """The whole status; servers that could not be queried are among the problems."""

    services: list[Peer]
    lag: list[PartitionLag]
    dead_letters: int | None
    stored: list[Stored]
    problems: list[str]
    down: list[str] = []
    """The servers that could not be queried at all."""
    archive_lag: list[PartitionLag] = []
    """The archiver's lag, if there is one."""

    @property
    def wrong(self) -> list[str]:
        """The names of everything that does not work."""
        return [peer.host for peer in self.services if not peer.ready] + self.down


def run(settings: Settings, *, as_json: bool) -> None:
    """Print the status; raise NotWell if a service is not ready, or a server does not answer."""
    report = look(settings)
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        show(report)
    if report.wrong:
        raise NotWell(f"not ready, or not to be asked: {', '.join(report.wrong)}")


def look(settings: Settings) -> StatusReport:
    """Query all services and servers; a missing answer is part of the status."""
    problems: list[str] = []
    down: list[str] = []
    behind: list[PartitionLag] = []
    archived: list[PartitionLag] = []
    dead_letters: int | None = None
    stored: list[Stored] = []
    try:
        behind, dead_letters, archived = _ask_kafka(settings)
    except (KafkaError, MillraceError) as error:
        down.append("Kafka")
        problems.append(_line("Kafka", error))
    try:
        stored = _ask_mongodb(settings, problems)
    except (PyMongoError, MillraceError) as error:
        down.append("MongoDB")
        known = mongodb.explain(error) if isinstance(error, PyMongoError) else error
        problems.append(_line("MongoDB", known or error))
    others = filter(None, [settings.archiver_host, settings.warehouse_host])
    hosts = [*settings.status_hosts, *others]
    services = [*(ask(settings, host) for host in hosts), ask_api(settings)]
    return StatusReport(services, behind, dead_letters, stored, problems, down, archived)


def _line(server: str, error: Exception) -> str:
    words = str(error)
    return words if server in words else f"{server}: {words or type(error).__name__}"


def _ask_kafka(settings: Settings) -> tuple[list[PartitionLag], int, list[PartitionLag]]:
    with kafka.asking(settings) as client:
        behind, letters = lags(client, settings)
        if not settings.archiver_host:
            return behind, letters, []
        return behind, letters, lag.read(client, settings.archive_group_id, _topics(settings))


def _topics(settings: Settings) -> list[str]:
    return [FEEDS[name].topic for name in settings.feeds]


def lags(client: Any, settings: Settings) -> tuple[list[PartitionLag], int]:
    """The processor's lag in each partition, and the number of dead letters."""
    behind = lag.read(client, settings.processor_group_id, _topics(settings))
    # No offsets of the dead letters are committed: their lag is their number.
    letters = lag.read(client, settings.processor_group_id, [settings.dead_letters_topic])
    return behind, sum(partition.lag for partition in letters)


def _ask_mongodb(settings: Settings, problems: list[str]) -> list[Stored]:
    with mongodb.client(settings, serverSelectionTimeoutMS=LIMIT_MILLISECONDS) as client:
        database = client[settings.mongodb_database]
        found: list[Stored] = []
        for name in settings.feeds:
            try:
                found += by_source(database[FEEDS[name].collection])
            except ExecutionTimeout:
                problems.append(too_many(database[FEEDS[name].collection]))
        return found


def by_source(collection: Collection[dict[str, Any]]) -> list[Stored]:
    """The documents of each source. It reads all; ExecutionTimeout after some seconds."""
    pipeline: list[dict[str, Any]] = [
        {
            "$group": {
                "_id": {"source": "$source", "simulated": "$simulated"},
                "count": {"$sum": 1},
                "newest": {"$max": f"${TIME_FIELD}"},
            }
        },
        {"$sort": {"_id": 1}},
    ]
    return [
        Stored(
            collection.name,
            group["_id"]["source"],
            group["_id"]["simulated"],
            group["count"],
            group["newest"],
        )
        for group in collection.aggregate(pipeline, maxTimeMS=LIMIT_MILLISECONDS)
    ]


def too_many(collection: Collection[dict[str, Any]]) -> str:
    """The row of a collection whose documents cannot be counted by source in time."""
    seconds = LIMIT_MILLISECONDS // 1000
    count = collection.estimated_document_count()
    return f"{collection.name}: {count:,} documents, too many to tell by source within {seconds} s"


def show(report: StatusReport) -> None:
    """Print tables for people."""
    out = console()
    services = Table("service", "ready", "says", title="Services")
    polling = [peer for peer in report.services if peer.host.startswith(producers.PREFIX)]
    for peer in report.services:
        if peer in polling:
            continue
        ready = "[green]yes[/green]" if peer.ready else "[red]no[/red]"
        services.add_row(peer.host, ready, text(summary(peer)))
    out.print(services)
    if polling:
        producers.show(out, polling)
    if report.lag:
        out.print(_lags(report))
    if report.stored:
        stored = Table("collection", "source", "simulated", "documents", "newest", title="Stored")
        for row in report.stored:
            simulated = "[yellow]simulated[/yellow]" if row.simulated else "real"
            newest = f"{row.newest:%F %T} UTC"
            stored.add_row(row.collection, text(row.source), simulated, f"{row.count:,}", newest)
        out.print(stored)
    for peer in report.services:
        if peer.host == WAREHOUSE and peer.says.get("feeds"):
            out.print(_warehouse(peer))
    if report.dead_letters is not None:
        out.print(f"Dead letters: {report.dead_letters:,}")
    for problem in report.problems:
        out.print(f"[red]{text(problem)}[/red]")


def _lags(report: StatusReport) -> Table:
    archived = {(one.topic, one.partition): f"{one.lag:,}" for one in report.archive_lag}
    of_archive = ["archive's lag"] if archived else []
    table = Table("topic", "partition", "records", "lag", *of_archive, title="Consumer lag")
    for one in report.lag:
        row = [one.topic, str(one.partition), f"{one.end:,}", f"{one.lag:,}"]
        if archived:
            row.append(archived.get((one.topic, one.partition), ""))
        table.add_row(*row)
    return table


def _warehouse(peer: Peer) -> Table:
    """What the last build has of each feed."""
    table = Table("feed", "events", "newest", "when it was built", title="Warehouse")
    for feed, one in peer.says["feeds"].items():
        newest = f"{datetime.fromisoformat(one['newest']):%F %T} UTC" if one["newest"] else ""
        table.add_row(feed, f"{one['events']:,}", newest, text(one["status"]))
    return table


def summary(peer: Peer) -> str:
    """A service's status in one line."""
    shown = {
        name: "simulated" if name == "simulated" else str(value)
        for name, value in peer.says.items()
        if name in SHOWN and value not in (None, False)
    }
    return ", ".join(
        said if name in ("problem", "simulated", "state", "status") else f"{name} {said}"
        for name, said in shown.items()
    )
