"""May the quick scorer answer? Only where it gives the pipeline's own answers, on known rows and on the edges of every column.

The comparison is made once for an artifact and the libraries it runs with, and kept, signed, among the work files; a
result that was not signed here, or belongs to another artifact or other libraries, is made again.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from core.errors import GreenlightError
from core.home import Home
from core.libraries import find_versions
from core.projects.definition import Column, Definition
from core.registry import artifacts

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from core.scoring.compiled import Fast
    from core.scoring.scorer import Scored, Scorer

TOLERANCE = 1e-6  # of probabilities; of values, relative to those above 1
MOST_ROWS = 20_000  # known rows that are compared
EDGES_PER_COLUMN = 40  # thresholds of trees lie midway between neighbouring values: so many such places are tried
FORMAT = 2  # raise it when something is compiled or compared in another way: kept results then no longer count
LIBRARIES = ("scikit-learn", "numpy", "pandas", "scipy", "treelite", "xgboost-cpu", "xgboost", "lightgbm")

# What files raise that are gone, cut short or overwritten: the comparison then takes other rows, it never stops a deployment.
_UNREADABLE = (GreenlightError, OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, BadZipFile)

log = logging.getLogger("greenlight.mlops")


@dataclass(frozen=True)
class Parity:
    """What the comparison found.

    Attributes
    ----------
    equal : bool
        Same label everywhere and no difference above TOLERANCE.
    rows, edges : int
        Known rows and made-up edge rows that were compared.
    source : str
        Where the known rows come from.
    labels : int
        Rows with another label.
    worst : float
        Largest difference of a probability (or of a value, relative above 1).
    how : str
        What does the work.
    reason : str
        Why the pipeline itself answers; "" where the quick scorer does.
    """

    equal: bool
    rows: int
    edges: int
    source: str
    labels: int
    worst: float
    how: str
    reason: str

    @property
    def sentence(self) -> str:
        """What answers, for a person."""
        if not self.equal:
            return f"The pipeline itself answers, because {self.reason}."
        largest = f"differs by at most {self.worst:.1e}" if self.worst else "is equal to the last bit"
        return (
            f"A compiled scorer answers: {self.how}. Compared with the pipeline on {self.rows:,} {self.source} and {self.edges:,} "
            f"edge cases, every label is the same and every number {largest}."
        )


def make_fast(home: Home, scorer: Scorer) -> tuple[Fast | None, str]:
    """The quick twin of an opened scorer if it may answer, and the sentence that says what does."""
    from core.scoring.columns import NotCompiled
    from core.scoring.compiled import compile_pipeline

    result = find_parity(home, scorer.sha256, scorer.threshold)
    if result is not None and not result.equal:
        return None, result.sentence
    fast = None
    reason = ""
    try:
        fast = compile_pipeline(scorer.pipeline)
    except NotCompiled as error:
        reason = str(error)
    except Exception as error:  # a boundary: whatever a library cannot import, the pipeline still answers
        log.warning("a version could not be compiled", exc_info=True)
        reason = f"it could not be compiled ({type(error).__name__})"
    if fast is None:
        result = Parity(False, 0, 0, "", 0, 0.0, "", reason)
    elif result is None:
        result = compare(scorer, fast, *known_rows(home, scorer))
    else:
        return fast, result.sentence
    _keep(home, scorer, result)
    return (fast if result.equal else None), result.sentence


def describe(home: Home, sha256: str, threshold: float | None) -> str:
    """What answers for an artifact, without loading it."""
    found = find_parity(home, sha256, 0.5 if threshold is None else threshold)
    if found is not None:
        return found.sentence
    return "Not known yet: a compiled scorer is compared with the pipeline before the version goes live."


def known_rows(home: Home, scorer: Scorer) -> tuple[pd.DataFrame, str]:
    """Rows to compare on, and what they are: the run's hold-out, else its training data, else the golden rows."""
    from core.datasets import versions as datasets
    from core.registry import golden
    from core.registry.versions import get_version
    from core.training import runs

    try:
        version = get_version(home, scorer.project, scorer.version)
        features = datasets.load(home, datasets.get_dataset(home, version.dataset_id), scorer.definition).features
    except _UNREADABLE:
        return golden.read_rows(home, scorer), "golden rows"
    try:
        run = runs.get_run(home, runs.get_candidate_row(home, version.candidate_id).run_id)
        features, source = features.iloc[runs.get_sweep(home, run).holdout_rows], "held-out rows"
    except _UNREADABLE:
        source = "training rows"
    if features.empty:
        return golden.read_rows(home, scorer), "golden rows"
    if len(features) > MOST_ROWS:
        features = features.iloc[:: -(-len(features) // MOST_ROWS)]
    return features.reset_index(drop=True), source


def compare(scorer: Scorer, fast: Fast, known: pd.DataFrame, source: str) -> Parity:
    """Answers of the quick scorer, for few rows and for many, beside the pipeline's."""
    import numpy as np
    import pandas as pd

    from core.scoring.scorer import make_scored, score_with

    edges = make_edges(known, scorer.definition)
    table = pd.concat([known, edges], ignore_index=True)
    try:
        wanted = score_with(scorer.pipeline, table, scorer.definition, scorer.threshold)
        encoded = fast.columns.encode_frame(table)
        answers = [
            make_scored(call(encoded), fast.classes, scorer.definition, scorer.threshold, len(table))
            for call in (fast.few, fast.many)
        ]
    except _UNREADABLE as error:
        log.warning("a compiled scorer could not be compared", exc_info=True)
        reason = f"the comparison of both could not be finished ({type(error).__name__})"
        return Parity(False, len(known), len(edges), source, 0, 0.0, fast.how, reason)
    wrong = np.zeros(len(table), dtype=bool)
    worst = 0.0
    for answer in answers:
        difference = _difference(answer, wanted)
        worst = max(worst, float(difference.max(initial=0.0)))
        wrong |= _other_label(answer, wanted)
    labels = int(wrong.sum())
    reason = ""
    if labels:
        reason = f"the compiled scorer gives another label on {labels:,} of {len(table):,} rows"
    elif not worst <= TOLERANCE:
        reason = f"a number of the compiled scorer differs by {worst:.1e}, and {TOLERANCE:.0e} is allowed"
    return Parity(not reason, len(known), len(edges), source, labels, worst, fast.how, reason)


def make_edges(known: pd.DataFrame, definition: Definition) -> pd.DataFrame:
    """Rows at the edges: one column of a usual row is missing, extreme, unknown or at a threshold; then all missing, all extreme."""
    import pandas as pd

    usual = known.iloc[[0, len(known) // 2]].to_dict("records")
    tried = {c.name: _edge_values(c, known[c.name]) for c in definition.features}
    rows = [{**row, name: value} for row in usual for name, values in tried.items() for value in values]
    rows.append(dict.fromkeys(tried))
    for pick in (1, 2):  # all at once the highest, the lowest; every category unknown
        rows.append({name: values[pick] for name, values in tried.items()})
    kinds = {c.name: "float64" if c.kind == "number" else object for c in definition.features}
    frame = pd.DataFrame(rows, columns=list(tried), dtype=object)
    return pd.DataFrame({name: _typed(frame[name], kind) for name, kind in kinds.items()})


def find_parity(home: Home, sha256: str, threshold: float) -> Parity | None:
    """What was found for an artifact with today's libraries; None if it was not compared here, or its record is not ours."""
    try:
        record = json.loads(_path(home, sha256, threshold).read_text())
        body = record["body"]
        if not hmac.compare_digest(str(record["hmac"]), artifacts.sign(home, body.encode())[1]):
            return None
        kept = json.loads(body)
        if kept["key"] != _key(sha256, threshold):
            return None
        return Parity(**kept["result"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def library_versions() -> dict[str, str]:
    """Versions of what the comparison depends on; absent libraries are left out."""
    return find_versions(LIBRARIES)


def _keep(home: Home, scorer: Scorer, result: Parity) -> None:
    """Write the result down; without it the next process compares again, so a full disk is no reason to stop."""
    body = json.dumps({"key": _key(scorer.sha256, scorer.threshold), "result": asdict(result)}, sort_keys=True)
    record = {"body": body, "hmac": artifacts.sign(home, body.encode())[1]}
    path = _path(home, scorer.sha256, scorer.threshold)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(record))
        fresh.replace(path)
    except OSError:
        log.warning("the comparison of a compiled scorer could not be kept", exc_info=True)
        fresh.unlink(missing_ok=True)


def _key(sha256: str, threshold: float) -> dict[str, Any]:
    return {"artifact": sha256, "threshold": threshold, "format": FORMAT, "libraries": library_versions()}


def _path(home: Home, sha256: str, threshold: float) -> Path:
    return home.work / "parity" / f"{sha256}_{threshold:.6f}.json"


def _edge_values(column: Column, values: pd.Series) -> list[Any]:
    """Missing, highest, lowest (an unknown category twice), then whatever else is at an edge."""
    import numpy as np

    if column.kind != "number":
        strange = "a value that nobody has seen"
        return [None, strange, strange, "", *dict.fromkeys([*column.allowed, *values.dropna().unique()[:200]])]
    seen = np.unique(values.dropna().to_numpy())
    middles = seen[:-1] / 2 + seen[1:] / 2
    if len(middles) > EDGES_PER_COLUMN:
        middles = middles[np.linspace(0, len(middles) - 1, EDGES_PER_COLUMN).astype(int)]
    near = [float(v) for m in middles for v in (m, np.nextafter(m, np.inf), np.nextafter(m, -np.inf))]
    limits = [float(v) for v in (column.low, column.high) if v is not None]
    return [None, 1e308, -1e308, 0.0, -0.0, 5e-324, 1e38, -1e38, float(2**53 + 1), float(10**18), -1.0, *limits, *near]


def _typed(values: pd.Series, kind: Any) -> pd.Series:
    import numpy as np
    import pandas as pd

    if kind is object:
        return values.astype(object).where(values.notna(), np.nan)
    return pd.to_numeric(values).astype("float64")


def _difference(answer: Scored, wanted: Scored) -> np.ndarray:
    import numpy as np

    if wanted.probabilities is not None and answer.probabilities is not None:
        return np.abs(answer.probabilities - wanted.probabilities)
    return np.asarray(np.abs(answer.score - wanted.score) / np.maximum(1.0, np.abs(wanted.score)))


def _other_label(answer: Scored, wanted: Scored) -> np.ndarray:
    import numpy as np

    if wanted.probabilities is None:
        return np.zeros(len(wanted.score), dtype=bool)
    return np.asarray(answer.prediction != wanted.prediction)
