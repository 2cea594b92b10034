"""Step 5: the new candidate against the live version, on rows that neither of them was fitted on.

Which rows these are is found out, not assumed: every row of the new dataset whose features are among those that the live
version was fitted on is left out, and so is every row whose features occur twice. On the others the candidate's answer is the
served model's where the row was held out, and else that of the fold's model that had not seen it; the live version answers as
it would now. Both are compared pair by pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.datasets import versions as datasets
from core.errors import NotFound
from core.home import Home
from core.projects.definition import Definition
from core.projects.projects import get_definition
from core.registry.versions import schema_of
from core.retraining.export import read_labelled, row_hashes
from core.times import stamp
from core.training import runs
from storage import versions as versions_store
from storage.connection import reading

if TYPE_CHECKING:
    import numpy as np

    from core.datasets.prepare import Prepared
    from core.training.intervals import Answers
    from core.training.results import CandidateResult, SweepResult

RECENT = timedelta(days=30)


@dataclass(frozen=True)
class Paired:
    """Two answers to the same rows, in the project's metric.

    Attributes
    ----------
    which : str
        Which rows, in words.
    new, old, difference, low, high : float or None
        ``difference`` is new - old with its 95 % interval; None where it is undefined.
    per_class : dict
        Class -> [rows, recall of the new one, recall of the old one].
    """

    which: str
    rows: int
    new: float | None = None
    old: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    per_class: dict[str, list[float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What stands against the candidate.

    Attributes
    ----------
    against : str
        "version 1.2.0", or what always answers the same where nothing is live.
    unseen : Paired
        All rows that neither was fitted on: what is judged.
    held_out : Paired
        Those of them that the served model itself was kept from.
    recent : Paired or None
        Labelled predictions of the last 30 days, as the live version answered them; None without any.
    new_rows : int
        Rows of the dataset that the live version's own data does not hold.
    reason : str
        Why nothing could be compared; "" where it could.
    """

    metric: str
    against: str
    live: str | None
    unseen: Paired
    held_out: Paired
    recent: Paired | None
    new_rows: int
    reason: str = ""


def evaluate_candidate(home: Home, project: str, *, run_id: int, candidate: str, threshold: float | None, now: datetime) -> Evaluation:
    """Compare a candidate of a run with the live version; with the baseline where nothing is live. Reads only."""
    run = runs.get_run(home, run_id)
    definition = get_definition(home, project, run.definition_sha)
    sweep = runs.get_sweep(home, run)
    result = sweep.result(candidate)
    prepared = datasets.load(home, datasets.get_dataset(home, run.dataset_id), definition)
    new = _all_answers(prepared, sweep, result, definition, threshold)
    live = versions_store.find_live(reading(home.db), project)
    if live is None:
        return _against_nothing(definition, sweep, new, prepared)
    against = f"version {live['version']}"
    empty = Paired("rows that neither was fitted on", 0)
    blank = Evaluation(definition.metric, against, live["version"], empty, Paired("held-out rows", 0), None, len(prepared))
    if schema_of(get_definition(home, project, live["definition_sha"])) != schema_of(definition):
        return _because(blank, f"{against} has another schema, so the two cannot answer the same rows")
    try:
        seen, known = _seen_by(home, live, definition)
    except NotFound as error:
        return _because(blank, f"which rows {against} was fitted on cannot be found out any more. {error}")
    return _against_live(home, definition, live, new, prepared, sweep, seen=seen, known=known, now=now)


def _against_live(
    home: Home, definition: Definition, live: dict[str, Any], new: Answers, prepared: Prepared, sweep: SweepResult, *,
    seen: np.ndarray, known: np.ndarray, now: datetime,
) -> Evaluation:  # fmt: skip
    import numpy as np

    from core.scoring.scorer import load_scorer, score
    from core.training.intervals import Answers

    hashes = row_hashes(prepared.features, prepared.group)
    chosen = np.flatnonzero(_fresh(hashes, prepared.group, seen))
    scorer = load_scorer(home, definition.name, live["version"])
    scored = score(scorer, prepared.features.iloc[chosen])
    prediction = scored.prediction if definition.is_classifier else scored.prediction.astype(float)
    old = Answers(new.target[chosen], prediction, scored.probabilities, _part(new.group, chosen))
    held = np.flatnonzero(np.isin(chosen, sweep.holdout_rows))
    return Evaluation(
        definition.metric, f"version {live['version']}", live["version"],
        _pair(definition, "rows that neither was fitted on", _take(new, chosen), old, sweep.seed),
        _pair(definition, "held-out rows that neither was fitted on", _take(new, chosen[held]), _take(old, held), sweep.seed),
        _recent(home, definition, live, new, hashes, seen, scorer_of=scorer, seed=sweep.seed, now=now),
        int((~np.isin(hashes, known)).sum()),
    )  # fmt: skip


def _recent(
    home: Home, definition: Definition, live: dict[str, Any], new: Answers, hashes: np.ndarray, seen: np.ndarray, *,
    scorer_of: Any, seed: int, now: datetime,
) -> Paired | None:  # fmt: skip
    """Labelled predictions of the last 30 days: what the live version said then, and what the candidate says of such a row."""
    import numpy as np

    from core.datasets.prepare import prepare
    from core.training.intervals import Answers

    found = read_labelled(home, definition, since=stamp(now - RECENT), version=live["version"])
    if found.empty:
        return None
    prepared = prepare(found[[c.name for c in definition.features]], definition, purpose="scoring", refuse_unreadable=False)
    group = found[definition.group].astype(str).to_numpy(dtype=object) if definition.group else None
    mine = row_hashes(prepared.features, group)
    # the candidate's answers are those of models that had not seen the row; a row that is not in its data is not counted here
    place = {h: i for i, h in enumerate(hashes.tolist())}
    twice = set(hashes[_twice(hashes)].tolist()) | set(seen.tolist())
    rows = np.array([i for i, h in enumerate(mine.tolist()) if h in place and h not in twice], dtype=int)
    which = "labelled predictions of the last 30 days"
    if not len(rows):
        return Paired(which, 0)
    at = np.array([place[h] for h in mine[rows].tolist()], dtype=int)
    labels, said = (found[name].to_numpy(dtype=object)[rows] for name in ("label", "predicted"))
    if not definition.is_classifier:
        labels, said = labels.astype(float), said.astype(float)
    asked = None if group is None else group[rows]
    first = Answers(labels, new.prediction[at], _part(new.proba, at), asked)
    return _pair(definition, which, first, Answers(labels, said, None, asked), seed)


def _against_nothing(definition: Definition, sweep: SweepResult, new: Answers, prepared: Prepared) -> Evaluation:
    from core.training.selection import best_baseline

    baseline = best_baseline(sweep.results, definition.metric)
    empty = Paired("rows that the candidate was not fitted on", 0)
    blank = Evaluation(definition.metric, "doing nothing", None, empty, Paired("held-out rows", 0), None, len(prepared))
    if baseline is None:
        return _because(blank, "nothing is live, and no baseline could be trained to compare with")
    old = _all_answers(prepared, sweep, baseline, definition, None)
    held = sweep.holdout_rows
    return Evaluation(
        definition.metric, f"{baseline.title} (nothing is live)", None,
        _pair(definition, "rows that the candidate was not fitted on", new, old, sweep.seed),
        _pair(definition, "held-out rows", _take(new, held), _take(old, held), sweep.seed), None, len(prepared),
    )  # fmt: skip


def _because(blank: Evaluation, reason: str) -> Evaluation:
    from dataclasses import replace

    return replace(blank, reason=reason)


def _seen_by(home: Home, live: dict[str, Any], definition: Definition) -> tuple[np.ndarray, np.ndarray]:
    """(hashes of the rows that a version was fitted on, hashes of all rows of its data)."""
    candidate = runs.get_candidate_row(home, live["candidate_id"])
    run = runs.get_run(home, candidate.run_id)
    before = datasets.load(home, datasets.get_dataset(home, run.dataset_id), definition)
    hashes = row_hashes(before.features, before.group)
    return hashes[runs.get_sweep(home, run).train_rows], hashes


def _fresh(hashes: np.ndarray, group: np.ndarray | None, seen: np.ndarray) -> np.ndarray:
    """Which rows neither was fitted on; of a query that one of them knows in part, none."""
    import numpy as np

    fresh = ~np.isin(hashes, seen) & ~_twice(hashes)
    return fresh if group is None else ~np.isin(group.astype(str), group[~fresh].astype(str))


def _twice(hashes: np.ndarray) -> np.ndarray:
    """Which rows have a twin: it may lie in the part that a model was fitted on."""
    import numpy as np

    _, places, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return np.asarray(counts[places] > 1)


def _all_answers(
    prepared: Prepared, sweep: SweepResult, result: CandidateResult, definition: Definition, threshold: float | None
) -> Answers:
    """What models that had not seen a row said of it, in the order of the dataset."""
    import numpy as np

    from core.training.intervals import Answers

    n = len(prepared)
    prediction = np.empty(n, dtype=object if definition.is_classifier else float)
    target = np.empty(n, dtype=object if definition.is_classifier else float)
    proba = np.zeros((n, len(definition.classes))) if definition.is_classifier else None
    for rows, answers in ((sweep.train_rows, result.answers), (sweep.holdout_rows, result.holdout_answers)):
        if answers is None:
            raise NotFound(f"The answers of {result.title} are gone, so it cannot be compared; train it again.")
        said = answers.prediction
        if definition.task == "binary" and answers.proba is not None and threshold is not None:
            said = np.where(answers.proba[:, 1] >= threshold, "1", "0").astype(object)
        prediction[rows], target[rows] = said, answers.target
        if proba is not None and answers.proba is not None:
            proba[rows] = answers.proba
    return Answers(target, prediction, proba, prepared.group)


def _take(answers: Answers, rows: np.ndarray) -> Answers:
    from core.training.intervals import Answers

    return Answers(answers.target[rows], answers.prediction[rows], _part(answers.proba, rows), _part(answers.group, rows))


def _part(values: np.ndarray | None, rows: np.ndarray) -> Any:
    return None if values is None else values[rows]


def _pair(definition: Definition, which: str, new: Answers, old: Answers, seed: int) -> Paired:
    from core.training.intervals import paired_difference
    from core.training.metrics import evaluate

    rows = len(new.target)
    if rows < 2:
        return Paired(which, rows)
    one, two = (evaluate(definition, a.target, a.prediction, None, a.group, curves=False) for a in (new, old))
    interval = paired_difference(definition, new, old, seed=seed)
    mine, theirs = one.get(definition.metric), two.get(definition.metric)
    gap = None if mine is None or theirs is None else mine - theirs
    classes: dict[str, list[float | None]] = {}
    for name, values in (one.get("per_class") or {}).items():
        classes[name] = [values["support"], values["recall"], (two["per_class"][name])["recall"]]
    return Paired(which, rows, mine, theirs, gap, interval.low, interval.high, classes)
