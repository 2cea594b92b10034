"""What a retraining report says: why it was started, what each step did, and how the new version was judged."""

from __future__ import annotations

from typing import Any

from core import approvals
from core.errors import BadInput, NotFound
from core.home import Home
from core.projects.projects import get_definition
from core.registry import wording
from core.registry.versions import get_version
from core.reports import measures
from core.reports.document import (
    Block,
    Document,
    Facts,
    Section,
    Table,
    Text,
    find_number,
    say,
    say_range,
    say_time,
    sections_of,
)
from core.retraining import retraining
from core.retraining.retraining import Retraining

_LEVELS = {"better": "ok", "worse": "look", "unclear": "look", "failed": "act"}
_WORDS = {"better": "better than the live version", "worse": "worse than the live version", "unclear": "not clearly better", "failed": "failed"}


def describe(home: Home, project: str, subject: str) -> Document:
    """The report of one retraining; ``subject`` is its id.

    Raises
    ------
    NotFound
        The project has no such retraining.
    """
    number = find_number(subject)
    found = retraining.get(home, number) if number is not None else None
    if found is None or found.project != project:
        raise NotFound(f"Project {project} has no retraining {subject[:20]!r}.")
    outcome = found.outcome or found.state
    return Document(
        "retraining", project, subject, f"Retraining {found.id} of {get_definition(home, project).title}: {_WORDS.get(outcome, outcome)}",
        f"Started {say_time(found.started_at)} by {found.started_by}", _LEVELS.get(outcome, "unknown"), found.sentence,
        Facts((
            ("Why", found.reason),
            ("Started by", f"{found.started_by} ({found.trigger.replace('_', ' ')})"),
            ("Ended", say_time(found.finished_at) if found.finished_at else "not ended when this was made"),
            ("Live when it began", found.live_version or "nothing"),
            ("New version", found.version or "none was registered"),
            ("Live version", "was left as it was; nothing goes live by a retraining"),
        )),
        sections_of(_list_steps(found), _compare_classes(found), _explain(found), _measure(home, found), _say_request(home, found)),
        found.correlation_id,
    )  # fmt: skip


def find_subject(home: Home, project: str) -> str:
    """The newest retraining, for who names none."""
    found = retraining.list_retrainings(home, project)
    if not found:
        raise BadInput(f"Project {project} was never retrained; there is nothing to report.")
    return str(found[0].id)


def find_last_change(home: Home, subject: str) -> str:
    """When it ended; while it goes on, any report of it stands."""
    number = find_number(subject)
    found = retraining.get(home, number) if number is not None else None
    return (found.finished_at or "") if found is not None else ""


def _list_steps(found: Retraining) -> Section:
    rows = tuple((str(k), s.title, s.state, say_time(s.at) if s.at else "–", s.sentence or "–") for k, s in enumerate(found.steps, 1))
    return Section("The eight steps", (Table(("", "Step", "State", "When", "Said"), rows, wide=frozenset({4})),))


def _compare_classes(found: Retraining) -> Section | None:
    compared = found.find_step("evaluation").detail
    classes = (compared.get("unseen") or {}).get("per_class")
    if not classes:
        return None
    rows = tuple((name, str(count), say(new), say(old)) for name, (count, new, old) in classes.items())
    headers = ("Class", "Rows", "Recall, candidate", f"Recall, {compared.get('against', 'live')}")
    note = "On the rows that neither of the two was fitted on."
    return Section("Class by class", (Table(headers, rows, numbers=frozenset({1, 2, 3}), note=note),))


def _explain(found: Retraining) -> Section | None:
    """Why it was not better, and what may be tried next."""
    detail = found.find_step("request").detail
    blocks: list[Block] = [Text(text) for text in detail.get("findings", [])]
    reruns = tuple((one["label"], one["why"]) for one in detail.get("reruns", []))
    if reruns:
        blocks.append(Table(("May be tried next", "Why"), reruns, wide=frozenset({1})))
    return Section("Why it was not better", tuple(blocks)) if blocks else None


def _measure(home: Home, found: Retraining) -> Section | None:
    """The new version on its hold-out rows, beside the version that was live and beside doing nothing."""
    if not found.version:
        return None
    summary = get_version(home, found.project, found.version).summary
    mine = {**(summary.get("holdout") or {}), **(summary.get("at_threshold") or {})}
    intervals: dict[str, Any] = {} if summary.get("at_threshold") else summary.get("intervals") or {}
    nothing = (summary.get("baseline") or {}).get("holdout") or {}
    rows = tuple(
        (wording.METRICS.get(n, n), say(nothing.get(n)), say(float(mine[n])), say_range(*measures.find_interval(intervals, n)))
        for n in measures.list_names(mine)
    )  # fmt: skip
    headers = ("Metric", "Doing nothing", f"Version {found.version}", "95 % interval")
    note = "On rows that it had not seen; the comparison with the live version is in the steps above."
    table = Table(headers, rows, numbers=frozenset({1, 2, 3}), note=note)
    return Section("How good the new version is", (*measures.draw(mine, intervals, nothing), table))


def _say_request(home: Home, found: Retraining) -> Section:
    if not found.request_id:
        return Section("Release", (Text("No release was requested."),))
    request = approvals.get_request(home, found.request_id)
    decided = f"{request.decided_by}, {say_time(request.decided_at)}" if request.decided_by else "nobody yet"
    rows = [("Request", str(request.id)), ("State", request.state), ("Decided by", decided), ("Reason", request.decision_reason or "none given")]
    against = (request.evidence.get("live") or {}).get("sentence")
    if against:
        rows.append(("Against the live version", against))
    return Section("Release", (Facts(tuple(rows)),))
