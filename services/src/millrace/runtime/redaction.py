"""Text of others: what is shown of it, in a log, an answer, a header or on a screen.

First its secrets are masked, then it becomes one line, then it is cut: a part of a secret is known
as none. `shown` does all of that, and is the only way for text that came from outside.
"""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
LONGEST = 200
# How names of secrets end, as aws_secret_access_key, SessionToken and X-Amz-Signature do.
_ENDS = (
    *("access_key", "accesskey", "api_key", "apikey", "authorization"),
    *("passwd", "password", "secret", "signature", "token"),
)
_VALUE = r"[^&\s\"'\\,;}]+"
_SCHEME = r"(?:(?:bearer|basic)\s+)"
_PATTERNS = (
    # As in a header, with its colon or without. Plain words such as "bearer token" are shorter.
    re.compile(rf"(?i)\b(authorization\s*:\s*{_SCHEME}?){_VALUE}"),
    re.compile(rf"(?i)\b({_SCHEME})[\w.~+/=-]{{12,}}"),
    # As in a URL. From its "=" one looks back: whatever begins like a name is looked at once.
    re.compile(rf"(?i)(=(?:{'|'.join(f'(?<={end}=)' for end in _ENDS)})){_VALUE}"),
    # As in JSON, also where that is quoted once more.
    re.compile(rf"(?i)([\"'][\w-]*(?:{'|'.join(_ENDS)})\\*[\"']\s*:\s*\\*[\"']{_SCHEME}?){_VALUE}"),
    # A password in a URL.
    re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)"),
)
_UNPRINTABLE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)


class Redactor:
    """Masks known secrets, in every form that they take in URLs and JSON, and the values of
    parameters and headers that are named like secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = frozenset(filter(None, secrets))
        forms = {form for secret in self.secrets for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        if self._known:
            text = self._known.sub(MASK, text)
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\g<1>{MASK}", text)
        return text


_process = Redactor(())
"""Knows the secrets of this process, whoever shows what."""


def keep(secrets: Iterable[str]) -> None:
    """Mask these, too, from now on."""
    global _process
    _process = Redactor(_process.secrets.union(secrets))


def scrub(text: str) -> str:
    """The text without secrets; for what is one's own, and may be as long as it is."""
    return _process(text)


def shown(value: Any, limit: int = LONGEST) -> str:
    """What somebody else said, fit to be shown: without secrets, on one line, so long at most."""
    return _UNPRINTABLE.sub(" ", scrub(str(value))).strip()[:limit]


def _forms(secret: str) -> tuple[str, ...]:
    quoted = (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    return secret, quote(secret, safe=""), quote_plus(secret), *quoted
