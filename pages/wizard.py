"""The new-project wizard on the Data page: file, columns, target, what will happen. Nothing is stored before the last button."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import streamlit as st

from core.datasets import guess
from core.datasets.read import Table, read_table
from core.errors import BadInput
from core.projects import creation
from core.projects.definition import KINDS, ROLES, TASKS, Gates
from pages import parts, sending
from pages.findings import PROVENANCES, show_finding
from pages.session import PageContext

STEPS = ("File", "Columns", "Target", "What will happen")
TASK_WORDS = {
    "binary": "Binary: yes or no",
    "multiclass": "Classes: one of several",
    "regression": "Number: how much",
    "ranking": "Ranking: the best first, within each query",
}
METRICS = {"binary": "F1", "multiclass": "F1", "regression": "R2", "ranking": "NDCG"}
SHOWN_ROWS = 20


def show_wizard(context: PageContext) -> None:
    """Lead through the four steps; answers stay in the session until the project is made or the wizard is left."""
    parts.show_title("New project", "What shall be predicted, from which table?")
    if not context.account.may("create_project"):
        parts.show_forbidden(context.home, context.account, "New project", "create_project")
        return
    answers: dict[str, Any] = st.session_state.setdefault("wizard", {"step": 0})
    step = answers["step"]
    st.markdown(" › ".join(f"**{n + 1} {name}**" if n == step else f":gray[{n + 1} {name}]" for n, name in enumerate(STEPS)))
    with parts.guarded():
        (_show_file, _show_columns, _show_target, _show_plan)[step](context, answers)


def _show_file(context: PageContext, answers: dict[str, Any]) -> None:
    file = st.file_uploader(
        "Table of examples (CSV or Excel, at most 50 MB)", type=["csv", "tsv", "txt", "xlsx"], key="wizard-file",
        help="One row per example, with a header. The column to be predicted must be in it.",
    )  # fmt: skip
    if file is not None:
        content = file.getvalue()
        sha = hashlib.sha256(content).hexdigest()
        if answers.get("sha") != sha:
            with st.spinner("Reading the table"):
                table = read_table(content, file_name=file.name)
                columns = guess.guess_columns(table)
            # Another table: whatever was answered about the one before no longer holds.
            answers.clear()
            answers.update(step=0, sha=sha, content=content, file_name=file.name, table=table, columns=columns, overrides={})
    if "table" in answers:
        table = answers["table"]
        st.markdown(f"**{parts.plain(answers['file_name'])}**: {len(table.frame):,} rows, {len(table.frame.columns)} columns"
                    f"{_written(table)}.")  # fmt: skip
        _show_rows(table)
    _show_steps(answers, ready="table" in answers)


def _written(table: Table) -> str:
    meta = table.meta
    if meta.sheet:
        return f", sheet {parts.plain(meta.sheet)}"
    sign = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}.get(meta.delimiter, "other sign")
    return f", {parts.plain(meta.encoding)}, separated by {sign}"


def _show_rows(table: Table) -> None:
    st.dataframe(table.frame.head(SHOWN_ROWS), hide_index=True, key="wizard-rows", alt="The first rows of the table")


def _show_columns(context: PageContext, answers: dict[str, Any]) -> None:
    st.markdown(
        "This is what the columns seem to be; change what is wrong. **Kind**: text is never used. **Use**: a key names a row, "
        "ignored is kept but not used. **Lowest** and **highest**: the plausible range, if known. The target comes next."
    )
    _show_rows(answers["table"])
    rows = [column_row(c, answers["overrides"].get(c.name, {})) for c in answers["columns"]]
    edited = st.data_editor(
        rows,
        hide_index=True,
        key=f"wizard-columns-{answers['sha']}-{answers.get('visit', 0)}",
        disabled=["Column", "Missing", "Different", "Why"],
        column_config={
            "Kind": st.column_config.SelectboxColumn(options=list(KINDS), required=True),
            "Use": st.column_config.SelectboxColumn(options=list(ROLES), required=True),
            "Lowest": st.column_config.NumberColumn(help="Lowest plausible value; empty accepts any"),
            "Highest": st.column_config.NumberColumn(help="Highest plausible value; empty accepts any"),
        },
    )

    def keep() -> None:
        answers["overrides"] = find_overrides(answers["columns"], edited)
        answers["visit"] = answers.get("visit", 0) + 1  # the editor begins anew from what was kept

    _show_steps(answers, keep=keep)


def column_row(column: guess.GuessedColumn, override: dict[str, Any]) -> dict[str, Any]:
    """One line of the editor: the guess with a person's changes over it."""
    return {
        "Column": column.name, "Kind": override.get("kind", column.kind), "Use": override.get("role", column.role),
        "Lowest": override.get("low"), "Highest": override.get("high"), "Missing": column.missing, "Different": column.distinct,
        "Why": column.reason if column.suggested_low is None else
        f"{column.reason} Seen: {column.suggested_low:g} to {column.suggested_high:g}.",
    }  # fmt: skip


def find_overrides(columns: list[guess.GuessedColumn], edited: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a person changed: column -> fields of Column. A category made of numbers takes any value."""
    changes: dict[str, dict[str, Any]] = {}
    for column, row in zip(columns, edited, strict=True):
        changed: dict[str, Any] = {}
        if row["Kind"] != column.kind:
            changed["kind"] = row["Kind"]
            if row["Kind"] != "number":
                changed["integer"] = False
            if row["Kind"] != "category":
                changed["allowed"] = ()
        if row["Use"] != column.role:
            changed["role"] = row["Use"]
        if row["Kind"] == "number":
            limits = {"low": row["Lowest"], "high": row["Highest"]}
            changed.update({name: float(value) for name, value in limits.items() if value is not None and value == value})
        if changed:
            changes[column.name] = changed
    return changes


def _show_target(context: PageContext, answers: dict[str, Any]) -> None:
    table: Table = answers["table"]
    names = [str(n) for n in table.frame.columns]
    given: dict[str, Any] = answers.setdefault("given", {})
    title = st.text_input("Title", given.get("title", ""), max_chars=80, key="wizard-title", placeholder="Customer churn")
    name = st.text_input(
        "Name (for links, files and commands)",
        given.get("name") or creation.suggest_name(title),
        max_chars=50,
        key=f"wizard-name-{title}",
    )
    target = st.selectbox(
        "Target: the column to be predicted", names, index=_place(names, given.get("target", names[-1])), key="wizard-target"
    )
    same = given.get("target") == target
    try:
        found = guess.guess_task(table, target)
        st.caption(parts.plain(found.reason))
    except BadInput as error:
        st.warning(parts.plain(error), icon=":material/warning:")
        _show_steps(answers, ready=False)
        return
    task = st.selectbox(
        "Task", list(TASKS), index=TASKS.index(given["task"] if same and given.get("task") else found.task),
        format_func=TASK_WORDS.__getitem__, key=f"wizard-task-{target}",
    )  # fmt: skip
    new: dict[str, Any] = {"title": title, "name": name, "target": target, "task": task}
    if task == "binary":
        known = given.get("positive") if same else ""
        new["positive"] = st.text_input(
            "Counts as positive (1)", known or found.positive, max_chars=60, key=f"wizard-positive-{target}",
            help="One value of the target, or a comparison such as >0.",
        )  # fmt: skip
    elif task == "multiclass":
        new.update(_ask_classes(table, target, given if same else {}))
    elif task == "ranking":
        others = [n for n in names if n != target]
        new["group"] = st.selectbox(
            "Group: the query that rows belong to",
            others,
            index=_place(others, given.get("group", "")),
            key=f"wizard-group-{target}",
        )
    keys = ["", *(n for n in names if n not in (target, new.get("group")))]
    guessed = next((c.name for c in answers["columns"] if c.role == "key" and c.name in keys), "")
    new["key"] = st.selectbox(
        "Key: the column that names a row", keys, index=_place(keys, given.get("key", guessed)),
        format_func=lambda n: n or "none",
        key=f"wizard-key-{target}", help="Outcomes can be fed back by it later.",
    )  # fmt: skip
    with st.expander("Gates and origin", icon=":material/tune:"):
        metric = METRICS[task]
        low, high = st.columns(2)
        limits: dict[str, Any] = {"min_value": 0.0, "max_value": 1.0, "step": 0.01, "placeholder": "none"}
        new["register"] = low.number_input(f"{metric} to register", value=given.get("register"), key="wizard-register", **limits)
        new["production"] = high.number_input(
            f"{metric} for production", value=given.get("production"), key="wizard-production", **limits
        )
        new["description"] = st.text_area(
            "What is it for?", given.get("description", ""), max_chars=2000, key="wizard-description"
        )
        new["source"] = st.text_input("Where do the rows come from?", given.get("source", ""), max_chars=300, key="wizard-source")
        new["licence"] = st.text_input("Licence", given.get("licence", ""), max_chars=100, key="wizard-licence")
        new["synthetic"] = st.checkbox("The rows are synthetic", given.get("synthetic", False), key="wizard-synthetic")

    def keep() -> None:
        answers["given"] = new
        answers["definition"] = make_definition(table, answers["overrides"], new)

    _show_steps(answers, keep=keep)


def _ask_classes(table: Table, target: str, given: dict[str, Any]) -> dict[str, Any]:
    classes = list(guess.build_definition("guess", "guess", table, target, "multiclass").classes)
    suggested = [c.casefold() for c in classes] in (["low", "medium", "high"], ["low", "mid", "high"])
    ordered = st.checkbox(
        "The classes have an order, from low to high", given.get("ordered", suggested), key=f"wizard-ordered-{target}",
        help="Then the score 0..100 is the weighted sum of the class probabilities; without an order there is no score.",
    )  # fmt: skip
    if not ordered:
        return {"ordered": False, "order": classes, "weights": {}}
    order = st.multiselect("Order, lowest first", classes, given.get("order", classes), key=f"wizard-order-{target}")
    last = max(len(order) - 1, 1)
    earlier = given.get("weights", {})
    weights = {}
    for column, (place, name) in zip(st.columns(max(len(order), 1)), enumerate(order), strict=False):
        weights[name] = column.number_input(
            f"Weight of {name}",
            0.0,
            1.0,
            earlier.get(name, round(place / last, 3)),
            0.05,
            key=f"wizard-weight-{target}-{place}-{name}",
        )
    return {"ordered": True, "order": order, "weights": weights}


def make_definition(table: Table, overrides: dict[str, dict[str, Any]], given: dict[str, Any]) -> Any:
    """The definition that the answers of the wizard describe."""
    return creation.define_project(
        table, name=given["name"], title=given["title"], target=given["target"], task=given["task"],
        positive=given.get("positive", ""), group=given.get("group", ""), key=given["key"], overrides=overrides,
        order=given.get("order", ()), level_weights=given.get("weights"),
        gates=Gates(register=given.get("register"), production=given.get("production")), description=given.get("description", ""),
        source=given.get("source", ""), licence=given.get("licence", ""), synthetic=given.get("synthetic", False),
    )  # fmt: skip


def _show_plan(context: PageContext, answers: dict[str, Any]) -> None:
    definition = answers["definition"]
    st.header(parts.plain(definition.title), anchor=False)
    for sentence in guess.describe(definition):
        st.markdown(f"- {parts.plain(sentence)}")
    if answers.get("checked_for") != definition.sha256:
        with st.spinner("Checking the table"):
            answers["report"], answers["checked_for"] = creation.check_first_data(answers["table"], definition), definition.sha256
    report = answers["report"]
    status, word = ("critical", "It can be kept, but not trained on yet") if report.errors else (
        ("warning", "It can be trained on; read the warnings") if report.warnings
        else ("ok", "Nothing speaks against training on it")
    )  # fmt: skip
    st.markdown(f"{parts.find_status(status).markdown} The table as first data: {word}.")
    for finding in (*report.errors, *report.warnings):
        show_finding(finding)
    kinds = list(PROVENANCES)
    provenance = st.selectbox(
        "Who made the labels?", kinds, index=kinds.index("synthetic" if definition.synthetic else "recorded"),
        format_func=PROVENANCES.__getitem__, key="wizard-provenance",
    )  # fmt: skip

    def create() -> None:
        made = creation.create_with_data(
            context.home, context.actor, definition, answers["content"], file_name=answers["file_name"],
            source=definition.source[:200] or "upload", label_provenance=provenance,
            key=sending.request_key("data", "create", definition.sha256, answers["sha"], provenance),
        )  # fmt: skip
        st.session_state.pop("wizard", None)
        sentence = (
            f"Project {parts.plain(definition.title)} is made, with {made['dataset']['rows']:,} rows as version "
            f"{made['dataset']['version']} of its data."
        )
        sending.note_sent("data", sentence, train=made["dataset"]["ok"])
        st.query_params.from_dict({"project": definition.name})

    _show_steps(answers, last="Create project", keep=create)


def _show_steps(answers: dict[str, Any], *, ready: bool = True, keep: Callable[[], None] | None = None, last: str = "") -> None:
    """Back, on, and out; ``keep`` is called before going on and may refuse by raising."""
    step = answers["step"]
    with st.container(horizontal=True):
        if step and st.button("Back", key=f"wizard-back-{step}", icon=":material/arrow_back:"):
            answers["step"] = step - 1
            st.rerun()
        if st.button(last or f"On to: {STEPS[step + 1]}", type="primary", disabled=not ready, key=f"wizard-on-{step}"):
            if keep is not None:
                keep()
            if not last:
                answers["step"] = step + 1
            st.rerun()
        if st.button("Leave without creating", type="tertiary", key="wizard-leave"):
            st.session_state.pop("wizard", None)
            del st.query_params["new"]
            st.rerun()


def _place(names: list[str], wanted: str) -> int:
    return names.index(wanted) if wanted in names else 0
