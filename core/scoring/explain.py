"""Why this answer? Each value is replaced by the typical one of the training data, alone, and the score is looked at again.

Simple and honest: it says what the model does, for one value at a time, not what is true of the world, and values that
work together share their effect in no particular way. Nothing of it is logged as a prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.datasets.versions import get_dataset
from core.home import Home
from core.registry.versions import get_version


@dataclass(frozen=True)
class Effect:
    """What one value does to the score.

    Attributes
    ----------
    value, typical : str
        The value given (or "missing") and the typical one: the median of the training data, or its most common category.
    change : float
        Score with the value given minus the score with the typical one; for classes without an order, the change of the
        predicted class's probability times 100.
    """

    column: str
    value: str
    typical: str
    change: float


def explain(home: Home, project: str, version: str, row: dict[str, Any]) -> list[Effect]:
    """Effects of every value that differs from the typical one, the largest first."""
    import numpy as np
    import pandas as pd

    from core.datasets.prepare import prepare
    from core.scoring.scorer import load_scorer, score

    scorer = load_scorer(home, project, version)
    definition = scorer.definition
    profile = get_dataset(home, get_version(home, project, version).dataset_id).profile.get("columns", {})
    typical = {c.name: _typical(profile.get(c.name) or {}) for c in definition.features}
    features = prepare([row], definition, purpose="scoring", refuse_unreadable=False).features
    names = [
        c.name
        for c in definition.features
        if typical[c.name] is not None and not _same(features[c.name].iloc[0], typical[c.name])
    ]
    table = pd.concat([features] * (len(names) + 1), ignore_index=True)
    for place, name in enumerate(names, 1):
        table.loc[place, name] = typical[name]
    scored = score(scorer, table, threads=1)
    values = scored.score
    if np.isnan(values).all() and scored.probabilities is not None:
        values = 100.0 * scored.probabilities[:, int(scored.probabilities[0].argmax())]
    effects = [
        Effect(name, _show(features[name].iloc[0]), _show(typical[name]), float(values[0] - values[place]))
        for place, name in enumerate(names, 1)
    ]
    return sorted(effects, key=lambda e: -abs(e.change))


def _typical(column: dict[str, Any]) -> Any:
    if column.get("kind") == "number":
        return (column.get("quantiles") or {}).get("0.50")
    top = column.get("top") or []
    return top[0]["value"] if top else None


def _same(one: Any, other: Any) -> bool:
    return one == other


def _show(value: Any) -> str:
    if value is None or value != value:  # NaN differs from itself
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
