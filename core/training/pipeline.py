"""From a candidate to the one object that is fitted, saved and served: columns first, then the estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.projects.definition import Definition
from core.training.catalogue import RULES_COLUMNS, Candidate

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MISSING = "missing"
# More one-hot columns than this say nothing a table of this size can teach; the rarest share one column.
MAX_CATEGORIES = 100


def build_pipeline(candidate: Candidate, params: dict[str, Any], seed: int, definition: Definition) -> Pipeline:
    """Return the unfitted pipeline of a candidate for a project.

    Numbers: a missing value becomes the training median (0 in a column without any value), then zero mean and
    unit variance where the estimator needs it. Categories: a missing value becomes the category "missing", then
    one column per category; a category never seen in training is all zeros. No indicator columns: a value that
    is missing only while scoring would have none to fill. The names and the order of the columns stay inside.

    Parameters
    ----------
    params : dict
        Hyperparameters that differ from the candidate's defaults.
    seed : int
        Random state of the estimator.

    Raises
    ------
    BadInput
        For a hyperparameter, task or library that does not fit (see ``Candidate.build``).
    """
    from sklearn.pipeline import Pipeline

    estimator = candidate.build(definition.task, params, seed)
    return Pipeline([("columns", _columns(candidate, definition)), ("estimator", estimator)])


def _columns(candidate: Candidate, definition: Definition) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if candidate.name == "rules_engine":
        by_name = ColumnTransformer([("rules", "passthrough", list(RULES_COLUMNS))], verbose_feature_names_out=False)
        return by_name.set_output(transform="pandas")
    numbers = [c.name for c in definition.features if c.kind == "number"]
    categories = [c.name for c in definition.features if c.kind == "category"]
    parts: list[tuple[str, Any, list[str]]] = []
    if numbers:
        median = SimpleImputer(strategy="median", keep_empty_features=True)
        parts.append(("numbers", make_pipeline(median, StandardScaler()) if candidate.scaled else median, numbers))
    if categories:
        known = SimpleImputer(strategy="constant", fill_value=MISSING, keep_empty_features=True)
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False, max_categories=MAX_CATEGORIES)
        parts.append(("categories", make_pipeline(known, one_hot), categories))
    # Dense output: trees and boosting read it several times faster than a sparse one.
    return ColumnTransformer(parts, sparse_threshold=0.0)
