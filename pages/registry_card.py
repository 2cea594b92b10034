"""The card of one version: what may be done to it, where it comes from, how good it is, its files and its approvals."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from core import approvals, deployment
from core.approvals import Request
from core.datasets.versions import get_dataset
from core.deployment import Deployment
from core.numbers import count_places
from core.projects.definition import Definition
from core.projects.projects import get_definition
from core.registry import versions, wording
from core.registry.versions import Version
from core.roles import who_may
from core.scoring import parity
from core.training import runs
from core.training.results import importance_interval
from core.training.selection import METRIC_NAMES
from pages import act, parts
from pages.session import PageContext


def show_card(context: PageContext, version: Version, requests: list[Request], spans: list[Deployment]) -> None:
    """Everything about one version; ``requests`` and ``spans`` newest first (spans of the whole project)."""
    with st.container(border=True):
        st.header(f"Version {parts.plain(version.version)}  {parts.find_status(version.stage).markdown}", anchor=False)
        st.markdown(
            f"{parts.plain(version.summary.get('title', ''))}. In this stage because: {parts.plain(version.stage_reason)}."
        )
        if version.notes:
            st.caption(parts.plain(version.notes))
        _show_actions(context, version, requests, spans)
    definition = get_definition(context.home, version.project, version.definition_sha)
    origin, numbers, schema, files, decisions = st.tabs(["Lineage", "Numbers", "Schema", "Files", f"Approvals ({len(requests)})"])
    with origin:
        _show_lineage(context, version, [s for s in spans if s.version_id == version.id])
    with numbers:
        _show_numbers(version, requests)
    with schema:
        _show_schema(version, definition)
    with files, parts.guarded():
        _show_files(context, version)
    with decisions:
        _show_requests(requests)


def say_live(result: dict[str, Any]) -> str:
    """Before and after, when what is live has changed."""
    before, after = result.get("before") or "nothing", result.get("version") or "nothing"
    return f"Live before: **{parts.plain(before)}**. Live now: **{parts.plain(after)}**."


def _show_actions(context: PageContext, version: Version, requests: list[Request], spans: list[Deployment]) -> None:
    account, waiting = context.account, next((r for r in requests if r.state in ("pending", "approved")), None)
    if waiting is not None:
        _show_open_request(context, waiting)
    if version.stage == "validation" and waiting is None:
        if account.may("request_release"):
            _request(context, version)
        else:
            st.caption(f"A release can be requested by {' or '.join(who_may('request_release'))}.")
    elif version.stage == "approved":
        if account.may("deploy"):
            _deploy(context, version, spans)
        else:
            st.caption(f"It is approved; {' or '.join(who_may('deploy'))} can deploy it.")
    elif version.stage == "production" and account.may("deploy"):
        with st.expander("Take it out of service", icon=":material/power_settings_new:"):
            _undeploy(context, version, spans)
    elif version.stage == "archived" and any(s.version_id == version.id for s in spans):
        if account.may("rollback"):
            with st.expander(f"Roll back to {version.version}", icon=":material/undo:"):
                _rollback(context, version, spans)
        else:
            st.caption(f"It was live before; {' or '.join(who_may('rollback'))} can roll back to it.")
    elif version.stage == "archived":
        st.caption("It was never live, so nobody can roll back to it. Train and register a version anew to ask for a release.")


def _show_open_request(context: PageContext, request: Request) -> None:
    status = parts.find_status("waiting" if request.state == "pending" else "approved")
    until = parts.local_time(request.expires_at if request.state == "pending" else request.lapses_at or request.expires_at)
    what = "waits for a DRH manager until" if request.state == "pending" else "is approved and can be deployed until"
    st.markdown(f"{status.markdown}: request {request.id} of {parts.plain(request.requested_by)} {what} {parts.plain(until)}.")
    parts.show_link("approvals", f"Open request {request.id}", project=request.project, request=str(request.id))
    if request.requested_by == context.account.name:
        with st.expander("Withdraw my request", icon=":material/undo:"):
            form = f"withdraw-{request.id}"
            reason = parts.confirm("Withdraw", "The request is closed; the version stays and can be requested again.", key=form)
            if reason is not None:
                act.perform(
                    form,
                    lambda key: approvals.withdraw(context.home, context.actor, request.id, reason=reason, key=key),
                    lambda done: f"Request {done['id']}: **{request.state}** before, **{done['state']}** now.",
                )


def _request(context: PageContext, version: Version) -> None:
    form = f"request-{version.id}"
    will = f"A DRH manager is asked to approve version {version.version}. The evidence is computed now and kept with the request."
    reason = parts.confirm(f"Request release of {version.version}", will, key=form)
    if reason is not None:
        with st.spinner("Computing the evidence: gates, the live version on the same rows, the baseline"):
            act.perform(
                form,
                lambda key: approvals.request_release(
                    context.home, context.actor, version.project, version.version, reason=reason, key=key
                ),
                lambda done: f"Request {done['id']} for version {parts.plain(done['version'])} waits for a DRH manager.",
            )


def _deploy(context: PageContext, version: Version, spans: list[Deployment]) -> None:
    form = f"deploy-{version.id}-{spans[0].id if spans else 0}"
    live = deployment.find_live(context.home, version.project)
    before = f" in place of {live.version}, which stays one click away" if live else "; nothing was live before"
    will = (
        f"Version {version.version} answers from the next prediction on{before}. Its files and golden answers are checked first."
    )
    reason = parts.confirm(f"Deploy {version.version}", will, key=form, risky=True)
    if reason is not None:
        with st.spinner("Checking the files and the golden answers"):
            act.perform(
                form,
                lambda key: deployment.deploy(
                    context.home, context.actor, version.project, version.version, reason=reason, key=key
                ),
                say_live,
            )


def _undeploy(context: PageContext, version: Version, spans: list[Deployment]) -> None:
    form = f"undeploy-{version.id}-{spans[0].id if spans else 0}"
    will = f"Version {version.version} stops answering, and nothing answers until a deployment or a rollback."
    reason = parts.confirm(f"Take {version.version} out of service", will, key=form, risky=True)
    if reason is not None:
        act.perform(
            form, lambda key: deployment.undeploy(context.home, context.actor, version.project, reason=reason, key=key), say_live
        )


def _rollback(context: PageContext, version: Version, spans: list[Deployment]) -> None:
    form = f"back-{version.id}-{spans[0].id if spans else 0}"
    live = deployment.find_live(context.home, version.project)
    will = f"Version {version.version} answers from the next prediction on, in place of {live.version if live else 'nothing'}."
    reason = parts.confirm(f"Roll back to {version.version}", will, key=form)
    if reason is not None:
        act.perform(
            form,
            lambda key: deployment.rollback(
                context.home, context.actor, version.project, to=version.version, reason=reason, key=key
            ),
            say_live,
        )


def _show_lineage(context: PageContext, version: Version, spans: list[Deployment]) -> None:
    dataset = get_dataset(context.home, version.dataset_id)
    candidate = runs.get_candidate_row(context.home, version.candidate_id)
    run = runs.get_run(context.home, candidate.run_id)
    synthetic = " · synthetic data" if get_definition(context.home, version.project, version.definition_sha).synthetic else ""
    on = f", on {run.settings['ran_on']}" if run.settings.get("ran_on") else ""
    facts = [
        ("Data", f"{dataset.file_name}, version {dataset.version}, {dataset.rows:,} rows, from {dataset.source}{synthetic}"),
        ("Labels", f"made by: {dataset.label_provenance}"),
        ("Data hash", _short_hash(dataset.sha256)),
        ("Training", f"run {run.id}, seed {run.settings['seed']}, {run.settings['folds']} folds, by {version.trained_by}{on}"),
        ("Candidate", f"{candidate.name} ({version.summary.get('title', '')})"),
        ("Settings", ", ".join(f"{k} = {v}" for k, v in candidate.params.items()) or "as the catalogue gives them"),
        ("Registered", f"{parts.local_time(version.registered_at)}, by {version.registered_by}"),
        ("Definition", _short_hash(version.definition_sha)),
        ("Model file", _short_hash(version.sha256)),
        ("Answers", parity.describe(context.home, version.sha256, version.threshold)),
    ]
    if version.threshold is not None:
        facts.insert(6, ("Threshold", f"positive from a probability of {version.threshold:g}"))
    for span in spans[:10]:
        until = parts.local_time(span.live_until) if span.live_until else "now"
        facts.append(("Live", f"{parts.local_time(span.live_from)} to {until}, by {span.deployed_by}"))
    st.markdown("\n".join(["| What | Value |", "|---|---|", *(f"| {k} | {parts.plain(v)} |" for k, v in facts)]))
    hashes = {"data": dataset.sha256, "definition": version.definition_sha, "model file": version.sha256}
    with st.expander("The hashes in full", icon=":material/fingerprint:"):
        st.code("\n".join(f"{sha}  {what}" for what, sha in hashes.items()), language=None, wrap_lines=True)
    parts.show_link("comparison", f"Compare the candidates of run {run.id}", project=version.project, run=str(run.id))


def _short_hash(sha: str) -> str:
    """Enough to tell two apart; in full it would push the table out of a narrow window."""
    return f"{sha[:12]}…"


def _show_numbers(version: Version, requests: list[Request]) -> None:
    summary = version.summary
    holdout = {**(summary.get("holdout") or {}), **(summary.get("at_threshold") or {})}
    base = (summary.get("baseline") or {}).get("holdout") or {}
    rows = []
    for name in [m for m in wording.METRICS if m in (summary.get("cv") or {}) or m in holdout]:
        cv = (summary.get("cv") or {}).get(name) or {}
        low, high = (summary.get("intervals") or {}).get(name) or (None, None)
        if summary.get("at_threshold"):
            low = high = None  # the intervals belong to the threshold 0.5
        rows.append(
            {
                "Metric": wording.METRICS[name],
                "Unseen rows": holdout.get(name),
                "from (95 %)": low,
                "to (95 %)": high,
                "Baseline": base.get(name),
                "Folds, mean": cv.get("mean"),
                "Folds, std": cv.get("std"),
            }
        )
    st.caption(
        f"Measured on {holdout.get('rows', 'an unknown number of')} rows that were held out, and over the folds of the rest."
    )
    if any(abs(v) >= 100 for r in rows for v in r.values() if isinstance(v, float)):  # errors in thousands stand beside shares
        rows = [{c: round(v, min(3, count_places(v, 5))) if isinstance(v, float) else v for c, v in r.items()} for r in rows]
        numbers = None
    else:
        number = st.column_config.NumberColumn(format="%.3f")
        numbers = {c: number for c in rows[0] if c != "Metric"} if rows else None
    st.dataframe(rows, hide_index=True, column_config=numbers, placeholder="unknown")
    _show_importances(summary)
    cases = summary.get("known_cases") or []
    if cases:
        right = sum(c["passed"] for c in cases)
        st.markdown(f"**Known cases**: {right} of {len(cases)} are answered rightly.")
        st.dataframe(
            [
                {
                    "Case": c["note"] or f"case {n}",
                    "Expected": c["expected"],
                    "Answer": c["answer"],
                    "": "✓ right" if c["passed"] else "✗ wrong",
                }
                for n, c in enumerate(cases, 1)
            ],
            hide_index=True,
        )
    else:
        st.caption("The project keeps no known cases, so none was checked.")
    if requests:
        st.markdown(f"**Gates**, as they stood at request {requests[0].id}:")
        show_gates(requests[0])
    else:
        st.caption("The release gates are asked when a release is requested.")


def _show_importances(summary: dict[str, Any], most: int = 10) -> None:
    """What the version relies on, as it was measured when it was trained."""
    kept = summary.get("importances") or {}
    if not kept:
        st.caption("No importances were measured for this version.")
        return
    name = METRIC_NAMES.get(summary["metric"], summary["metric"])
    st.markdown(f"**What it relies on**: how much {name} falls when one column tells nothing.")
    found = [(column, i["mean"], importance_interval(i["mean"], i["std"])) for column, i in kept.items()]
    found.sort(key=lambda one: (-one[1], one[0]))
    st.dataframe(
        [{"Column": c, f"Fall of {name}": m, "95 % from": low, "95 % to": high} for c, m, (low, high) in found[:most]],
        hide_index=True,
        column_config={c: st.column_config.NumberColumn(format="%.3f") for c in (f"Fall of {name}", "95 % from", "95 % to")},
    )
    if len(found) > most:
        st.caption(f"The first {most} of {len(found)} columns; all of them are in metadata.json.")


def show_gates(request: Request) -> None:
    """The conditions of a request: icon, word and sentence."""
    looks = {
        "passed": ":green[:material/check_circle: {}]",
        "failed": ":red[:material/cancel: {}]",
        "not_asked": ":gray[:material/remove_circle_outline: {}]",
    }
    for line in wording.gate_lines(request):
        st.markdown(f"{looks[line.state].format(line.word)} · **{parts.plain(line.title)}**. {parts.plain(line.sentence)}")


def _show_schema(version: Version, definition: Definition) -> None:
    positive = f", positive where {definition.positive}" if definition.positive else ""
    classes = f"; answers {', '.join(definition.classes)}" if definition.classes else ""
    st.markdown(
        f"Predicts **{parts.plain(definition.target)}** ({definition.task}{parts.plain(positive)}){parts.plain(classes)}."
    )
    st.dataframe(
        [
            {
                "Column": c.name,
                "Kind": c.kind,
                "Unit": c.unit,
                "From": c.low,
                "To": c.high,
                "Allowed": ", ".join(c.allowed),
                "Also called": ", ".join(c.aliases),
                "What it is": c.help,
            }
            for c in definition.features
        ],
        hide_index=True,
        height=320,
        placeholder="",  # a column without limits has none
    )


def _show_files(context: PageContext, version: Version) -> None:
    files = versions.list_files(context.home, version)
    st.dataframe(
        [{"File": name, "Bytes": entry["bytes"], "sha256": entry["sha256"]} for name, entry in sorted(files.items())],
        hide_index=True,
    )
    st.caption("Each file is signed; it is opened only while its hash and its signature are those of the day it was registered.")
    metadata = json.dumps(versions.read_metadata(context.home, version), indent=2, ensure_ascii=False, sort_keys=True)
    parts.download(
        "metadata.json",
        metadata,
        f"{version.project}_{version.version}_metadata.json",
        "application/json",
        key=f"metadata-{version.id}",
    )
    with st.expander("Read metadata.json here"):
        st.code(metadata, language="json", height=360)


def _show_requests(requests: list[Request]) -> None:
    if not requests:
        st.caption("No release of this version was requested yet.")
    for request in requests:
        status = parts.find_status(
            {"pending": "waiting", "used": "done", "rejected": "refused"}.get(request.state, request.state)
        )
        st.markdown(
            f"{status.icon} **Request {request.id}: {request.state}**. Asked by {parts.plain(request.requested_by)} on "
            f"{parts.plain(parts.local_time(request.requested_at))}: {parts.plain(request.reason)}"
        )
        if request.decided_by:
            despite = " despite failed gates" if request.despite_gates else ""
            when = parts.plain(parts.local_time(request.decided_at or request.requested_at))
            st.caption(
                f"Decided by {parts.plain(request.decided_by)}{despite} on {when}: {parts.plain(request.decision_reason or '')}"
            )
        parts.show_link("approvals", f"Open request {request.id}", project=request.project, request=str(request.id))
