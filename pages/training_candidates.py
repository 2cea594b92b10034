"""What can be tried, as cards with their settings; and how a class of an installed library becomes one of them."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from core.errors import BadInput
from core.home import Home
from core.projects import limits, proposals
from core.projects.definition import Definition
from core.projects.limits import ESTIMATOR
from core.training.builders import usual_members
from core.training.catalogue import Candidate, Param, get_candidate, list_candidates
from core.training.named import CLASS, ENSEMBLES, MOST_MEMBERS, make_named
from pages import parts, sending
from pages.session import PageContext


def list_allowed(home: Home, definition: Definition) -> list[Candidate]:
    """The classes that an approved request allows in the project, as candidates."""
    return [get_candidate(f"{CLASS}{path}") for path in sorted(limits.get_limits(home, definition.name).estimators)]


def show_card(candidate: Candidate, definition: Definition, usual: bool) -> bool:
    always = candidate.name == "dummy"
    wanted = st.checkbox(
        candidate.title, always or (usual and candidate.available), disabled=always or not candidate.available,
        key=f"training-{definition.name}-{candidate.name}",
    )  # fmt: skip
    st.caption(parts.plain(candidate.good_for))
    facts = [f":gray-badge[:material/schedule: {describe_cost(candidate.cost)}]"]
    if always:
        facts.append(":gray-badge[:material/lock: always trained]")
    elif candidate.baseline:
        facts.append(":gray-badge[baseline]")
    if candidate.reading:
        facts.append(f":gray-badge[:material/visibility: {candidate.reading}]")
    st.markdown(" ".join(facts))
    if not candidate.available:
        st.markdown(f":orange[:material/warning: Not installed] here: it needs {parts.plain(candidate.needs)}.")
        st.code(candidate.install, language="sh", wrap_lines=True)
        return False
    if candidate.name in ENSEMBLES:
        _show_members(definition, candidate)
    if candidate.free:
        st.text_area(
            "Settings as JSON", value="{}", height=80, key=_free_key(definition, candidate), max_chars=4000,
            help='Given to the class as they are, such as {"n_estimators": 50}.',
        )  # fmt: skip
    params = candidate.params_for(definition.task)
    if params:
        with st.expander(f"Settings ({len(params)})"):
            for param in params:
                _show_param(definition, candidate, param)
    return bool(wanted)


def describe_cost(cost: float) -> str:
    """The relative time of one fit in a word; logistic regression is 1."""
    if cost <= 1:
        return "very quick"
    return "quick" if cost <= 10 else "slower" if cost <= 60 else "slow"


def _show_param(definition: Definition, candidate: Candidate, param: Param) -> None:
    key = _param_key(definition, candidate, param)
    if param.kind == "choice":
        st.selectbox(param.title, list(param.choices), index=param.choices.index(param.default), key=key, help=param.help or None)
        return
    number = int if param.kind == "int" else float
    limits: dict[str, Any] = {
        n: None if v is None else number(v) for n, v in (("min_value", param.low), ("max_value", param.high))
    }
    shape: dict[str, Any] = {} if param.kind == "int" else {"format": "%g", "step": max(float(param.default) / 10, 1e-6)}
    st.number_input(param.title, value=number(param.default), key=key, help=param.help or None, **limits, **shape)


def read_card(candidate: Candidate, definition: Definition) -> tuple[str, dict[str, Any]]:
    """Name and hyperparameters as they stand in the card.

    Raises
    ------
    BadInput
        The members do not make an ensemble, or what stands for JSON is none.
    """
    if candidate.free:
        return candidate.name, _read_json(st.session_state[_free_key(definition, candidate)], candidate)
    name = candidate.name
    if name in ENSEMBLES:
        members = st.session_state[_members_key(definition, candidate)]
        if members != list(usual_members(definition.task)):
            name = make_named(f"{name}:{'+'.join(members)}").name
    return name, _read_params(candidate, definition)


def _read_json(text: str, candidate: Candidate) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The settings of {candidate.title} are no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise BadInput(f'The settings of {candidate.title} are names with values, such as {{"n_estimators": 50}}.')
    return found


def _show_members(definition: Definition, candidate: Candidate) -> None:
    able = [c for c in list_candidates(definition.task) if c.available and not c.baseline and c.name not in ENSEMBLES]
    titles = {c.name: c.title for c in able}
    st.multiselect(
        "Members", list(titles), default=list(usual_members(definition.task)), format_func=titles.__getitem__,
        key=_members_key(definition, candidate), max_selections=MOST_MEMBERS, help="Each is trained with its usual settings.",
    )  # fmt: skip


def _members_key(definition: Definition, candidate: Candidate) -> str:
    return f"training-{definition.name}-{candidate.name}-members"


def _free_key(definition: Definition, candidate: Candidate) -> str:
    return f"training-{definition.name}-{candidate.name}-json"


def _read_params(candidate: Candidate, definition: Definition) -> dict[str, Any]:
    return {p.name: st.session_state[_param_key(definition, candidate, p)] for p in candidate.params_for(definition.task)}


def _param_key(definition: Definition, candidate: Candidate, param: Param) -> str:
    return f"training-{definition.name}-{candidate.name}-{param.name}"


# ---- a class that is not among them ----


def show_propose(context: PageContext, definition: Definition) -> None:
    """Ask for a class of an installed library; a DRH manager decides."""
    sending.show_sent("propose")
    with st.expander("Use another class of an installed library", icon=":material/extension:"):
        st.markdown(
            "Any class with `fit` and `predict` can become a candidate of this project, once a DRH manager has approved it: "
            "training and serving then run its package's code."
        )
        waiting = proposals.list_requests(context.home, project=definition.name, states=("pending",), now=context.now)
        for request in [r for r in waiting if any(n.startswith(ESTIMATOR) for n in r.changes)]:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"{parts.find_status('waiting').markdown} {parts.plain(' '.join(request.lines))}", width="content")
                parts.show_link("approvals", "Open the request", settings=str(request.id))
        with st.form("training-propose", border=False):
            path = st.text_input("Class", placeholder="package.module.Class", key="training-propose-class", max_chars=200)
            reason = st.text_input(
                "Reason", key="training-propose-reason", max_chars=2000, placeholder="Why it is worth trying; a DRH manager reads it."
            )
            sent = st.form_submit_button("Ask for approval")
        if sent:
            with parts.guarded(), st.spinner("Looking at the class in a process of its own"):
                change = {f"{ESTIMATOR}{path.strip()}": 1}
                key = sending.request_key("propose", "class", definition.name, path, reason)
                done = proposals.propose(context.home, context.actor, definition.name, change, reason=reason, key=key, now=context.now)
                sending.note_sent("propose", f"Settings request {done['id']} waits for a DRH manager; nothing has changed yet.")
                st.rerun()
