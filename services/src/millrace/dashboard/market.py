"""The page of shares: what they cost now and did before, and how they compare."""

from datetime import datetime, timedelta

import pandas as pd
import streamlit as st

from millrace.dashboard import figures, frames, load, queries, shell
from millrace.dashboard.queries import Series

NEWEST = "Newest"
"""The range that is not from the warehouse."""
FEEDS = ("stocks", "quotes")
MOST_SYMBOLS = 8
MINUTE = timedelta(minutes=1)
RECENT_DAYS = 31


def page() -> None:
    """Show the page."""
    st.title("Market")
    with shell.guarded():
        now()
    with shell.guarded():
        known = load.table(queries.SERIES)
        known = known[known["feed"].isin(FEEDS)]
        if known.empty:
            shell.empty("The warehouse has no price of a share yet.", "It is built of the archive.")
            return
        _history(known)


@st.fragment(run_every=shell.LIVE)
def now() -> None:
    """The latest price of each share."""
    with shell.guarded():
        found = pd.concat([frames.prices(load.latest(feed)) for feed in FEEDS])
        if found.empty:
            shell.empty("No price of a share is stored yet.", "The producers send the first ones.")
        else:
            tiles(found)
        shell.asked_at()


def tiles(found: pd.DataFrame) -> None:
    """The newest price of each symbol with its change."""
    present = pd.Timestamp.now("UTC").tz_localize(None)
    with st.container(horizontal=True):
        for row in found.head(24).itertuples():
            with st.container(width=190):
                st.metric(
                    f"{row.symbol} · {row.feed}, {row.currency}",
                    f"{row.price:,.2f}",
                    # Without the sign of a zero.
                    None if pd.isna(row.change_pct) else f"{round(row.change_pct, 2) + 0.0:+.2f} %",
                    help=f"source {row.source}",
                    border=True,
                )
                shell.note(f"per {row.unit}, {frames.ago((present - row.at).total_seconds())}")
                shell.mark(row.simulated)


def _history(known: pd.DataFrame) -> None:
    names = {
        figures.titled(f"{one.feed} from {one.source} in {one.currency}", one.simulated): one
        for one in sorted(
            {Series(*row) for row in known[list(Series._fields)].itertuples(index=False)}
        )
    }
    chosen = str(st.selectbox("Source", list(names), key="source", bind="query-params"))
    series = names[chosen]
    own = known[(known[list(Series._fields)] == list(series)).all(axis=1)]
    symbols = sorted(own["symbol"].unique())
    picked = st.multiselect(
        "Symbols: the first one as candles, all of them compared",
        symbols,
        default=symbols[:1],
        max_selections=MOST_SYMBOLS,
        key="symbols",
        bind="query-params",
    )
    length = st.segmented_control(
        "Range",
        [NEWEST, *queries.RANGES],
        default="1 year",
        required=True,
        key="range",
        bind="query-params",
    )
    shell.mark(series.simulated)
    if not picked:
        shell.empty("No symbol is chosen.", "Choose one above.")
    elif length == NEWEST:
        _newest(series, picked)
    else:
        end = own[own["symbol"].isin(picked)]["observed_at"].max().to_pydatetime()
        _from_warehouse(series, picked, str(length), end)


@st.fragment(run_every=shell.LIVE)
def _newest(series: Series, symbols: list[str]) -> None:
    with shell.guarded():
        found = pd.concat(
            frames.prices(load.events(series.feed, symbol, series.source, RECENT_DAYS))
            for symbol in symbols
        )
        found = found[(found[list(Series._fields)] == list(series)).all(axis=1)]
        if found.empty:
            shell.empty(
                f"Nothing came from this source in the last {RECENT_DAYS} days.",
                "Choose a longer range: it is from the warehouse.",
            )
            return
        shell.note("The newest 1,000 prices of each symbol, from the API, by the minute.")
        _charts(series, symbols, frames.candles(found, MINUTE))


def _from_warehouse(series: Series, symbols: list[str], length: str, end: datetime) -> None:
    span = queries.RANGES[length]
    [built] = load.table(queries.BUILT)["built_at"]
    # A range of all begins where there is something, or its candles would be years.
    after = max(end - span, datetime(1970, 1, 1))  # noqa: DTZ001 - the warehouse has UTC
    if span > queries.RANGES["1 year"]:
        after = _beginning(series, symbols)
    step = queries.step_of(end - after)
    found = pd.concat(load.candles(series, symbol, after, end, step) for symbol in symbols)
    age = frames.ago((pd.Timestamp.now("UTC").tz_localize(None) - built).total_seconds())
    shell.note(
        f"From the warehouse, built {age}; up to the newest price of these symbols,"
        f" by {step if step < queries.DAY else f'{step.days} d'}."
    )
    _charts(series, symbols, found)
    with shell.guarded():
        _alerts(series, symbols, after)


def _beginning(series: Series, symbols: list[str]) -> datetime:
    found = load.table(queries.BEGINNING, *series, symbols)
    first = found["first_at"].iloc[0]
    return (first - MINUTE).to_pydatetime()  # type: ignore[no-any-return]


def _charts(series: Series, symbols: list[str], found: pd.DataFrame) -> None:
    first = symbols[0]
    shown = shell.local(found)
    title = figures.titled(f"{first}, {series.feed} from {series.source}", series.simulated)
    st.plotly_chart(
        figures.candles(shown[shown["symbol"] == first], title, shell.zone()),
        key=f"candles {first}",
        config=shell.CHART,
        alt=f"Candles of {title}",
    )
    if len(symbols) > 1:
        title = figures.titled("Closing prices, the first one as 100 %", series.simulated)
        st.plotly_chart(
            figures.lines(frames.compared(shown), "percent", ["symbol"], title, "%", shell.zone()),
            key="compared",
            config=shell.CHART,
            alt=title,
        )
    shell.data(found, f"prices of {' '.join(symbols)}")


def _alerts(series: Series, symbols: list[str], after: datetime) -> None:
    st.subheader("Alerts")
    found = load.table(queries.ALERTS, symbols, series.source, series.currency, after)
    if found.empty:
        shell.empty("No price moved by the threshold.", "An alert is a move of that size or more.")
    else:
        shell.note(f"The newest {len(found)} moves by the threshold or more.")
        shell.data(found, "alerts")
        st.dataframe(shell.local(found.head(10)), hide_index=True, alt="the newest alerts")
