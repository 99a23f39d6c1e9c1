"""The page of the pipeline itself: what flows, what is left, and how each component is."""

import time
from collections import deque

import pandas as pd
import streamlit as st

from millrace.dashboard import figures, frames, health, load, queries, shell
from millrace.dashboard.api import Json
from millrace.dashboard.health import Part, State
from millrace.dashboard.trouble import Trouble


def page() -> None:
    """Show the page."""
    st.title("Pipeline")
    now()


@st.fragment(run_every=shell.LIVE)
def now() -> None:
    """Everything, as it is now."""
    said, problem = _health()
    parts = [*health.parts(said, problem, load.peers()), _warehouse()]
    bad = [part for part in parts if part.state != State.OK]
    if bad:
        names = ", ".join(f"{part.name} ({part.state})" for part in bad)
        st.error(f"Not well: {names}. The table below says why; `make status` says more.")
    else:
        st.success("Every component is well.")
    st.graphviz_chart(health.drawing(parts), width="stretch", alt=_in_words(parts))
    if said:
        _flow(said)
    st.subheader("Components")
    st.dataframe(
        pd.DataFrame(
            [(p.name, str(p.state), p.says) for p in parts],
            columns=["component", "state", "says"],
        ),
        hide_index=True,
        alt=_in_words(parts),
    )
    shell.asked_at()


def _health() -> tuple[Json | None, str]:
    try:
        return load.health(), ""
    except Trouble as error:
        return None, str(error)


def _warehouse() -> Part:
    try:
        [built] = load.table(queries.BUILT)["built_at"]
    except Trouble as error:
        return Part("warehouse file", State.BAD, str(error))
    age = (pd.Timestamp.now("UTC").tz_localize(None) - built).total_seconds()
    return Part("warehouse file", State.OK, f"built {frames.ago(age)}")


def _in_words(parts: list[Part]) -> str:
    return "; ".join(f"{part.name}: {part.state}" for part in parts)


def _flow(said: Json) -> None:
    kafka = said["checks"]["kafka"]
    lag = frames.lag(said)
    samples = st.session_state.setdefault("samples", deque(maxlen=health.KEPT))
    sample = health.sample(said, time.monotonic())
    if sample:
        samples.append(sample)
    rates = pd.DataFrame(
        health.throughput(samples), columns=["seconds", "feed", "published", "stored"]
    )
    last = rates[rates["seconds"] == rates["seconds"].max()]
    with st.container(horizontal=True):
        for name, value in (
            ("Published", f"{last['published'].sum():,.1f} /s" if len(last) else "…"),
            ("Stored", f"{last['stored'].sum():,.1f} /s" if len(last) else "…"),
            ("Consumer lag", f"{kafka['lag']:,}" if "lag" in kafka else "unknown"),
            (
                "Dead letters",
                f"{kafka['dead_letters']:,}" if "dead_letters" in kafka else "unknown",
            ),
        ):
            st.metric(name, value, border=True, width=170)
    if len(rates):
        st.plotly_chart(
            figures.lines(
                rates.rename(columns={"seconds": "at"}),
                "stored",
                ["feed"],
                "Stored events per second, since this page is open",
                "/s",
                "seconds before now",
            ),
            key="throughput",
            config=shell.CHART,
            alt="Stored events per second by feed",
        )
    shell.data(lag, "consumer lag")
