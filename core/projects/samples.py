"""The sample projects that ship with Greenlight: their definitions, and their data, copied or made from a seed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from core.errors import NotFound
from core.projects.definition import Definition, from_dict

FOLDER = Path(__file__).resolve().parents[2] / "samples"
NAMES = ("heart_disease", "future_skills", "recipe_ranking")
HR_DATABASE = "future_skills_hr.db"

_TRAINING = {"heart_disease": "heart_cleveland.csv", "future_skills": "future_skills.csv", "recipe_ranking": "recipe_ranking.csv"}
_NEW_QUERIES = 20


def list_samples() -> tuple[str, ...]:
    """Names of the sample projects, in the order in which a newcomer meets them."""
    return NAMES


def load_sample(name: str) -> Definition:
    """Read and check one sample's definition.

    Raises
    ------
    NotFound
        If there is no such sample.
    """
    return from_dict(yaml.safe_load((_folder(name) / "project.yaml").read_text(encoding="utf-8")))


def sample_files(name: str) -> tuple[Path, ...]:
    """Files that ship with the sample to be scored after training (other hospitals); none for generated samples."""
    folder = _folder(name) / "data"
    return tuple(path for path in sorted(folder.glob("*.csv")) if path.name != _TRAINING[name])


def list_scoring_files(name: str, folder: str | Path) -> tuple[Path, ...]:
    """The tables to be scored that `make_scoring_files` put into ``folder``; none for a project that is no sample."""
    return tuple(p for p in sorted(Path(folder).glob("*.csv")) if p.name != _TRAINING[name]) if name in NAMES else ()


def make_sample_data(name: str, folder: str | Path, seed: int = 42) -> Path:
    """Put the sample's training table into ``folder`` and return its path. Safe to repeat.

    Real data is copied, synthetic data made: the same seed makes the same bytes. For future_skills the synthetic
    HR database is made first (`HR_DATABASE`, beside the table) and exported as a real one would be.
    """
    source, folder = _folder(name), Path(folder)
    target = folder / _TRAINING[name]
    if name == "heart_disease":
        return _place(source / "data" / target.name, target)
    if name == "future_skills":
        return _write(_export_hr(folder / HR_DATABASE, seed, shift=0.0), target)
    from samples.recipe_ranking import generator

    return _write(generator.make_ranking(seed), target)


def make_scoring_files(name: str, folder: str | Path, seed: int = 42) -> tuple[Path, ...]:
    """Put tables to be scored into ``folder``: other hospitals, the HR data of a later year, or new queries.

    Each holds the answers too, so that they can be fed back as labels.
    """
    folder = Path(folder)
    if name == "heart_disease":
        return tuple(_place(path, folder / path.name) for path in sample_files(name))
    if name == "future_skills":
        later = _export_hr(folder / f"later_{HR_DATABASE}", seed, shift=1.0)
        return (_write(later, folder / "future_skills_later.csv"),)
    _folder(name)
    from samples.recipe_ranking import generator

    fresh = generator.make_ranking(seed, queries=_NEW_QUERIES, first_query=generator.QUERIES + 1)
    return (_write(fresh, folder / "recipe_ranking_new_queries.csv"),)


def _folder(name: str) -> Path:
    if name not in NAMES:
        raise NotFound(f"There is no sample {str(name)[:60]!r}; the samples are {', '.join(NAMES)}.")
    return FOLDER / name


def _export_hr(database: Path, seed: int, *, shift: float) -> pd.DataFrame:
    """Make a synthetic HR database at ``database`` and export the pairs that a planner judged."""
    from core.datasets.hr_export import export_dataset
    from samples.future_skills import hr_source
    from storage.hr_source import write_source

    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=database.parent) as near:
        made = write_source(Path(near) / database.name, hr_source.make_source(seed, shift=shift))
        os.replace(made, database)
    dataset = export_dataset(database, as_of=hr_source.AS_OF)
    return dataset[dataset["future_need_level"].notna()].reset_index(drop=True)


def _write(frame: pd.DataFrame, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as near:
        made = Path(near) / target.name
        frame.to_csv(made, index=False, lineterminator="\n", encoding="utf-8")
        os.replace(made, target)
    return target


def _place(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as near:
        made = Path(shutil.copyfile(source, Path(near) / target.name))
        os.replace(made, target)
    return target
