"""The fitted preprocessing of a pipeline as plain arrays, so that a row becomes the estimator's table without a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from core.training.pipeline import MISSING

# Numbers beyond this are scored as this: forests read single precision and refuse what it cannot hold, sums overflow.
LARGEST = 1e30


class NotCompiled(Exception):
    """This pipeline cannot be made quick; the message ends the sentence "the pipeline itself answers, because ..."."""


@dataclass(frozen=True)
class Columns:
    """The fitted preprocessing as plain numbers.

    Attributes
    ----------
    numbers, categories : tuple of str
        Names in the order in which :meth:`encode` takes them.
    number_at : int array, shape (numbers,)
        Column of the estimator's table for each number.
    fill : float64 array, shape (numbers,)
        What stands in for a missing one.
    mean, scale : float64 arrays, shape (numbers,), or None
        Where numbers are standardised.
    codes : tuple of dict
        For each category column: value -> column of the estimator's table; what is absent has none.
    missing : tuple of int
        The column for a missing value, -1 if there is none.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    number_at: np.ndarray
    fill: np.ndarray
    mean: np.ndarray | None
    scale: np.ndarray | None
    codes: tuple[dict[str, int], ...]
    missing: tuple[int, ...]
    width: int

    def encode(self, numbers: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The estimator's table, shape (n, width), float64.

        Parameters
        ----------
        numbers : float64 array, shape (n, numbers)
            NaN where missing.
        places : int array, shape (n, categories)
            Column of each category as :meth:`place` finds it, -1 for none.
        """
        rows = len(numbers)
        table = np.zeros((rows, self.width + 1))  # place -1 writes into the last column, which is cut off
        if self.numbers:
            values = np.where(np.isnan(numbers), self.fill, np.maximum(np.minimum(numbers, LARGEST), -LARGEST))
            if self.mean is not None and self.scale is not None:
                values = (values - self.mean) / self.scale
            table[:, self.number_at] = values
        if self.categories:
            table[np.arange(rows)[:, np.newaxis], places] = 1.0
        return table[:, : self.width]

    def place(self, column: int, value: str | None) -> int:
        """The table's column that a value of category column number ``column`` switches on, or -1."""
        return self.missing[column] if value is None else self.codes[column].get(value, -1)

    def encode_frame(self, features: pd.DataFrame) -> np.ndarray:
        """The same for prepared features; each distinct category, not each row, is looked up."""
        numbers = features[list(self.numbers)].to_numpy(dtype=np.float64)
        places = np.empty((len(features), len(self.categories)), dtype=np.int64)
        for column, name in enumerate(self.categories):
            codes, uniques = pd.factorize(features[name])
            found = np.array([self.place(column, str(u)) for u in uniques] + [self.missing[column]], dtype=np.int64)
            places[:, column] = found[codes]
        return self.encode(numbers, places)


def compile_columns(transformer: Any) -> Columns:
    """The fitted preprocessing of core.training.pipeline as arrays; raises NotCompiled for any other."""
    if type(transformer) is not ColumnTransformer or transformer.remainder != "drop":
        raise NotCompiled(f"its columns are prepared by {type(transformer).__name__}")
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    fill, mean, scale = np.empty(0), None, None
    codes: list[dict[str, int]] = []
    number_at = np.empty(0, dtype=np.int64)
    width = 0
    for name, part, names in transformer.transformers_:
        if name == "remainder":
            continue
        span = transformer.output_indices_[name]
        width = max(width, span.stop)
        steps = [step for _, step in part.steps] if isinstance(part, Pipeline) else [part]
        kinds = [type(s) for s in steps]
        if name == "numbers" and kinds in ([SimpleImputer], [SimpleImputer, StandardScaler]) and not steps[0].add_indicator:
            numbers, number_at = tuple(names), np.arange(span.start, span.stop)
            # asked, not read: a column without any value is filled as the imputer says
            fill = np.asarray(steps[0].transform(pd.DataFrame([[np.nan] * len(names)], columns=list(names))), dtype=float)[0]
            if len(steps) == 2:
                mean = np.zeros(len(names)) if steps[1].mean_ is None else np.asarray(steps[1].mean_, dtype=float)
                scale = np.ones(len(names)) if steps[1].scale_ is None else np.asarray(steps[1].scale_, dtype=float)
        elif name == "categories" and kinds == [SimpleImputer, OneHotEncoder]:
            if steps[0].fill_value != MISSING or steps[1].handle_unknown != "ignore":
                raise NotCompiled("its categories are encoded in another way")
            categories = tuple(names)
            codes = [_ask_places(steps[1], place, span.start) for place in range(len(names))]
        else:
            raise NotCompiled(f"its columns {name} are prepared by {' and '.join(k.__name__ for k in kinds)}")
    missing = tuple(c.get(MISSING, -1) for c in codes)
    return Columns(numbers, categories, number_at, fill, mean, scale, tuple(codes), missing, width)


def _ask_places(encoder: OneHotEncoder, column: int, start: int) -> dict[str, int]:
    """Value -> column of the table, by asking the fitted encoder for each value that it knows, beside unknown ones, which
    are all zeros: so rare values that share a column are right as well."""
    known = list(encoder.categories_[column])
    rows = np.full((len(known), len(encoder.categories_)), "", dtype=object)
    for other, values in enumerate(encoder.categories_):
        strange = "unknown"
        while strange in set(values):
            strange += "?"
        rows[:, other] = strange
    rows[:, column] = known
    table = np.asarray(encoder.transform(rows))
    return {str(v): start + int(line.argmax()) for v, line in zip(known, table, strict=True) if line.any()}
