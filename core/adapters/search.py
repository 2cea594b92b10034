"""Optuna's sampler and pruner behind three functions' worth of interface: what to try next, what came of it, is it hopeless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.adapters.optional import need
from core.training.catalogue import Param

WARM_UP_TRIALS = 4  # finished ones before any is judged against their median
WARM_UP_FOLDS = 1  # and it has answered more than so many folds itself
LOG_FROM = 50.0  # a range whose ends differ by this factor is looked through by orders of magnitude


class Sampler:
    """One study in memory: the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), seeded.

    Parameters
    ----------
    params : sequence of Param
        What may vary, with the range that each may take.
    first : dict
        The setting that is tried first: the usual one.
    """

    def __init__(self, params: Sequence[Param], first: dict[str, Any], seed: int) -> None:
        optuna = _load()
        self._space = {p.name: _distribution(p, first[p.name]) for p in params}
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8))
        self._study.enqueue_trial({p.name: first[p.name] for p in params})
        self._running: dict[int, Any] = {}

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Number (from 0) and hyperparameters of the next trial; those that run are taken to come out badly."""
        trial = self._study.ask(self._space)
        self._running[trial.number] = trial
        return trial.number, dict(trial.params)

    def tell(self, number: int, value: float | None, values: Sequence[float], state: str) -> None:
        """What came of a trial: its mean, its value per fold, and "complete", "pruned" or anything else for failed."""
        from optuna.trial import TrialState

        trial = self._running.pop(number)
        for fold, mean in enumerate(running_means(values)):
            trial.report(mean, fold)  # what a pruned trial had reached is what the sampler learns from it
        if state == "complete" and value is not None:
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=TrialState.PRUNED if state == "pruned" and values else TrialState.FAIL)


def is_hopeless(others: Sequence[Sequence[float]], values: Sequence[float]) -> bool:
    """Whether the median pruner would stop a trial after these folds, given the fold values of trials that were finished.

    Running means are compared, fold by fold, so that one easy fold decides nothing.
    """
    optuna = _load()
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP_TRIALS, n_warmup_steps=WARM_UP_FOLDS)
    )
    for other in others:
        means = running_means(other)
        study.add_trial(optuna.create_trial(value=means[-1], intermediate_values=dict(enumerate(means))))
    trial = study.ask()
    for fold, mean in enumerate(running_means(values)):
        trial.report(mean, fold)
    return bool(trial.should_prune())


def running_means(values: Sequence[float]) -> list[float]:
    """``[1, 2, 6] -> [1, 1.5, 3]``."""
    return [sum(values[: n + 1]) / (n + 1) for n in range(len(values))]


def _load() -> Any:
    optuna = need("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(param: Param, usual: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if param.kind == "choice":
        return CategoricalDistribution(param.choices)
    low, high = param.tried or (param.low, param.high)
    assert low is not None
    assert high is not None
    low, high = min(low, usual), max(high, usual)
    logarithmic = low > 0 and high / low >= LOG_FROM
    if param.kind == "int":
        return IntDistribution(int(low), int(high), log=logarithmic)
    return FloatDistribution(float(low), float(high), log=logarithmic)
