"""The probe: right and wrong credentials, and no broker, are told apart at once."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from services.tests.broker import PASSWORD, USER, Broker, certificate

from millrace.clients import kafka
from millrace.clients.kafka import (
    BrokerUnreachable,
    CredentialsRefused,
    UntrustedCertificate,
    check_credentials,
    probe,
)
from millrace.config import Settings
from millrace.errors import ConfigurationError


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path, "localhost")


@contextmanager
def listening(pem: Path, **options: bool | str) -> Iterator[str]:
    broker = Broker(pem, **options)  # type: ignore[arg-type]
    try:
        yield broker.address
    finally:
        broker.close()


def settings(address: str, pem: Path, password: str = PASSWORD) -> Settings:
    return Settings(
        kafka_bootstrap_servers=address,
        kafka_username=USER,
        kafka_password=password,  # type: ignore[arg-type]
        kafka_ca_file=pem,
    )


def test_the_right_password_is_accepted(pem: Path) -> None:
    with listening(pem) as address:
        probe(address, USER, PASSWORD, pem)


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("nobody", PASSWORD)])
def test_wrong_credentials_are_refused_without_telling_them(
    pem: Path, user: str, password: str
) -> None:
    with listening(pem) as address, pytest.raises(CredentialsRefused) as caught:
        probe(address, user, password, pem)
    assert password not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broker_without_our_mechanism_is_named(pem: Path) -> None:
    with (
        listening(pem, mechanism="PLAIN") as address,
        pytest.raises(CredentialsRefused, match="PLAIN"),
    ):
        probe(address, USER, PASSWORD, pem)


def test_a_silent_broker_is_unreachable_in_time(pem: Path) -> None:
    started = time.monotonic()
    with listening(pem, silent=True) as address, pytest.raises(BrokerUnreachable):
        probe(address, USER, PASSWORD, pem, timeout=0.3)
    assert time.monotonic() - started < 3


def test_a_broker_that_is_away_is_unreachable(pem: Path) -> None:
    with listening(pem) as address:
        pass
    with pytest.raises(BrokerUnreachable):
        probe(address, USER, PASSWORD, pem)


def test_a_certificate_of_another_authority_is_not_trusted(pem: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other", "localhost")
    with listening(pem) as address, pytest.raises(UntrustedCertificate):
        probe(address, USER, PASSWORD, other)


def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "elsewhere")
    with listening(pem) as address, pytest.raises(UntrustedCertificate):
        probe(address, USER, PASSWORD, pem)


def test_a_missing_authority_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="authority"):
        probe("localhost:9", USER, PASSWORD, tmp_path / "none.pem")


def test_one_reachable_broker_of_several_is_enough(pem: Path) -> None:
    with listening(pem) as gone:
        pass
    with listening(pem) as address:
        check_credentials(settings(f"{gone},{address}", pem))


def test_all_brokers_away_are_all_named(pem: Path) -> None:
    with listening(pem) as one, listening(pem) as other:
        pass
    with pytest.raises(BrokerUnreachable) as caught:
        check_credentials(settings(f"{one},{other}", pem))
    assert one in str(caught.value)
    assert other in str(caught.value)


def test_without_a_password_nothing_is_tried(pem: Path) -> None:
    with pytest.raises(ConfigurationError, match="the file /run/secrets/kafka_password"):
        check_credentials(settings("localhost:9", pem, password=""))


@pytest.mark.parametrize(
    ("name", "make", "meant"),
    [
        (
            "KafkaConsumer",
            kafka.consumer,
            {
                # A position moves on when what it stands for is stored, and never before.
                "enable_auto_commit": False,
                # A group without a position has stored nothing yet.
                "auto_offset_reset": "earliest",
                # Nothing is seen of transactions that are not committed.
                "isolation_level": "read_committed",
                "allow_auto_create_topics": False,
            },
        ),
        (
            "KafkaProducer",
            kafka.producer,
            # On every replica in sync, and once, before a record counts as sent.
            {"acks": "all", "enable_idempotence": True, "allow_auto_create_topics": False},
        ),
    ],
)
def test_clients_lose_nothing_and_double_nothing(
    pem: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    make: Callable[..., Any],
    meant: dict[str, Any],
) -> None:
    library = getattr(kafka, name)
    monkeypatch.setattr(kafka, name, lambda **options: options)
    options = make(settings("kafka-1:9092", pem))
    assert (options["security_protocol"], options["ssl_cafile"]) == ("SASL_SSL", str(pem))
    assert {key: options[key] for key in meant} == meant
    assert options.keys() <= library.DEFAULT_CONFIG.keys(), "the library would refuse it"
