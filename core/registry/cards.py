"""What the registry writes for people and programs: metadata.json, MODEL_REGISTRY.md, MODEL_COMPARISON.md."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.datasets.versions import Dataset, get_dataset
from core.home import Home
from core.projects.definition import Definition, check_name
from core.projects.projects import get_definition
from core.registry.versions import list_versions
from core.text import one_line
from core.times import stamp, utc_now
from core.training import runs

if TYPE_CHECKING:
    from core.training.results import CandidateResult, SweepResult

METADATA_FORMAT = 1


def make_metadata(
    run: runs.Run, row: runs.TrainedCandidate, result: CandidateResult, sweep: SweepResult, dataset: Dataset,
    definition: Definition, threshold: float, summary: dict[str, Any],
) -> dict[str, Any]:
    """Everything that metadata.json says about a version."""
    counts = {name: n for name, n in sweep.class_rows.items() if n}
    described = dataset.profile.get("columns", {})
    features = definition.features
    return {
        "format": METADATA_FORMAT, "project": run.project, "date": stamp(utc_now()), "trained_at": run.finished_at,
        "duration_seconds": sweep.seconds.get("total"), "run": run.id, "candidate": row.name, "estimator": result.title,
        "trained_by": run.started_by,
        "dataset": {
            "version": dataset.version, "file_name": dataset.file_name, "sha256": dataset.sha256, "rows": dataset.rows,
            "source": dataset.source, "label_provenance": dataset.label_provenance, "synthetic": definition.synthetic,
            "class_distribution": sweep.class_rows,
            "imbalance_ratio": max(counts.values()) / min(counts.values()) if counts else None,
        },
        "features": {
            "used": [c.name for c in features],
            "missing": [c.name for c in features if described.get(c.name, {}).get("missing_share") == 1.0],
            "numeric": [c.name for c in features if c.kind == "number"],
            "categorical": [c.name for c in features if c.kind == "category"],
        },
        "target": definition.target, "positive": definition.positive or None, "classes": list(definition.classes),
        "decision_threshold": threshold if definition.task == "binary" else None,
        "hyperparameters": row.params, "seed": sweep.seed, "folds": sweep.folds, "holdout": sweep.holdout,
        "rows": {"train": len(sweep.train_rows), "holdout": len(sweep.holdout_rows)},
        "metrics": {
            "cross_validation": result.cv, "holdout": {k: v for k, v in result.holdout.items() if isinstance(v, (int, float)) or v is None},
            "intervals_95": {m: asdict(i) for m, i in result.holdout_intervals.items()},
            "at_threshold": summary.get("at_threshold"),
        },
        "per_class": summary.get("per_class"), "baseline": summary.get("baseline"), "known_cases": summary.get("known_cases"),
        "feature_importance": summary.get("importances"), "environment": sweep.environment,
        "ran_on": run.settings.get("ran_on") or None,
        "definition_sha256": definition.sha256, "artifact_sha256": row.sha256,
    }


def registry_page(home: Home, project: str) -> str:
    """MODEL_REGISTRY.md of one project."""
    lines = [
        f"# Model registry of {_cell(get_definition(home, project).title)}", "",
        "| Version | Date | Stage | Dataset | Samples | Accuracy | F1 | Estimator | Notes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    datasets: dict[int, Dataset] = {}
    for v in list_versions(home, project):
        dataset = datasets.setdefault(v.dataset_id, datasets.get(v.dataset_id) or get_dataset(home, v.dataset_id))
        holdout = v.summary.get("holdout", {})
        lines.append(
            f"| {v.version} | {v.registered_at[:10]} | {v.stage} | {_cell(dataset.file_name)} (version {dataset.version}) | {dataset.rows} "
            f"| {_number(holdout.get('accuracy'))} | {_number(holdout.get('f1'))} | {_cell(v.summary.get('title', ''))} "
            f"| {_cell(v.notes or v.stage_reason)} |"
        )
    return "\n".join(lines) + "\n"


def write_registry_page(home: Home, project: str) -> Path:
    """Write models/<project>/MODEL_REGISTRY.md anew, after each act that changes a stage; it is derived, the database is the truth."""
    path = home.models / check_name(project) / "MODEL_REGISTRY.md"
    _write(path, registry_page(home, project))
    return path


def comparison_page(home: Home, run: runs.Run) -> str:
    """MODEL_COMPARISON.md of one run: the candidates ranked by the project's metric in cross-validation, then the choice."""
    definition = get_definition(home, run.project, run.definition_sha)
    metric = definition.metric
    classes = definition.is_classifier
    names = ("accuracy", "precision", "recall", "f1") if classes else ("mae", "rmse", "r2", "ndcg" if definition.task == "ranking" else "mse")
    rows = sorted(runs.list_candidates(home, run.id), key=lambda c: -(c.summary["cv"].get(metric, {}).get("mean") or float("-inf")))
    dataset = get_dataset(home, run.dataset_id)
    head = " | ".join(_TITLES[n] for n in names)
    lines = [
        f"# Model comparison: {_cell(definition.title)}, run {run.id}", "",
        f"{dataset.rows} rows of {_cell(dataset.file_name)} (dataset version {dataset.version}); {run.settings['folds']} folds, "
        f"hold-out {run.settings['holdout']:.0%}, seed {run.settings['seed']}. Metrics on the hold-out; CV is the mean over folds.", "",
        f"| Rank | Model | {head} | CV {_TITLES[metric]} (mean ± std) | Time |", "|---|---|" + "---|" * (len(names) + 2),
    ]
    for rank, c in enumerate(rows, 1):
        cv = c.summary["cv"].get(metric, {})
        values = " | ".join(_number(c.summary["holdout"].get(n)) for n in names)
        baseline = " (baseline)" if c.summary["is_baseline"] else ""
        time = f"{c.summary['fit_seconds']:.2f} s" if c.summary.get("fit_seconds") is not None else "unknown"
        name = f"{_cell(c.summary['title'])}{baseline}" + (f" failed: {_cell(c.error)}" if c.error else "")
        lines.append(f"| {rank} | {name} | {values} | {_number(cv.get('mean'))} ± {_number(cv.get('std'))} | {time} |")
    lines += ["", "## Choice", ""]
    if run.choice is None:
        lines.append("No candidate was chosen.")
    else:
        lines += [f"**{_cell(run.choice['name'])}**", "", run.choice["sentence"], "", f"Rule: {run.choice['rule']}"]
    return "\n".join(lines) + "\n"


def write_comparison_page(home: Home, run: runs.Run, path: Path) -> Path:
    _write(path, comparison_page(home, run))
    return path


_TITLES = {
    "accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1", "mae": "MAE", "mse": "MSE", "rmse": "RMSE",
    "r2": "R2", "ndcg": "NDCG",
}


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    """Text as text inside a Markdown table."""
    flat = one_line(text)
    return flat.replace("\\", "\\\\").replace("*", "\\*").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[").replace("`", "\\`")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
