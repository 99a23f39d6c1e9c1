"""The page of the archive: files, rows, size and snapshots of each table."""

import streamlit as st

from millrace.dashboard import figures, frames, load, shell

MEGABYTE = 1e6


def page() -> None:
    """Show the page."""
    st.title("Archive")
    now()


@st.fragment(run_every=shell.LIVE)
def now() -> None:
    """The tables, as the archiver says."""
    with shell.guarded():
        said = load.archiver()
        if said is None:
            shell.empty("There is no archive here.", "`millrace_archive` deploys one.")
            return
        if "tables" not in said.says:
            st.error(
                f"The archiver says: {said.says.get('problem', 'nothing yet')}. Ask again soon."
            )
            return
        for trouble in said.says["trouble"]:
            st.warning(f"Not written, and tried again: {trouble}")
        found = frames.tables(said.says)
        with st.container(horizontal=True):
            for name, value in (
                ("Rows", f"{found['rows'].sum():,}"),
                ("Files", f"{found['files'].sum():,}"),
                ("Size", f"{found['bytes'].sum() / MEGABYTE:,.1f} MB"),
                ("Snapshots", f"{found['snapshots'].sum():,}"),
            ):
                st.metric(name, value, border=True, width=170)
        st.dataframe(found, hide_index=True, alt="tables of the archive")
        st.plotly_chart(
            figures.bars(
                found.assign(megabytes=found["bytes"] / MEGABYTE), "feed", "megabytes", "Size", "MB"
            ),
            key="sizes",
            config=shell.CHART,
            alt="Size of each table in MB",
        )
        shell.data(found, "archive")
        shell.asked_at()
