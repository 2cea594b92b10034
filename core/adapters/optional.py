"""Which optional libraries there are, what each is for, and how to install it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from core.errors import Refused


@dataclass(frozen=True)
class Library:
    """One optional library.

    Attributes
    ----------
    module : str
        What is imported; looked up without importing it.
    purpose : str
        What needs it, as the subject of a sentence.
    install : str
        The line that installs it.
    """

    module: str
    title: str
    purpose: str
    install: str

    @property
    def is_installed(self) -> bool:
        return find_spec(self.module) is not None


LIBRARIES = {
    library.module: library
    for library in (
        Library("sqlalchemy", "SQLAlchemy", "an HR database as a source", 'pip install sqlalchemy "psycopg[binary]"'),
        Library("psycopg", "psycopg", "an HR database in PostgreSQL", 'pip install "psycopg[binary]"'),
        Library("mlflow", "MLflow", "the mirror of runs and versions", "pip install mlflow"),
        Library("dvc", "DVC", "pushing datasets to a remote and pulling them", "pip install dvc"),
        Library("great_expectations", "Great Expectations", "validation by an expectation suite", "pip install great_expectations"),
        Library("xgboost", "XGBoost", "the candidate XGBoost", "pip install xgboost-cpu"),
        Library("lightgbm", "LightGBM", "the candidate LightGBM", "pip install lightgbm"),
        Library("keras", "Keras", "the candidate Keras network", "pip install keras jax"),
        Library("optuna", "Optuna", "a search of hyperparameters", "pip install optuna"),
        Library("shap", "SHAP", "contributions of each value to a prediction", "pip install shap"),
        Library("distributed", "Dask", "work on a Dask cluster", "pip install dask distributed"),
        Library("authlib", "Authlib", "sign-in by OpenID Connect", "pip install authlib"),
    )
}


def is_installed(module: str) -> bool:
    """Whether an optional library can be imported; it is not."""
    return LIBRARIES[module].is_installed


def need(module: str) -> Any:
    """Import an optional library; raises as :func:`check_installed`."""
    check_installed(module)
    return import_module(module)


def check_installed(module: str) -> None:
    """Look for an optional library without importing it.

    Raises
    ------
    Refused
        It is not installed; the sentence says what needs it and how to install it.
    """
    library = LIBRARIES[module]
    if not library.is_installed:
        raise Refused(f"{library.title} is not installed, and {library.purpose} needs it: {library.install}.")
