"""From a typed query to candidates of the project's catalogue: translate, embed, look up, and make the features of each.

Items and query are embedded alike: TF-IDF over words, reduced by a truncated SVD, compared by cosine. What is found is
ranked by the live model, not by the cosine: that only chooses whom the model looks at.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from core.datasets import versions as datasets
from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.projects.definition import Catalogue, Definition
from core.registry.versions import get_version

if TYPE_CHECKING:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

TRANSLATIONS = "greenlight.translations"  # group of entry points: name -> callable (str) -> str
DIMENSIONS = 64
LOOKED_AT = 50  # candidates that the model ranks at least
_KEPT = 4

_indexes: OrderedDict[tuple[str, str, str], Index] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class Index:
    """A catalogue made searchable.

    Attributes
    ----------
    items : list of str
        Each item once.
    texts : list of dict
        Text column -> text, for each item.
    rows : list of dict
        Feature -> value (None missing), for each item, without what depends on the query.
    vectors : float array (items, dimensions)
        Unit length, or zero where no word counts.
    """

    items: list[str]
    texts: list[dict[str, str]]
    rows: list[dict[str, Any]]
    words: TfidfVectorizer
    svd: TruncatedSVD | None
    vectors: np.ndarray


@dataclass(frozen=True)
class Candidate:
    """One item with the features that it has for this query; ``closeness`` is the cosine, -1..1."""

    item: str
    text: dict[str, str]
    row: dict[str, Any]
    closeness: float


@dataclass(frozen=True)
class Candidates:
    """What was found for a query, the closest first; ``stages`` in milliseconds."""

    query: str
    translated: str | None
    known_words: int
    found: list[Candidate]
    stages: dict[str, float]


def find_candidates(home: Home, definition: Definition, version: str, query: str, count: int) -> Candidates:
    """The items of the catalogue that are closest to ``query``, with features for the model.

    Raises
    ------
    Refused
        The project has no catalogue, or names a translation that is not installed.
    BadInput
        The query has no word.
    """
    catalogue = definition.catalogue
    if catalogue is None:
        raise Refused(f"Project {definition.name} names no catalogue of items; send the rows to rank as items instead.")
    began = time.perf_counter()
    translate = find_translation(catalogue)
    asked = translate(query) if translate else query
    translated = time.perf_counter()
    if not split_words(asked, catalogue):
        raise BadInput("The query has no word that counts; type what is looked for.")
    index = open_index(home, definition, version)
    opened = time.perf_counter()
    vector, known = embed(index, asked)
    embedded = time.perf_counter()
    closeness = index.vectors @ vector
    nearest = np.argsort(-closeness, kind="stable")[:count]
    found = [
        Candidate(index.items[n], index.texts[n], {**index.rows[n], **_query_features(catalogue, asked, index.texts[n])}, float(closeness[n]))
        for n in nearest
    ]
    done = time.perf_counter()
    stages = {"embedding": 1000 * (embedded - opened), "retrieval": 1000 * (done - embedded), "catalogue": 1000 * (opened - translated)}
    if translate:
        stages["translation"] = 1000 * (translated - began)
    return Candidates(query, asked if translate else None, known, found, stages)


def find_translation(catalogue: Catalogue) -> Callable[[str], str] | None:
    """The installed hook that the project names, if it names one.

    A name, never code: which functions there are is decided by whoever installs Greenlight, not by a project.
    """
    if not catalogue.translation:
        return None
    for entry in metadata.entry_points(group=TRANSLATIONS, name=catalogue.translation):
        hook: Callable[[str], str] = entry.load()
        return hook
    raise Refused(f"The translation {catalogue.translation!r} is not installed here; install it, or take it out of the definition.")


def embed(index: Index, text: str) -> tuple[np.ndarray, int]:
    """Unit vector of a text (zero where the catalogue has none of its words), and how many of its words are known."""
    counts = index.words.transform([text])
    vector = index.svd.transform(counts)[0] if index.svd is not None else counts.toarray()[0]
    return _unit(vector.reshape(1, -1))[0], int(counts.nnz)


def split_words(text: str, catalogue: Catalogue) -> set[str]:
    return set(text.casefold().split()) - set(catalogue.stop_words)


def similarity(query: str, text: str, catalogue: Catalogue) -> float:
    """Cosine of the two sets of words, 0..1: words in common / sqrt(words of one x words of the other)."""
    asked, named = split_words(query, catalogue), split_words(text, catalogue)
    return round(len(asked & named) / math.sqrt(len(asked) * len(named)), 4) if asked and named else 0.0


def open_index(home: Home, definition: Definition, version: str) -> Index:
    """The index of the items in the version's training data; made at first use, then kept."""
    dataset = datasets.get_dataset(home, get_version(home, definition.name, version).dataset_id)
    key = (str(home.root), dataset.sha256, definition.sha256)
    with _lock:  # the first requests after a start wait for one index, instead of making one each
        if key not in _indexes:
            _indexes[key] = make_index(home, definition, dataset)
            while len(_indexes) > _KEPT:
                _indexes.popitem(last=False)
        _indexes.move_to_end(key)
        return _indexes[key]


def make_index(home: Home, definition: Definition, dataset: datasets.Dataset) -> Index:
    """Every item of a dataset once, embedded."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    from core.datasets.prepare import prepare
    from core.datasets.read import read_table

    catalogue = definition.catalogue
    assert catalogue is not None
    path = datasets.data_path(home, dataset)
    if not path.exists():
        raise NotFound(f"The file of dataset {dataset.version} of {definition.name} is gone; restore it from a backup.")
    frame = read_table(path, file_name=dataset.file_name, max_bytes=None).frame
    absent = [c for c in (catalogue.item, *catalogue.text) if c not in frame]
    if absent:
        raise Refused(f"Dataset {dataset.version} of {definition.name} lacks {', '.join(absent)}, so its items cannot be looked up.")
    frame = frame[frame[catalogue.item].notna()].drop_duplicates(catalogue.item, keep="last").reset_index(drop=True)
    features = prepare(frame, definition, purpose="scoring").features
    texts = [{str(c): "" if v is None or v != v else str(v) for c, v in row.items()} for row in frame[list(catalogue.text)].to_dict("records")]
    rows = [{str(c): None if v != v else v for c, v in row.items()} for row in features.to_dict("records")]
    words = TfidfVectorizer(token_pattern=r"\S+", stop_words=list(catalogue.stop_words) or None)  # noqa: S106 - of words
    counts = words.fit_transform([" ".join(t.values()) for t in texts])
    size = min(DIMENSIONS, min(counts.shape) - 1)
    svd = TruncatedSVD(size, random_state=0).fit(counts) if size >= 2 else None
    vectors = svd.transform(counts) if svd is not None else counts.toarray()
    return Index([str(i) for i in frame[catalogue.item]], texts, rows, words, svd, _unit(vectors))


def _query_features(catalogue: Catalogue, query: str, text: dict[str, str]) -> dict[str, Any]:
    asked = split_words(query, catalogue)
    found: dict[str, Any] = {name: str(word.casefold() in asked) for name, word in catalogue.asked.items()}
    if catalogue.similarity:
        found[catalogue.similarity] = similarity(query, " ".join(text.values()), catalogue)
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
