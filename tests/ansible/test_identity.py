"""A broker and a member of the database stay who they are, or nothing is changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from tests.ansible.conftest import ROOT, Run, load
from tests.ansible.engine_socket import Answers, serving
from tests.ansible.test_aws_filters import NOTHING, instance, wanted
from tests.ansible.test_aws_settings import fleet, good

sys.path.insert(0, str(ROOT / "plugins" / "filter"))

import aws_problems
import identity

held_data_info = load(ROOT / "plugins/modules/held_data_info.py")

ONE = ["1@kafka-1"]
THREE = ["1@kafka-1", "2@kafka-2", "3@kafka-3"]
PLACES = {"kafka": {"kafka-1": "a"}, "mongodb": {"mongodb": "b"}}


def broker(name: str = "kafka-1", controllers: list[str] = ONE) -> dict[str, Any]:
    server = {"kind": "kafka", "name": name, "volume": f"millrace-{name}-data"}
    return server | {"controllers": controllers, "members": [], "replica_set": ""}


def member(name: str = "mongodb", members: list[str] | None = None) -> dict[str, Any]:
    server = {"kind": "mongodb", "name": name, "volume": f"millrace-{name}-data"}
    return server | {"controllers": [], "members": members or [name], "replica_set": "rs0"}


def host(*servers: dict[str, Any], processor: bool = False, archive: str = "") -> dict[str, Any]:
    return {"servers": list(servers), "processor": processor, "archive": archive}


RUNNING = {"a": host(broker()), "b": host(member()), "c": host(processor=True)}


def three(kind: str, first: str) -> dict[str, dict[str, str]]:
    names = [first, f"{kind}-2", f"{kind}-3"]
    return PLACES | {kind: dict(zip(names, "abc", strict=True))}


@pytest.mark.parametrize(
    "held",
    [
        pytest.param({"a": host(), "b": host(), "c": host()}, id="nothing is there yet"),
        pytest.param({"a": host(broker()), "b": host(), "c": host()}, id="cut short early"),
        pytest.param({"a": host(broker()), "b": host(member()), "c": host()}, id="cut short late"),
        pytest.param(RUNNING, id="it runs"),
    ],
)
def test_a_deployment_goes_on_wherever_it_was_cut_short(held: dict[str, Any]) -> None:
    assert identity.identity_problems(held, PLACES, ONE) == []


def test_some_of_three_brokers_may_be_there() -> None:
    held = {"a": host(broker(controllers=THREE)), "b": host(), "c": host()}
    assert identity.identity_problems(held, three("kafka", "kafka-1"), THREE) == []


def test_a_member_that_lost_its_disk_gets_its_data_from_the_others() -> None:
    names = ["mongodb", "mongodb-2", "mongodb-3"]
    held = {"a": host(broker(), member(members=names)), "b": host(), "c": host(processor=True)}
    assert identity.identity_problems(held, three("mongodb", "mongodb"), ONE) == []


@pytest.mark.parametrize(
    ("held", "places", "controllers", "says"),
    [
        pytest.param(
            RUNNING,
            three("kafka", "kafka-1"),
            THREE,
            "kafka-1 has data of a cluster with the controllers 1@kafka-1, and 1@kafka-1, "
            "2@kafka-2, 3@kafka-3 are wanted",
            id="one broker becomes three",
        ),
        pytest.param(
            {"a": host(broker(controllers=THREE))},
            PLACES | {"mongodb": {}},
            ONE,
            "the controllers 1@kafka-1, 2@kafka-2, 3@kafka-3, and 1@kafka-1 are wanted",
            id="three brokers become one",
        ),
        pytest.param(
            RUNNING,
            PLACES | {"kafka": {"kafka-7": "a"}},
            ["7@kafka-7"],
            "a holds the data of kafka-1 (volume millrace-kafka-1-data), and the inventory wants "
            "this broker nowhere",
            id="another number",
        ),
        pytest.param(
            RUNNING,
            PLACES | {"kafka": {"kafka-1": "c"}},
            ONE,
            "wants this broker on c, where it would begin empty",
            id="another host",
        ),
        pytest.param(
            {"d": host(), "b": host(member())},
            PLACES | {"kafka": {"kafka-1": "d"}},
            ONE,
            "kafka-1 has no data on d, and was deployed before (mongodb is there)",
            id="another host, and the old one is not in the inventory",
        ),
        pytest.param(
            RUNNING,
            three("mongodb", "mongodb"),
            ONE,
            "mongodb has data of a cluster with the members of the replica set mongodb, and "
            "mongodb, mongodb-2, mongodb-3 are wanted",
            id="one member becomes three",
        ),
        pytest.param(
            RUNNING,
            PLACES | {"mongodb": {"mongodb-2": "b"}},
            ONE,
            "b holds the data of mongodb (volume millrace-mongodb-data)",
            id="another number of a member",
        ),
        pytest.param(
            RUNNING | {"b": host()},
            PLACES,
            ONE,
            "playbooks/reset_mongodb.yml stores again what Kafka keeps",
            id="the database is gone",
        ),
    ],
)
def test_what_would_change_who_a_server_is_is_refused(
    held: dict[str, Any], places: dict[str, Any], controllers: list[str], says: str
) -> None:
    lines = identity.identity_problems(held, places, controllers)
    assert says in "; ".join(lines)
    assert all("othing was changed" in line or "nothing was changed" in line for line in lines)


def test_the_archive_stays_on_its_host_or_is_not_deployed() -> None:
    held = RUNNING | {"c": host(processor=True, archive="millrace-archiver-data")}
    on_a = PLACES | {"archiver": {"archiver": "a"}}
    for places in (PLACES, PLACES | {"archiver": {}}, PLACES | {"archiver": {"archiver": "c"}}):
        assert identity.identity_problems(held, places, ONE) == []
    assert identity.identity_problems(RUNNING, on_a, ONE) == []
    assert identity.identity_problems(held, on_a, ONE) == [
        "c holds the archive (volume millrace-archiver-data), and the inventory wants the archiver"
        " on a, where its tables would begin empty: nothing was changed. Set it back, or remove"
        " that volume"
    ]
    on_c = PLACES | {"archiver": {"archiver": "c"}}
    assert identity.identity_problems(held, PLACES, ONE, "s3") == []
    assert identity.identity_problems(RUNNING, on_c, ONE, "s3") == []
    assert identity.identity_problems(held, on_c, ONE, "s3") == [
        "c holds the archive (volume millrace-archiver-data), and millrace_archive_store is s3,"
        " where its tables would begin empty: nothing was changed. Set it to volume, or remove that"
        " volume"
    ]


def test_another_replica_set_is_refused() -> None:
    lines = identity.server_problems(member(), {"members": ["mongodb"], "replica_set": "rs1"})
    assert lines == [
        "mongodb has data of the replica set rs0, and rs1 is wanted: nothing was changed. "
        "Set it back"
    ]


@contextmanager
def engine(
    path: Path, volumes: list[str], containers: dict[str, list[str] | None]
) -> Iterator[str]:
    """An engine with these volumes, and containers that know the addresses of others."""

    class Engine(Answers):
        def get(self) -> None:
            url = urlparse(self.path)
            if url.path == "/volumes":
                wanted = json.loads(parse_qs(url.query)["filters"][0])
                assert wanted == {"label": ["io.millrace.instance=mr"]}
                listed = [{"Name": x, "Mountpoint": str(path / x / "_data")} for x in volumes]
                self.answer(200, json.dumps({"Volumes": listed or None}).encode())
            elif (name := url.path.split("/")[2]) in containers:
                found = {"HostConfig": {"ExtraHosts": containers[name]}}
                self.answer(200, json.dumps(found).encode())
            else:
                self.answer(404, b'{"message": "No such container"}')

    with serving(path / "docker.sock", Engine):
        yield str(path / "docker.sock")


def fill(path: Path, volume: str, marker: str) -> None:
    """A server wrote to its volume."""
    file = path / volume / "_data" / marker
    file.parent.mkdir(parents=True)
    file.touch()


def test_a_host_says_whose_data_it_holds(tmp_path: Path, run: Run) -> None:
    fill(tmp_path, "mr-kafka-1-data", "log/meta.properties")
    fill(tmp_path, "mr-mongodb-2-data", "WiredTiger")
    config = tmp_path / "etc" / "mr"
    for name, file, text in (
        (
            "kafka-1",
            "server.properties",
            "a=b\ncontroller.quorum.voters=2@kafka-2:9093,1@kafka-1:9093\n",
        ),
        ("mongodb-2", "mongod.conf", "replication:\n    replSetName: rs0\n"),
    ):
        (config / name).mkdir(parents=True)
        (config / name / file).write_text(text)
    # Of the last three one was made and never written to, and two are no server's.
    volumes = ["mr-mongodb-2-data", "mr-kafka-1-data", "mr-kafka-3-data", "mr-kafka-data", "mr-x"]
    containers: dict[str, list[str] | None] = {
        "mr-mongodb-2": ["mongodb:10.0.0.3", "kafka-1:10.0.0.1", "mongodb-3:10.0.0.5"],
        "mr-processor": None,
    }
    with engine(tmp_path, volumes, containers) as path:
        found = run(held_data_info, instance="mr", socket=path, config_path=str(tmp_path / "etc"))
    assert found["processor"] is True
    assert found["archive"] == ""
    assert found["servers"] == [
        {
            "kind": "kafka",
            "name": "kafka-1",
            "volume": "mr-kafka-1-data",
            "controllers": ["1@kafka-1", "2@kafka-2"],
            "members": [],
            "replica_set": "",
        },
        {
            "kind": "mongodb",
            "name": "mongodb-2",
            "volume": "mr-mongodb-2-data",
            "controllers": [],
            "members": ["mongodb", "mongodb-2", "mongodb-3"],
            "replica_set": "rs0",
        },
    ]


def test_volumes_are_seen_while_no_engine_runs(tmp_path: Path, run: Run) -> None:
    fill(tmp_path / "volumes", "mr-kafka-1-data", "log/meta.properties")
    fill(tmp_path / "volumes", "mr-kafka-1-kafka-2-data", "log/meta.properties")
    away = {"socket": str(tmp_path / "none"), "config_path": str(tmp_path)}
    fill(tmp_path / "volumes", "mr-archiver-data", "warehouse")
    found = run(held_data_info, instance="mr", engine_paths=[str(tmp_path)], **away)
    assert found["archive"] == ""
    (tmp_path / "volumes/mr-archiver-data/_data/catalog.db").touch()
    found = run(held_data_info, instance="mr", engine_paths=[str(tmp_path)], **away)
    assert found["archive"] == "mr-archiver-data"
    assert [server["name"] for server in found["servers"]] == ["kafka-1"]
    assert found["processor"] is False
    empty = run(held_data_info, instance="mr", engine_paths=["/nonexistent"], **away)
    assert empty["servers"] == []


def deployed(*names: str) -> dict[str, Any]:
    """What AWS has of hosts that were made whole: their tags, and their volumes."""
    hosts = [x for x in wanted(fleet=brokers(3))["hosts"] if x["name"] in names]
    volumes = [
        {"id": f"vol-{x['name']}", "host": x["name"], "zone": x["zone"], "size": x["data_gb"]}
        for x in hosts
        if x["data_gb"]
    ]
    return NOTHING | {
        "instances": [
            instance(x["name"], type=x["type"], subnet=x["subnet"], tags=x["tags"]) for x in hosts
        ],
        "volumes": volumes,
    }


def brokers(number: int) -> list[dict[str, Any]]:
    """The fleet of the repository with so many brokers."""
    more = [good()["fleet"][0] | {"name": f"kafka-{n}", "node_id": n} for n in range(2, number + 1)]
    return [*good()["fleet"], *more]


WHOLE = ("kafka-1", "mongodb-1", "processor-1", "producers-1")


def test_what_is_deployed_on_aws_may_stay_and_be_finished() -> None:
    assert aws_problems.identity_problems(wanted(), deployed(*WHOLE)) == []
    # Replaced: the instance is gone, its volume is not.
    found = deployed(*WHOLE)
    gone = found | {"instances": found["instances"][1:]}
    assert aws_problems.identity_problems(wanted(), gone) == []
    # Killed while hosts were launched: no volume is there yet.
    half = deployed("kafka-1") | {"volumes": []}
    assert aws_problems.identity_problems(wanted(fleet=brokers(3)), half) == []
    # Killed while volumes were attached.
    half = deployed(*WHOLE, "kafka-2", "kafka-3")
    half["volumes"] = half["volumes"][:1]
    assert aws_problems.identity_problems(wanted(fleet=brokers(3)), half) == []


@pytest.mark.parametrize(
    ("hosts", "says"),
    [
        (brokers(3), "kafka-2 would be one more kafka beside kafka-1, whose cluster has data"),
        (fleet(0, node_id=4), "kafka-1 has the node_id 1 and should have 4"),
        (fleet(0, name="broker-1"), "kafka-1 holds data of kafka, and millrace_fleet gives it"),
        (fleet(1, roles=["mongodb", "kafka"], node_id=2), "mongodb-1 would be one more kafka"),
        (
            [*good()["fleet"], good()["fleet"][1] | {"name": "mongodb-2", "node_id": 2}],
            "mongodb-2 would be one more mongodb beside mongodb-1",
        ),
        (fleet(1, node_id=3), "mongodb-1 has the node_id 0 and should have 3"),
    ],
)
def test_a_fleet_that_would_change_who_a_server_is_is_in_the_way(
    hosts: list[dict[str, Any]], says: str
) -> None:
    lines = aws_problems.aws_problems(wanted(fleet=hosts), deployed(*WHOLE))
    assert says in "; ".join(lines)
    assert aws_problems.identity_problems(wanted(fleet=fleet(1, node_id=1)), deployed(*WHOLE)) == []


def test_fewer_brokers_and_a_volume_without_a_host_are_in_the_way() -> None:
    found = deployed(*WHOLE, "kafka-2", "kafka-3")
    lines = "; ".join(aws_problems.identity_problems(wanted(), found))
    assert "kafka-2 holds data of kafka, and millrace_fleet gives it this role no longer" in lines
    left = deployed("kafka-2")["volumes"]
    lines = "; ".join(aws_problems.identity_problems(wanted(), NOTHING | {"volumes": left}))
    assert "the data volume of kafka-2 (vol-kafka-2) is there and millrace_fleet has no" in lines
