# SPDX-License-Identifier: Apache-2.0
"""Decide which certificates have to be issued, from what there is and what is wanted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def expires(pem: str, days: int) -> bool:
    """Tell whether fewer than that many days of validity remain, as where there is nothing."""
    if not pem:
        return True
    end = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    return end - datetime.now(UTC) < timedelta(days=days)


def names(certificate: x509.Certificate) -> tuple[str, set[str], set[str]]:
    """Return common name, host names and addresses of a certificate."""
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        hosts, addresses = set(), set()
    else:
        hosts = set(extension.value.get_values_for_type(x509.DNSName))
        addresses = {str(ip) for ip in extension.value.get_values_for_type(x509.IPAddress)}
    return str(common[0].value) if common else "", hosts, addresses


def reason(leaf: dict[str, Any], present: list[str], authority: str, days: int) -> str:
    """Say why this certificate has to be issued; empty when it is good."""
    if len(present) != 2:
        return "missing or incomplete"
    certificate = x509.load_pem_x509_certificate(present[0].encode())
    if present[1].strip() != authority.strip():
        return "another authority"
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    except (InvalidSignature, TypeError, ValueError):
        return "not issued by the authority"
    wanted = leaf["common_name"], set(leaf.get("dns") or []), set(leaf.get("ip") or [])
    if names(certificate) != wanted:
        return "other names"
    return "expires soon" if expires(present[0], days) else ""


def listed(listing: str) -> dict[str, list[str]]:
    """Return, for each name, its certificate and the authority's, where both are there.

    The listing holds a line `# name` and then both, for each name.
    """
    sections = re.split(r"^# ", listing, flags=re.MULTILINE)[1:]
    parts = (section.partition("\n") for section in sections)
    return {name.strip(): BLOCK.findall(content) for name, _, content in parts}


def key(pem: str) -> bytes:
    """The public key of a certificate; nothing where there is no certificate."""
    if not pem:
        return b""
    public = x509.load_pem_x509_certificate(pem.encode()).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def certificates_foreign(listing: str, authority: str) -> list[str]:
    """Name the certificates that trust an authority of another key: a renewed one keeps its key."""
    mine = key(authority)
    pairs = {name: present for name, present in listed(listing).items() if len(present) == 2}
    return [name for name, (_, trusted) in pairs.items() if key(trusted) != mine]


def certificates_due(
    leaves: list[dict[str, Any]], listing: str, authority: str, days: int, replace: list[str]
) -> list[dict[str, Any]]:
    """Return the certificates to issue, each with the reason."""
    there = listed(listing)
    due = []
    for leaf in leaves:
        why = reason(leaf, there.get(leaf["name"], []), authority, days)
        if leaf["name"] in replace:
            why = "to be replaced"
        if why:
            due.append(leaf | {"reason": why})
    return due


class FilterModule:
    """The filters of this role."""

    def filters(self) -> dict[str, Any]:
        """Return them by name."""
        return {
            "certificates_due": certificates_due,
            "certificates_foreign": certificates_foreign,
            "certificate_expires": expires,
        }
