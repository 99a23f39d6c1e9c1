"""Which certificates are due: decided from what is there, and nothing else."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.ansible.conftest import ROOT, load

LEAF: dict[str, Any] = {
    "name": "broker",
    "common_name": "kafka-1",
    "dns": ["kafka-1"],
    "ip": ["127.0.0.1"],
}


@pytest.fixture(scope="session")
def certificates() -> ModuleType:
    return load(ROOT / "roles/certificates/filter_plugins/certificates.py")


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@dataclass
class Authority:
    """Issues certificates."""

    name: str = "authority"

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self.issue(common_name=self.name, days=3650)

    def issue(
        self, *, common_name: str, dns: Any = (), ip: Any = (), days: float = 90, **_: Any
    ) -> str:
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ip]
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=365))
            .not_valid_after(now + timedelta(days=days))
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return pem(builder.sign(self.key, hashes.SHA256()))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def why(certificates: ModuleType, authority: Authority) -> Any:
    """Return a function that says why the leaf is due, or nothing."""

    def decide(
        certificate: str, *, leaf: Any = LEAF, beside: str = authority.pem, **more: Any
    ) -> str:
        replace = more.get("replace", [])
        listing = f"# {leaf['name']}\n{certificate}{beside}"
        due = certificates.certificates_due([leaf], listing, authority.pem, 30, replace)
        return str(due[0]["reason"]) if due else ""

    return decide


def test_a_good_certificate_stays(why: Any, authority: Authority) -> None:
    assert why(authority.issue(**LEAF)) == ""


def test_a_missing_certificate_is_issued(why: Any) -> None:
    assert why("", beside="") == "missing or incomplete"


def test_a_certificate_without_the_authoritys_beside_it_is_issued_again(
    why: Any, authority: Authority
) -> None:
    assert why(authority.issue(**LEAF), beside="") == "missing or incomplete"


@pytest.mark.parametrize(("days", "due"), [(29.9, True), (-1, True), (30.1, False)])
def test_it_is_renewed_while_it_is_still_valid(
    why: Any, authority: Authority, days: float, due: bool
) -> None:
    assert why(authority.issue(**LEAF, days=days)) == ("expires soon" if due else "")


@pytest.mark.parametrize(
    "change",
    [
        {"dns": ["kafka-1", "localhost"]},
        {"dns": []},
        {"ip": ["127.0.0.2"]},
        {"ip": None},
        {"common_name": "kafka-2"},
    ],
)
def test_other_names_need_another_certificate(
    why: Any, authority: Authority, change: dict[str, Any]
) -> None:
    assert why(authority.issue(**LEAF), leaf=LEAF | change) == "other names"


def test_the_order_of_names_does_not_matter(why: Any, authority: Authority) -> None:
    leaf = LEAF | {"dns": ["a", "b"]}
    assert why(authority.issue(**(leaf | {"dns": ["b", "a"]})), leaf=leaf) == ""


def test_a_renewed_authority_is_installed_everywhere(why: Any, authority: Authority) -> None:
    renewed = authority.issue(common_name=authority.name, days=3651)
    assert why(authority.issue(**LEAF), beside=renewed) == "another authority"


def test_a_certificate_of_an_impostor_is_replaced(why: Any) -> None:
    assert why(Authority().issue(**LEAF)) == "not issued by the authority"


def test_one_can_be_replaced_on_demand(why: Any, authority: Authority) -> None:
    good = authority.issue(**LEAF)
    assert why(good, replace=["broker"]) == "to be replaced"
    assert why(good, replace=["other"]) == ""


def test_only_the_damaged_one_of_several_is_due(
    certificates: ModuleType, authority: Authority
) -> None:
    leaves = [LEAF, LEAF | {"name": "second"}, LEAF | {"name": "third"}]
    good = authority.issue(**LEAF) + authority.pem
    listing = f"# broker\n{good}# second\n# third\n{good}"
    due = certificates.certificates_due(leaves, listing, authority.pem, 30, [])
    assert [leaf["name"] for leaf in due] == ["second"]


def test_a_host_without_any_directory_needs_all(certificates: ModuleType) -> None:
    due = certificates.certificates_due([LEAF], "", "", 30, [])
    assert due == [LEAF | {"reason": "missing or incomplete"}]


def test_an_absent_authority_counts_as_expired(
    certificates: ModuleType, authority: Authority, tmp_path: Path
) -> None:
    assert certificates.expires("", 30)
    assert certificates.expires(authority.pem, 3660)
    assert not certificates.expires(authority.pem, 30)


def test_another_authority_beside_the_one_that_hosts_trust_is_seen(
    certificates: ModuleType, authority: Authority
) -> None:
    other = Authority()
    listing = f"# broker\n{other.issue(**LEAF)}{other.pem}# mine\n{authority.pem}{authority.pem}"
    assert certificates.certificates_foreign(listing, authority.pem) == ["broker"]
    # A controller that has none.
    assert certificates.certificates_foreign(listing, "") == ["broker", "mine"]
    assert certificates.certificates_foreign("# broker\n# mine\n", "") == []
    renewed = authority.issue(common_name=authority.name, days=3651)
    assert certificates.certificates_foreign(f"# b\n{renewed}{renewed}", authority.pem) == []
