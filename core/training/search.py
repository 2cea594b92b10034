"""A search for better hyperparameters: trials in rounds, judged by folds of the training rows; the hold-out is never given to it.

Trials are asked for in rounds of a fixed size and learn from the rounds before, so that the same rows, seed and budget give the
same trials on one worker, on several, and on a cluster, whatever the order in which they finish. (A budget of seconds that runs
out ends the search where it stands; that is written down.)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from core.errors import BadInput, Cancelled
from core.projects.definition import Definition
from core.training.catalogue import Param, check_params, get_candidate
from core.training.executor import Executor
from core.training.metrics import evaluate
from core.training.pipeline import build_pipeline
from core.training.selection import METRIC_NAMES
from core.training.tasks import answer, labels_to_fit

FILE = "searches.json"
ROUND = 4
MOST_TRIALS, MOST_SECONDS = 500, 24 * 3600.0
TRIALS, SECONDS, PATIENCE = 20, 300.0, 20
# Another split than the one that candidates are compared on: a setting must not win by knowing those folds.
SEED_STEP = 1

Progress = Callable[[int, int, str, float | None], None]


@dataclass(frozen=True)
class Budget:
    """What a search may cost.

    Attributes
    ----------
    trials : int
    seconds : float
        No trial begins, and no further fold is fitted, after so long.
    patience : int
        It ends early when so many trials in a row brought nothing better.
    """

    trials: int = TRIALS
    seconds: float = SECONDS
    patience: int = PATIENCE


@dataclass(frozen=True)
class Trial:
    """One setting that was tried.

    Attributes
    ----------
    state : "complete", "pruned" (its folds so far were worse than the median), "stopped" (time was up) or "failed"
    values : tuple of float or None
        The project's metric per fold, as far as it came.
    value : float or None
        Mean over all folds; None unless complete.
    """

    number: int
    params: dict[str, Any]
    state: str
    values: tuple[float | None, ...]
    value: float | None
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class Search:
    """One search, finished or broken off.

    Attributes
    ----------
    best : int or None
        Number of the best complete trial; None when none was completed. Trial 0 has the usual setting.
    ended : str
        Why it ended: "trials", "seconds" or "patience"; "cancelled", or "unfinished" where nobody was left to say why.
    """

    candidate: str
    title: str
    metric: str
    folds: int
    seed: int
    budget: Budget
    trials: tuple[Trial, ...]
    best: int | None
    ended: str
    seconds: float

    @property
    def winner(self) -> Trial | None:
        """The best trial, if it is better than the usual setting."""
        best = next((t for t in self.trials if t.number == self.best), None)
        return None if best is None or best.number == 0 else best

    @property
    def gain(self) -> float | None:
        """Mean of the best trial minus that of the usual setting."""
        usual = next((t.value for t in self.trials if t.number == 0), None)
        best = next((t.value for t in self.trials if t.number == self.best), None)
        return None if usual is None or best is None else best - usual

    @property
    def sentence(self) -> str:
        """What came of it, for a person."""
        count = {s: sum(t.state == s for t in self.trials) for s in ("complete", "pruned", "stopped", "failed")}
        ways = {"complete": "to the end", "pruned": "stopped early as hopeless", "stopped": "cut off by the time", "failed": "failed"}
        how = ", ".join(f"{n} {ways[s]}" for s, n in count.items() if n)
        why = {
            "trials": "", "seconds": f" The {self.budget.seconds:g} seconds were up.",
            "patience": f" It ended early: {self.budget.patience} trials in a row brought nothing better.",
            "cancelled": " It was cancelled.", "unfinished": " It did not come to its end.",
        }[self.ended]  # fmt: skip
        begin = f"{self.title}: {len(self.trials)} settings were tried in {self.seconds:.0f} s ({how}).{why}"
        if self.best is None:
            error = next((t.error for t in self.trials if t.error), None)
            return f"{begin} None could be judged{f': {error}' if error else '.'}"
        winner, gain = self.winner, self.gain
        if winner is None:
            return f"{begin} None was better than the usual setting."
        value = f"{winner.value:.3f} {METRIC_NAMES[self.metric]}" if winner.value is not None else ""
        by = f", {gain:+.3f} against the usual setting" if gain is not None else ""
        then = "nothing was trained with it." if self.broken_off else "judge it by the hold-out, which the search never saw."
        return (
            f"{begin} The best, trial {winner.number + 1}, reached {value} over the search's folds{by}. "
            f"It was picked as the best of many, so that number flatters it; {then}"
        )

    @property
    def broken_off(self) -> bool:
        """Its trials are all that there is: no model was trained with what it found."""
        return self.ended in ("cancelled", "unfinished")


@dataclass(frozen=True)
class SearchMaterial:
    """What every trial reads: the training rows alone, and where each fold begins and ends among them."""

    features: pd.DataFrame
    target: np.ndarray
    group: np.ndarray | None
    definition: Definition
    seed: int
    folds: tuple[tuple[np.ndarray, np.ndarray], ...]
    candidate: str


@dataclass(frozen=True)
class TrialTask:
    """One trial for a worker; ``others`` are the fold values of the trials finished in earlier rounds, ``until`` unix seconds."""

    params: dict[str, Any]
    others: tuple[tuple[float, ...], ...]
    until: float


def searchable(candidate: str, task: str) -> tuple[Param, ...]:
    """The hyperparameters of a candidate that a search varies; empty where it has none with a range."""
    found = get_candidate(candidate)
    if task not in found.tasks:
        return ()
    return tuple(p for p in found.params_for(task) if p.kind == "choice" or p.tried or (p.low is not None and p.high is not None))


def check_search(candidate: str, budget: Budget, definition: Definition) -> None:
    """Refuse a search that cannot be made.

    Raises
    ------
    BadInput
        The candidate has nothing to vary, or the budget is out of bounds.
    core.errors.Refused
        Optuna is not installed.
    """
    from core.adapters.optional import check_installed

    check_installed("optuna")
    if not searchable(candidate, definition.task):
        raise BadInput(f"{get_candidate(candidate).title} has no hyperparameters with a range to search for {definition.task}.")
    if not 2 <= budget.trials <= MOST_TRIALS:
        raise BadInput(f"A search tries 2 to {MOST_TRIALS} settings; {budget.trials} is not between.")
    if not 1 <= budget.seconds <= MOST_SECONDS:
        raise BadInput(f"A search takes 1 second to {MOST_SECONDS / 3600:.0f} hours; {budget.seconds:g} seconds is not between.")
    if budget.patience < 1:
        raise BadInput("The patience of a search is a whole number of trials, at least 1.")


def run_search(
    features: pd.DataFrame, target: np.ndarray, group: np.ndarray | None, definition: Definition, *,
    candidate: str, budget: Budget, executor: Executor, train: np.ndarray, folds: int = 5, seed: int = 42,
    base: dict[str, Any] | None = None, progress: Progress | None = None, check_cancelled: Callable[[], bool] | None = None,
    note: Callable[[Search], None] | None = None,
) -> Search:  # fmt: skip
    """Look for a better setting of one candidate.

    Parameters
    ----------
    features, target, group
        All rows, as in :func:`core.training.sweep.run_sweep`; only ``train`` of them leave this function.
    train : array of int
        Positions of the training part: the hold-out is everything else.
    base : dict
        Hyperparameters that stay as they are where a search does not vary them, and the setting that it is compared with.
    progress : callable(trials done, trials at most, note, seconds left or None)
    note : callable(search so far)
        Called after each round, and with every trial that had ended when somebody cancelled.

    Raises
    ------
    Cancelled
        When ``check_cancelled`` said so.
    """
    from core.adapters.search import Sampler
    from core.training.sweep import split_folds

    check_search(candidate, budget, definition)
    begin, until = perf_counter(), time.time() + budget.seconds
    known = get_candidate(candidate)
    usual = check_params(known, base or {}, definition.task)
    rows = features.iloc[train].reset_index(drop=True)
    seen, of_group = target[train], None if group is None else group[train]
    parts = split_folds(np.arange(len(rows)), seen, of_group, definition, folds, seed + SEED_STEP)
    material = SearchMaterial(rows[[c.name for c in definition.features]], seen, of_group, definition, seed, parts, candidate)
    sampler = Sampler(searchable(candidate, definition.task), usual, seed)
    trials: list[Trial] = []
    best: Trial | None = None
    ended = "trials"

    def tell(ended: str) -> Search:
        leader = _best(trials)
        return Search(
            candidate, known.title, definition.metric, folds, seed, budget, tuple(trials), leader.number if leader else None, ended,
            round(perf_counter() - begin, 3),
        )  # fmt: skip

    while len(trials) < budget.trials:
        if perf_counter() - begin >= budget.seconds:
            ended = "seconds"
            break
        if len(trials) - 1 - (best.number if best else 0) >= budget.patience:
            ended = "patience"
            break
        asked = [sampler.ask() for _ in range(min(ROUND, budget.trials - len(trials)))]
        others = tuple(tuple(v for v in t.values if v is not None) for t in trials if t.state == "complete")
        tasks = [TrialTask({**usual, **params}, others, until) for _, params in asked]
        found: dict[int, Trial] = {}
        try:
            for outcome in executor.run(try_setting, tasks, material, check_cancelled):
                number = asked[outcome.index][0]
                bare = Trial(number, tasks[outcome.index].params, "failed", (), None, 0.0, outcome.error)
                found[number] = bare if outcome.error else replace(bare, **outcome.value)
                if progress is not None:
                    done = len(trials) + len(found)
                    leader = _best([*trials, *found.values()])
                    progress(done, budget.trials, _say(known.title, done, budget, leader, definition.metric), _left(begin, done, budget))
        except Cancelled:
            trials += [found[number] for number, _ in asked if number in found]
            if note is not None and trials:
                note(tell("cancelled"))
            raise
        for number, _ in asked:  # in the order of their numbers, whoever was ready first
            trial = found[number]
            sampler.tell(number, trial.value, [v for v in trial.values if v is not None], trial.state)
            trials.append(trial)
        best = _best(trials)
        if note is not None:
            note(tell("unfinished"))
    if ended == "trials" and any(t.state == "stopped" for t in trials):
        ended = "seconds"
    return tell(ended)


def try_setting(material: SearchMaterial, task: TrialTask) -> dict[str, Any]:
    """Fit one setting fold by fold (the function that an executor is given); stops where the median says it is hopeless."""
    from core.adapters.search import WARM_UP_TRIALS, is_hopeless

    begin = perf_counter()
    d = material.definition
    values: list[float | None] = []
    state = "complete"
    for number, (fit, answered) in enumerate(material.folds):
        if time.time() >= task.until:
            state = "stopped"
            break
        pipeline = build_pipeline(get_candidate(material.candidate), task.params, material.seed, d)
        pipeline.fit(material.features.iloc[fit], labels_to_fit(material.target[fit], d))
        prediction, proba = answer(pipeline, material.features.iloc[answered], d)
        group = None if material.group is None else material.group[answered]
        values.append(evaluate(d, material.target[answered], prediction, proba, group, curves=False)[d.metric])
        defined = [v for v in values if v is not None]
        judged = number + 1 < len(material.folds) and len(task.others) >= WARM_UP_TRIALS and len(defined) == len(values)
        if judged and is_hopeless(task.others, defined):
            state = "pruned"
            break
    known = [v for v in values if v is not None]
    value = float(np.mean(known)) if state == "complete" and known else None
    error = None if value is not None or state != "complete" else "the metric is undefined on every fold"
    return {"state": state if error is None else "failed", "values": tuple(values), "value": value, "error": error,
            "seconds": round(perf_counter() - begin, 3)}


def save_searches(searches: Sequence[Search], folder: Path) -> None:
    """Write every search of a run beside its results, complete or not at all."""
    fresh = folder / f".{FILE}.new"
    fresh.write_text(json.dumps([asdict(s) for s in searches], ensure_ascii=False, allow_nan=False), encoding="utf-8")
    fresh.replace(folder / FILE)


def load_searches(folder: Path) -> list[Search]:
    """What :func:`save_searches` wrote; empty for a run without a search."""
    if not (folder / FILE).exists():
        return []
    return [
        Search(**{
            **s, "budget": Budget(**s["budget"]),
            "trials": tuple(Trial(**{**t, "values": tuple(t["values"])}) for t in s["trials"]),
        })
        for s in json.loads((folder / FILE).read_text(encoding="utf-8"))
    ]  # fmt: skip


def _best(trials: Sequence[Trial]) -> Trial | None:
    """Of equals the first: the usual setting, where nothing beats it."""
    able = [t for t in trials if t.value is not None]
    return max(able, key=lambda t: (t.value, -t.number), default=None)


def _say(title: str, done: int, budget: Budget, best: Trial | None, metric: str) -> str:
    reached = f", best {METRIC_NAMES[metric]} {best.value:.3f} so far" if best is not None and best.value is not None else ""
    return f"search, {title}: trial {done} of {budget.trials}{reached}"


def _left(begin: float, done: int, budget: Budget) -> float:
    spent = perf_counter() - begin
    return max(0.0, min(budget.seconds - spent, spent / done * (budget.trials - done)))
