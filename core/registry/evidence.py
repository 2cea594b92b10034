"""What a director needs to decide: gates, the live version on the same rows, and doing nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from core.datasets import versions as datasets
from core.home import Home
from core.projects.definition import Definition
from core.projects.limits import get_gates
from core.projects.projects import get_definition
from core.registry.versions import Version, _answers_at
from core.training import runs
from storage import versions as store
from storage.connection import reading


def make_evidence(home: Home, row: dict[str, Any]) -> dict[str, Any]:
    """Compute the evidence for releasing a version.

    Returns
    -------
    dict
        gates: list of {name, passed, value, threshold, sentence}; metric; metrics and baseline on the hold-out; live:
        comparison with the live version on this version's hold-out rows, or None; known_cases; sentences.
    """
    from core.training.selection import best_baseline, gate

    version = Version(**row)
    definition = get_definition(home, version.project, version.definition_sha)
    candidate = runs.get_candidate_row(home, version.candidate_id)
    run = runs.get_run(home, candidate.run_id)
    sweep = runs.get_sweep(home, run)
    live, interval = _against_live(home, version, run, sweep, candidate.name, definition)
    cases = version.summary.get("known_cases") or []
    checks = gate(
        sweep.result(candidate.name), definition, "production", baseline=best_baseline(sweep.results, definition.metric),
        known_cases=(sum(c["passed"] for c in cases), len(cases)) if cases else None, against_live=interval, seed=sweep.seed,
        gates=get_gates(home, version.project, definition),
    )
    return {
        "gates": [asdict(c) for c in checks], "metric": definition.metric, "metrics": version.summary.get("holdout", {}),
        "at_threshold": version.summary.get("at_threshold"), "cv": version.summary.get("cv", {}),
        "intervals": version.summary.get("intervals", {}), "baseline": version.summary.get("baseline"),
        "model": version.summary.get("title", ""), "per_class": version.summary.get("per_class"),
        "live": live, "known_cases": cases, "holdout_rows": len(sweep.holdout_rows), "train_rows": len(sweep.train_rows),
    }


def _against_live(home: Home, version: Version, run: Any, sweep: Any, name: str, definition: Definition) -> tuple[dict[str, Any] | None, Any]:
    """The live version on this version's hold-out rows: paired difference in the project's metric, and its interval."""
    from core.scoring.scorer import load_scorer, score
    from core.training.intervals import Answers, Interval, paired_difference
    from core.training.metrics import evaluate

    live = store.find_live(reading(home.db), version.project)
    if live is None:
        return None, None
    if live["definition_sha"] != version.definition_sha:
        sentence = f"Version {live['version']} is live with another schema; the two cannot be compared on the same rows."
        return {"version": live["version"], "difference": None, "sentence": sentence}, Interval(None, None)
    prepared = datasets.load(home, datasets.get_dataset(home, run.dataset_id), definition)
    rows = sweep.holdout_rows
    scorer = load_scorer(home, version.project, live["version"])
    answers = score(scorer, prepared.features.iloc[rows])
    mine = sweep.result(name).holdout_answers
    threshold = 0.5 if version.threshold is None else version.threshold
    new = Answers(mine.target, _answers_at(mine, definition, threshold), mine.proba, mine.group)
    old_prediction = answers.prediction if definition.is_classifier else answers.prediction.astype(float)
    old = Answers(mine.target, old_prediction, answers.probabilities, mine.group)
    difference = paired_difference(definition, new, old, seed=sweep.seed)
    metric = definition.metric
    new_metrics = evaluate(definition, new.target, new.prediction, new.proba, new.group)
    old_metrics = evaluate(definition, old.target, old.prediction, old.proba, old.group)
    new_value, old_value = new_metrics.get(metric), old_metrics.get(metric)
    same_data = live["dataset_id"] == run.dataset_id
    caveat = "" if same_data else " The live version may have been trained on some of these rows, which flatters it."
    change = None if new_value is None or old_value is None else new_value - old_value
    if change is None or difference.low is None or difference.high is None:
        sentence = f"On {len(rows)} rows, {metric} of this version or of live version {live['version']} is undefined."
        return {"version": live["version"], "difference": None, "sentence": sentence}, difference
    title = {"f1": "F1", "r2": "R2", "ndcg": "NDCG"}.get(metric, metric)
    verdict = "better" if difference.low > 0 else "worse" if difference.high < 0 else "not distinguishable"
    sentence = (
        f"On the same {len(rows)} rows, {title} changes by {change:+.3f} (95 % interval {difference.low:+.3f} to {difference.high:+.3f}) "
        f"against live version {live['version']}: {verdict}.{caveat}"
    )
    return {
        "version": live["version"], "metric": metric, "new": new_value, "old": old_value, "difference": change,
        "low": difference.low, "high": difference.high, "verdict": verdict, "sentence": sentence, "same_data": same_data,
        "rows": len(rows), "new_accuracy": new_metrics.get("accuracy"), "old_accuracy": old_metrics.get("accuracy"),
    }, difference
