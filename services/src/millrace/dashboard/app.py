"""The script that Streamlit runs for each viewer: pages, and what is around them."""

import streamlit as st

from millrace.dashboard import archive, gpus, market, metals, pipeline, quality, shell

st.set_page_config(page_title="Millrace", page_icon="🌾", layout="wide")
page = st.navigation(
    [
        st.Page(market.page, title="Market", default=True),
        st.Page(metals.page, title="Metals", url_path="metals"),
        st.Page(gpus.page, title="GPUs and tokens", url_path="gpus"),
        st.Page(pipeline.page, title="Pipeline", url_path="pipeline"),
        st.Page(quality.page, title="Data quality", url_path="quality"),
        st.Page(archive.page, title="Archive", url_path="archive"),
    ]
)
shell.time_zone()
st.sidebar.html('<a href="/logout" target="_self">Log out</a>')
page.run()
