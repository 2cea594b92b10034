"""Connect: which database do this project's rows come from, and is what is needed there?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.adapters import databases
from core.adapters.optional import LIBRARIES
from core.datasets import connect, hr_mapping, versions
from core.datasets.connect import Preview
from core.datasets.source import import_fresh
from core.errors import GreenlightError
from core.projects import joins
from core.projects.definition import Definition
from core.projects.limits import get_limits, get_setting
from core.projects.projects import get_definition
from pages import parts, sending
from pages.findings import PROVENANCES
from pages.session import PageContext

SHAPES = {"hr": "The tables of an HR system: one row per job role and skill", "table": "One table or view: its rows are the rows"}
LABELS = {"judgements": "Planners' judgements", "recommendations": "Investment recommendations, where people wrote them"}
_OWN = "(table)"


def show(context: PageContext) -> None:
    """The join of the chosen project: what is in force, the mapping, what it finds, save, import and take away."""
    if st.button("Back to the data", icon=":material/arrow_back:", type="tertiary", key="connect-back"):
        del st.query_params["connect"]
        st.rerun()
    parts.show_title("Connect a database", "Which database do this project's rows come from, and is what is needed there?")
    sending.show_sent("connect")
    if context.project is None:
        parts.show_empty("There is no project yet.", "Make one from a table first; then its rows may come from a database.")
        return
    definition = get_definition(context.home, context.project.name)
    if not context.account.may("upload_data"):
        parts.show_whom_to_ask(context.home, context.account, "Joining a project to a database", "upload_data")
        return
    with parts.guarded():
        known = databases.read_addresses()
        _show_current(context, definition)
        library = LIBRARIES["sqlalchemy"]
        if not library.is_installed:
            missing = f"{library.title} is not installed, and {library.purpose} needs it."
            parts.show_empty(missing, "Install it where Greenlight runs, and start it again:")
            st.code(library.install, language="sh")
        elif not known:
            parts.show_empty(
                "No database is named in the environment.",
                "Whoever runs Greenlight sets GREENLIGHT_DATABASES, such as hr=postgresql+psycopg://reader:secret@host/hr, and starts again.",
            )
        elif connect.find_mapping(context.home, definition.name) is None:
            _show_form(context, definition, list(known))
        else:
            with st.expander("Change what is read, and from where", icon=":material/edit:"):
                _show_form(context, definition, list(known))


def _show_current(context: PageContext, definition: Definition) -> None:
    join = joins.find_join(context.home, definition.name, "database")
    if join is None or join.value is None:
        st.markdown(f":material/link_off: {parts.plain(context.project.title if context.project else '')} is joined to no database yet.")
        return
    value = join.value
    what = "HR tables" if value["shape"] == "hr" else f"table {value['table']}"
    st.markdown(
        f":green[:material/link: Joined] to **{parts.plain(value['connection'])}** ({parts.plain(what)}) by {parts.plain(join.by)}, "
        f"{parts.plain(parts.local_time(join.at))}."
    )
    with st.container(horizontal=True):
        if st.button("Import now", type="primary", icon=":material/download:", key="connect-import", help="Makes a dataset version"):
            _import(context, definition)
        with st.popover("Take the join away", icon=":material/link_off:"):
            will = f"Rows no longer come from {value['connection']} but from uploads. Nothing is deleted; the join stays in the history."
            reason = parts.confirm("Take the join away", will, key="connect-away")
    if reason is not None:
        with parts.guarded():
            key = sending.request_key("connect", "away", definition.name, join.id)
            connect.connect(context.home, context.actor, definition.name, None, reason=reason, key=key)
            note = f"Before: joined to {parts.plain(value['connection'])}. Now: joined to no database."
            sending.note_sent("connect", note)
            st.rerun()


def _import(context: PageContext, definition: Definition) -> None:
    with parts.guarded(), st.spinner("Reading the database and checking its rows"):
        before = [d.version for d in versions.list_datasets(context.home, definition.name)]
        key = sending.request_key("connect", "import", definition.name, len(before))
        made = import_fresh(context.home, context.actor, definition.name, today=datetime.now(UTC).date(), key=key)
        if made["fresh"]:
            verdict = "It can be trained on." if made["ok"] else "It has errors: read the report."
            newest = f"version {max(before)} was the newest" if before else "there was no data"
            note = f"Before: {newest}. Now: version {made['version']} with {made['rows']:,} rows. {verdict}"
        else:
            note = f"The database holds what version {made['version']} has already; nothing was added."
        sending.note_sent("data", note, train=made["ok"])
        del st.query_params["connect"]
        st.query_params["dataset"] = str(made["version"])
        st.rerun()


def _show_form(context: PageContext, definition: Definition, names: list[str]) -> None:
    now = connect.find_mapping(context.home, definition.name) or {}
    shapes = [s for s in SHAPES if s == "table" or connect.fits_hr(definition)]
    with st.container(border=True):
        left, right = st.columns([1, 2])
        chosen = left.selectbox(
            "Database", names, index=names.index(now["connection"]) if now.get("connection") in names else 0, key="connect-name",
            help="The names of GREENLIGHT_DATABASES; their addresses and passwords stay in the environment.",
        )  # fmt: skip
        shape = right.radio(
            "What is there", shapes, format_func=SHAPES.__getitem__, key="connect-shape",
            index=shapes.index(now["shape"]) if now.get("shape") in shapes else 0,
        )  # fmt: skip
        own = now if now.get("shape") == shape else {}
        value: dict[str, Any] = {"connection": chosen, "shape": shape}
        value |= _ask_hr(own) if shape == "hr" else _ask_table(own, definition, chosen)
        provenances = [p for p in PROVENANCES if p != "none"]
        value["provenance"] = st.selectbox(
            "Who made the labels?", provenances, format_func=PROVENANCES.__getitem__, key="connect-provenance",
            index=provenances.index(own.get("provenance", "recorded")) if own.get("provenance", "recorded") in provenances else 0,
        )  # fmt: skip
        value["write"] = _ask_write(context, now, names)
        look = st.button("Look into the database", icon=":material/search:", key="connect-look", type="secondary" if now else "primary")
    seen = st.session_state.get("connect-seen")
    if look:
        st.session_state.pop("connect-seen", None)
        with parts.guarded(), st.spinner("Looking into the database"):
            mapping = connect.check_mapping(value, definition)
            seen = st.session_state["connect-seen"] = (definition.name, value, connect.preview(mapping, definition))
    if seen and seen[:2] == (definition.name, value):
        _show_preview(context, definition, value, seen[2])


def _ask_hr(own: dict[str, Any]) -> dict[str, Any]:
    left, right = st.columns([1, 2])
    as_of = left.date_input(
        "Nothing later than", value=own.get("as_of"), format="YYYY-MM-DD", key="connect-as-of",
        help="Empty: up to the newest request or judgement in the database.",
    )  # fmt: skip
    labels = right.radio(
        "Labels come from", list(LABELS), format_func=LABELS.__getitem__, horizontal=True, key="connect-labels",
        index=list(LABELS).index(own.get("labels", "judgements")),
        help="Recommendations that a model made must not be learnt from: a model would learn its own mistakes.",
    )  # fmt: skip
    with st.expander("Other names of tables and columns", icon=":material/edit_note:", expanded=bool(own.get("tables"))):
        st.caption("The names are those of an HR system made with Django. Write your own where they differ; nothing else is to be done.")
        rows = []
        for record in hr_mapping.RECORDS.values():
            table, columns = hr_mapping.names_of(record, own.get("tables", {}))
            rows.append({"Record": record.name, "Column": _OWN, "Name there": table})
            rows += [{"Record": record.name, "Column": c, "Name there": there} for c, there in columns.items()]
        edited = st.data_editor(rows, disabled=["Record", "Column"], hide_index=True, height=320, key="connect-tables")
    tables: dict[str, Any] = {}
    for row in edited:
        names = tables.setdefault(row["Record"], {"columns": {}})
        if row["Column"] == _OWN:
            names["table"] = row["Name there"]
        else:
            names["columns"][row["Column"]] = row["Name there"]
    return {"tables": tables, "labels": labels, "as_of": as_of.isoformat() if as_of else None}


def _ask_table(own: dict[str, Any], definition: Definition, chosen: str) -> dict[str, Any]:
    table = st.text_input("Table or view", value=own.get("table", ""), key="connect-table", placeholder="patients, or schema.patients", max_chars=200)
    with parts.guarded():
        if st.button("List what there is", key="connect-list", type="tertiary", icon=":material/list:"):
            found = connect.list_tables(chosen)
            st.caption(f"Tables and views of {parts.plain(chosen)}: {parts.plain(', '.join(found) or 'none')}.")
    wanted = [*(c.name for c in definition.columns), *([definition.group] if definition.group else []), definition.target]
    with st.expander("Other names of columns", icon=":material/edit_note:", expanded=bool(own.get("columns"))):
        st.caption("Columns are found by their names and aliases. Write the table's own name where it differs.")
        rows = [{"Column": n, "Name there": own.get("columns", {}).get(n, "")} for n in dict.fromkeys(wanted)]
        edited = st.data_editor(rows, disabled=["Column"], hide_index=True, height=320, key="connect-columns")
    return {"table": table.strip(), "columns": {r["Column"]: r["Name there"].strip() for r in edited if (r["Name there"] or "").strip()}}


def _ask_write(context: PageContext, now: dict[str, Any], names: list[str]) -> dict[str, Any] | None:
    assert context.project is not None
    own = now.get("write") or {}
    if not st.checkbox("Name a table that predictions are written back to", value=bool(own), key="connect-write"):
        return None
    left, right = st.columns(2)
    chosen = left.selectbox(
        "Database to write to", names, index=names.index(own["connection"]) if own.get("connection") in names else 0, key="connect-write-name",
        help="An entry with an account of its own, which may write nowhere else, is safer.",
    )  # fmt: skip
    table = right.text_input("Table", value=own.get("table", databases.PREDICTION_TABLE), key="connect-write-table", max_chars=200)
    if get_limits(context.home, context.project.name).sharing.write_back:
        st.caption("Writing back was approved. The table is made if it is not there; no other table is ever written to.")
    else:
        st.caption(f"Nothing is written until a DRH manager approves this: {get_setting('write_back').title.lower()}.")
        parts.show_link("settings", "Propose it in Settings", tab="thresholds", propose="write_back")
    return {"connection": chosen, "table": table.strip() or databases.PREDICTION_TABLE}


def _show_preview(context: PageContext, definition: Definition, value: dict[str, Any], found: Preview) -> None:
    if found.problem:
        st.error(parts.plain(found.problem), icon=":material/error:")
    else:
        status = "warning" if any(p.sentence for p in found.parts) else "ok"
        st.markdown(f"{parts.find_status(status).markdown} {parts.plain(found.sentence)}")
    rows = [
        {
            "Record": p.name, "State": "✓ found" if p.usable else "columns missing" if p.rows is not None else "not found", "Table": p.table,
            "Rows": "" if p.rows is None else f"{p.rows:,}",
        }
        for p in found.parts
    ]  # fmt: skip
    for p in found.parts:
        if p.sentence and p.sentence != found.problem:
            st.markdown(f":orange[:material/warning: {parts.plain(p.name)}] {parts.plain(p.sentence)}")
    st.dataframe(rows, hide_index=True, key="connect-found", alt="What was found in the database", height=38 + 35 * len(rows))
    with st.expander(f"The first {connect.SHOWN_ROWS} rows of each", icon=":material/table_rows:"):
        for p in found.parts:
            if p.about_people:
                st.markdown(f"**{parts.plain(p.name)}**: counted, never shown. Names and addresses of people are not read at all.")
            elif p.sample:
                st.markdown(f"**{parts.plain(p.name)}**")
                shown = [{k: None if v is None else str(v) for k, v in row.items()} for row in p.sample]
                st.dataframe(shown, hide_index=True, key=f"connect-sample-{p.name}", alt=f"First rows of {p.name}")
    if found.problem:
        return
    if st.button("Save the connection", type="primary", icon=":material/link:", key="connect-save"):
        try:
            key = sending.request_key("connect", "save", definition.name, value)
            connect.connect(context.home, context.actor, definition.name, value, key=key)
        except GreenlightError as error:
            st.error(parts.plain(error), icon=":material/error:")
            return
        st.session_state.pop("connect-seen", None)
        note = f"{parts.plain(definition.title)} takes its rows from {parts.plain(found.connection)}. Import now makes a dataset version."
        sending.note_sent("connect", note)
        st.rerun()
