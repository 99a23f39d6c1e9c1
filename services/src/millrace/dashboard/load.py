"""What the pages load: kept for a moment, so that many viewers ask no more than one."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from millrace import config
from millrace.clients import services
from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.dashboard import api, queries
from millrace.dashboard.api import Api, Json
from millrace.dashboard.queries import Series
from millrace.dashboard.warehouse import Version, Warehouse

EVERY_SECONDS = 5.0
"""How often live parts load anew."""
KEPT_SECONDS = 4.0
"""Less, or they would show the same again."""
HISTORY_SECONDS = 300.0
MOST_KEPT = 64


class Sources(NamedTuple):
    """Where everything comes from."""

    settings: Settings
    api: Api
    warehouse: Warehouse
    threads: ThreadPoolExecutor


@st.cache_resource(show_spinner=False)
def sources() -> Sources:
    """The sources of this process."""
    settings = config.load()
    hosts = 2 + len(settings.status_hosts)
    return Sources(
        settings,
        Api(api.asking(settings)),
        Warehouse(settings.warehouse_file),
        ThreadPoolExecutor(hosts, thread_name_prefix="peers"),
    )


@st.cache_data(ttl=60, show_spinner=False)
def feeds() -> list[str]:
    """The feeds that are served. Raises Trouble, as all of these."""
    return sources().api.feeds()


@st.cache_data(ttl=KEPT_SECONDS, max_entries=MOST_KEPT, show_spinner="Asking the API …")
def latest(feed: str) -> list[Json]:
    """The newest event of each symbol; of a feed that is not served there is none."""
    return sources().api.latest(feed) if feed in feeds() else []


@st.cache_data(ttl=KEPT_SECONDS, max_entries=MOST_KEPT, show_spinner="Asking the API …")
def events(feed: str, symbol: str, source: str, days: int) -> list[Json]:
    """The newest events of a series, of so many days."""
    since = datetime.now(UTC) - timedelta(days=days)
    return sources().api.events(feed, symbol, source, since)


@st.cache_data(ttl=KEPT_SECONDS, show_spinner="Asking the API …")
def costs() -> list[Json]:
    """What tokens cost by model in the last half an hour, by minute."""
    since = datetime.now(UTC) - timedelta(minutes=30)
    return sources().api.costs(since) if "token_usage" in feeds() else []


@st.cache_data(ttl=KEPT_SECONDS, show_spinner="Asking the API …")
def health() -> Json:
    """What the API says of the pipeline."""
    return sources().api.health()


@st.cache_data(ttl=KEPT_SECONDS, show_spinner="Asking the services …")
def peers() -> list[Peer]:
    """What producers, archiver and warehouse say, all asked at once."""
    settings, _, _, threads = sources()
    hosts = [
        *settings.status_hosts,
        *filter(None, [settings.archiver_host, settings.warehouse_host]),
    ]
    return list(threads.map(lambda host: services.ask(settings, host), hosts))


def archiver() -> Peer | None:
    """What the archiver says; None where none is known."""
    host = sources().settings.archiver_host.partition(":")[0]
    return next((peer for peer in peers() if host and peer.host == host), None)


def table(query: str, *parameters: Any) -> pd.DataFrame:
    """The rows of a query to the warehouse as it is now."""
    return _kept(sources().warehouse.version(), query, parameters)


def candles(
    series: Series, symbol: str, after: datetime, until: datetime, step: timedelta
) -> pd.DataFrame:
    """Candles of a symbol from the warehouse."""
    query = queries.candles(step, series.feed)
    return table(query, step.total_seconds(), *series, symbol, after, until)


@st.cache_data(ttl=HISTORY_SECONDS, max_entries=MOST_KEPT, show_spinner="Asking the warehouse …")
def _kept(
    version: Version,  # noqa: ARG001 - makes what is kept of a former file unknown
    query: str,
    parameters: tuple[Any, ...],
) -> pd.DataFrame:
    return sources().warehouse.read(query, parameters)
