# SPDX-License-Identifier: Apache-2.0
"""Filter of the status: when the first of some certificates expires."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def first_expiry(text: str, renew_days: int) -> str:
    """Say when the first of the certificates (PEM) in a text expires, and what to do if soon."""
    from cryptography import x509

    found = [x509.load_pem_x509_certificate(pem.encode()) for pem in BLOCK.findall(text)]
    if not found:
        return ""
    end = min(certificate.not_valid_after_utc for certificate in found)
    days = (end - datetime.now(UTC)).days
    when = f"in {days} days" if days >= 0 else "that is past"
    advice = ": ansible-playbook site.yml renews it" if days < renew_days else ""
    return f"Certificates: the first expires on {end:%Y-%m-%d}, {when}{advice}"


class FilterModule:
    """The filter by name."""

    def filters(self) -> dict[str, Any]:
        """Return it."""
        return {"first_expiry": first_expiry}
