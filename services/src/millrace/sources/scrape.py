"""Scraping: the finite numbers of a Prometheus exporter, with limits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import requests
from prometheus_client.parser import text_string_to_metric_families

from millrace.config import Settings
from millrace.sources.asking import Answer, ask, wait_asked
from millrace.sources.base import Auth, Permanent, Quota, SourceError, Transient
from millrace.sources.http import SIMULATOR_HEADER

MAX_BODY = 8 * 1024 * 1024
WAITS = (requests.codes.too_many_requests, requests.codes.service_unavailable)


class Sample(NamedTuple):
    """One finite number."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class Page:
    """The page of an exporter at one time."""

    samples: Sequence[Sample]
    simulated: bool


class Exporter:
    """One exporter, by the URL of its metrics."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def from_settings(cls, settings: Settings) -> "Exporter":
        """The configured exporter."""
        return cls(settings.producer_url)

    def scrape(self) -> Page:
        """One GET; anything but a page of metrics raises a typed error."""
        answer = ask(self.url, most=MAX_BODY)
        if answer.status != requests.codes.ok:
            raise _error(answer)
        if len(answer.body) > MAX_BODY:
            raise Transient("the answer is too long")
        return Page(parse(answer.body), SIMULATOR_HEADER in answer.headers)


def parse(body: bytes) -> list[Sample]:
    """The finite samples of a page in the text format; raises Transient if it is invalid."""
    try:
        families = list(text_string_to_metric_families(body.decode()))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        # The parser has no exception of its own: an invalid page fails with any error.
        raise Transient(f"the answer is no page of metrics: {type(error).__name__}") from None
    return [
        Sample(sample.name, dict(sample.labels), float(sample.value))
        for family in families
        for sample in family.samples
        if math.isfinite(sample.value)
    ]


def _error(answer: Answer) -> SourceError:
    status = answer.status
    if status in WAITS and "Retry-After" in answer.headers:
        now = datetime.now(UTC)
        return Quota(f"it says to wait (HTTP {status})", now + wait_asked(answer.headers, now))
    if status in (requests.codes.unauthorized, requests.codes.forbidden):
        return Auth(f"HTTP {status}")
    if status == requests.codes.too_many_requests:
        return Transient(f"HTTP {status}")
    if requests.codes.multiple_choices <= status < requests.codes.server_error:
        return Permanent(f"HTTP {status}: is the URL right?")
    return Transient(f"HTTP {status}")
