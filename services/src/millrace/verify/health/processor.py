"""`millrace verify processor`: ready, in its group, caught up, and its servers reachable."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millrace.clients import kafka, lag, services
from millrace.clients.progress import named
from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.verify import checks
from millrace.verify.checks import Check, PartReport
from millrace.verify.data import stored
from millrace.verify.data.compare import Partition

GPU_FEED, GPUS_PATH = "gpu_metrics", "/gpu/info"


def verify(settings: Settings) -> PartReport:
    """Check the processor, its group and the API, and connect to the processor's servers."""
    found = [
        *processor(services.ask(settings, settings.status_hosts[0]), settings),
        *checks.attempt("group", "described", lambda: _group(settings)),
        *_reached(settings.kafka_bootstrap_servers, settings.kafka_ca_file),
        *_reached(settings.mongodb_hosts, settings.mongodb_ca_file),
        api(services.ask_api(settings)),
        *([gpus(services.ask_api(settings, GPUS_PATH))] if GPU_FEED in settings.feeds else []),
    ]
    return checks.report("the processor", found)


def processor(peer: Peer, settings: Settings) -> list[Check]:
    """Whether the processor is ready, with the expected feeds."""
    problem = str(peer.says.get("problem", "no"))
    feeds = peer.says.get("feeds", [])
    return [
        Check(peer.host, "ready", "yes" if peer.ready else problem, peer.ready),
        Check(
            peer.host, "its feeds", ", ".join(feeds) or "none", set(feeds) == set(settings.feeds)
        ),
    ]


def api(peer: Peer) -> Check:
    """Whether the API reports that it can serve."""
    said = peer.says.get("problem") or peer.says.get("status") or "no word"
    return Check(peer.host, "/health", str(said), peer.ready)


def gpus(peer: Peer) -> Check:
    """Whether the API returns GPU metrics."""
    found = peer.says.get("gpus") or []
    more = " and more" if peer.says.get("next") else ""
    said = (
        f"GPUs: {len(found)}{more}"
        if found
        else peer.says.get("problem") or peer.says.get("detail")
    )
    return Check(peer.host, GPUS_PATH, str(said or "no word"), peer.ready and bool(found))


def group(description: Mapping[str, Any], group_id: str) -> list[Check]:
    """Whether a consumer group, as the admin client describes it, is stable."""
    state = description["error"] or description["group_state"]
    members = len(description["members"])
    return [
        Check(f"group {group_id}", "stable", str(state), state == "Stable"),
        Check(f"group {group_id}", "has members", str(members), members > 0),
    ]


def _group(settings: Settings) -> list[Check]:
    """The group's state, and its lag once it has reached the current ends."""
    group_id = settings.processor_group_id
    with kafka.asking(settings) as client:
        found = group(client.describe_groups([group_id])[group_id], group_id)
        behind = lag.read(client, group_id, [FEEDS[name].topic for name in settings.feeds])
    found.append(read(behind, group_id))
    return found + checks.attempt("lag", "is worked off", lambda: _caught_up(behind, settings))


def read(behind: list[lag.PartitionLag], group_id: str) -> Check:
    """Whether a member of the group reads each partition."""
    unread = [(one.topic, one.partition) for one in behind if not one.held]
    said = f"nobody reads {named(unread)}" if unread else f"all {len(behind)}"
    return Check(f"group {group_id}", "partitions are read", said, not unread)


def _caught_up(behind: list[lag.PartitionLag], settings: Settings) -> list[Check]:
    waiting = sum(one.lag for one in behind)
    ends = [Partition(one.topic, one.partition, 0, one.end) for one in behind]
    stored.wait_for_group(settings, ends)
    said = f"{waiting:,} of {sum(one.end for one in behind):,} records were left, now none"
    return [Check("lag", "is worked off", said, ok=True)]


def _reached(servers: str, ca_file: Path) -> list[Check]:
    return [
        check
        for server in servers.split(",")
        for check in checks.reached(server.strip(), ca_file, "can be reached")
    ]
