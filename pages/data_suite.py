"""The Data page's part about expectation suites: what the tables must meet besides the definition's own rules."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from core.adapters import expectations
from core.adapters.optional import LIBRARIES
from core.datasets import suite_checks, suites
from core.datasets.suite_checks import Suite
from core.datasets.versions import Dataset
from core.projects.definition import Definition
from pages import parts, sending
from pages.session import PageContext


def show_suite(context: PageContext, definition: Definition, dataset: Dataset | None) -> None:
    """The suite in force, its state on ``dataset``, and ways to give, check, export and remove one."""
    suite = suite_checks.find_suite(context.home, definition.name)
    title = f"Expectation suite: {parts.plain(suite.name)}" if suite else "Expectation suite"
    waits = suite is not None and dataset is not None and not _is_checked(dataset)
    sending.show_sent("suite")
    with st.expander(title, icon=":material/rule:", expanded=waits):
        may = context.account.may("upload_data")
        if suite is None:
            st.markdown(
                "Tables are held to the definition's own rules. A suite of Great Expectations adds to them; what it finds stands in "
                "the report above."
            )
        else:
            _show_expectations(suite)
        if not expectations.can_run():
            library = LIBRARIES[expectations.LIBRARY]
            sentence = f"{library.title} is not installed, so no suite can be checked here"
            then = "; with one no data could be trained on until then:", ", and until then no data of this project can be trained on:"
            stops = then[suite is not None]
            (st.info if suite is None else st.warning)(parts.plain(sentence + stops), icon=":material/extension_off:")
            st.code(library.install, language="sh")
        elif suite is not None and dataset is not None and may:
            _show_check(context, suite, dataset)
        _show_downloads(definition, suite)
        if may:
            _show_upload(context, definition, suite, dataset)
            if suite is not None:
                _show_removal(context, definition, suite)


def _show_expectations(suite: Suite) -> None:
    st.markdown(f"Set by {parts.plain(suite.by)} on {parts.plain(parts.local_time(suite.at))}.")
    rows = [
        {"Column": ", ".join(suites.name_columns(e)) or "(table)", "Expected": suites.describe(e), "Severity": e["severity"]}
        for e in suite.expectations
    ]
    st.dataframe(
        rows, hide_index=True, key="suite-expectations", height=min(38 + 35 * len(rows), 300),
        alt="One line per expectation: column, what is expected, severity",
    )  # fmt: skip
    st.caption("Critical: an error, nothing is trained on such a table. Warning and info: noted. In scoring an error is a warning.")


def _is_checked(dataset: Dataset) -> bool:
    return any(f["check"] == "suite" and f["text"].endswith("expectations are met.") for f in dataset.validation["findings"])


def _show_check(context: PageContext, suite: Suite, dataset: Dataset) -> None:
    if _is_checked(dataset):
        st.markdown(f"{parts.find_status('done').markdown}: version {dataset.version} has been checked by this suite.")
    elif st.button(f"Check version {dataset.version}", type="primary", icon=":material/rule:", key="suite-check"):
        with parts.guarded():
            done = _check(context, suite, dataset)
            sending.note_sent("suite", f"Version {dataset.version} has been checked. {_tell(done)}")
            st.rerun()


def _check(context: PageContext, suite: Suite, dataset: Dataset) -> dict[str, Any]:
    with st.spinner(f"Great Expectations checks {dataset.rows:,} rows; it takes some seconds to start"):
        key = sending.request_key("suite", "check", dataset.id, json.dumps(suite.value))
        return suite_checks.check_version(context.home, context.actor, dataset.project, dataset.version, key=key)


def _show_downloads(definition: Definition, suite: Suite | None) -> None:
    with st.container(horizontal=True):
        parts.download(
            "The definition's rules as a suite", lambda: _dump(suites.export_suite(definition)), f"{definition.name}_suite.json",
            "application/json", key="suite-export",
        )  # fmt: skip
        if suite is not None:
            parts.download(
                "The suite as it was given", lambda: _dump(suite.value), f"{definition.name}_given_suite.json", "application/json",
                key="suite-given",
            )  # fmt: skip


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _show_upload(context: PageContext, definition: Definition, suite: Suite | None, dataset: Dataset | None) -> None:
    with st.form("suite-upload", border=False, clear_on_submit=True):
        file = st.file_uploader("Suite (JSON, as Great Expectations 1 writes it)", type=["json"], key="suite-file")
        if not st.form_submit_button("Use this suite" if suite is None else "Replace the suite"):
            return
    if file is None:
        st.error("Choose a suite first.", icon=":material/error:")
        return
    with parts.guarded():
        content = file.getvalue()
        suite_checks.set_suite(
            context.home, context.actor, definition.name, content, key=sending.request_key("suite", "set", definition.name, content)
        )
        fresh = suite_checks.find_suite(context.home, definition.name)
        was = f"suite {parts.plain(suite.name)} was in force" if suite else "there was no suite"
        sentence = f"Before: {was}. Now: suite {parts.plain(fresh.name if fresh else '')}."
        if fresh is not None and dataset is not None and expectations.can_run():
            sentence += f" {_tell(_check(context, fresh, dataset))}"
        sending.note_sent("suite", sentence)
        st.rerun()


def _show_removal(context: PageContext, definition: Definition, suite: Suite) -> None:
    with st.popover("Take the suite away", icon=":material/remove_circle_outline:"):
        will = f"Tables are no longer held to suite {suite.name}; it stays in the history."
        reason = parts.confirm("Take the suite away", will, key="suite-remove")
    if reason is not None:
        with parts.guarded():
            key = sending.request_key("suite", "set", definition.name, suite.at, None)
            suite_checks.set_suite(context.home, context.actor, definition.name, None, reason=reason, key=key)
            sending.note_sent("suite", f"Before: suite {parts.plain(suite.name)} was in force. Now: there is no suite.")
            st.rerun()


def _tell(done: dict[str, Any]) -> str:
    found = [f"{done[k]} {k[:-1] if done[k] == 1 else k}" for k in ("errors", "warnings")]
    return f"The suite found {found[0]} and {found[1]} in version {done['version']}."
