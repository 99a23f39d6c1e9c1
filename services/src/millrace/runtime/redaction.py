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
# How names of secrets end, as X-Api-Key, SessionToken and X-Amz-Signature do, and whole ones.
_NAMES = (
    r"(?:(?:access|account|api|private|secret)[_-]?key|authorization|cookie|credentials?"
    r"|passphrase|passwd|password|secret|signature|token"
    r"|(?<=[?&])(?:key|code)|(?<![^\W_])(?:pwd|sig|response(?==)))"
)
_IS = r"\s*(?:[:=]|%3[AD])\s*"
# Text may stand in JSON, which it stays: what is masked begins behind a quotation mark and ends in
# front of the next one that is not escaped. That of a string's end has one of these behind it.
_END = r"(?!\s*(?:[,}\]:]|\Z))"
_PATTERNS = (
    # Headers whose values have spaces: up to the end of the line.
    re.compile(r"(?i)((?:authorization|cookie)\s*[:=]\s*)(?:[^\"\\\r\n]|\\[^nr])++"),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{12,}"),
    # In quotation marks, as in JSON, also where that is quoted once more.
    re.compile(
        rf"(?is)({_NAMES}(\\*[\"']?){_IS}(?:\2(?<=[\"'])|\\*[\"']{_END}))"
        r"(?:(?<=\")(?:[^\"\\]|\\.)*+|(?<=')(?:[^'\"\\]|\\.)*+)"
    ),
    # Without any, as in a URL.
    re.compile(rf"(?i)({_NAMES}{_IS})(?:[^\s&\"'\\]|\\[^\s\"'nrt])++"),
    # A user's password in a URL, or what stands for both.
    re.compile(r"(://(?:[^\s\"'\\/:@]*:(?!//))?)(?:[^\s\"'\\:]|:(?!//))*(?=@)"),
    # Keys that tell what they are.
    re.compile(r"\b(sk-)[\w-]{8,}"),
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
