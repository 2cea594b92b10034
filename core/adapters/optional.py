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
        The line that installs it, held to the versions that Greenlight is locked to.
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
        Library("sqlalchemy", "SQLAlchemy", "an HR database as a source", 'pip install sqlalchemy "psycopg[binary]" -c requirements.txt'),
        Library("psycopg", "psycopg", "an HR database in PostgreSQL", 'pip install "psycopg[binary]" -c requirements.txt'),
        Library("mlflow", "MLflow", "the mirror of runs and versions", "pip install mlflow -c requirements.txt"),
        Library("dvc", "DVC", "pushing datasets to a remote and pulling them", "pip install dvc -c requirements.txt"),
        Library(
            "great_expectations", "Great Expectations", "validation by an expectation suite", "pip install great_expectations -c requirements.txt"
        ),
        Library("xgboost", "XGBoost", "the candidate XGBoost", "pip install xgboost-cpu -c requirements.txt"),
        Library("lightgbm", "LightGBM", "the candidate LightGBM", "pip install lightgbm -c requirements.txt"),
        Library("keras", "Keras", "the candidate Keras network", "pip install keras jax -c requirements.txt"),
        Library("optuna", "Optuna", "a search of hyperparameters", "pip install optuna -c requirements.txt"),
        Library("shap", "SHAP", "contributions of each value to a prediction", "pip install shap -c requirements.txt"),
        Library("distributed", "Dask", "work on a Dask cluster", "pip install dask distributed -c requirements.txt"),
        Library("authlib", "Authlib", "sign-in by OpenID Connect", "pip install authlib -c requirements.txt"),
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
