"""The page of GPUs and tokens: what they do, what power they take, what a token costs."""

import pandas as pd
import streamlit as st

from millrace.dashboard import figures, frames, load, queries, shell

MILLION = "USD per million tokens"


def page() -> None:
    """Show the page."""
    st.title("GPUs and tokens")
    now()
    costs_now()
    with shell.guarded():
        _history()


@st.fragment(run_every=shell.LIVE)
def now() -> None:
    """What each GPU does."""
    with shell.guarded():
        found = frames.gpus(load.latest("gpu_metrics"))
        if found.empty:
            shell.empty("No GPU has told anything.", "The feed gpu_metrics brings that.")
        else:
            st.subheader("GPUs now")
            shell.mark(bool(found["simulated"].any()))
            _totals(found)
            title = figures.titled("Utilisation", bool(found["simulated"].any()))
            st.plotly_chart(
                figures.bars(found, "gpu", "utilization", title, "%"),
                key="utilisation now",
                config=shell.CHART,
                alt=title,
            )
            shell.data(found, "GPUs now")
        shell.asked_at()


def _totals(found: pd.DataFrame) -> None:
    with st.container(horizontal=True):
        st.metric("GPUs", len(found), border=True, width=150)
        st.metric(
            "Mean utilisation", f"{found['utilization'].mean():.0f} %", border=True, width=190
        )
        st.metric("Power", f"{found['power_w'].sum():,.0f} W", border=True, width=190)


@st.fragment(run_every=shell.LIVE)
def costs_now() -> None:
    """What a token costs, by model."""
    with shell.guarded():
        found, events = frames.costs(load.costs()), load.latest("token_usage")
        if found.empty:
            shell.empty(
                "No token was used in the last half hour.", "The feed token_usage counts them."
            )
            return
        st.subheader("Cost of tokens, by model")
        simulated = any(event["simulated"] for event in events)
        shell.mark(simulated)
        title = figures.titled("Cost in the last half hour, by minute", simulated)
        st.plotly_chart(
            figures.lines(
                shell.local(found),
                "cost_per_million_tokens",
                ["model"],
                title,
                MILLION,
                shell.zone(),
            ),
            key="costs now",
            config=shell.CHART,
            alt=title,
        )
        shell.data(found, "cost of tokens by minute")


def _history() -> None:
    length = st.segmented_control(
        "Range",
        list(queries.RANGES),
        default="1 week",
        required=True,
        key="gpus_range",
        bind="query-params",
    )
    seconds = queries.RANGES[str(length)].total_seconds()
    used, costs = load.table(queries.GPU_USAGE, seconds), load.table(queries.COSTS, seconds)
    if used.empty and costs.empty:
        shell.empty(
            "The warehouse has nothing of GPUs or tokens yet.", "It is built of the archive."
        )
    for name, value, unit in (
        ("Utilisation by hour", "utilization", "%"),
        ("Power by hour", "power_w", "W"),
    ):
        _lines(used, name, value, ["gpu"], unit)
    _lines(costs, "Cost of tokens by hour", "cost_per_million_tokens", ["model"], MILLION)
    shell.data(used, "GPUs by hour")
    shell.data(costs, "cost of tokens by hour")


def _lines(found: pd.DataFrame, name: str, value: str, by: list[str], unit: str) -> None:
    for simulated, rows in found.groupby("simulated"):
        title = figures.titled(name, bool(simulated))
        st.plotly_chart(
            figures.lines(shell.local(rows), value, by, title, unit, shell.zone()),
            key=f"{name} {simulated}",
            config=shell.CHART,
            alt=title,
        )
