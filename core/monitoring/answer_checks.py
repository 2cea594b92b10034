"""What was predicted lately: from which rows, which answers, how sure, and how unlike the training data. Hourly counts only."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.drift import checks as drift_checks
from core.home import Home
from core.monitoring.findings import Finding, percent
from core.monitoring.traffic_checks import judge_series
from core.numbers import count_of, say_number
from core.projects.definition import Definition
from core.projects.limits import Limits
from core.scoring import profiles
from core.times import stamp
from storage import versions as versions_store
from storage import watching as store
from storage.connection import reading

if TYPE_CHECKING:
    from core.drift.bins import Bins, Profile

# the first in which enough was predicted
SPANS = ((timedelta(hours=24), "the last 24 hours"), (timedelta(days=7), "the last 7 days"))
LONGEST_HOURS = SPANS[-1][0] / timedelta(hours=1)
LEAST = 30  # predictions
LEAST_MIX = 100  # predictions: a rare answer needs more
LEVEL_HOURS = 7 * 24


@dataclass(frozen=True)
class Lately:
    """The predictions of the live version in the last day, or week.

    Attributes
    ----------
    rows, problem_rows, unsure : int
    by_label : Counter
        Answer -> predictions; "" where numbers are predicted.
    bins, profile, reference : Bins and Profiles, or None
        Counts per bin of the period, and of the training data.
    """

    version: str
    words: str
    rows: int
    problem_rows: int
    unsure: int
    by_label: Counter[str]
    bins: Bins | None
    profile: Profile | None
    reference: Profile | None


def check_answers(home: Home, project: str, definition: Definition, limits: Limits, *, now: datetime) -> list[Finding]:
    """Missing values, answers with a problem, unsure answers, the mix of answers, and their level."""
    live = versions_store.find_live(reading(home.db), project)
    if live is None:
        return []
    lately = read_lately(home, project, live, now=now)
    found = [judge_problems(lately, limits), *judge_missing(lately, limits)]
    if definition.is_classifier:
        found += [judge_unsure(lately, limits), judge_mix(lately, definition, limits)]
    return [*found, judge_level(home, project, live, definition, limits, now=now)]


def check_drift(home: Home, project: str, limits: Limits, *, now: datetime) -> list[Finding]:
    """Columns and predictions against the training data, by the drift score, from the hourly profiles."""
    from core.drift.compute import compare
    from core.drift.verdict import judge

    live = versions_store.find_live(reading(home.db), project)
    if live is None:
        return []
    lately = read_lately(home, project, live, now=now)
    thresholds = limits.thresholds
    blank = Finding("drift", "Drift", "unknown", "", unit="score", threshold=thresholds.drift_warning, rows=lately.rows, version=lately.version)
    if lately.bins is None or lately.profile is None or lately.reference is None:
        return [replace(blank, sentence=_nothing_counted(lately))]
    result = compare(lately.reference, lately.profile, bins=lately.bins, thresholds=thresholds)
    verdict = judge(result, importances=drift_checks.find_importances(live))
    state = {"high": "critical", "medium": "warning", "none": "ok"}.get(verdict.level, "unknown")
    columns = {c.name: [c.score, c.status, c.within_chance] for c in result.columns}
    hours = next((span / timedelta(hours=1) for span, words in SPANS if words == lately.words), LONGEST_HOURS)
    found = [
        replace(
            blank, state=state, sentence=f"{verdict.sentence} ({count_of(lately.profile.rows, 'row')} of {lately.words})", value=verdict.severity,
            threshold=thresholds.drift if state == "critical" else thresholds.drift_warning, rows=lately.profile.rows,
            detail={"overall": result.overall, "band": result.status, "columns": list(verdict.columns), "scores": columns, "hours": hours},
        )
    ]  # fmt: skip
    answers = result.prediction
    if answers is not None:
        mix = replace(blank, kind="prediction_drift", title="Answers unlike those in training", rows=answers.m, detail={"hours": hours})
        if answers.status == "unknown":
            return [*found, replace(mix, sentence=answers.reason)]
        score = answers.counted or 0.0
        chance = " (within chance)" if answers.within_chance else ""
        sentence = f"The answers of {lately.words} differ from those in training by a drift score of {answers.score or 0.0:.2f}{chance}."
        found.append(replace(mix, state="ok" if answers.status == "ok" else "warning", sentence=sentence, value=score))
    return found


def read_lately(home: Home, project: str, live: dict[str, Any], *, now: datetime) -> Lately:
    """The live version's predictions of the last 24 hours, or of 7 days where those are fewer than ``LEAST``; whole hours."""
    version = live["version"]
    for span, words in SPANS:  # noqa: B007 - both are used after the loop
        since = now - span
        hours = store.list_answer_hours(reading(home.predictions_db), project, since=stamp(since), version=version)
        if sum(h["rows"] for h in hours) >= LEAST:
            break
    labels: Counter[str] = Counter()
    for hour in hours:
        labels[hour["label"]] += hour["rows"]
    bins, profile = profiles.sum_hours(home, project, since=since, version=version) or (None, None)
    rows, problems, unsure = (sum(h[name] for h in hours) for name in ("rows", "problem_rows", "unsure"))
    return Lately(version, words, rows, problems, unsure, labels, bins, profile, _reference(home, live["id"]))


def judge_problems(lately: Lately, limits: Limits) -> Finding:
    """The share of scored rows that had a value missing, out of range or of the wrong kind."""
    limit = limits.watching.problem_rows
    blank = Finding("problem_rows", "Rows with a problem", "unknown", "", unit="share", threshold=limit, rows=lately.rows, version=lately.version)
    if lately.rows < LEAST:
        return replace(blank, sentence=_too_few(lately, LEAST))
    share = lately.problem_rows / lately.rows
    sentence = f"{lately.problem_rows:,} of {lately.rows:,} rows of {lately.words} had a problem ({percent(share)})."
    return replace(blank, state="warning" if share >= limit else "ok", sentence=sentence, value=share)


def judge_missing(lately: Lately, limits: Limits) -> list[Finding]:
    """Missing values of each column that has too many, after one finding for all of them.

    A column that was half empty in training is judged by what is missing beyond that.
    """
    limit = limits.watching.missing
    blank = Finding("missing_values", "Missing values", "unknown", "", unit="share", threshold=limit, rows=lately.rows, version=lately.version)
    if lately.profile is None or lately.profile.rows < LEAST:
        return [replace(blank, sentence=_too_few(lately, LEAST) if lately.rows < LEAST else _nothing_counted(lately))]
    worst, high = 0.0, []
    for name, counts in lately.profile.counts.items():
        if not sum(counts):
            continue
        share, usual = counts[-1] / sum(counts), _usual_missing(lately, name)
        allowed = limit if usual < limit else min(usual + limit, 1.0)
        worst = max(worst, share)
        if share >= allowed and share > usual:
            sentence = f"{name} is missing in {percent(share)} of {lately.profile.rows:,} rows of {lately.words}, in {percent(usual)} in training."
            high.append(replace(blank, subject=name, state="warning", sentence=sentence, value=share, threshold=allowed))
    of = f"{len(lately.profile.counts)} columns in {lately.profile.rows:,} rows of {lately.words}"
    sentence = f"{len(high)} of {of} have too many missing values." if high else f"None of {of} has too many missing values."
    # the columns speak for themselves: an alert for each, none for their sum
    return [replace(blank, state="ok", sentence=sentence, value=worst), *sorted(high, key=lambda f: -(f.value or 0.0))]


def judge_unsure(lately: Lately, limits: Limits) -> Finding:
    """The share of answers whose probability was 0.4 to 0.6."""
    limit = limits.watching.unsure_share
    blank = Finding("unsure", "Unsure answers", "unknown", "", unit="share", threshold=limit, rows=lately.rows, version=lately.version)
    if lately.rows < LEAST:
        return replace(blank, sentence=_too_few(lately, LEAST))
    share = lately.unsure / lately.rows
    sentence = f"{lately.unsure:,} of {lately.rows:,} answers of {lately.words} had a probability of 0.4 to 0.6 ({percent(share)})."
    return replace(blank, state="warning" if share > limit else "ok", sentence=sentence, value=share)


def judge_mix(lately: Lately, definition: Definition, limits: Limits) -> Finding:
    """The rarest answer: a model that hardly ever gives one of its classes may have stopped telling them apart.

    A class that was rare among the answers in training is judged by half of that share.
    """
    limit = limits.watching.minority_share
    blank = Finding("minority", "Rarest answer", "unknown", "", unit="share", threshold=limit, rows=lately.rows, version=lately.version)
    if lately.rows < LEAST_MIX:
        return replace(blank, sentence=_too_few(lately, LEAST_MIX))
    shares = {name: lately.by_label[name] / lately.rows for name in definition.classes}
    allowed = {name: min(limit, _usual_answers(lately, name, limit) / 2) for name in shares}
    rarest = min(shares, key=lambda name: shares[name] - allowed[name])
    sentence = f"{percent(shares[rarest])} of {lately.rows:,} answers of {lately.words} were {rarest}."
    state = "warning" if shares[rarest] < allowed[rarest] else "ok"
    return replace(blank, state=state, sentence=sentence, value=shares[rarest], threshold=allowed[rarest], detail={"shares": shares})


def judge_level(
    home: Home, project: str, live: dict[str, Any], definition: Definition, limits: Limits, *, now: datetime
) -> Finding:
    """The mean answer by hour: does one of the newest hours stand out of the last week?

    The mean score is read from the counts: 100 x the share of class 1, or the mean weight of the levels; where classes have no
    order, the share of the class that is most frequent; for numbers, the middles of the bins.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    since = hour - timedelta(hours=LEVEL_HOURS)
    version = live["version"]
    errors: list[float] | None = None
    names = [stamp(since + timedelta(hours=n))[:13] for n in range(LEVEL_HOURS)]
    if definition.is_classifier:
        hours = store.list_answer_hours(reading(home.predictions_db), project, since=stamp(since), until=stamp(hour), version=version)
        means = _mean_classes(definition, hours)
        rows: Counter[str] = Counter()
        for h in hours:
            rows[h["hour"]] += h["rows"]
        errors = [50 / math.sqrt(max(rows[name], 1)) for name in names]  # values of 0 to 100 deviate by 50 at most
    else:
        means = _mean_numbers(home, project, live, since, hour)
    series = [means.get(name) for name in names]
    found = judge_series("score", "Mean answer by hour", series, limits.watching, say=lambda v: f"{say_number(v, 3)}", errors=errors)
    return replace(found, version=version)


def _mean_classes(definition: Definition, hours: list[dict[str, Any]]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for h in hours:
        total[h["label"]] += h["rows"]
    if definition.task == "binary":
        weights = {"1": 1.0}
    else:
        weights = definition.level_weights or {max(total, key=lambda label: total[label]): 1.0} if total else {}
    rows: Counter[str] = Counter()
    sums: dict[str, float] = defaultdict(float)
    for h in hours:
        rows[h["hour"]] += h["rows"]
        sums[h["hour"]] += h["rows"] * weights.get(h["label"], 0.0)
    return {hour: 100 * sums[hour] / n for hour, n in rows.items() if n >= LEAST}


def _mean_numbers(home: Home, project: str, live: dict[str, Any], since: datetime, until: datetime) -> dict[str, float]:
    import numpy as np

    from storage import predictions as predictions_store

    counter = profiles.counter_of(home, live["id"], live["sha256"])
    if counter is None or counter.bins.prediction is None or not counter.bins.prediction.edges:
        return {}
    edges = np.asarray(counter.bins.prediction.edges)
    middles = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    last = stamp(until - timedelta(hours=1))[:13]
    found = {}
    for hour in predictions_store.list_hour_profiles(
        reading(home.predictions_db), project, counter.bins_id, since=stamp(since)[:13], until=last, version=live["version"]
    ):
        counts = np.frombuffer(hour["counts"], dtype=np.int64)[-counter.bins.prediction.size : -1]
        if counts.sum() >= LEAST:
            found[hour["hour"]] = float((counts * middles).sum() / counts.sum())
    return found


def _reference(home: Home, version_id: int) -> Profile | None:
    from core.drift.bins import profile_from_json

    found = versions_store.find_profile(reading(home.db), version_id)
    return profile_from_json(found[1]) if found else None


def _usual_missing(lately: Lately, column: str) -> float:
    counts = lately.reference.counts.get(column, ()) if lately.reference else ()
    return counts[-1] / sum(counts) if sum(counts) else 0.0


def _usual_answers(lately: Lately, name: str, limit: float) -> float:
    """Share of a class among the answers in training; twice the limit where that is not known."""
    if lately.reference is None or lately.bins is None or lately.bins.prediction is None or not sum(lately.reference.prediction):
        return 2 * limit
    values = lately.bins.prediction.values
    return lately.reference.prediction[values.index(name)] / sum(lately.reference.prediction) if name in values else 2 * limit


def _too_few(lately: Lately, least: int) -> str:
    return f"Version {lately.version} answered {lately.rows:,} rows in {lately.words}; {least} are needed to say."


def _nothing_counted(lately: Lately) -> str:
    if lately.reference is None:
        return f"Version {lately.version} has no reference profile; register it again to have one."
    return f"Nothing of what version {lately.version} predicted in {lately.words} was counted."
