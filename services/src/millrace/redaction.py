"""Takes secrets out of text that leaves the process."""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
_PARAMETER = re.compile(r"(?i)\b(access_key|api_?key|password|token)=[^&\s\"'\\]+")


class Redactor:
    """Masks known secrets, in every form that they take in URLs and JSON, and the values of
    parameters that are named like secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        if self._known:
            text = self._known.sub(MASK, text)
        return _PARAMETER.sub(rf"\1={MASK}", text)


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]
