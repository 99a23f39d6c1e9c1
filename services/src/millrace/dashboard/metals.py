"""The page of precious metals."""

import streamlit as st

from millrace.dashboard import figures, frames, load, market, queries, shell


def page() -> None:
    """Show the page."""
    st.title("Metals")
    now()
    with shell.guarded():
        _history()


@st.fragment(run_every=shell.LIVE)
def now() -> None:
    """The latest price of each metal, with its change in 24 hours."""
    with shell.guarded():
        found = frames.prices(load.latest("metals"))
        if found.empty:
            shell.empty("No price of a metal is stored yet.", "The producers send the first ones.")
        else:
            shell.note("Changes are over 24 hours.")
            market.tiles(found)
        shell.asked_at()


def _history() -> None:
    length = st.segmented_control(
        "Range",
        list(queries.RANGES),
        default="1 month",
        required=True,
        key="metals_range",
        bind="query-params",
    )
    span = queries.RANGES[str(length)]
    by_day = span > queries.RANGES["1 month"]
    query = queries.METALS.format(table="prices_daily" if by_day else "prices_hourly")
    found = load.table(query, span.total_seconds())
    if found.empty:
        shell.empty("The warehouse has no price of a metal yet.", "It is built of the archive.")
        return
    for simulated, rows in found.groupby("simulated"):
        title = figures.titled("Prices of metals", bool(simulated))
        shell.mark(bool(simulated))
        currencies = ", ".join(sorted(rows["currency"].unique()))
        st.plotly_chart(
            figures.lines(
                shell.local(rows),
                "price",
                ["symbol", "source", "currency", "unit"],
                title,
                currencies,
                shell.zone(),
            ).update_yaxes(type="log"),
            key=f"metals {simulated}",
            config=shell.CHART,
            alt=title,
        )
    shell.data(found, "metals")
