"""Step 1, a fresh dataset: what the project's source holds today, and the predictions that labels came back for.

A project that is joined to a database (or has the sample's) is exported from it anew; any other has its newest table that no
retraining made. The rows of the log with their labels are put below: the features as they were sent, the label as the table writes it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.acts import Actor
from core.datasets import versions as datasets
from core.datasets.source import export_fresh, find_origin
from core.errors import NotFound, Refused
from core.home import Home
from core.projects.definition import Definition
from storage import labels as labels_store
from storage.connection import reading

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from core.datasets.prepare import Prepared

MADE_BY = "retraining"  # the source of datasets that a retraining made
MOST = 50_000  # labelled predictions, the newest
IMPOSSIBLE = ("out_of_range", "unreadable", "unknown_category")


@dataclass(frozen=True)
class Export:
    """A table to train on, and where its rows come from.

    Attributes
    ----------
    base : str
        The table below which the labelled predictions were put, in words.
    labelled : int
        Labelled predictions found; ``kept`` of them are in the table, ``known`` stood in the base already.
    impossible : dict
        Column -> labelled predictions that were left out because its value cannot be right.
    """

    content: bytes
    file_name: str
    provenance: str
    base: str
    rows: int
    labelled: int
    kept: int
    known: int
    impossible: dict[str, int]
    asked: str = "all"

    @property
    def sentence(self) -> str:
        parts = [f"{self.rows:,} rows: {self.base}"]
        if self.asked == "source":
            parts.append("alone, as asked: labelled predictions were left out")
        elif self.labelled:
            parts.append(f"and {self.kept:,} of {self.labelled:,} labelled predictions")
        else:
            parts.append("and no labelled prediction")
        text = " ".join(parts) + "."
        if self.known:
            text += f" {self.known:,} stood there already."
        if self.impossible:
            named = ", ".join(f"{name} ({n:,})" for name, n in sorted(self.impossible.items(), key=lambda item: -item[1])[:4])
            text += f" Left out, because a value cannot be right: {named}."
        return text


def export(home: Home, actor: Actor, definition: Definition, *, rows: str, folder: Path, today: date) -> Export:
    """Put the table together.

    Parameters
    ----------
    rows : "all", "source" or "labelled"
    folder : path
        Where the source's export is written on its way.

    Raises
    ------
    Refused
        More than half of the labelled predictions hold a value that cannot be right, or nothing is there to train on.
    """
    import io

    import pandas as pd

    from core.datasets.prepare import prepare
    from core.datasets.read import read_table

    # with nothing to put below it the table is taken as it is: the same bytes are the same dataset version
    content, file_name, base_name, provenance = _base(home, actor, definition, folder=folder, today=today)
    table = read_table(content, file_name=file_name, max_bytes=None)
    prepared = prepare(table, definition, purpose="training")
    base = _base_frame(table.frame, prepared, definition)
    base_words = f"{len(base):,} of {base_name}"
    found = read_labelled(home, definition)
    if rows == "source":
        found = found.iloc[:0]
    labelled, impossible, known = _labelled_frame(found, definition, table.frame, prepared)
    if len(found) and sum(impossible.values()) and len(labelled) + known < len(found) / 2:
        worst = max(impossible, key=lambda name: impossible[name])
        raise Refused(
            f"{len(found) - len(labelled) - known} of {len(found)} labelled predictions hold a value that cannot be right, most of all in "
            f"{worst}: their source looks broken, and training on the rest would not repair it. Put the source right first."
        )
    parts = [labelled] if rows == "labelled" else [base, labelled]
    whole = pd.concat([p for p in parts if len(p)] or [base.iloc[:0]], ignore_index=True)
    if whole.empty:
        raise Refused(f"There is no row to train {definition.name} on: no prediction has a label yet.")
    if len(labelled):
        buffer = io.StringIO()
        whole.to_csv(buffer, index=False, lineterminator="\n")
        content, file_name = buffer.getvalue().encode("utf-8"), f"{definition.name}_fresh.csv"
    return Export(
        content, file_name, provenance,
        "no table" if rows == "labelled" else base_words, len(whole), len(found), len(labelled), known, impossible, rows,
    )  # fmt: skip


def read_labelled(home: Home, definition: Definition, *, since: str = "", version: str | None = None) -> pd.DataFrame:
    """Logged predictions that have a label: prediction_id, the features as sent, label, predicted, version, predicted_at.

    Oldest first; at most the newest 50,000.
    """
    import pandas as pd

    from core.scoring import log
    from core.times import parse

    columns = ("prediction_id", "label", "predicted", "version", "predicted_at")
    rows = labels_store.read_answers(
        reading(home.predictions_db), definition.name, columns, since=since, until="9999", version=version
    )
    rows = sorted(rows, key=lambda row: row[4])[-MOST:]
    labels = {row[0]: row for row in rows}
    frames = []
    if rows:
        for frame in log.iterate(home, definition.name, since=parse(rows[0][4])):
            chosen = frame[frame["prediction_id"].isin(labels.keys())]
            if len(chosen):
                frames.append(chosen)
    names = [c.name for c in definition.columns] + ([definition.group] if definition.group else [])
    if not frames:
        return pd.DataFrame({name: [] for name in [*columns, *names]}, dtype=object)
    logged = pd.concat(frames, ignore_index=True)
    out = pd.DataFrame({"prediction_id": logged["prediction_id"].astype(object)})
    for place, name in enumerate(columns[1:], 1):
        out[name] = [labels[i][place] for i in logged["prediction_id"]]
    for name in names:
        out[name] = logged[name].astype(object) if name in logged else None
    if definition.group:
        out = out[out[definition.group].notna()].reset_index(drop=True)  # a row of no query cannot be ranked
    return out


def row_hashes(features: pd.DataFrame, group: np.ndarray | None = None) -> np.ndarray:
    """One uint64 per row of prepared features (and its group): equal rows have equal ones."""
    import pandas as pd

    frame = features if group is None else features.assign(**{"group:": group.astype(object)})
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()


def _base(home: Home, actor: Actor, definition: Definition, *, folder: Path, today: date) -> tuple[bytes, str, str, str]:
    """(table, its file name, its name in words, who made its labels)."""
    known = datasets.list_datasets(home, definition.name)
    own = [d for d in known if not d.source.startswith(MADE_BY) and d.id not in datasets.find_purged(home, definition.name)]
    origin = find_origin(home, definition)
    if origin is not None:
        out = folder / "source.csv"
        fetched = export_fresh(home, actor, definition.name, out, today=today, plain=True)
        # the sample's labels are what its first table says of them
        provenance = fetched.provenance if origin.mapping is not None or not own else own[0].label_provenance
        return out.read_bytes(), f"{definition.name}_fresh.csv", fetched.name, provenance
    usable = [d for d in own if d.label_provenance != "model"]
    if not usable:
        raise NotFound(f"Project {definition.name} has no table of its own that could be trained on; add one on the Data page.")
    name = usable[0].file_name
    return datasets.data_path(home, usable[0]).read_bytes(), name, name, usable[0].label_provenance


def _base_frame(raw: pd.DataFrame, prepared: Prepared, definition: Definition) -> pd.DataFrame:
    """The base in the definition's columns: features as they were read, everything else as it came."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for column in definition.columns:
        if column.role == "feature":
            columns[column.name] = prepared.features[column.name].to_numpy()
        elif column.name in prepared.headers or column.name in raw:
            columns[column.name] = raw[prepared.headers.get(column.name, column.name)].astype(object).to_numpy()
    if definition.group:
        columns[definition.group] = prepared.group
    # numbers may be written with a decimal comma; classes stay in the words of the table
    columns[definition.target] = (
        raw[prepared.headers[definition.target]].astype(object).to_numpy() if definition.is_classifier else prepared.target
    )
    return pd.DataFrame(columns)


def _labelled_frame(
    found: pd.DataFrame, definition: Definition, raw: pd.DataFrame, base: Prepared
) -> tuple[pd.DataFrame, dict[str, int], int]:
    """(rows in the definition's columns, impossible values by column, rows that stand in the base already)."""
    import numpy as np
    import pandas as pd

    from core.datasets.prepare import prepare

    if found.empty:
        return pd.DataFrame(), {}, 0
    names = [c.name for c in definition.features]
    prepared = prepare(found[names], definition, purpose="scoring", refuse_unreadable=False)
    good = np.ones(len(found), dtype=bool)
    impossible: dict[str, int] = {}
    for problem in prepared.problems:
        allowed = problem.code != "unknown_category" or bool(definition.column(problem.column).allowed)
        if problem.code in IMPOSSIBLE and allowed:
            good[problem.rows] = False
            impossible[problem.column] = impossible.get(problem.column, 0) + len(problem)
    written = _words_of_classes(raw, base, definition)
    columns: dict[str, Any] = {}
    for column in definition.columns:
        if column.role == "feature":
            columns[column.name] = prepared.features[column.name].to_numpy()
        else:
            columns[column.name] = found[column.name].to_numpy()
    if definition.group:
        columns[definition.group] = found[definition.group].to_numpy()
    columns[definition.target] = (
        [written.get(label, label) for label in found["label"]] if definition.is_classifier else found["label"].astype(float).to_numpy()
    )
    # a case that stands in the base once, with the same answer, is the same case; one that stands there often is a kind of case
    target = np.asarray([str(t) for t in base.target] if base.target is not None else [], dtype=object)
    told = row_hashes(base.features.assign(**{"label:": target}), base.group)
    once = {h for h, n in Counter(told.tolist()).items() if n == 1}
    answers = found["label"].astype(str).astype(object).to_numpy()
    asked = found[definition.group].astype(str).to_numpy(dtype=object) if definition.group else None
    here = row_hashes(prepared.features.assign(**{"label:": answers}), asked)
    same = np.asarray([h in once for h in here.tolist()], dtype=bool) & good
    return pd.DataFrame(columns)[good & ~same].reset_index(drop=True), impossible, int(same.sum())


def _words_of_classes(raw: pd.DataFrame, base: Prepared, definition: Definition) -> dict[str, str]:
    """Class -> the value that the base writes for it most often: a binary target may be a number above a limit."""
    if not definition.is_classifier or base.target is None:
        return {}
    values = raw[base.headers[definition.target]].astype(object).to_numpy()
    counts: dict[str, Counter[str]] = {}
    for name, value in zip(base.target, values, strict=True):
        if name is not None and value == value:
            counts.setdefault(str(name), Counter())[str(value)] += 1
    return {name: seen.most_common(1)[0][0] for name, seen in counts.items()}
