# SPDX-License-Identifier: Apache-2.0
"""A filter that makes a hash of a password, so that the password itself stays on the controller."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

ROUNDS, BLOCK, LANES = 2**15, 8, 1
"""Werkzeug's own. Hashing takes 32 MB, and a tenth of a second of a processor."""
ROOM = 2 * 128 * ROUNDS * BLOCK * LANES
SALT_LENGTH = 16


def scrypt_hash(password: str, key: str) -> str:
    """Hash a password as Werkzeug's check_password_hash reads it.

    The salt is made of `key`, another secret of the deployment: it is the same at the next run, and
    unknown to others.
    """
    salt = hmac.digest(key.encode(), b"salt of a password", "sha256").hex()[:SALT_LENGTH]
    digest = hashlib.scrypt(
        password.encode(), salt=salt.encode(), n=ROUNDS, r=BLOCK, p=LANES, maxmem=ROOM
    )
    return f"scrypt:{ROUNDS}:{BLOCK}:{LANES}${salt}${digest.hex()}"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"scrypt_hash": scrypt_hash}
