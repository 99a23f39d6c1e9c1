"""The page of the data's quality: what is old, missing, late, invented, there twice."""

import streamlit as st

from millrace.dashboard import figures, load, queries, shell


def page() -> None:
    """Show the page."""
    st.title("Data quality")
    with shell.guarded():
        fresh = load.table(queries.FRESHNESS)
        for row in fresh[fresh["status"] == "stale"].itertuples():
            st.warning(
                f"{row.feed} is stale: nothing newer arrived for {row.age_seconds / 3600:,.1f} h"
                " before the build, which is longer than its gaps are. Is its producer well?",
                icon=":material/schedule:",
            )
        st.subheader("Freshness of each feed")
        st.dataframe(shell.local(fresh), hide_index=True, alt="how fresh each feed is")
        shell.data(fresh, "freshness")
        _daily()
        _rare()


def _daily() -> None:
    found = load.table(queries.QUALITY)
    if found.empty:
        shell.empty("The warehouse has no event yet.", "It is built of the archive.")
        return
    found = found.assign(
        late_pct=100 * found["late_share"], invented_pct=100 * found["simulated_share"]
    )
    for title, value, unit in (
        ("Events of each day", "events", "events"),
        ("Late events", "late_pct", "% of the day's"),
        ("Simulated events", "invented_pct", "% of the day's"),
    ):
        st.plotly_chart(
            figures.lines(shell.local(found), value, ["feed"], title, unit, shell.zone()),
            key=title,
            config=shell.CHART,
            alt=f"{title}, by feed",
        )
    shell.data(found, "quality by day")


def _rare() -> None:
    for title, query, none in (
        ("Gaps", queries.GAPS, "No gap is longer than expected."),
        ("Repeated records", queries.DUPLICATES, "No record repeats an event."),
    ):
        st.subheader(title)
        found = load.table(query)
        if found.empty:
            shell.empty(none, "That is as it should be.")
        else:
            st.dataframe(shell.local(found), hide_index=True, alt=title)
            shell.data(found, title.lower())
