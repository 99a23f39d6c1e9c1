"""Meet the broker as its clients do, invited or not, and say how each of them fares."""

import json
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from millrace.clients.kafka import probe
from millrace.errors import MillraceError

CONTROLLER_HOST, BROKER = "kafka-1", "kafka-2"
CLIENTS, CONTROLLER, NODES = 9092, 9093, 9094
CA_FILE = "/run/secrets/ca.pem"
TIMEOUT = 15
# ApiVersions, version 0, which every Kafka listener answers before anything else.
REQUEST = bytes.fromhex("0000000a" "0012" "0000" "00000007" "ffff")  # fmt: skip
# Metadata of all topics: what a client asks that has not logged in.
METADATA = bytes.fromhex("0000000e" "0003" "0000" "00000007" "ffff" "00000000")  # fmt: skip

passwords: dict[str, str] = json.load(sys.stdin)


def login(user: str) -> dict[str, Any]:
    return {
        "bootstrap_servers": f"{BROKER}:{CLIENTS}",
        "security_protocol": "SASL_SSL",
        "ssl_cafile": CA_FILE,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": user,
        "sasl_plain_password": passwords[user],
    }


def write(user: str, topic: str) -> str:
    # Idempotence would ask for a producer id first, and meet another refusal.
    producer = KafkaProducer(**login(user), max_block_ms=TIMEOUT * 1000, enable_idempotence=False)
    try:
        return "written" if producer.send(topic, b"hello").get(timeout=TIMEOUT) else "lost"
    finally:
        producer.close(timeout=TIMEOUT)


def read(user: str, topic: str, partitions: int) -> str:
    consumer = KafkaConsumer(**login(user), group_id="readers", auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
    try:
        found = consumer.poll(timeout_ms=TIMEOUT * 1000)
        return next(iter(found.values()))[0].value.decode() if found else "nothing"
    finally:
        consumer.close()


def refused_password() -> str:
    probe(f"{BROKER}:{CLIENTS}", "reader", passwords["wrong"], Path(CA_FILE))
    return "accepted"


def ask(port: int, request: bytes, *, tls: bool) -> str:
    context = ssl.create_default_context(cafile=CA_FILE)
    host = CONTROLLER_HOST if port == CONTROLLER else BROKER
    with socket.create_connection((host, port), TIMEOUT) as plain:
        connection = context.wrap_socket(plain, server_hostname=host) if tls else plain
        connection.sendall(request)
        answer = connection.recv(64)
    # An alert of TLS is no answer of Kafka, which repeats the number of the request.
    return "answered" if b"\x00\x00\x00\x07" in answer else "refused"


def outcome(attempt: Callable[[], str]) -> str:
    try:
        return attempt()
    except (KafkaError, MillraceError) as error:
        return type(error).__name__
    except OSError:
        return "refused"


attempts: dict[str, Callable[[], str]] = {
    "writer writes": lambda: write("writer", "open"),
    "reader reads": lambda: read("reader", "open", 2),
    "reader writes": lambda: write("reader", "open"),
    "writer writes elsewhere": lambda: write("writer", "closed"),
    "reader reads elsewhere": lambda: read("reader", "closed", 1),
    "wrong password": refused_password,
    "anonymous says hello": lambda: ask(CLIENTS, REQUEST, tls=True),
    "anonymous asks for topics": lambda: ask(CLIENTS, METADATA, tls=True),
    "controller without certificate": lambda: ask(CONTROLLER, REQUEST, tls=True),
    "nodes without certificate": lambda: ask(NODES, REQUEST, tls=True),
    "clients without TLS": lambda: ask(CLIENTS, REQUEST, tls=False),
    "controller without TLS": lambda: ask(CONTROLLER, REQUEST, tls=False),
    "nodes without TLS": lambda: ask(NODES, REQUEST, tls=False),
}
sys.stdout.write(json.dumps({name: outcome(attempt) for name, attempt in attempts.items()}))
