"""How good a version is on rows with answers that somebody brings: metrics, intervals, and doing nothing beside them."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.datasets import suite_checks
from core.errors import BadInput
from core.home import Home
from core.projects.definition import Definition
from core.registry.versions import get_version
from core.times import stamp

if TYPE_CHECKING:
    from core.training.intervals import Answers

BASELINE_RULES = {
    "binary": "always the most frequent class of this table",
    "multiclass": "always the most frequent class of this table",
    "regression": "always the mean of this table",
    "ranking": "rows in random order",
}
SEED = 42  # of the intervals and of the random order


def evaluate_version(home: Home, project: str, version: str, content: bytes, *, file_name: str, now: datetime) -> dict[str, Any]:
    """Evaluate a version on a labelled table. Reads only: nothing is logged and no row is kept.

    Returns
    -------
    dict
        JSON data: project, version, at, data (file_name, sha256, rows, labelled, class_rows), metric, metrics, intervals
        (95 %, [low, high]), per_class, confusion, baseline (rule, metrics), difference (to the baseline in the project's
        metric, with its paired interval), training (hold-out metrics when it was trained), findings, sentence.

    Raises
    ------
    BadInput
        The table cannot be read, lacks a feature, the target or the group, or has no row with an answer.
    Refused
        The version's files are not those that were registered.
    """
    import numpy as np
    import pandas as pd

    from core.datasets.prepare import prepare
    from core.datasets.read import read_table
    from core.datasets.validation import validate
    from core.scoring.scorer import load_scorer, score
    from core.training.intervals import Answers, metric_intervals, paired_difference
    from core.training.metrics import evaluate, scalar_names

    registered = get_version(home, project, version)
    scorer = load_scorer(home, project, version)
    definition = scorer.definition
    table = read_table(content, file_name=file_name)
    prepared = prepare(table, definition, purpose="scoring")
    if prepared.target is None:
        raise BadInput(f"{file_name} has no column {definition.target!r}; a version is evaluated on rows whose answer is known.")
    if definition.task == "ranking" and prepared.group is None:
        raise BadInput(f"{file_name} has no column {definition.group!r}; ranking is judged within each of its groups.")
    labelled = np.flatnonzero(pd.notna(prepared.target))
    if not len(labelled):
        raise BadInput(
            f"No row of {file_name} has a readable {definition.target}; a version is evaluated on rows whose answer is known."
        )
    scored = score(scorer, prepared.features.iloc[labelled])
    group = None if prepared.group is None else prepared.group[labelled]
    target = prepared.target[labelled] if definition.is_classifier else prepared.target[labelled].astype(float)
    answers = Answers(target, scored.prediction, scored.probabilities, group)
    metrics = evaluate(definition, answers.target, answers.prediction, answers.proba, answers.group, curves=False)
    nothing = _baseline(definition, answers)
    base = evaluate(definition, nothing.target, nothing.prediction, None, nothing.group, curves=False)
    intervals = metric_intervals(definition, answers, seed=SEED)
    difference = None if definition.task == "ranking" else paired_difference(definition, answers, nothing, seed=SEED)
    names = scalar_names(definition.task)
    metric = definition.metric
    main = "accuracy" if definition.is_classifier else metric
    low, high = (intervals[main].low, intervals[main].high) if main in intervals else (None, None)
    report = validate(prepared, definition, purpose="scoring")
    report, _ = suite_checks.add_to_report(home, report, suite_checks.find_suite(home, project), table, prepared, definition)
    return {
        "project": project,
        "version": version,
        "at": stamp(now),
        "data": {
            "file_name": file_name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "rows": len(prepared.features),
            "labelled": len(labelled),
            "class_rows": {c: int((target == c).sum()) for c in definition.classes} if definition.is_classifier else None,
        },
        "metric": metric,
        "metrics": {n: metrics.get(n) for n in names},
        "intervals": {n: [i.low, i.high] for n, i in intervals.items() if n in names},
        "per_class": metrics.get("per_class"),
        "confusion": metrics.get("confusion"),
        "baseline": {"rule": BASELINE_RULES[definition.task], "metrics": {n: base.get(n) for n in names}},
        "difference": None
        if difference is None
        else {
            "metric": metric,
            "value": _minus(metrics.get(metric), base.get(metric)),
            "low": difference.low,
            "high": difference.high,
        },
        "training": registered.summary.get("holdout", {}),
        "findings": [
            {"level": f.level, "column": f.column, "count": f.count, "text": f.text, "cure": f.cure} for f in report.findings
        ],
        "sentence": _sentence(
            project, version, file_name, len(labelled), main, metrics.get(main), (low, high), base.get(main), definition
        ),
    }


def _baseline(definition: Definition, answers: Answers) -> Answers:
    """What a model that learned nothing would answer."""
    import numpy as np

    from core.training.intervals import Answers

    if definition.task == "ranking":
        # equal scores keep the table's order, which may well be sorted by the answer: so the order is drawn
        order = np.random.default_rng(SEED).permutation(len(answers.target))
        constant = np.full(len(order), float(np.mean(answers.target)))
        return Answers(answers.target[order], constant, None, None if answers.group is None else answers.group[order])
    if definition.task == "regression":
        return Answers(answers.target, np.full(len(answers.target), float(np.mean(answers.target))), None, None)
    counts = {c: int((answers.target == c).sum()) for c in definition.classes}
    most = max(counts, key=lambda c: counts[c])
    return Answers(answers.target, np.full(len(answers.target), most, dtype=object), None, None)


def _minus(one: float | None, two: float | None) -> float | None:
    return None if one is None or two is None else one - two


def _sentence(
    project: str,
    version: str,
    file_name: str,
    rows: int,
    name: str,
    value: float | None,
    interval: tuple[float | None, float | None],
    baseline: float | None,
    definition: Definition,
) -> str:
    low, high = interval
    told = "unknown" if value is None else f"{value:.3f}"
    span = f" (95 % interval {low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    beside = "unknown" if baseline is None else f"{baseline:.3f}"
    return (
        f"Version {version} of {project} on {rows} answered rows of {file_name}: {name} {told}{span}; "
        f"{BASELINE_RULES[definition.task]}: {beside}."
    )
