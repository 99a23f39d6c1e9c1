"""Recent data, from the pipeline's API: with a token that only reads, over TLS, within limits."""

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec

from millrace.config import Settings
from millrace.dashboard.trouble import Trouble
from millrace.sources.asking import Answer, ask
from millrace.sources.base import Transient

SECONDS = 8.0
"""The API takes up to 5 s to say that a server of the pipeline does not answer."""
MOST_BYTES = 4 * 1024 * 1024
PAGE = 1000
Json = dict[str, Any]
Ask = Callable[[str, Mapping[str, str]], Answer]


class Api:
    """Questions to the API. All raise Trouble."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def feeds(self) -> list[str]:
        """The feeds that are served."""
        return [feed["name"] for feed in self._get("/v1/feeds", {})["feeds"]]

    def latest(self, feed: str) -> list[Json]:
        """The newest event of each symbol: of the first 1000 symbols by name."""
        found: list[Json] = self._get(f"/v1/{feed}/latest", {"limit": PAGE})["events"]
        return found

    def events(self, feed: str, symbol: str, source: str, since: datetime) -> list[Json]:
        """The newest events of a series, newest first: 1000 at most."""
        found: list[Json] = self._get(
            f"/v1/{feed}/events",
            {"symbol": symbol, "source": source, "limit": PAGE, "from": since.isoformat()},
        )["events"]
        return found

    def costs(self, since: datetime) -> list[Json]:
        """What a token cost in each minute, by model: the newest 1000."""
        found: list[Json] = self._get(
            "/v1/token_usage/cost",
            {"by": "model", "bucket": "minute", "limit": PAGE, "from": since.isoformat()},
        )["costs"]
        return found

    def health(self) -> Json:
        """The state of the servers and of the processor, whether or not all is well."""
        return self._get("/health", {}, HTTPStatus.SERVICE_UNAVAILABLE)

    def _get(
        self, path: str, parameters: Mapping[str, str | int], accepted: int = HTTPStatus.OK
    ) -> Json:
        given = {name: str(value) for name, value in parameters.items()}
        try:
            answer = self._ask(path, given)
        except Transient as error:
            raise Trouble(
                f"The API does not answer ({error}). `make status` says what is wrong with it."
            ) from None
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise Trouble("The API refuses the dashboard's token: run site.yml, which sets both.")
        if answer.status not in (HTTPStatus.OK, accepted) or len(answer.body) > MOST_BYTES:
            raise Trouble(f"The API could not answer: {_reason(answer)}")
        try:
            return msgspec.json.decode(answer.body, type=Json)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Trouble("What answers in the API's place is not the API.") from None


def asking(settings: Settings) -> Ask:
    """How the API is asked."""

    def asked(path: str, parameters: Mapping[str, str]) -> Answer:
        token = settings.api_token.get_secret_value()
        return ask(
            f"{settings.api_url}{path}",
            most=MOST_BYTES,
            params=parameters,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            verify=str(settings.mongodb_ca_file),
            seconds=SECONDS,
        )

    return asked


def _reason(answer: Answer) -> str:
    """What the API says, of its own problem details; its texts have no secrets."""
    try:
        return str(msgspec.json.decode(answer.body, type=Json)["detail"])[:200]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return f"status {answer.status}"
