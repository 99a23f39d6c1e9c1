"""What all pages share: the time zone, states that are no numbers, and downloads."""

import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from millrace.dashboard import frames, load
from millrace.dashboard.figures import INVENTED
from millrace.dashboard.trouble import Trouble

CHART = {"displaylogo": False, "responsive": True}
LIVE = load.EVERY_SECONDS


def time_zone() -> str:
    """The name of the zone in which times are shown."""
    names = ["UTC", *sorted(zoneinfo.available_timezones() - {"UTC", "localtime"})]
    return str(
        st.sidebar.selectbox(
            "Time zone", names, key="tz", bind="query-params", persist_state="session"
        )
    )


@contextmanager
def guarded() -> Iterator[None]:
    """In place of what cannot be loaded: why, and what to do."""
    try:
        yield
    except Trouble as error:
        st.error(str(error), icon=":material/error:")


def mark(simulated: bool) -> None:
    """Say that numbers were invented, where they were."""
    if simulated:
        st.badge(INVENTED, icon=":material/science:", color="orange")


def note(text: str) -> None:
    """A small line. Streamlit's captions have too little contrast to be read by everybody."""
    st.markdown(f":small[{text}]")


def empty(what: str, why: str) -> None:
    """There is nothing to show, which is no error."""
    st.info(f"{what} {why}", icon=":material/info:")


def asked_at() -> None:
    """When a live part was loaded, so that one sees it refresh."""
    note(f"Refreshed at {datetime.now(ZoneInfo(zone())):%H:%M:%S} ({zone()}), every {LIVE:.0f} s.")


def zone() -> str:
    """The chosen zone."""
    return str(st.session_state.get("tz", "UTC"))


def local(found: pd.DataFrame) -> pd.DataFrame:
    """A table with times of the chosen zone."""
    return frames.in_zone(found, ZoneInfo(zone()))


def data(found: pd.DataFrame, name: str) -> None:
    """The numbers behind a chart, to read and to download."""
    with st.expander(f"Data: {name}"):
        st.dataframe(local(found), hide_index=True, alt=f"table of {name}")
        left, right = st.columns(2)
        left.download_button(
            "CSV",
            lambda: frames.as_csv(found),
            f"{name}.csv",
            "text/csv",
            key=f"csv {name}",
            on_click="ignore",
            help="Times are UTC",
        )
        right.download_button(
            "Parquet",
            lambda: frames.as_parquet(found),
            f"{name}.parquet",
            "application/vnd.apache.parquet",
            key=f"parquet {name}",
            on_click="ignore",
            help="Times are UTC",
        )
