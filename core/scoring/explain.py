"""Why this answer? What each value contributes, from the average answer over the training data to the answer itself.

Shapley values (Shapley 1953; for models: Strumbelj and Kononenko 2014): a column's contribution is the mean change of the
answer when its value takes the place of another row's, over the orders in which the columns may come. They add up exactly:
base + contributions = answer. Columns are those of the project; what a model makes of one column inside counts for it.

They say what the model does with a value, not what the value causes in the world. Nothing of it is logged as a prediction.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.numbers import count_places, say_places

if TYPE_CHECKING:
    import pandas as pd

    from core.scoring.scorer import Scorer

MOST_ROWS = 20  # explained at once
MOST_WORK = 400_000  # rows x columns x columns: what it costs grows with the square of the columns
AT_ONCE_CELLS = 4_000_000  # of mixed rows that are in memory together
BACKGROUND_ROWS = 50
READ_WHOLE = 100_000  # rows of a dataset that are read to draw the background from; of a longer one the beginning is
SAMPLING = "sampled Shapley values"
_SEED = 0
_KEPT = 16

Game = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Contribution:
    """What one value does.

    Attributes
    ----------
    value : str
        As it was read, or "missing".
    change : float
        In the unit of the answer; positive raises it.
    """

    column: str
    value: str
    change: float


@dataclass(frozen=True)
class Explanation:
    """One answer, taken apart: ``base`` plus the changes of all ``contributions`` is ``answer``.

    Attributes
    ----------
    of : str
        What is explained: "score" (0 to 100), "probability of CLASS" (0 to 1, classes without an order), or the target
        (numbers, in its own unit).
    base : float
        Mean answer over the background.
    method : str
        How the contributions were computed.
    background : str
        What the values were compared with, for a person.
    contributions : tuple of Contribution
        One for each feature, the largest first.
    """

    of: str
    base: float
    answer: float
    method: str
    background: str
    contributions: tuple[Contribution, ...]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "contributions": [asdict(c) for c in self.contributions]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Explanation:
        return cls(**{**data, "contributions": tuple(Contribution(**c) for c in data["contributions"])})


@dataclass(frozen=True)
class Background:
    """Rows of the training data that values are compared with, and what they are, for a person."""

    features: pd.DataFrame
    words: str


@dataclass(frozen=True)
class Coded:
    """Rows and background as places in short lists of values, one list a column, so that they mix quickly.

    Attributes
    ----------
    tables : list of arrays
        The distinct values of each column.
    rows, background : int arrays, shape (n, columns) and (b, columns)
    """

    names: tuple[str, ...]
    tables: list[np.ndarray]
    rows: np.ndarray
    background: np.ndarray

    def decode(self, places: np.ndarray) -> pd.DataFrame:
        """The features that some places stand for."""
        import pandas as pd

        return pd.DataFrame({name: self.tables[at][places[:, at]] for at, name in enumerate(self.names)})


# ---- explaining ----


def explain(home: Home, scorer: Scorer, rows: Sequence[dict[str, Any]]) -> list[Explanation]:
    """Explain answers at once, by sampled Shapley values; the same rows give the same explanation.

    Parameters
    ----------
    rows : sequence of dict
        Typed values under the names of the features, as they are scored.

    Raises
    ------
    BadInput
        More than 20 rows.
    """
    coded, background = prepare_rows(home, scorer, rows)
    games = make_games(scorer, coded)
    method = f"{SAMPLING} ({2 * len(coded.background)} orders of the columns)"
    found = []
    for row, (of, game) in zip(coded.rows, games, strict=True):
        base, changes = sample_contributions(game, row, coded.background, seed=_SEED)
        found.append(make_explanation(coded, row, of, base, changes, method, background.words))
    return found


def check_count(rows: Sequence[Any]) -> None:
    """Raise BadInput for more rows than are explained at once."""
    if len(rows) > MOST_ROWS:
        raise BadInput(f"At most {MOST_ROWS} rows are explained at once; these are {len(rows)}. Send fewer, or leave out explain.")


def check_width(rows: int, width: int) -> None:
    """Raise BadInput where so many rows of so many columns would take minutes."""
    most = MOST_WORK // width**2
    if not most:
        raise BadInput(f"Answers of a project with {width:,} columns cannot be explained; {int(MOST_WORK**0.5):,} are the most.")
    if rows > most:
        raise BadInput(f"At most {most} rows of {width:,} columns are explained at once; these are {rows}. Send fewer, or leave out explain.")


def prepare_rows(home: Home, scorer: Scorer, rows: Sequence[dict[str, Any]]) -> tuple[Coded, Background]:
    """The rows and the background, coded together; raises BadInput for more than 20 rows, fewer where they are very wide."""
    from core.datasets.prepare import prepare

    check_count(rows)
    check_width(len(rows), len(scorer.definition.features))
    features = prepare(list(rows), scorer.definition, purpose="scoring", refuse_unreadable=False).features
    background = get_background(home, scorer)
    return code(features, background.features), background


def code(features: pd.DataFrame, background: pd.DataFrame) -> Coded:
    """Code rows and background with the same lists of values."""
    import pandas as pd

    tables, places = [], []
    for name in features.columns:
        both = pd.concat([features[name], background[name]], ignore_index=True)
        codes, values = pd.factorize(both, use_na_sentinel=False)
        kind: Any = np.float64 if both.dtype.kind == "f" else object
        tables.append(np.asarray(values, dtype=kind))
        places.append(codes)
    table = np.column_stack(places)
    return Coded(tuple(map(str, features.columns)), tables, table[: len(features)], table[len(features) :])


def make_games(scorer: Scorer, coded: Coded) -> list[tuple[str, Game]]:
    """For each row what its answer is called, and the function from places to answers."""
    from core.scoring.scorer import score

    def ask(places: np.ndarray) -> Any:
        return score(scorer, coded.decode(places), threads=1)

    definition = scorer.definition
    answers = ask(coded.rows)
    if not definition.is_classifier:
        return [(definition.target or "score", lambda places: ask(places).score)] * len(coded.rows)
    if not np.isnan(answers.score).any():
        return [("score", lambda places: ask(places).score)] * len(coded.rows)

    def follow(at: int) -> Game:
        return lambda places: ask(places).probabilities[:, at]

    chosen = [definition.classes.index(p) for p in answers.prediction]
    return [(f"probability of {definition.classes[at]}", follow(at)) for at in chosen]


def sample_contributions(game: Game, row: np.ndarray, background: np.ndarray, *, seed: int) -> tuple[float, np.ndarray]:
    """Base and contributions of one row.

    Each background row is turned into ``row``, one column after the other, in a random order and in its reverse; a column
    gets the mean change at its turn. The changes of one order add up to the whole difference, so their means do too.

    Parameters
    ----------
    game : callable
        (n, columns) places -> (n,) answers.
    row : array, shape (columns,)
    background : array, shape (b, columns)

    Returns
    -------
    float, array of shape (columns,)
    """
    rows, width = background.shape
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(width) for _ in range(rows)])
    orders = np.concatenate([orders, orders[:, ::-1]])  # (2b, width)
    begun = np.concatenate([background, background])
    turn = np.argsort(orders, axis=1)  # at which step each column comes
    steps = np.arange(width + 1)
    answers = np.empty((2 * rows, width + 1))
    some = max(1, AT_ONCE_CELLS // ((width + 1) * width))
    for start in range(0, 2 * rows, some):
        part = slice(start, start + some)
        mixed = np.where(turn[part, None, :] < steps[None, :, None], row, begun[part, None, :])  # (some, width + 1, width)
        distinct, where = np.unique(mixed.reshape(-1, width), axis=0, return_inverse=True)
        answers[part] = game(distinct)[where.reshape(-1)].reshape(-1, width + 1)
    changes = np.zeros((2 * rows, width))
    np.put_along_axis(changes, orders, np.diff(answers, axis=1), axis=1)
    return float(answers[:, 0].mean()), changes.mean(axis=0)


def make_explanation(
    coded: Coded, row: np.ndarray, of: str, base: float, changes: np.ndarray, method: str, background: str
) -> Explanation:
    """Put names and values to the numbers."""
    found = [
        Contribution(name, _show(coded.tables[at][row[at]]), float(changes[at])) for at, name in enumerate(coded.names)
    ]
    found.sort(key=lambda c: -abs(c.change))
    return Explanation(of, base, base + float(changes.sum()), method, background, tuple(found))


def _show(value: Any) -> str:
    if value is None or value != value:  # NaN differs from itself
        return "missing"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


# ---- background ----

_backgrounds: OrderedDict[tuple[str, int, str], Background] = OrderedDict()
_lock = threading.Lock()


def get_background(home: Home, scorer: Scorer) -> Background:
    """Rows of the dataset that the version was trained on, always the same ones; kept in memory.

    Where the dataset's file was purged or changed, the rows that are kept with the version itself.
    """
    key = (str(home.root), scorer.version_id, scorer.sha256)
    with _lock:
        if key in _backgrounds:
            _backgrounds.move_to_end(key)
            return _backgrounds[key]
    made = _draw_background(home, scorer)
    with _lock:
        _backgrounds[key] = made
        while len(_backgrounds) > _KEPT:
            _backgrounds.popitem(last=False)
    return made


def _draw_background(home: Home, scorer: Scorer) -> Background:
    from core.datasets import versions as datasets
    from core.datasets.prepare import prepare
    from core.datasets.read import stream_table
    from core.registry import golden
    from core.registry.versions import get_version

    dataset = datasets.get_dataset(home, get_version(home, scorer.project, scorer.version).dataset_id)
    try:
        if dataset.rows <= READ_WHOLE:
            features, of = datasets.load(home, dataset, scorer.definition).features, f"dataset {dataset.version}"
        else:
            path = datasets.data_path(home, dataset)
            if not path.exists():
                raise NotFound("gone")
            chunk = next(iter(stream_table(path, file_name=dataset.file_name, chunk_rows=READ_WHOLE)))
            features = prepare(chunk, scorer.definition, purpose="training").features
            of = f"the first {READ_WHOLE:,} of dataset {dataset.version}"
    except (NotFound, Refused):
        features = golden.read_rows(home, scorer).iloc[:-1]  # the last one has no values at all
        words = f"the {len(features)} rows that are kept with the version, because its dataset cannot be read any more"
        return Background(features.reset_index(drop=True), words)
    rows = min(BACKGROUND_ROWS, len(features))
    chosen = np.sort(np.random.default_rng(_SEED).choice(len(features), rows, replace=False))
    return Background(features.iloc[chosen].reset_index(drop=True), f"{rows} rows of {of}, which version {scorer.version} was trained on")


# ---- words ----


def scale_of(explanation: Explanation) -> tuple[float, str]:
    """By what to multiply for a person, and the unit: probabilities become percentage points."""
    if explanation.of.startswith("probability of "):
        return 100.0, "percentage points"
    return 1.0, "points" if explanation.of == "score" else ""


def places_of(explanation: Explanation) -> int:
    """Decimals of all that is told of an explanation: the same for each, so that they can be added up by eye."""
    _, unit = scale_of(explanation)
    if unit:
        return 1
    return count_places(max(abs(explanation.base), abs(explanation.answer), *(abs(c.change) for c in explanation.contributions)))


def describe(explanation: Explanation, most: int = 3) -> list[str]:
    """Sentences for people who are not engineers: where it starts, what raised it most, what lowered it most."""
    scale, unit = scale_of(explanation)

    places = places_of(explanation)

    def tell(number: float) -> str:
        return say_places(scale * number, places)

    what = f"The {explanation.of}" if unit else explanation.of
    percent = "%" if scale == 100.0 else ""
    start = f"{what} is {tell(explanation.answer)}{percent}; on average it is {tell(explanation.base)}{percent}."
    sentences = [start]
    # what is shown as 0 is nothing; for numbers also what is less than a thousandth of all that moves
    shown = 0.5 / 10**places / scale
    least = shown if unit else max(shown, sum(abs(c.change) for c in explanation.contributions) / 1000)
    for word, sign in (("raised", 1), ("lowered", -1)):
        moved = [c for c in explanation.contributions if sign * c.change > least][:most]
        named = ", ".join(f"{name_value(c)} ({say_places(scale * c.change, places, signed=True)})" for c in moved)
        sentences.append(f"What {word} it most: {named}." if moved else f"Nothing {word} it.")
    return sentences


def name_value(contribution: Contribution) -> str:
    """A column with its value, as a phrase."""
    if contribution.value == "missing":
        return f"{contribution.column} is missing"
    return f"{contribution.column} = {contribution.value}"
