"""Redaction of text from outside before it is in a log, an answer, a header or on a screen.

First secrets are masked, then it becomes one line, then it is truncated, because a part of a secret
would not be recognised. `shown` does all of this, and is the only way to show such text.
"""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
LONGEST = 200
# Suffixes of secrets' names, as in X-Api-Key, SessionToken and X-Amz-Signature, and whole names.
_NAMES = (
    r"(?:(?:access|account|api|private|secret)[_-]?key|authorization|cookie|credentials?"
    r"|passphrase|passwd|password|secret|signature|token"
    r"|(?<=[?&])(?:key|code)|(?<![^\W_])(?:pwd|sig|response(?==)))"
)
_IS = r"\s*(?:[:=]|%3[AD])\s*"
# Text may be in JSON, which must stay valid: the masked part starts after a quotation mark and ends
# before the next unescaped one. The quotation mark at a string's end is followed by one of these.
_END = r"(?!\s*(?:[,}\]:]|\Z))"
_PATTERNS = (
    # Headers whose values contain spaces: up to the end of the line.
    re.compile(r"(?i)((?:authorization|cookie)\s*[:=]\s*)(?:[^\"\\\r\n]|\\[^nr])++"),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{12,}"),
    # Quoted, as in JSON, also if the JSON is quoted itself.
    re.compile(
        rf"(?is)({_NAMES}(\\*[\"']?){_IS}(?:\2(?<=[\"'])|\\*[\"']{_END}))"
        r"(?:(?<=\")(?:[^\"\\]|\\.)*+|(?<=')(?:[^'\"\\]|\\.)*+)"
    ),
    # Unquoted, as in a URL.
    re.compile(rf"(?i)({_NAMES}{_IS})(?:[^\s&\"'\\]|\\[^\s\"'nrt])++"),
    # A user's password in a URL, or a token in place of both.
    re.compile(r"(://(?:[^\s\"'\\/:@]*:(?!//))?)(?:[^\s\"'\\:]|:(?!//))*(?=@)"),
    # Keys with a known prefix.
    re.compile(r"\b(sk-)[\w-]{8,}"),
)
_UNPRINTABLE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)


class Redactor:
    """Masks known secrets, in all their forms in URLs and JSON, and the values of parameters and
    headers that are named like secrets."""

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
"""The redactor with the secrets of this process."""


def keep(secrets: Iterable[str]) -> None:
    """Mask these secrets, too, from now on."""
    global _process
    _process = Redactor(_process.secrets.union(secrets))


def scrub(text: str) -> str:
    """The text without secrets; for our own text of any length."""
    return _process(text)


def shown(value: Any, limit: int = LONGEST) -> str:
    """Text from outside, made safe to show: without secrets, on one line, truncated."""
    return _UNPRINTABLE.sub(" ", scrub(str(value))).strip()[:limit]


def _forms(secret: str) -> tuple[str, ...]:
    quoted = (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    return secret, quote(secret, safe=""), quote_plus(secret), *quoted
