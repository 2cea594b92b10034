"""Home: is all well, and what waits for me?"""

import streamlit as st

from core import approvals, deployment
from core.projects import projects
from pages import parts
from pages.session import PageContext


def show(context: PageContext) -> None:
    """What is live in each project, and how many requests wait for the one who looks."""
    parts.show_title("Home", "Is all well, and what waits for me?")
    known = projects.list_projects(context.home)
    if not known:
        step = "A project begins with a table of examples."
        parts.show_empty("There is no project yet.", step, page="data", label="New project")
        return
    waiting = approvals.count_waiting_for(context.home, context.account, now=context.now)
    if waiting:
        what = "1 request waits" if waiting == 1 else f"{waiting} requests wait"
        st.markdown(f"{parts.find_status('waiting').markdown} {what} for you.")
        parts.show_link("approvals", "Go to Approvals")
    else:
        st.markdown(f"{parts.find_status('ok').markdown} Nothing waits for you.")
    for project in known:
        live = deployment.find_live(context.home, project.name)
        with st.container(border=True):
            st.subheader(parts.plain(project.title), anchor=False)
            if live is None:
                st.markdown(f"{parts.find_status('unknown').markdown}: nothing is live, so nothing answers.")
            else:
                since = parts.plain(parts.local_time(live.live_from))
                st.markdown(f"Version **{parts.plain(live.version)}** is live since {since}.")
