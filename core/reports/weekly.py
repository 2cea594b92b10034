"""What a weekly report says: what was live, how much it was asked, how right it was, what went wrong, and who decided what."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

from core import approvals, deployment
from core.agent import agent_requests, incidents
from core.agent.diagnosis import CAUSES
from core.errors import BadInput
from core.home import Home
from core.jobs import jobs
from core.monitoring import alerts, quality, trends
from core.projects import proposals
from core.projects.limits import get_limits
from core.projects.projects import get_definition
from core.reports.charts import Step, columns, lines
from core.reports.document import (
    Chart,
    Document,
    Facts,
    Section,
    Table,
    Text,
    count_of,
    say,
    say_day,
    say_range,
    say_time,
    sections_of,
    some,
)
from core.retraining import retraining
from core.times import parse, stamp

WEEK = timedelta(days=7)
LONGEST = timedelta(days=92)
FIRST_YEAR = 1970
_MOST = 20
_MOST_READ = 20_000  # alerts


def describe(home: Home, project: str, subject: str) -> Document:
    """The report of a period; ``subject`` as :func:`read_period` takes it.

    Raises
    ------
    BadInput
        The period cannot be read.
    """
    since, until = read_period(subject)
    title = get_definition(home, project).title
    found = quality.over_time(home, project, since=since, until=until, step="day")
    answer = trends.answer(home, found)
    seen = alerts.list_alerts(home, project, since=since, limit=_MOST_READ)
    opened = [a for a in seen if stamp(since) <= a.since < stamp(until)]
    level, verdict = _judge(answer, opened)
    spans = [s for s in deployment.list_deployments(home, project) if s.live_from < stamp(until) and (s.live_until or "9") >= stamp(since)]
    volume = trends.volume_over_time(home, project, since=since, until=until, step="day")
    last = until - timedelta(days=1)
    return Document(
        "weekly", project, f"{since:%Y-%m-%d}/{until:%Y-%m-%d}", f"{title}: {say_day(since)} to {say_day(last)}",
        f"{count_of((until - since).days, 'day')}, UTC", level, verdict,
        Facts((
            ("Live", ", ".join(f"{s.version} ({'until ' + say_time(s.live_until) if s.live_until and s.live_until < stamp(until) else 'to the end'})"
                               for s in reversed(spans[:6])) or "nothing was live"),
            ("Predictions", f"{say(sum(v.rows for v in volume))}, {say(sum(v.problem_rows for v in volume))} of them with a problem"),
            ("Labels that came back", say(found.whole.rows) if found.whole else "none"),
            ("Alerts opened", f"{'at least ' if len(seen) == _MOST_READ else ''}{say(len(opened))}, {_count_critical(opened)} of them critical"),
        )),
        sections_of(
            _quality(home, found, since, until), _drift(home, project, since, until), _volume(volume, since, until), _alerts(opened),
            _incidents(home, project, since, until), _decisions(home, project, since, until), _work(home, project, since, until),
        ),
        "", stamp(since), stamp(until),
    )  # fmt: skip


def find_period(now: datetime) -> str:
    """The seven whole days (UTC) before ``now``."""
    until = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return f"{until - WEEK:%Y-%m-%d}/{until:%Y-%m-%d}"


def read_period(text: str) -> tuple[datetime, datetime]:
    """Both ends (UTC, the second not included) of ``2026-W47`` or of ``2026-11-14/2026-11-21``."""
    try:
        if re.fullmatch(r"\d{4}-W\d{2}", text, re.ASCII):
            since = datetime.fromisocalendar(int(text[:4]), int(text[6:]), 1).replace(tzinfo=UTC)
            until = since + WEEK
        else:
            since, until = (datetime.strptime(end, "%Y-%m-%d").replace(tzinfo=UTC) for end in text.split("/"))
        if since.year < FIRST_YEAR:
            raise ValueError(text)
    except (ValueError, OverflowError):
        raise BadInput(f"{text[:40]!r} is no period; write a week such as 2026-W47, or two days such as 2026-11-14/2026-11-21.") from None
    if not timedelta() < until - since <= LONGEST:
        raise BadInput(f"The period {text[:40]} must end after it begins, and be at most {LONGEST.days} days long.")
    return since, until


def _judge(answer: trends.Answer, opened: list[alerts.Alert]) -> tuple[str, str]:
    """How the week was: the worst of quality and of the alerts that opened."""
    critical = _count_critical(opened)
    said = f"{count_of(critical, 'critical alert')} opened. " if critical else ""
    level = "act" if any(a.open and a.severity == "critical" for a in opened) else "look" if critical else answer.level
    return (level if level in ("ok", "look", "act") else "unknown"), said + answer.sentence


def _count_critical(found: list[alerts.Alert]) -> int:
    return sum(a.severity == "critical" for a in found)


def _quality(home: Home, found: quality.OverTime, since: datetime, until: datetime) -> Section:
    if found.whole is None:
        return Section("How right it was", (Text("Unknown: no label came back for the predictions of these days."),))
    name = found.names[0]
    by_day: dict[str, quality.Point] = {}
    for point in found.points:
        if point.start not in by_day or not point.version:
            by_day[point.start] = point
    days = trends.list_steps(since, until, "day")
    steps = []
    for day in days:
        metric = by_day[day].metrics.get(name) if day in by_day else None
        steps.append(Step(_day(day), metric.value if metric else None, metric.low if metric else None, metric.high if metric else None))
    title = quality.TITLES[name]
    shares = name in ("accuracy", "f1", "auc", "ndcg")
    marks = _marks(home, found.project, days)
    drawn = lines(steps, unit=f"{title} each day, with its 95 % interval", top=1.0 if shares else None, marks=marks)
    chart = Chart(drawn, "; ".join(f"{s.name} {say(s.value)}" for s in steps), "A day without a label is a gap.")
    rows = tuple(
        (quality.TITLES.get(k, k), say(m.baseline), say(m.value), say_range(m.low, m.high), m.reason) for k, m in found.whole.metrics.items()
    )  # fmt: skip
    note = f"On {count_of(found.whole.rows, 'labelled prediction')}."
    table = Table(("Metric", "Doing nothing", "These days", "95 % interval", ""), rows, numbers=frozenset({1, 2, 3}), note=note)
    return Section("How right it was", (chart, table))


def _marks(home: Home, project: str, days: list[str]) -> list[tuple[int, str]]:
    """Days on which a version went live, and which; the last of a day."""
    places = {day[:10]: place for place, day in enumerate(days)}
    spans = reversed(deployment.list_deployments(home, project))
    return sorted({places[s.live_from[:10]]: f"{s.version} live" for s in spans if s.live_from[:10] in places}.items())


def _drift(home: Home, project: str, since: datetime, until: datetime) -> Section:
    points = [p for p in trends.drift_over_time(home, project, since=since, until=until, step="day") if p.rows]
    known = {p.start: p for p in points}  # the last version of a day, where two answered
    if not any(p.overall is not None for p in points):
        return Section("Drift", (Text("Unknown: too few rows were predicted in a day to measure it."),))
    limits = get_limits(home, project).thresholds
    steps = [Step(_day(d), known[d].overall if d in known else None) for d in trends.list_steps(since, until, "day")]
    marks = ((limits.drift_warning, "warning"), (limits.drift, "drift"))
    says = "; ".join(f"{s.name} {say(s.value, 2)}" for s in steps)
    chart = Chart(lines(steps, unit="overall drift each day", top=1.0, limits=marks), says)
    rows = tuple((_day(p.start), p.version, say(p.rows), say(p.overall, 2), p.worst or "none") for p in points)
    return Section("Drift", (chart, Table(("Day", "Version", "Rows", "Overall", "Most changed"), rows[:_MOST], numbers=frozenset({2, 3}))))


def _volume(volume: tuple[trends.VolumePoint, ...], since: datetime, until: datetime) -> Section:
    if not volume:
        return Section("How much it was asked", (Text("Nobody asked for a prediction."),))
    rows: Counter[str] = Counter()
    for point in volume:
        rows[point.start] += point.rows
    steps = [Step(_day(d), float(rows.get(d, 0))) for d in trends.list_steps(since, until, "day")]
    says = "; ".join(f"{s.name} {s.value:.0f}" for s in steps)
    return Section("How much it was asked", (Chart(columns(steps, unit="predictions each day"), says),))


def _alerts(opened: list[alerts.Alert]) -> Section:
    if not opened:
        return Section("Alerts", (Text("None opened."),))
    worst = sorted(opened, key=lambda a: (a.severity != "critical", a.since))
    rows = [(a.title, a.severity, a.state, say_time(a.since), a.sentence) for a in worst]
    kept, note = some(rows, _MOST, "alerts")
    return Section("Alerts", (Table(("Alert", "Severity", "State", "Since", "Said"), kept, wide=frozenset({4}), note=note),))


def _incidents(home: Home, project: str, since: datetime, until: datetime) -> Section:
    first, last = stamp(since), stamp(until)
    found = [i for i in incidents.list_incidents(home, project, limit=1000) if i.opened_at < last and (i.closed_at or "9") >= first]
    if not found:
        return Section("Incidents", (Text("There was none."),))
    rows = [
        (str(i.id), CAUSES.get(i.cause, i.cause), f"{i.severity:.2f}", i.state, say_time(i.opened_at), i.outcome or "not over") for i in found
    ]  # fmt: skip
    kept, note = some(rows, _MOST, "incidents")
    headers = ("", "Cause", "Severity", "State", "Opened", "Outcome")
    return Section("Incidents", (Table(headers, kept, numbers=frozenset({2}), wide=frozenset({5}), note=note),))


def _decisions(home: Home, project: str, since: datetime, until: datetime) -> Section:
    """Every request that was filed or decided in the period: releases, the agent's, changes of settings."""
    first, last = stamp(since), stamp(until)
    found: list[tuple[str, tuple[str, ...]]] = []
    for what, requests in (
        ("Release of {0.version}", approvals.list_requests(home, project=project)),
        ("{0.title}", agent_requests.list_requests(home, project=project)),
        ("Change of settings", proposals.list_requests(home, project=project)),
    ):
        for r in requests:
            moments = [m for m in (r.requested_at, r.decided_at) if m]
            if any(first <= m < last for m in moments):
                found.append((r.requested_at, (
                    what.format(r), f"{r.requested_by}, {say_time(r.requested_at)}", r.state, r.decided_by or "nobody", r.decision_reason or r.reason,
                )))  # fmt: skip
    if not found:
        return Section("Requests and decisions", (Text("Nothing was asked and nothing was decided."),))
    kept, note = some([row for _, row in sorted(found)], _MOST, "requests")
    headers = ("What", "Asked by", "State", "Decided by", "Reason")
    return Section("Requests and decisions", (Table(headers, kept, wide=frozenset({4}), note=note),))


def _work(home: Home, project: str, since: datetime, until: datetime) -> Section:
    """Retrainings, and jobs that failed."""
    first, last = stamp(since), stamp(until)
    rows: list[tuple[str, ...]] = [
        (f"Retraining {r.id}", r.outcome or r.state, say_time(r.started_at), r.sentence)
        for r in retraining.list_retrainings(home, project) if first <= r.started_at < last
    ]  # fmt: skip
    failed = [j for j in jobs.list_jobs(home, project=project, states=("failed", "interrupted"), limit=500) if first <= j.created_at < last]
    rows += [(f"Job {j.id} ({j.kind})", j.state, say_time(j.created_at), j.error or "no reason is known") for j in failed]
    if not rows:
        return Section("Retrainings and failed jobs", (Text("No retraining was started and no job failed."),))
    kept, note = some(rows, _MOST, "rows")
    return Section("Retrainings and failed jobs", (Table(("What", "State", "When", "Said"), kept, wide=frozenset({3}), note=note),))


def _day(start: str) -> str:
    return parse(start[:10] + "T00:00:00Z").strftime("%-d %b")

