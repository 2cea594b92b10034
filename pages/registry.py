"""Registry: what exists, what is live, since when?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from core import approvals, deployment
from core.datasets.versions import list_datasets
from core.registry import cards, versions
from core.registry.versions import Version
from core.registry.wording import METRICS
from pages import act, charts, charts_registry, parts, registry_card
from pages.session import PageContext

_STAGES = {
    "training": "○ Training",
    "validation": "◔ Validation",
    "approved": "✓ Approved",
    "production": "● Live",
    "archived": "□ Archived",
}


def show(context: PageContext) -> None:
    """Who was live when, every version, and the card of the chosen one with what may be done to it."""
    parts.show_title("Registry", "What exists, what is live, since when?")
    just_acted = act.show_said()
    if context.project is None:
        parts.show_empty("There is no project yet.", "A version belongs to a project.", page="data", label="Go to Data")
        return
    known = versions.list_versions(context.home, context.project.name)
    if not known:
        step = "Train some candidates, compare them, and register the one that you trust."
        parts.show_empty("No version is registered yet.", step, page="training", label="Go to Training")
        return
    spans = deployment.list_deployments(context.home, context.project.name)
    requests = approvals.list_requests(context.home, project=context.project.name, now=context.now)
    _show_live(context, spans, just_acted=just_acted)
    chosen = _choose(known)
    _show_table(context, known, requests)
    registry_card.show_card(context, chosen, [r for r in requests if r.version_id == chosen.id], spans)


def _show_live(context: PageContext, spans: list[deployment.Deployment], *, just_acted: bool) -> None:
    project = context.project
    assert project is not None
    live = deployment.find_live(context.home, project.name)
    with st.container(border=True):
        if live is None:
            st.markdown(f"{parts.find_status('unknown').icon} **Nothing is live**: no prediction can be answered.")
        else:
            since = parts.plain(parts.local_time(live.live_from))
            st.markdown(
                f"{parts.find_status('production').markdown} **{parts.plain(live.version)}** answers since {since}, "
                f"put there by {parts.plain(live.deployed_by)}."
            )
        if not spans:
            st.caption("No version has been live yet, so there is no history to show.")
            return
        figure = charts_registry.live_timeline(spans, now=context.now, zone=st.context.timezone or "UTC")
        charts.show_figure(figure, alt=_describe_spans(spans), key="live-timeline")
        if not just_acted:  # a late second click must not find the next rollback under the pointer
            _show_rollback(context, live, spans)
        with st.expander("Who was live when, as a table"):
            st.dataframe(
                [
                    {
                        "Version": s.version,
                        "From": parts.local_time(s.live_from),
                        "Until": parts.local_time(s.live_until) if s.live_until else "now",
                        "How": {"deploy": "Deployment", "rollback": "Rollback"}.get(s.kind, s.kind),
                        "By": s.deployed_by,
                        "Ended by": s.ended_by or "",
                        "Request": f"{s.request_id}" if s.request_id else "",
                        "Reason": s.reason,
                    }
                    for s in spans[:200]
                ],
                hide_index=True,
            )


def _show_rollback(context: PageContext, live: deployment.LiveVersion | None, spans: list[deployment.Deployment]) -> None:
    """One click, the target named: when something is wrong, nobody wants a form."""
    project = context.project
    target = deployment.find_rollback_target(context.home, project.name) if project else None
    if project is None or target is None:
        return
    if not context.account.may("rollback"):
        st.caption(f"DevOps can return to {parts.plain(target)} in one click.")
        return
    state = f"rollback-{spans[0].id}-{target}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        reason = st.text_input("Reason (may stay empty in a hurry)", key=f"{state}-reason", max_chars=500, width=320)
        if st.button(
            f"Roll back to {target}",
            key=state,
            icon=":material/undo:",
            help=f"Version {target} answers from the next prediction on, in place of {live.version if live else 'nothing'}.",
        ):
            do = partial(deployment.rollback, context.home, context.actor, project.name, to=target, reason=reason)
            act.perform(state, lambda key: do(key=key), registry_card.say_live)


def _choose(known: list[Version]) -> Version:
    """The version that the link names, else the one that waits to be deployed, else the live one, else the newest."""
    names = [v.version for v in known]
    wanted = st.query_params.get("version")
    if wanted is not None and wanted not in names:
        st.warning(f"There is no version {parts.plain(wanted[:40])} in this project.", icon=":material/search_off:")
        wanted = None
    by_stage = {v.stage: v.version for v in reversed(known)}
    first = wanted or by_stage.get("approved") or by_stage.get("production") or names[0]
    return known[names.index(first)]


def _show_table(context: PageContext, known: list[Version], requests: list[approvals.Request]) -> None:
    metric = known[0].summary.get("metric", "f1")
    name = METRICS.get(metric, metric)
    data = {d.id: d for d in list_datasets(context.home, known[0].project)}
    approved = {r.version_id: r.decided_by for r in reversed(requests) if r.state in ("approved", "used")}
    rows = []
    for v in known:
        dataset = data.get(v.dataset_id)
        rows.append(
            {
                "Version": v.version,
                "Stage": _STAGES.get(v.stage, v.stage),
                f"{name}, folds": _mean(v.summary, metric),
                "Baseline": _mean(v.summary.get("baseline") or {}, metric),
                "Model": v.summary.get("title", ""),
                "Data": f"{dataset.file_name}, version {dataset.version}" if dataset else "unknown",
                "Registered": parts.local_time(v.registered_at),
                "Approved by": approved.get(v.id) or "",
                "Why in this stage": v.stage_reason,
            }
        )
    st.header("Versions", anchor=False)
    number = st.column_config.NumberColumn(format="%.3f", help=f"Mean of {name} over the folds of cross-validation.")
    st.dataframe(
        rows,
        hide_index=True,
        height=min(38 + 35 * len(rows), 320),
        column_config={f"{name}, folds": number, "Baseline": number},
        placeholder="unknown",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = [v.version for v in known]
        st.session_state["registry-version"] = _choose(known).version
        st.selectbox(
            "Open version",
            names,
            key="registry-version",
            width=220,
            on_change=_open_version,
            format_func=lambda n: f"{n} · {parts.find_status(known[names.index(n)].stage).word}",
        )
        project = known[0].project
        parts.download(
            "MODEL_REGISTRY.md",
            lambda: cards.registry_page(context.home, project),
            "MODEL_REGISTRY.md",
            "text/markdown",
            key="registry-page",
        )


def _open_version() -> None:
    st.query_params["version"] = st.session_state["registry-version"]


def _mean(summary: dict[str, object], metric: str) -> float | None:
    cv = summary.get("cv")
    found = cv.get(metric) if isinstance(cv, dict) else None
    return found.get("mean") if isinstance(found, dict) else None


def _describe_spans(spans: list[deployment.Deployment]) -> str:
    newest = spans[0]
    state = "is live now" if newest.live_until is None else "was live last; nothing is live now"
    return f"Timeline of {len(spans)} times that a version was live; version {newest.version} {state}."
