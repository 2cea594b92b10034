"""The estimators that a project can train: what each is good for, costs, needs and can be set to.

Pages read this list, so importing it must stay cheap: scikit-learn and the optional libraries are
imported inside ``Candidate.build`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from core.errors import BadInput, NotFound
from core.projects.definition import Definition
from core.training import builders
from core.training.builders import CLASSES
from core.training.named import check_free_params, make_named

VALUES = ("regression", "ranking")
RULES_COLUMNS = ("trend_score", "internal_usage", "training_requests")
RULES_CLASSES = ("LOW", "MEDIUM", "HIGH")


@dataclass(frozen=True)
class Param:
    """One hyperparameter as a form shows it.

    Attributes
    ----------
    kind : "int", "float" or "choice"
    low, high : float or None
        Inclusive range of a number.
    choices : tuple
        Values of a choice, the default among them.
    tasks : tuple of str
        Tasks in which it means something; empty means all of the candidate's.
    tried : (float, float) or None
        Range in which a search looks, where the whole range would waste its trials.
    """

    name: str
    title: str
    kind: str
    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    help: str = ""
    tasks: tuple[str, ...] = ()
    tried: tuple[float, float] | None = None


@dataclass(frozen=True)
class Candidate:
    """One kind of estimator.

    Attributes
    ----------
    tasks : tuple of str
        Tasks it can be trained for.
    cost : float
        Rough time of one fit relative to logistic regression (1.0); orders work and a first estimate only.
    needs : str
        Import name of the optional library, "" when none is needed.
    also : tuple of str
        Further libraries that it needs.
    install : str
        Line that installs what it needs.
    simplicity : int
        1 is the simplest to explain and to run; a tie is decided for the lower number.
    reading : "coefficients", "tree importances", "rules" or ""
        What a person can read inside the fitted estimator; "" leaves permutation importances only.
    scaled : bool
        Whether the estimator needs numbers on one scale.
    baseline : bool
        A baseline stands beside the others and is never the automatic choice.
    params : tuple of Param
    make : callable(task, params, seed) -> unfitted scikit-learn estimator
    free : bool
        It takes whatever its class takes; ``params`` does not list it.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    good_for: str
    cost: float
    simplicity: int
    make: Callable[[str, dict[str, Any], int], Any]
    needs: str = ""
    install: str = ""
    reading: str = ""
    scaled: bool = False
    baseline: bool = False
    params: tuple[Param, ...] = ()
    also: tuple[str, ...] = ()
    free: bool = False

    @property
    def available(self) -> bool:
        """Whether the libraries it needs can be imported here."""
        return all(find_spec(name) is not None for name in (self.needs, *self.also) if name)

    @property
    def key(self) -> str:
        """What a run calls it: short, and fit for a file's name."""
        kind, colon, rest = self.name.partition(":")
        return rest.rpartition(".")[2] if kind == "class" and colon else kind

    def params_for(self, task: str) -> tuple[Param, ...]:
        """The hyperparameters that a person can set for ``task``, in the order of a form."""
        return tuple(p for p in self.params if not p.tasks or task in p.tasks)

    def defaults(self, task: str) -> dict[str, Any]:
        return {p.name: p.default for p in self.params_for(task)}

    def build(self, task: str, params: dict[str, Any] | None = None, seed: int = 42) -> Any:
        """Return the unfitted estimator.

        Raises
        ------
        BadInput
            When the task is not among its tasks, a parameter is unknown or out of range, or its library is absent.
        """
        if task not in self.tasks:
            raise BadInput(f"{self.title} cannot be trained for {task}; choose one of {_names(list_candidates(task))}.")
        if not self.available:
            raise BadInput(f"{self.title} needs {self.needs}, which is not installed; run: {self.install}.")
        return self.make(task, check_params(self, params or {}, task), seed)


def check_params(candidate: Candidate, params: dict[str, Any], task: str) -> dict[str, Any]:
    """Return the defaults of ``candidate`` overlaid with ``params``; raise BadInput for the first wrong one."""
    if candidate.free:
        return check_free_params(candidate, params)
    known = {p.name: p for p in candidate.params_for(task)}
    values = candidate.defaults(task)
    for name, value in params.items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise BadInput(f"{candidate.title} has no hyperparameter {name!r} for {task}; it has: {allowed}.")
        values[name] = _checked(candidate, known[name], value)
    return values


def _checked(candidate: Candidate, param: Param, value: Any) -> Any:
    where = f"{param.name} of {candidate.title}"
    if param.kind == "choice":
        if value not in param.choices:
            raise BadInput(f"{where} is one of {', '.join(map(str, param.choices))}; {value!r} is not.")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (param.kind == "int" and value % 1 != 0):
        raise BadInput(f"{where} must be {'a whole number' if param.kind == 'int' else 'a number'}; {value!r} is not.")
    low = param.low if param.low is not None else float("-inf")
    high = param.high if param.high is not None else float("inf")
    if not low <= value <= high:
        raise BadInput(f"{where} lies between {low:g} and {high:g}; {value!r} does not.")
    return int(value) if param.kind == "int" else float(value)


def list_candidates(task: str | None = None) -> list[Candidate]:
    """All candidates of a task (or of every task), baselines first, then simplest first; absent libraries included."""
    found = [c for c in _CATALOGUE if task is None or task in c.tasks]
    return sorted(found, key=lambda c: (not c.baseline, c.simplicity))


def find_candidate(name: str) -> Candidate | None:
    """The candidate of that name; raises BadInput for a name with a colon that cannot be one (core.training.named)."""
    if ":" in name:
        return make_named(name)
    return next((c for c in _CATALOGUE if c.name == name), None)


def get_candidate(name: str) -> Candidate:
    """Return the candidate called ``name``; raise NotFound listing the names that exist."""
    candidate = find_candidate(name)
    if candidate is None:
        raise NotFound(f"No candidate is called {name!r}; choose among {_names(_CATALOGUE)}.")
    return candidate


def is_applicable(candidate: Candidate, definition: Definition) -> bool:
    """Whether the candidate can be trained here: task, library, and for the rules engine its columns and classes."""
    if definition.task not in candidate.tasks or not candidate.available:
        return False
    if candidate.name == "rules_engine":
        numbers = {c.name for c in definition.features if c.kind == "number"}
        return set(RULES_COLUMNS) <= numbers and set(definition.classes) == set(RULES_CLASSES)
    return True


def default_candidates(definition: Definition) -> list[str]:
    """Names that a first training of the project tries: the baselines and a few of different nature."""
    linear = "logistic_regression" if definition.is_classifier else "ridge"
    wanted = ("dummy", "rules_engine", linear, "random_forest", "hist_gradient_boosting")
    return [n for n in wanted if is_applicable(get_candidate(n), definition)]


def _names(candidates: Iterable[Candidate]) -> str:
    return ", ".join(c.name for c in candidates)


_BALANCED = Param("class_weight", "Class weights", "choice", "balanced", choices=("balanced", "none"),
                  help="Balanced gives a rare class as much weight as a common one.", tasks=CLASSES)  # fmt: skip
_C = Param("C", "Inverse penalty", "float", 1.0, 1e-4, 1e4, help="Smaller holds the coefficients closer to zero.", tasks=CLASSES,
           tried=(1e-3, 1e2))  # fmt: skip
_ALPHA = Param("alpha", "Penalty", "float", 1.0, 1e-6, 1e4, help="Larger holds the coefficients closer to zero.")
_RATE = Param("learning_rate", "Learning rate", "float", 0.1, 0.001, 1.0, help="Smaller learns slower and needs more trees.",
              tried=(0.01, 0.5))  # fmt: skip
_TREES = Param("n_estimators", "Trees", "int", 100, 1, 2000, tried=(25, 400))
_L1 = Param("alpha", "Penalty", "float", 0.01, 1e-6, 1e4,
            help="Larger sets more coefficients to zero; in units of the target.", tasks=VALUES)  # fmt: skip

_CATALOGUE: tuple[Candidate, ...] = (
    Candidate(
        "dummy", "Baseline", CLASSES + VALUES,
        "Ignores the features: the most frequent class with the class shares as probabilities, or the mean of the target "
        "(every item of a query ties). What any model must beat.",
        cost=0.05, simplicity=0, make=builders.dummy, baseline=True,
    ),
    Candidate(
        "rules_engine", "Rules engine", ("multiclass",),
        "The rules used before any model: 0.5 trend + 0.3 usage + 0.2 training requests, HIGH from 0.70, MEDIUM from 0.40. "
        "A second baseline; certain of every answer.",
        cost=0.05, simplicity=1, make=builders.rules_engine, reading="rules", baseline=True,
    ),
    Candidate(
        "logistic_regression", "Logistic regression", CLASSES,
        "A first choice: quick, its coefficients can be read, probabilities are usually well calibrated.",
        cost=1.0, simplicity=2, make=builders.logistic_regression, reading="coefficients", scaled=True,
        params=(_C, _BALANCED),
    ),
    Candidate(
        "ridge", "Ridge", CLASSES + VALUES,
        "A straight line with shrunken coefficients; for classes its scores are calibrated to probabilities.",
        cost=1.0, simplicity=3, make=builders.ridge, reading="coefficients", scaled=True, params=(_ALPHA,),
    ),
    Candidate(
        "lasso", "Lasso", CLASSES + VALUES,
        "A line that drops columns it does not need; for classes a logistic regression with an L1 penalty.",
        cost=3.0, simplicity=4, make=builders.lasso, reading="coefficients", scaled=True,
        params=(_C, _L1, _BALANCED),
    ),
    Candidate(
        "elastic_net", "Elastic net", CLASSES + VALUES,
        "Between ridge and lasso: drops columns, keeps groups of related ones.",
        cost=3.0, simplicity=5, make=builders.elastic_net, reading="coefficients", scaled=True,
        params=(_C, _L1, Param("l1_ratio", "Share of L1", "float", 0.5, 0.0, 1.0), _BALANCED),
    ),
    Candidate(
        "random_forest", "Random forest", CLASSES + VALUES,
        "Robust on small and medium tables, finds interactions, little to tune.",
        cost=60.0, simplicity=6, make=builders.random_forest, reading="tree importances",
        params=(Param("n_estimators", "Trees", "int", 200, 1, 2000, tried=(25, 400)),
                Param("max_depth", "Depth (0 is unlimited)", "int", 0, 0, 100, tried=(0, 20)),
                Param("min_samples_leaf", "Rows per leaf", "int", 1, 1, 1000, tried=(1, 30)), _BALANCED),
    ),
    Candidate(
        "gradient_boosting", "Gradient boosting", CLASSES + VALUES,
        "Small trees added one by one; strong on small tables, slow on large ones.",
        cost=50.0, simplicity=7, make=builders.gradient_boosting, reading="tree importances",
        params=(_TREES, _RATE, Param("max_depth", "Depth", "int", 3, 1, 20, tried=(1, 8))),
    ),
    Candidate(
        "hist_gradient_boosting", "Histogram gradient boosting", CLASSES + VALUES,
        "Boosted trees on binned values: usually the best of scikit-learn above 10,000 rows.",
        cost=6.0, simplicity=8, make=builders.hist_gradient_boosting,
        params=(Param("max_iter", "Trees", "int", 100, 1, 2000, tried=(25, 400)), _RATE,
                Param("max_leaf_nodes", "Leaves per tree", "int", 31, 2, 1024, tried=(4, 128)), _BALANCED),
    ),
    Candidate(
        "lightgbm", "LightGBM", CLASSES + VALUES, "Boosted trees of the LightGBM library; quick on large tables.",
        cost=6.0, simplicity=9, make=builders.lightgbm,
        needs="lightgbm", install="pip install lightgbm -c requirements.txt", reading="tree importances",
        params=(_TREES, _RATE, Param("num_leaves", "Leaves per tree", "int", 31, 2, 1024, tried=(4, 128)), _BALANCED),
    ),
    Candidate(
        "xgboost", "XGBoost", CLASSES + VALUES, "Boosted trees of the XGBoost library.",
        cost=8.0, simplicity=10, make=builders.xgboost,
        needs="xgboost", install="pip install xgboost-cpu -c requirements.txt", reading="tree importances",
        params=(_TREES, _RATE, Param("max_depth", "Depth", "int", 6, 1, 20, tried=(1, 10))),
    ),
    Candidate(
        "mlp", "Neural network", CLASSES + VALUES,
        "One hidden layer; smooth relations in large tables. Needs scaled numbers, hard to read.",
        cost=30.0, simplicity=11, make=builders.mlp, scaled=True,
        params=(Param("hidden_units", "Hidden units", "int", 64, 1, 1024, tried=(4, 256)),
                Param("alpha", "Penalty", "float", 0.0001, 0.0, 100.0, tried=(1e-5, 10.0)),
                Param("max_iter", "Passes at most", "int", 200, 10, 5000, tried=(50, 500))),
    ),
    Candidate(
        "keras", "Keras network", CLASSES + VALUES,
        "Dense layers trained with Keras; answers are computed from the kept weights, so that scoring needs no Keras.",
        cost=100.0, simplicity=12, make=builders.keras, scaled=True,
        needs="keras", also=("jax",), install="pip install keras jax -c requirements.txt",
        params=(Param("hidden_units", "Units of a hidden layer", "int", 32, 1, 1024, tried=(8, 128)),
                Param("layers", "Hidden layers", "int", 1, 1, 4, tried=(1, 3)),
                Param("dropout", "Share of units left out while learning", "float", 0.1, 0.0, 0.9, tried=(0.0, 0.5)),
                Param("learning_rate", "Learning rate", "float", 0.005, 1e-5, 1.0, tried=(1e-3, 5e-2)),
                Param("epochs", "Passes over the rows", "int", 30, 1, 1000, tried=(10, 80)),
                Param("batch_size", "Rows per step", "int", 32, 1, 4096, tried=(16, 128)), _BALANCED),
    ),
    Candidate(
        "voting", "Voting", CLASSES + VALUES,
        "The mean of several members' answers (a linear model, a forest and boosted trees unless others are chosen); steadier than each.",
        cost=40.0, simplicity=13, make=builders.voting, scaled=True,
    ),
    Candidate(
        "stacking", "Stacking", CLASSES + VALUES,
        "A linear model over several members' answers (a linear model, a forest and boosted trees unless others are chosen); the most work.",
        cost=160.0, simplicity=14, make=builders.stacking, scaled=True, params=(Param("cv", "Inner folds", "int", 3, 2, 10),),
    ),
)  # fmt: skip
