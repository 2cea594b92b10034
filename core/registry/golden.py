"""The golden set: rows with the version's own answers, which it must reproduce before it may serve.

Library upgrades, damaged files and a wrong processor all show here first.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import Refused
from core.home import Home
from core.projects.definition import Definition
from core.registry import artifacts

if TYPE_CHECKING:
    import pandas as pd

    from core.scoring.scorer import Scorer

ROWS = 25
LIBRARIES = ("scikit-learn", "numpy", "pandas", "scipy")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a pickle depends on."""
    return {name: metadata.version(name) for name in LIBRARIES}


def make_golden(features: pd.DataFrame, pipeline: Any, definition: Definition, threshold: float) -> bytes:
    """The first rows given, with one more that has every value missing, and the answers, as JSON with exact floats."""
    import pandas as pd

    from core.scoring.scorer import score_with

    rows = pd.concat([features.head(ROWS), features.head(1).map(lambda _: None)], ignore_index=True)
    rows = _typed(rows, definition)
    answers = score_with(pipeline, rows, definition, threshold)
    return json.dumps(
        {
            "rows": [{k: None if pd.isna(v) else v for k, v in row.items()} for row in rows.to_dict("records")],
            "answers": _plain(answers),
            "libraries": library_versions(),
        },
        ensure_ascii=False,
    ).encode()


def check_golden(home: Home, scorer: Scorer) -> None:
    """Replay the golden rows; every answer must have equal bits.

    Raises
    ------
    Refused
        It does not; the version is not served.
    """
    from core.scoring.scorer import score_with

    golden = _read(home, home.models / scorer.project / scorer.version)
    rows = _typed(_frame(golden["rows"], scorer.definition), scorer.definition)
    answers = _plain(score_with(scorer.pipeline, rows, scorer.definition, scorer.threshold))
    for name, wanted in golden["answers"].items():
        if answers[name] != wanted:
            now = ", ".join(f"{k} {v}" for k, v in library_versions().items())
            then = ", ".join(f"{k} {v}" for k, v in golden["libraries"].items())
            raise Refused(
                f"Version {scorer.version} of {scorer.project} no longer gives its own golden answers ({name} differs), so it is not "
                f"served. It was made with {then}; here is {now}. Train it again, or install the former libraries."
            )


def read_rows(home: Home, scorer: Scorer) -> pd.DataFrame:
    """The golden rows of a version as features."""
    golden = _read(home, home.models / scorer.project / scorer.version)
    return _typed(_frame(golden["rows"], scorer.definition), scorer.definition)


def _read(home: Home, folder: Path) -> dict[str, Any]:
    entry = artifacts.read_manifest(folder).get("golden.json", {"sha256": "", "hmac": ""})
    return dict(json.loads(artifacts.read_signed(home, folder / "golden.json", entry["sha256"], entry["hmac"])))


def _frame(rows: list[dict[str, Any]], definition: Definition) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=[c.name for c in definition.features], dtype=object)


def _typed(frame: pd.DataFrame, definition: Definition) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {}
    for column in definition.features:
        if column.kind == "number":
            columns[column.name] = pd.to_numeric(frame[column.name]).astype("float64")
        else:
            values = frame[column.name].astype(object)
            columns[column.name] = values.where(values.notna(), np.nan)
    return pd.DataFrame(columns)


def _plain(scored: Any) -> dict[str, Any]:
    import numpy as np

    def exact(values: Any) -> Any:
        return [None if np.isnan(v) else float(v) for v in values]

    return {
        "prediction": [p if isinstance(p, str) else float(p) for p in scored.prediction],
        "score": exact(scored.score),
        "confidence": exact(scored.confidence),
        "probabilities": None if scored.probabilities is None else scored.probabilities.tolist(),
    }
