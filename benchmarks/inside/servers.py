"""Connections to the benchmark's servers with their administrators' rights."""

from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from millrace.feeds.stocks import STOCKS

KAFKA = "kafka-1:9094"
GROUP = "processor"
CERTIFICATE = "/run/kafka-admin/tls.pem"
AUTHORITY = "/run/kafka-admin/ca.pem"


def kafka_options() -> dict[str, str]:
    """Options of a librdkafka client."""
    return {
        "bootstrap.servers": KAFKA,
        "security.protocol": "SSL",
        "ssl.ca.location": AUTHORITY,
        "ssl.certificate.location": CERTIFICATE,
        "ssl.key.location": CERTIFICATE,
    }


def kafka_admin() -> Any:
    """A kafka-python administration client."""
    return KafkaAdminClient(**_kafka_python_options())


def consumer() -> Any:
    """A kafka-python consumer outside of any group."""
    return KafkaConsumer(**_kafka_python_options())


def _kafka_python_options() -> dict[str, str]:
    return {
        "bootstrap_servers": KAFKA,
        "security_protocol": "SSL",
        "ssl_cafile": AUTHORITY,
        "ssl_certfile": CERTIFICATE,
        "ssl_keyfile": CERTIFICATE,
    }


def database() -> Database[dict[str, Any]]:
    """The database of the feeds' collections."""
    password = Path("/run/mongodb-admin/passwords").read_text().splitlines()[0]
    client: MongoClient[dict[str, Any]] = MongoClient(
        "mongodb:27017",
        replicaSet="rs0",
        tls=True,
        tlsCAFile=AUTHORITY,
        username="admin",
        password=password,
        tz_aware=True,
        w="majority",
        journal=True,
    )
    return client["millrace"]


def collection() -> Collection[dict[str, Any]]:
    """Where the events are stored."""
    return database()[STOCKS.collection]
