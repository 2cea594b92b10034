"""Data: can this data be trusted?"""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from core.datasets import connect, versions
from core.datasets.findings import Report
from core.datasets.versions import Dataset
from core.drift.compute import result_from_json
from core.errors import NotFound
from core.home import Home
from core.numbers import count_of, say_number
from core.projects import projects
from core.projects.definition import Definition
from pages import charts_data, charts_drift, data_connect, data_remote, data_suite, parts, sending, wizard
from pages.charts import show_figure
from pages.classes import class_names
from pages.findings import PROVENANCES, VERDICTS, show_finding
from pages.session import PageContext

MOST_FINDINGS = 6  # that stand open; a long report would push the columns out of sight


def show(context: PageContext) -> None:
    """Versions, the report of the chosen one, its columns and its difference to another; ``?new=1`` opens the wizard, ``?connect=1`` the join."""
    if "new" in st.query_params:
        wizard.show_wizard(context)
        return
    if "connect" in st.query_params:
        data_connect.show(context)
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container():
            parts.show_title("Data", "Can this data be trusted?")
        may_connect = context.project is not None and context.account.may("upload_data")
        if may_connect and st.button(_name_connection(context), icon=":material/link:", key="data-connect"):
            st.query_params["connect"] = "1"
            st.rerun()
        if context.account.may("create_project") and st.button("New project", icon=":material/add:", key="data-new"):
            st.query_params["new"] = "1"
            st.rerun()
    with st.container():
        sent = sending.show_sent("data")
        if sent and sent.get("train"):
            parts.show_link("training", "Go on to Training")
    if context.project is None:
        parts.show_empty("There is no project yet.", "Bring a table of examples (CSV or Excel): New project leads through it.")
    else:
        _show_project(context, projects.get_definition(context.home, context.project.name))
    _show_archived(context)


def _name_connection(context: PageContext) -> str:
    """What the button says: the way to the rows of the joined database, or the way to join one."""
    mapping = connect.find_mapping(context.home, context.project.name) if context.project else None
    return "Connect a database" if mapping is None else f"Import from database {parts.plain(mapping['connection'])}"


def _show_project(context: PageContext, definition: Definition) -> None:
    found = versions.list_datasets(context.home, definition.name)
    if not found:
        parts.show_empty("This project has no data yet.", "Upload a table below: every column of the project must be in it.")
        _show_upload(context, definition, opened=True)
        data_suite.show_suite(context, definition, None)
        data_remote.show_remote(context, definition, None)
        _show_about(definition)
        _show_archive(context)
        return
    dataset = _choose(found)
    report = Report.from_dict({k: v for k, v in dataset.validation.items() if k not in ("verdict", "ok")})
    _show_versions(found)
    _show_verdict(dataset, report)
    _show_origin(definition)
    tabs = st.tabs(["Report", "One column", "Difference", "Rows"], key="data-tabs", on_change="rerun")
    shown = (
        lambda: _show_report(report, dataset, definition),
        lambda: _show_column(dataset, definition),
        lambda: _show_difference(context.home, dataset, found),
        lambda: _show_rows(context, dataset),
    )
    for tab, draw in zip(tabs, shown, strict=True):
        if tab.open:
            with tab:
                draw()
    _show_upload(context, definition)
    data_suite.show_suite(context, definition, dataset)
    data_remote.show_remote(context, definition, dataset)
    _show_about(definition)
    _show_archive(context)


def _choose(found: list[Dataset]) -> Dataset:
    """The version that the link or the list names; the newest by default."""
    by_number = {d.version: d for d in found}
    wanted = st.query_params.get("dataset", str(found[0].version))
    if not wanted.isdecimal() or int(wanted) not in by_number:
        raise NotFound(f"This project has no dataset version {wanted[:20]}; its newest is {found[0].version}.")
    return by_number[int(wanted)]


def _show_versions(found: list[Dataset]) -> None:
    rows = [
        {
            "Version": d.version, "Verdict": VERDICTS[d.validation["verdict"]], "Rows": d.rows, "Columns": d.columns,
            "Labels": PROVENANCES[d.label_provenance].split(":")[0], "Source": d.source, "File": d.file_name,
            "SHA-256": d.sha256[:12], "Added": parts.local_time(d.created_at), "By": d.created_by,
        }
        for d in found
    ]  # fmt: skip
    st.dataframe(
        rows, hide_index=True, height=min(38 + 35 * len(rows), 250), alt="Dataset versions, newest first", key="data-versions",
        column_config={"Source": st.column_config.TextColumn(width=220)},  # an import tells of every table it read
    )  # fmt: skip
    if len(found) > 1:
        chosen = _choose(found).version
        st.session_state["data-version"] = chosen
        st.selectbox("Version to look at", [d.version for d in found], key="data-version", width=220, on_change=_follow_choice)


def _follow_choice() -> None:
    st.query_params["dataset"] = str(st.session_state["data-version"])


def _show_verdict(dataset: Dataset, report: Report) -> None:
    errors, warnings = len(report.errors), len(report.warnings)
    infos = len(report.findings) - errors - warnings
    counts = f"{count_of(errors, 'error')}, {count_of(warnings, 'warning')}, {count_of(infos, 'note')}"
    if dataset.label_provenance == "model":
        status, text = "critical", "its labels were made by a model, so no model is trained on it"
    elif errors:
        status, text = "critical", "it cannot be trained on until the errors are mended"
    elif warnings:
        status, text = "warning", "it can be trained on; read the warnings first"
    else:
        status, text = "ok", "nothing speaks against training on it"
    st.markdown(
        f"{parts.find_status(status).markdown} **Version {dataset.version}** ({dataset.rows:,} rows): {text}. :gray[{counts}.]"
    )


def _show_origin(definition: Definition) -> None:
    synthetic = ":orange-badge[:material/science: Synthetic data]" if definition.synthetic else ""
    source = f"Source: {parts.plain(definition.source)}." if definition.source else "Source: not stated."
    licence = f"Licence: {parts.plain(definition.licence)}." if definition.licence else "Licence: not stated."
    st.markdown(f"{synthetic} :gray[{source} {licence}]".strip())


def _show_report(report: Report, dataset: Dataset, definition: Definition) -> None:
    if not report.findings:
        st.markdown("Every check passed and there is nothing to note.")
    urgent = [*report.errors, *report.warnings]
    for finding in urgent[:MOST_FINDINGS]:
        show_finding(finding)
    rest = [f for f in report.findings if f not in urgent[:MOST_FINDINGS]]
    if len(rest) > 2:
        with st.expander(f"{len(rest)} further findings", icon=":material/list:"):
            for finding in rest:
                show_finding(finding)
    else:
        for finding in rest:
            show_finding(finding)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown("**Columns**")
        described: dict[str, Any] = dataset.profile["columns"]
        st.dataframe(
            [_column_row(name, column) for name, column in described.items()],
            hide_index=True,
            key="data-columns",
            height=min(38 + 35 * len(described), 540),
            alt="One line per column: kind, missing share, spread",
            column_config={
                "Missing": st.column_config.NumberColumn(format="percent"),
                "Spread": st.column_config.BarChartColumn(
                    color="green", y_min=0, help="Numbers from low to high, categories by frequency"
                ),
            },
        )
    with right:
        st.markdown(f"**Target: {parts.plain(definition.target)}**")
        _show_target(dataset, definition)


def _show_column(dataset: Dataset, definition: Definition) -> None:
    described: dict[str, Any] = dataset.profile["columns"]
    name = st.selectbox("Column to look at", list(described), key="data-column", width=320)
    column, known = described[name], next((c for c in definition.columns if c.name == name), None)
    if known is not None and known.help:
        st.caption(parts.plain(known.help))
    limits = (known.low, known.high) if known is not None else (None, None)
    show_figure(charts_data.column_histogram(name, column, *limits), alt=f"Rows by value of {name}", key="data-histogram")
    for fact, value in _column_facts(column).items():
        st.markdown(f"**{fact}**: {parts.plain(value)}")


def _column_facts(column: dict[str, Any]) -> dict[str, str]:
    share = column["missing_share"]
    facts = {"Missing": f"{column['missing']:,}" + (f" ({share:.1%})" if share is not None else "")}
    unit = f" {column['unit']}" if column.get("unit") else ""
    if column["kind"] == "number" and column.get("mean") is not None:
        facts["Range"] = f"{say_number(column['min'])} to {say_number(column['max'])}{unit}"
        spread = "" if column.get("std") is None else f", standard deviation {say_number(column['std'])}"
        facts["Mean"] = f"{say_number(column['mean'])}{unit}{spread}"
        facts["Middle half"] = f"{say_number(column['quantiles']['0.25'])} to {say_number(column['quantiles']['0.75'])}{unit}"
    elif column["kind"] != "number":
        facts["Different values"] = f"{column['distinct']:,}"
    return facts


def _column_row(name: str, column: dict[str, Any]) -> dict[str, Any]:
    if column["kind"] == "number":
        spread = (column.get("histogram") or {}).get("counts", [])
        typical = "no values"
        if column.get("mean") is not None:
            typical = f"{say_number(column['min'])} … {say_number(column['max'])}, mean {say_number(column['mean'])}"
    else:
        top = column.get("top", [])
        spread = [v["count"] for v in top]
        typical = ", ".join(str(v["value"]) for v in top[:3]) + (
            f" and {column['distinct'] - 3} more" if column.get("distinct", 0) > 3 else ""
        )
    return {"Column": name, "Kind": column["kind"], "Unit": column.get("unit") or "", "Missing": column["missing_share"],
            "Spread": spread, "Typical": typical}  # fmt: skip


def _show_target(dataset: Dataset, definition: Definition) -> None:
    classes = dataset.profile.get("classes")
    if classes:
        show_figure(charts_data.class_balance(classes, class_names(definition)), alt="Rows of each class", key="data-balance")
        ratio = dataset.profile.get("imbalance_ratio")
        if ratio is not None:
            always = max(classes.values()) / sum(classes.values())
            st.markdown(
                f"The largest class has {ratio:.1f} times the rows of the smallest; answering it always would be right for "
                f"{always:.0%} of the rows. That is what a model has to beat."
            )
        else:
            st.markdown(":orange[:material/warning: Only one class has rows]: nothing can be learnt from it.")
    elif dataset.profile.get("target"):
        column = dataset.profile["target"]
        limits = (definition.target_low, definition.target_high)
        show_figure(charts_data.column_histogram(definition.target, column, *limits), alt="Rows by target", key="data-target")
    else:
        st.markdown("This version has no target column.")


def _show_difference(home: Home, dataset: Dataset, found: list[Dataset]) -> None:
    others = [d for d in found if d.id != dataset.id]
    if not others:
        st.markdown("This is the only version, so there is nothing to compare it with yet.")
        return
    kept = dataset.comparison["against"] if dataset.comparison else None
    numbers = [d.version for d in others]
    before = next((n for n in numbers if n < dataset.version), numbers[0])
    number = st.selectbox(
        "Compare with version",
        numbers,
        index=numbers.index(kept if kept in numbers else before),
        key=f"data-against-{dataset.id}",
        width=220,
    )
    other = next(d for d in others if d.version == number)
    st.markdown(f"Rows: **{other.rows:,}** in version {other.version}, **{dataset.rows:,}** in version {dataset.version} "
                f"({dataset.rows - other.rows:+,}).")  # fmt: skip
    if dataset.comparison and kept == number:
        comparison: dict[str, Any] | None = dataset.comparison
    else:
        with st.spinner("Comparing both versions"):
            comparison = _compare(str(home.root), str(home.models), other.id, dataset.id)
    if comparison is None:
        st.markdown(f"{parts.find_status('unknown').markdown}: the two versions were made with different schemas.")
        return
    result = result_from_json(json.dumps(comparison["result"]))
    show_figure(charts_drift.drift_bars(result), alt="Drift score of each column against the other version", key="data-drift")
    name = st.selectbox(
        "Column to compare", [c.name for c in result.worst_first], key=f"data-drift-column-{dataset.id}", width=320
    )
    show_figure(charts_drift.distribution(result, name), alt=f"Shares of {name} in both versions", key="data-distribution")


@st.cache_data(max_entries=32, show_spinner=False)
def _compare(root: str, models: str, older: int, newer: int) -> dict[str, Any] | None:
    # Versions never change, so neither does their difference.
    from pathlib import Path

    home = Home(Path(root), Path(models))
    return versions.compare_versions(home, versions.get_dataset(home, older), versions.get_dataset(home, newer))


def _show_rows(context: PageContext, dataset: Dataset) -> None:
    try:
        first = versions.preview(context.home, dataset)
    except NotFound as gone:  # its rows were deleted; what was found out about them is still shown
        st.info(parts.plain(gone), icon=":material/delete:")
        return
    st.caption(f"The first 50 of {dataset.rows:,} rows, as they came.")
    st.dataframe(first, hide_index=True, key="data-preview", alt="First rows")
    if context.account.may("export_dataset"):
        parts.download(
            "Export as CSV", lambda: versions.export_dataset(context.home, context.actor, dataset),
            f"{dataset.project}_v{dataset.version}.csv", "text/csv", key="data-export",
        )  # fmt: skip
        st.caption("Every export is written into the audit.")


def _show_upload(context: PageContext, definition: Definition, *, opened: bool = False) -> None:
    if not context.account.may("upload_data"):
        return
    with st.expander("Add a version", icon=":material/upload_file:", expanded=opened), st.form("data-upload", border=False):
        file = st.file_uploader("Table (CSV or Excel, at most 50 MB)", type=["csv", "tsv", "txt", "xlsx"], key="data-file")
        provenance = st.selectbox(
            "Who made the labels?", list(PROVENANCES), format_func=PROVENANCES.__getitem__, key="data-provenance",
            help=f"The labels are the column {parts.plain(definition.target)}.",
        )  # fmt: skip
        source = st.text_input("Where does the table come from?", max_chars=200, key="data-source", placeholder="upload")
        if not st.form_submit_button("Add version", type="primary"):
            return
        if file is None:
            st.error("Choose a table first.", icon=":material/error:")
            return
        with parts.guarded(), st.spinner("Reading and checking the table"):
            content = file.getvalue()
            key = sending.request_key("data", "add", definition.name, content, provenance)
            before = [d.version for d in versions.list_datasets(context.home, definition.name)]
            made = versions.add_dataset(
                context.home, context.actor, definition.name, content, file_name=file.name, source=source.strip() or "upload",
                label_provenance=provenance, key=key,
            )  # fmt: skip
            sending.note_sent("data", _upload_sentence(made, before), train=made["ok"])
            st.query_params["dataset"] = str(made["version"])
            st.rerun()


def _upload_sentence(made: dict[str, Any], before: list[int]) -> str:
    if not made["fresh"]:
        return f"These bytes are version {made['version']} already; nothing was added."
    newest = f"version {max(before)} was the newest" if before else "there was no data"
    verdict = "It can be trained on." if made["ok"] else "It has errors: read the report."
    return f"Before: {newest}. Now: version {made['version']} with {made['rows']:,} rows. {verdict}"


def _show_about(definition: Definition) -> None:
    with st.expander("About this project", icon=":material/info:"):
        if definition.synthetic:
            st.markdown(":orange[:material/science: Synthetic data]: made by a generator, not measured on anybody.")
        if definition.description:
            st.markdown(parts.plain(definition.description))
        facts = {"Source": definition.source, "Licence": definition.licence, "Task": definition.task, "Target": definition.target,
                 "Positive": definition.positive, "Classes": ", ".join(definition.classes), "Group": definition.group,
                 "Key": definition.key, "Judged by": definition.metric}  # fmt: skip
        for name, value in facts.items():
            if value:
                st.markdown(f"**{name}**: {parts.plain(value)}")
        if not definition.licence:
            st.markdown("**Licence**: not stated")


def _show_archive(context: PageContext) -> None:
    if context.project is None or not context.account.may("archive_project"):
        return
    with st.expander("Archive this project", icon=":material/inventory_2:"), parts.guarded():
        name, title = context.project.name, context.project.title
        reason = parts.confirm(
            "Archive", f"Project {title} disappears from the list. Nothing is deleted, and it can be restored here.",
            key=f"data-archive-{name}", risky=True,
        )  # fmt: skip
        if reason is not None:
            projects.archive_project(
                context.home, context.actor, name, reason=reason, key=sending.request_key("data", "archive", name, reason)
            )
            sending.note_sent("data", f"Before: {parts.plain(title)} was in use. Now: it is archived.")
            st.session_state.pop("_project", None)
            st.query_params.clear()
            st.rerun()


def _show_archived(context: PageContext) -> None:
    if not context.account.may("archive_project"):
        return
    gone = [p for p in projects.list_projects(context.home, archived=True) if p.archived]
    if not gone:
        return
    with st.expander(f"Archived projects ({len(gone)})", icon=":material/unarchive:"), parts.guarded():
        titles = {p.name: p.title for p in gone}
        name = st.selectbox("Archived project", list(titles), format_func=titles.__getitem__, key="data-archived")
        reason = parts.confirm("Restore", f"Project {titles[name]} comes back into the list.", key=f"data-restore-{name}")
        if reason is not None:
            projects.restore_project(
                context.home, context.actor, name, reason=reason, key=sending.request_key("data", "restore", name, reason)
            )
            sending.note_sent("data", f"Before: {parts.plain(titles[name])} was archived. Now: it is in use again.")
            st.query_params.from_dict({"project": name})
            st.rerun()
