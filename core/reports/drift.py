"""What a drift report says: how far the rows of a period have moved from the training data, column by column."""

from __future__ import annotations

from core import audit
from core.drift import checks
from core.drift.checks import Check
from core.drift.compute import ColumnDrift
from core.errors import BadInput, NotFound
from core.home import Home
from core.projects.projects import get_definition
from core.registry.wording import METRICS
from core.reports.charts import Bar, bars, pairs
from core.reports.document import (
    UNKNOWN,
    Block,
    Chart,
    Document,
    Facts,
    Section,
    Table,
    Text,
    count_of,
    find_number,
    say,
    say_time,
    sections_of,
    some,
)
from storage import versions as versions_store
from storage.connection import reading

_WORDS = {"ok": "OK", "warning": "Warning", "drift": "Drift", "unknown": "Unknown"}
_LEVELS = {"none": "ok", "medium": "look", "high": "act"}
_MOST_BARS = 30
_MOST_ROWS = 100
_MOST_SHAPES = 4
_MOST_BINS = 12


def describe(home: Home, project: str, subject: str) -> Document:
    """The report of one drift check; ``subject`` is its id.

    Raises
    ------
    NotFound
        The project has no such check.
    """
    number = find_number(subject)
    check = checks.get_check(home, number) if number is not None else None
    if check is None or check.project != project:
        raise NotFound(f"Project {project} has no drift check {subject[:20]!r}.")
    result = check.result
    row = versions_store.find_version_by_id(reading(home.db), check.version_id) if check.version_id else None
    return Document(
        "drift", project, subject, f"Drift of {get_definition(home, project).title}",
        f"Check {check.id} of {say_time(check.at)}, by {check.by}", _LEVELS.get(check.alert.get("level", ""), "unknown"),
        str(check.alert.get("sentence") or result.sentence),
        Facts((
            ("Overall drift", f"{say(result.overall, 2)}, {_WORDS[result.status].lower()}"),
            ("Limits", f"warning from {result.warning:g}, drift from {result.drift:g}"),
            ("Model version", row["version"] if row else "none; data against data"),
            ("Reference", f"{check.reference.get('label', UNKNOWN)}, {count_of(result.reference_rows, 'row')}"),
            ("Current rows", f"{check.current.get('label', UNKNOWN)}, {count_of(result.current_rows, 'row')}"),
        )),
        sections_of(_columns(check), _shapes(check), _prediction(check), _quality(check), _evidently(check), _explain()),
        _find_correlation(home, check),
    )  # fmt: skip


def _find_correlation(home: Home, check: Check) -> str:
    """The correlation id of who made the check; the clock's own checks are no acts and have none."""
    found, _ = audit.search(home, project=check.project, action="check_drift", since=check.at, limit=200)
    return next((str(e["correlation_id"]) for e in found if e["subject"] == f"drift check {check.id}"), "")


def find_subject(home: Home, project: str) -> str:
    """The newest check, for who names none."""
    latest = checks.find_latest(home, project)
    if latest is None:
        raise BadInput(f"Project {project} has no drift check yet; run one first.")
    return str(latest.id)


def drift_bars(columns: tuple[ColumnDrift, ...], warning: float, drift: float) -> Chart:
    """The worst columns as bars, each with its score and its status in words."""
    drawn = [
        Bar(c.name, c.score, "unknown" if c.score is None else f"{c.score:.2f} {say_status(c).lower()}", "chance" if c.within_chance else c.status)
        for c in columns[:_MOST_BARS]
    ]  # fmt: skip
    note = f"The {_MOST_BARS} worst of {len(columns)} columns." if len(columns) > _MOST_BARS else ""
    return Chart(bars(drawn, limits=((warning, "warning"), (drift, "drift"))), "; ".join(f"{b.name} {b.note}" for b in drawn), note)


def say_status(column: ColumnDrift) -> str:
    return "Within chance" if column.within_chance else _WORDS[column.status]


def _columns(check: Check) -> Section:
    result = check.result
    found = result.worst_first
    if not found:
        return Section("Columns", (Text("No column could be measured."),))
    rows = [
        (c.name, say(c.score, 2), say_status(c), _say_p(c.p_adjusted), _percent(c.reference_missing), _percent(c.current_missing), c.reason)
        for c in found
    ]  # fmt: skip
    kept, note = some(rows, _MOST_ROWS, "columns")
    with_reason = any(row[-1] for row in kept)
    headers = ("Column", "Score", "Status", "p (corrected)", "Missing before", "Missing now", *(("Why unknown",) if with_reason else ()))
    shown = kept if with_reason else tuple(row[:-1] for row in kept)
    return Section(
        "Columns, the worst first",
        (drift_bars(found, result.warning, result.drift), Table(headers, shown, numbers=frozenset({1, 3, 4, 5}), note=note)),
    )


def _shapes(check: Check) -> Section | None:
    """What the columns that moved look like now, beside the reference."""
    moved = [c for c in check.result.worst_first if c.counted and c.status in ("warning", "drift")][:_MOST_SHAPES]
    blocks: list[Block] = []
    for column in moved:
        blocks += [Text(f"{column.name}: {say(column.score, 2)}, {say_status(column).lower()}."), _shape(column)]
    return Section("How the most changed columns look", tuple(blocks)) if blocks else None


def _shape(column: ColumnDrift) -> Chart:
    bins = [b for b in zip(column.labels, column.reference_shares, column.current_shares, strict=True) if b[1] or b[2]]
    kept = bins
    if len(bins) > _MOST_BINS:
        largest = sorted(bins, key=lambda b: -max(b[1], b[2]))[: _MOST_BINS - 1]
        rest = [b for b in bins if b not in largest]
        kept = [*(b for b in bins if b in largest), (f"({len(rest)} further)", sum(b[1] for b in rest), sum(b[2] for b in rest))]
    names = (f"reference ({count_of(column.n, 'row')})", f"current ({count_of(column.m, 'row')})")
    return Chart(pairs(kept, names), f"Shares of {column.name}: " + "; ".join(f"{n} {a:.0%} before, {b:.0%} now" for n, a, b in kept))


def _prediction(check: Check) -> Section | None:
    column = check.result.prediction
    if column is None:
        return None
    says = column.reason if column.score is None else f"The answers themselves: {column.score:.2f}, {say_status(column).lower()}."
    blocks = (Text(says or "Unknown."), *((_shape(column),) if column.labels and column.reference_shares and column.current_shares else ()))
    return Section("The predictions", blocks)


def _quality(check: Check) -> Section:
    quality = check.quality
    if not quality:
        return Section("Was it right?", (Text("Unknown: no label of these rows has come back, so drift says only that they differ."),))
    now, training = quality.get("now") or {}, quality.get("training") or {}
    rows = tuple(
        (METRICS.get(k, k), say(now.get(f"baseline_{k}")), say(training.get(k)), say(float(v) if isinstance(v, int) else v))
        for k, v in now.items() if k in METRICS
    )  # fmt: skip
    recalls = tuple(
        (f"Recall of {name}", UNKNOWN, say(training.get(f"recall:{name}")), say(float(v))) for name, v in (now.get("recall_by_class") or {}).items()
    )
    note = f"On {count_of(int(quality.get('rows') or 0), 'row')} whose label has come back, answered by version {quality.get('version') or UNKNOWN}."
    table = Table(("Metric", "Doing nothing", "In training", "Now"), rows + recalls, numbers=frozenset({1, 2, 3}), note=note)
    return Section("Was it right?", (table,))


def _evidently(check: Check) -> Section | None:
    if check.evidently_error:
        return Section("Second opinion (Evidently)", (Text(f"Not available: {check.evidently_error}"),))
    if not check.evidently:
        return None
    found = check.evidently
    columns = found.get("columns") or []
    drifted = [c["name"] for c in columns if c.get("status") == "drift"]
    unknown = sum(c.get("status") == "unknown" for c in columns)
    names = f": {', '.join(drifted[:20])}" if drifted else ""
    sample = ", on a sample of the rows" if found.get("sampled") else ""
    more = f" {count_of(unknown, 'column')} could not be measured." if unknown else ""
    text = f"Evidently {found.get('version', '')} calls {len(drifted)} of {count_of(len(columns), 'column')} drifted{sample}{names}.{more}"
    return Section("Second opinion (Evidently)", (Text(text),))


def _explain() -> Section:
    return Section("How to read the score", (Text(
        "0 is as in the reference, 1 is nothing alike: PSI / (PSI + 0.1), after the part that chance explains was taken off. A score "
        "counts only if a chi-square test stays significant after correction over all columns; otherwise it is within chance.", "quiet",
    ),))  # fmt: skip


def _say_p(p: float | None) -> str:
    return UNKNOWN if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.1%}"
