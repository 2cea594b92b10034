"""Why these answers? For many rows at once, in words for people who are not engineers.

`core.scoring.explain` takes a few answers apart exactly; this is the quick way for thousands: each value is replaced by the typical
one of the training data (median, or the most common category), alone, and the answer is looked at again. One call of the model per
feature; what values do only together is not told.

Effects of classes are counted in log-odds: a score of 99.9 that would be 98 without a value owes it more than the 2 points tell.
Effects on numbers are counted in standard deviations of the rows' own answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.datasets.versions import get_dataset
from core.home import Home
from core.numbers import say_number
from core.projects.definition import Column, Definition
from core.registry.versions import get_version
from core.scoring.scorer import Scorer, load_scorer, score

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from core.scoring.scorer import Scored

AT_ONCE = 20_000  # rows whose features are in memory twice
LEAST = 0.1  # less is not worth a word: 2.5 points of a score of 50, a tenth of the answers' spread
NEAREST = 1e-9  # to 0 and 1, in log-odds
MOST_WORDS = 2  # values named on either side

# feature of the HR export -> what a value above and below the typical one is called, and how it is written
_HR = {
    "trend_score": ("high market trend", "low market trend", "{:.2g}"),
    "internal_usage": ("many people with the skill", "few people with the skill", "{:.0%}"),
    "training_requests": ("many training requests", "few training requests", "{:.0f}"),
    "scarcity_index": ("high scarcity in house", "low scarcity in house", "{:.2g}"),
    "hiring_difficulty": ("high hiring difficulty", "low hiring difficulty", "{:.2g}"),
    "avg_salary_k": ("a high salary", "a low salary", "{:.0f} thousand a year"),
    "economic_indicator": ("a strong economy of the sector", "a weak economy of the sector", "{:.2g}"),
}


def explain_rows(home: Home, project: str, version: str, features: pd.DataFrame) -> np.ndarray:
    """What each value does to its row's answer, shape (rows, features).

    Classes: log-odds of score / 100; without an order, of the predicted class's probability. Numbers: standard deviations of the
    rows' answers.
    """
    import numpy as np
    import pandas as pd

    scorer = load_scorer(home, project, version)
    typical = read_typical(home, project, version, scorer.definition)
    effects, answers = np.zeros((len(features), len(scorer.definition.features))), np.zeros(len(features))
    for start in range(0, len(features), AT_ONCE):
        part = features.iloc[start : start + AT_ONCE].reset_index(drop=True)
        base = score(scorer, part)
        chosen = None if base.probabilities is None else base.probabilities.argmax(axis=1)
        values = _measure(base, chosen)
        for place, column in enumerate(scorer.definition.features):
            if typical[column.name] is None:
                continue
            kind: Any = np.float64 if column.kind == "number" else object
            usual = pd.Series([typical[column.name]] * len(part), dtype=kind)
            effects[start : start + len(part), place] = values - _measure(score(scorer, part.assign(**{column.name: usual})), chosen)
        answers[start : start + len(part)] = values
    spread = 0.0 if scorer.definition.is_classifier or not len(answers) else float(answers.std())
    return effects / spread if spread > 0 else effects


def say_rows(home: Home, project: str, version: str, features: pd.DataFrame) -> list[str]:
    """One sentence a row: which values raise its score, and which lower it."""
    scorer: Scorer = load_scorer(home, project, version)
    typical = read_typical(home, project, version, scorer.definition)
    effects = explain_rows(home, project, version, features)
    columns = scorer.definition.features
    values = [features[c.name].tolist() for c in columns]
    return [
        say_effects([(c, values[at][row], typical[c.name], float(effects[row, at])) for at, c in enumerate(columns)])
        for row in range(len(features))
    ]


def read_typical(home: Home, project: str, version: str, definition: Definition) -> dict[str, Any]:
    """Feature -> its typical value in the version's training data; None where nothing is known of it."""
    profile = get_dataset(home, get_version(home, project, version).dataset_id).profile.get("columns", {})
    return {c.name: _typical(profile.get(c.name) or {}) for c in definition.features}


def say_effects(effects: list[tuple[Column, Any, Any, float]]) -> str:
    """A sentence about (column, value, typical value, effect as `explain_rows` counts it)."""
    ranked = sorted((e for e in effects if abs(e[3]) >= LEAST), key=lambda e: -abs(e[3]))
    raising = [_say_value(c, value, usual) for c, value, usual, effect in ranked if effect > 0][:MOST_WORDS]
    lowering = [_say_value(c, value, usual) for c, value, usual, effect in ranked if effect < 0][:MOST_WORDS]
    said = [
        f"{' and '.join(names)} {verb if len(names) > 1 or names[0].startswith(('many', 'few')) else verb + 's'} it"
        for names, verb in ((raising, "raise"), (lowering, "lower"))
        if names
    ]
    if not said:
        return "No value moves it much when it alone is replaced by the typical one."
    sentence = "; ".join(said)
    return sentence[0].upper() + sentence[1:] + "."


def _say_value(column: Column, value: Any, usual: Any) -> str:
    words = column.name.replace("_", " ")
    if value is None or value != value:  # NaN differs from itself
        return f"an unknown {words}"
    if column.kind != "number":
        return f"{words} {value}"
    above = usual is None or value > usual
    if column.name in _HR:
        high, low, form = _HR[column.name]
        return f"{high if above else low} ({form.format(value)})"
    unit = f" {column.unit}" if column.unit and ".." not in column.unit else ""
    return f"{'high' if above else 'low'} {words} ({say_number(value)}{unit})"


def _measure(scored: Scored, chosen: np.ndarray | None) -> np.ndarray:
    import numpy as np

    if scored.probabilities is None or chosen is None:
        return scored.score
    shares = scored.score / 100.0
    if np.isnan(shares).all():
        shares = scored.probabilities[np.arange(len(chosen)), chosen]
    shares = np.clip(shares, NEAREST, 1.0 - NEAREST)
    return np.asarray(np.log(shares / (1.0 - shares)))


def _typical(column: dict[str, Any]) -> Any:
    if column.get("kind") == "number":
        return (column.get("quantiles") or {}).get("0.50")
    top = column.get("top") or []
    return top[0]["value"] if top else None
