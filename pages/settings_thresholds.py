"""The gates and thresholds that are in force, where each comes from, and a form that asks for another value."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.projects import limits, projects, proposals
from core.projects.definition import Definition
from core.projects.limits import Source, get_setting
from pages import parts, settings_plans
from pages.session import PageContext
from pages.settings_forms import note, request_key, turn

GROUPS = {
    "gates": "Gates", "thresholds": "Drift, accuracy, retraining", "watching": "Watching", "agent": "Agent", "sharing": "Databases",
    "estimators": "Allowed classes", "plans": "The agent's own plans for this project",
}  # fmt: skip


def show(context: PageContext) -> None:
    """The chosen project's numbers in words with their source and last change, open requests, and the form."""
    if context.project is None:
        parts.show_empty("There is no project yet, so there are no thresholds.", page="data", label="New project")
        return
    name = context.project.name
    definition = projects.get_definition(context.home, name)
    changes = projects.list_definitions(context.home, name)
    newest = changes[0]
    source = "the shipped sample's definition" if context.project.demo else "the project's definition, made in the wizard"
    found = limits.sources(context.home, name)
    count = sum(s.request_id is not None for s in found)
    many = "one value was" if count == 1 else f"{count} values were"
    over = f"{many} changed by approved requests." if count else "nothing was changed by a request."
    st.markdown(
        f"The definition of **{parts.plain(context.project.title)}** is {source}, of {parts.plain(parts.local_time(newest.at))}, "
        f"by {parts.plain(newest.by)}; "
        + ("never changed since." if len(changes) == 1 else f"{len(changes) - 1} earlier ones are kept.")
        + f" Over it, {over}",
        help=f"Definition {newest.sha256[:16]}",
    )
    _show_open(context, name)
    proposable = [s for s in found if s.setting.group != "plans"]
    asked = st.query_params.get("propose", "")
    if asked:  # a link from where the setting is missed: the form first, with that setting chosen
        _show_propose(context, name, proposable, asked)
    _show_values(found, definition)
    if not asked:
        _show_propose(context, name, proposable)
    settings_plans.show_propose(context, name)


def _show_values(found: list[Source], definition: Definition) -> None:
    """What differs from the definition and the defaults in full view, everything else in groups that fold; or what a search finds."""
    groups: dict[str, list[dict[str, str]]] = {}
    for group, title in GROUPS.items():
        groups[title] = [_row(s, definition) for s in found if s.setting.group == group]
        if group == "gates":
            groups[title].append(_fixed("Known cases that must be right", len(definition.known_cases)))
    groups |= _list_fixed(definition)
    words = st.text_input("Find a value", key="thresholds-words", placeholder="drift, retraining, recall, agent ...", icon=":material/search:")
    if wanted := words.casefold().split():
        rows = [{"Group": title, **row} for title, those in groups.items() for row in those]
        rows = [row for row in rows if all(word in " ".join(row.values()).casefold() for word in wanted)]
        if rows:
            _show_table(rows)
        else:
            st.markdown(f":gray[:material/info:] No value has “{parts.plain(words)}” in its name, value or source.")
        return
    changed = [_row(s, definition) for s in found if s.request_id is not None]
    if changed:
        st.header("Changed by approved requests", anchor=False)
        _show_table(changed)
        st.header("Every value", anchor=False)
    for title, rows in groups.items():
        if rows:
            with st.expander(f"{title}: {len(rows)} value{'s' * (len(rows) != 1)}"):
                _show_table(rows)


def _show_table(rows: list[dict[str, str]]) -> None:
    """A table that wraps, so that a long value or plan is read whole on a telephone too."""
    st.table([{name: parts.plain(text) for name, text in row.items()} for row in rows], hide_index=True)


def _row(source: Source, definition: Definition) -> dict[str, str]:
    setting = source.setting
    origin = {"definition": "definition", "default": "default of Greenlight"}.get(source.origin, "")
    if source.request_id:
        before = limits.say_value(setting.name, source.own)
        origin = f"request {source.request_id}, approved by {source.by} on {parts.local_time(source.at)}; without it: {before}"
    return {"What": limits.title_of(setting.name, definition), "Value": limits.say_value(setting.name, source.value), "Source": origin}


def _list_fixed(d: Definition) -> dict[str, list[dict[str, str]]]:
    """What belongs to the definition and changes with it alone."""
    c, r = d.criteria, d.data_rules
    metric = {"f1": "F1", "r2": "R2", "ndcg": "NDCG"}[d.metric]
    groups = {
        "Criteria shown beside every candidate": [
            _fixed(f"Target of {metric}", c.metric_target, "at least"),
            _fixed("Spread over folds (standard deviation)", c.cv_std_target, "at most"),
            _fixed("Training time", c.training_seconds, "at most", "s"),
        ],
        "Data": [
            _fixed("Rows of a dataset", r.min_rows, "at least"),
            *([_fixed("Share of the smallest class", r.min_minority_share, "at least")] if d.is_classifier else []),
            _fixed("One column that decides the label (leakage)", r.leakage, "from"),
        ],
    }
    if d.task == "binary":
        groups["Costs of a mistake"] = [_fixed(name.replace("_", " ").capitalize(), cost) for name, cost in d.costs.items()]
    return groups


def _fixed(what: str, value: Any, sign: str = "", unit: str = "") -> dict[str, str]:
    shown = "not asked" if value is None else " ".join(t for t in (sign, f"{value:g}", unit) if t)
    return {"What": what, "Value": shown, "Source": "definition"}


def _show_open(context: PageContext, project: str) -> None:
    for request in proposals.list_requests(context.home, project=project, states=("pending",), now=context.now):
        said, link = st.columns((6, 1), vertical_alignment="center")
        said.markdown(f"{parts.find_status('waiting').markdown} {parts.plain(request.requested_by)} asks: {parts.plain(' '.join(request.lines))}")
        with link:
            parts.show_link("approvals", "Open", settings=str(request.id))


# Propose a change


def _show_propose(context: PageContext, project: str, found: list[Source], asked: str = "") -> None:
    st.header("Propose a change", anchor=False)
    if not context.account.may("propose_settings"):
        parts.show_whom_to_ask(context.home, context.account, "Proposing a change", "propose_settings")
        return
    by_name = {s.setting.name: s for s in found}
    chosen = st.multiselect(
        "Values to change", list(by_name), default=[asked] if asked in by_name else None, key=turn("propose-values"),
        format_func=lambda n: f"{get_setting(n).title} ({limits.say_value(n, by_name[n].value)})", placeholder="Choose one or several",
    )  # fmt: skip
    if not chosen:
        st.caption("A DRH manager decides within 24 hours; until then, and if nobody does, everything stays as it is.")
        return
    with st.form(turn("propose"), border=True):
        wanted = {name: _ask_value(by_name[name]) for name in chosen}
        reason = st.text_area(
            "Reason", height=80, max_chars=2000, key=turn("propose-reason"), placeholder="Why another value is better; a DRH manager reads it."
        )
        sent = st.form_submit_button("Ask for approval", type="primary")
    if sent:
        with parts.guarded():
            done = proposals.propose(
                context.home, context.actor, project, wanted, reason=reason, now=context.now,
                key=request_key("propose", project, *wanted.items(), reason),
            )  # fmt: skip
            note(f"Settings request {done['id']} waits for a DRH manager; nothing has changed yet.")


def _ask_value(source: Source) -> float | None:
    """One number for a setting; for an optional one, a tick that asks for nothing."""
    setting = source.setting
    if setting.group == "estimators":
        return st.selectbox(
            setting.title, [1, None], index=0 if source.value is None else 1, format_func=lambda n: limits.say_value(setting.name, n),
            key=turn(f"propose-{setting.name}"),
        )  # fmt: skip
    if setting.words:
        now = int(source.value or 0)
        return st.selectbox(  # of two words the other one: nobody proposes what is so already
            setting.title, list(range(len(setting.words))), index=1 - now if len(setting.words) == 2 else now, format_func=lambda n: setting.words[n],
            key=turn(f"propose-{setting.name}"),
        )  # fmt: skip
    kind: type = int if setting.integer else float
    start = setting.low if source.value is None else source.value
    value = st.number_input(
        f"{setting.title}{f' ({setting.unit})' if setting.unit else ''}", kind(setting.low), kind(setting.high), kind(start),
        step=1 if setting.integer else 0.01 if setting.high <= 1 else 1.0, format=None if setting.integer else "%g",
        key=turn(f"propose-{setting.name}"),
    )  # fmt: skip
    if setting.optional and st.checkbox("Ask for nothing", key=turn(f"propose-none-{setting.name}")):
        return None
    return value
