"""Real servers without users or TLS, on loopback: what the tests' fakes are compared with."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import yaml
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from redis import Redis
from redis.exceptions import RedisError

pytest.register_assert_rewrite("services.tests.contracts")

VERSIONS = Path(__file__).parents[2] / "images" / "versions.yml"
START_SECONDS = 60
KEY = "head -c 60 /dev/urandom | base64 >/tmp/key && chmod 400 /tmp/key"


class Servers:
    """Containers of the images that the pipeline runs, each of which ends with the tests."""

    def __init__(self, engine: docker.DockerClient, stack: ExitStack) -> None:
        self._engine = engine
        self._stack = stack
        self._images = yaml.safe_load(VERSIONS.read_text())["images"]

    def start(self, image: str, command: list[str], **options: Any) -> None:
        """Run it in the network of the host, which is where MongoDB takes who comes as local."""
        container = self._engine.containers.run(
            self._reference(image), command, network_mode="host", detach=True, **options
        )
        self._stack.callback(container.remove, force=True, v=True)

    def _reference(self, name: str) -> str:
        image = self._images[name]
        for tag in (image["tag"], image.get("built_tag")):
            reference = f"{image['repository']}:{tag}"
            if tag and self._engine.images.list(reference):
                return reference
        raise LookupError(f"there is no image {name}: run `make images`")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        engine = docker.from_env()
        stack.callback(engine.close)
        yield Servers(engine, stack)


@contextmanager
def until(deadline: float, *kinds: type[Exception]) -> Iterator[None]:
    """Let an attempt fail before the deadline."""
    try:
        yield
    except kinds:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.2)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def redis_port(servers: Servers) -> int:
    port = free_port()
    servers.start("redis", ["redis-server", "--port", str(port), "--bind", "127.0.0.1"])
    deadline = time.monotonic() + START_SECONDS
    with Redis(port=port) as client:
        answered = False
        while not answered:
            with until(deadline, RedisError):
                answered = client.ping()
    return port


@pytest.fixture(scope="session")
def mongodb(servers: Servers) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of a replica set of one."""
    port = free_port()
    servers.start("mongo", mongod(port))
    address = f"127.0.0.1:{port}"
    config = {"_id": "rs0", "members": [{"_id": 0, "host": address}]}
    with MongoClient(address, directConnection=True, tz_aware=True) as client:
        client.admin.command("replSetInitiate", config)
        deadline = time.monotonic() + START_SECONDS
        while not client.admin.command("hello")["isWritablePrimary"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield client


@pytest.fixture
def fresh_mongodb(servers: Servers) -> str:
    """The address of a server that was never set up, and lets nobody do it but who is local."""
    port = free_port()
    command = " ".join([f"{KEY} && exec", *mongod(port), "--keyFile /tmp/key"])
    servers.start("mongo", ["-c", command], entrypoint="bash", user="mongodb")
    address = f"127.0.0.1:{port}"
    with MongoClient(address, directConnection=True) as client:
        deadline, answered = time.monotonic() + START_SECONDS, False
        while not answered:
            with until(deadline, PyMongoError):
                answered = bool(client.admin.command("ping"))
    return address


def mongod(port: int) -> list[str]:
    return f"mongod --port {port} --bind_ip 127.0.0.1 --replSet rs0".split()


@pytest.fixture(scope="session")
def kafka_address(servers: Servers) -> str:
    port, controller = free_port(), free_port()
    address = f"127.0.0.1:{port}"
    properties = {
        "node.id": 1,
        "process.roles": "broker,controller",
        "listeners": f"PLAINTEXT://{address},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://{address}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "group.initial.rebalance.delay.ms": 0,
        "auto.create.topics.enable": "false",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    environment = {
        "KAFKA_" + name.upper().replace(".", "_"): str(value) for name, value in properties.items()
    }
    environment |= {"CLUSTER_ID": "A" * 22, "KAFKA_HEAP_OPTS": "-Xms256m -Xmx256m"}
    servers.start("kafka", [], environment=environment)
    deadline = time.monotonic() + START_SECONDS
    listens = False
    while not listens:
        with until(deadline, OSError), socket.create_connection(("127.0.0.1", port)):
            listens = True
    return address
