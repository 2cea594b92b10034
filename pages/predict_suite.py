"""The Predict page's part about expectation suites: what a suite says about rows that were scored."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.adapters import expectations
from core.datasets import suite_checks
from core.home import Home
from pages import parts
from pages.findings import show_finding


def show_suite(home: Home, project: str, path: Path) -> None:
    """A button that checks the scored table, and what came of it; nothing where the project has no suite."""
    suite = suite_checks.find_suite(home, project)
    if suite is None or not path.exists():
        return
    if not expectations.can_run():
        st.caption(f"Suite {parts.plain(suite.name)} cannot be checked here: Great Expectations is not installed.")
        return
    asked = (str(path), path.stat().st_mtime, suite.at)
    if st.button(f"Check these rows by suite {parts.plain(suite.name)}", icon=":material/rule:", key="predict-suite"):
        with parts.guarded(), st.spinner("Great Expectations checks the rows; it takes some seconds to start"):
            check = suite_checks.check_scored(home, project, path.read_bytes(), file_name=path.name)
            st.session_state["predict-suite-found"] = (asked, check.findings if check else ())
    known, findings = st.session_state.get("predict-suite-found", (None, ()))
    if known == asked:
        for finding in findings:
            show_finding(finding)
