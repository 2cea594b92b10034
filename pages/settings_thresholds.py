"""The gates, thresholds and costs that are in force, where they come from, and since when."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.projects import projects
from core.projects.definition import Definition
from pages import parts
from pages.session import PageContext


def show(context: PageContext) -> None:
    """The chosen project's numbers in words; they are read here and not changed."""
    if context.project is None:
        parts.show_empty("There is no project yet, so there are no thresholds.", page="data", label="New project")
        return
    definition = projects.get_definition(context.home, context.project.name)
    changes = projects.list_definitions(context.home, context.project.name)
    newest = changes[0]
    source = "the shipped sample's definition" if context.project.demo else "the project's definition, made in the wizard"
    st.markdown(
        f"In force for **{parts.plain(context.project.title)}** since {parts.plain(parts.local_time(newest.at))}, from {source}, "
        f"by {parts.plain(newest.by)}; "
        + ("never changed since." if len(changes) == 1 else f"{len(changes) - 1} earlier ones are kept.")
    )
    st.caption("Changing gates and thresholds needs an approval of its own and is not part of this release.")
    for title, rows in _list_groups(definition).items():
        st.subheader(title, anchor=False)
        st.dataframe(rows, hide_index=True, key=f"thresholds-{title}")
    st.caption(f"Definition {newest.sha256[:16]}")


def _list_groups(d: Definition) -> dict[str, list[dict[str, str]]]:
    g, c, t, r = d.gates, d.criteria, d.thresholds, d.data_rules
    metric = {"f1": "F1", "r2": "R2", "ndcg": "NDCG"}[d.metric]
    groups: dict[str, list[dict[str, str] | None]] = {
        "Gates": [
            _row(f"To register: mean {metric} in cross-validation", g.register, "at least"),
            _row(f"For production: mean {metric} in cross-validation", g.production, "at least"),
            _row("Recall of every class", g.class_recall_floor, "at least") if d.is_classifier else None,
            _row("A class is judged from", g.class_floor_rows, "more than", "rows") if d.is_classifier else None,
            _row("Known cases that must be right", len(d.known_cases), ""),
        ],
        "Criteria shown beside every candidate": [
            _row(f"Target of {metric}", c.metric_target, "at least"),
            _row("Spread over folds (standard deviation)", c.cv_std_target, "at most"),
            _row("Training time", c.training_seconds, "at most", "s"),
        ],
        "Watching": [
            _row("Drift score: warning", t.drift_warning, "from"),
            _row("Drift score: drift", t.drift, "from"),
            _row("Rows that a drift check needs", t.drift_min_rows, "at least"),
            _row("Accuracy in use", t.accuracy_floor, "at least") if d.is_classifier else None,
            _row("A retraining is due after", t.retrain_days, "", "days"),
            _row("A retraining is due after", t.retrain_new_labels, "", "new labels"),
        ],
        "Data": [
            _row("Rows of a dataset", r.min_rows, "at least"),
            _row("Share of the smallest class", r.min_minority_share, "at least") if d.is_classifier else None,
            _row("Missing values in scoring that alert", r.missing_alert, "from"),
            _row("One column that decides the label (leakage)", r.leakage, "from"),
        ],
    }
    if d.task == "binary":
        groups["Costs of a mistake"] = [_row(name.replace("_", " ").capitalize(), cost, "") for name, cost in d.costs.items()]
    return {title: [row for row in rows if row is not None] for title, rows in groups.items()}


def _row(what: str, value: Any, sign: str, unit: str = "") -> dict[str, str]:
    shown = "not asked" if value is None else " ".join(t for t in (sign, f"{value:g}", unit) if t)
    return {"What": what, "Value": shown}
