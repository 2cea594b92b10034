"""Settings: how much room the installation takes."""

from __future__ import annotations

import streamlit as st

from core import usage
from core.projects import projects
from pages.session import PageContext


def show(context: PageContext) -> None:
    found = usage.measure_usage(context.home)
    disk = usage.measure_disk(context.home)
    total = sum(u.bytes for u in found)
    st.markdown(f"This installation takes **{_size(total)}**; {_size(disk.free)} of the disk's {_size(disk.total)} are free.")
    rows = [{"What": u.name, "Size": _size(u.bytes), "Files": u.files, "Where": str(u.path)} for u in found]
    if not context.account.may("backup"):
        rows = [{k: v for k, v in row.items() if k != "Where"} for row in rows]
    st.dataframe(rows, hide_index=True, key="storage")
    st.caption(f"{len(projects.list_projects(context.home, archived=True))} projects, archived ones included.")


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
