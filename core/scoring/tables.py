"""Tables that come in to be scored and what is made of them: template, first check, scoring at once, result."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import BadInput, NotFound
from core.home import Home
from core.projects.definition import Definition
from core.projects.example import make_example_row
from core.projects.projects import get_project
from core.scoring import log
from core.scoring.files import FileSummary, predict_file
from core.times import utc_now

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE_ROWS = 5_000  # more than this is a job
KEPT_SECONDS = 24 * 3600  # results of files scored at once
TEMPLATE_ROWS = 1_000


@dataclass(frozen=True)
class TableCheck:
    """What is known of a table before it is scored.

    Attributes
    ----------
    found : dict
        Feature -> header in the file that it was found under.
    extra : tuple of str
        Headers that the project does not know; they are handed through.
    """

    rows: int
    found: dict[str, str]
    extra: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """A scored file, problems first.

    Attributes
    ----------
    frame : DataFrame
        At most ``limit`` rows: row (its number in the file, from 1), then the file's columns with the outputs in front.
    edges, counts : list
        Histogram of numeric predictions; empty for classes.
    """

    rows: int
    problem_rows: int
    frame: pd.DataFrame
    edges: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


def check_table(content: bytes, definition: Definition, *, file_name: str) -> TableCheck:
    """Read a table through once and match its columns.

    Raises
    ------
    BadInput
        Unreadable, empty, without a feature of the project, or with a column that scoring would add.
    """
    from core.datasets.headers import absent_columns, match_headers, refuse_output_columns
    from core.datasets.read import UPLOAD_LIMIT, read_header, stream_table

    header = read_header(content, file_name=file_name, max_bytes=UPLOAD_LIMIT)
    refuse_output_columns(header.columns)
    found, extra = match_headers(header.columns, definition)
    absent = absent_columns(found, definition, "scoring")
    if absent:
        raise BadInput(
            f"{file_name} lacks {'the column' if len(absent) == 1 else 'the columns'} {', '.join(absent)}; add "
            f"{'it' if len(absent) == 1 else 'them'} (empty cells are allowed), or take the template."
        )
    rows = sum(len(chunk) for chunk in stream_table(content, file_name=file_name, header=header))
    return TableCheck(rows, {c.name: found[c.name] for c in definition.features}, extra)


def template_csv(definition: Definition) -> bytes:
    """A table with the columns that scoring needs and one example row, from the project's own known cases where it has any."""
    import pandas as pd

    from core.datasets.write import write_csv

    names = [c.name for c in definition.columns if c.role in ("feature", "key")]
    if definition.group and definition.group not in names:
        names.append(definition.group)  # labels are judged by query where the log holds it
    example = make_example_row(definition)
    buffer = io.BytesIO()
    write_csv(buffer, pd.DataFrame([{name: example.get(name) for name in names}], columns=names, dtype=object))
    return buffer.getvalue()


def label_template(home: Home, project: str) -> bytes:
    """The newest logged predictions with an empty column ``label``, to be filled in and fed back."""
    import pandas as pd

    from core.datasets.write import write_csv

    groups = log.list_groups(home, project, limit=1)
    frame = pd.DataFrame({"prediction_id": [], "label": []}, dtype=object)
    if groups:
        found = log.read_group(home, project, groups[0]["uid"]).head(TEMPLATE_ROWS)
        features = [c for c in found.columns if not str(c).startswith("out:") and c != "prediction_id"]
        frame = pd.concat(
            [
                found[["prediction_id"]].assign(label=None),
                found[features],
                found[["out:prediction"]].set_axis(["predicted"], axis=1),
            ],
            axis=1,
        )
    buffer = io.BytesIO()
    write_csv(buffer, frame)
    return buffer.getvalue()


def score_now(
    home: Home, actor: Actor, project: str, content: bytes, *, file_name: str, key: str,
    progress: Callable[[int, int], None] | None = None,
) -> FileSummary:  # fmt: skip
    """Score a small file at once. The same key again (a second click) returns the first result and logs nothing.

    The scored table lies at :func:`now_path` for a day.
    """
    forget_old(home, utc_now())
    out = now_path(home, key)
    known = out.with_name("summary.json")
    if known.exists():
        return FileSummary(**json.loads(known.read_text()))
    out.parent.mkdir(parents=True, exist_ok=True)
    # a name from outside must not shape a path
    incoming = out.with_name("in.xlsx" if Path(file_name).suffix.lower() == ".xlsx" else "in.csv")
    incoming.write_bytes(content)
    try:
        summary = predict_file(
            home, actor, project, incoming, out, source=f"file {Path(file_name).name[:200]}", progress=progress
        )
    except BaseException:
        shutil.rmtree(out.parent, ignore_errors=True)
        raise
    fresh = known.with_suffix(".new")
    fresh.write_text(json.dumps(summary.to_dict()))
    fresh.replace(known)
    return summary


def now_path(home: Home, key: str) -> Path:
    """Where :func:`score_now` puts its table."""
    if not re.fullmatch(r"[0-9a-f]{16,64}", key):
        raise BadInput("The key of a scoring is made of hexadecimal digits.")
    return home.work / f"now_{key}" / "out.csv"


def read_result(path: Path, *, limit: int = 500) -> Result:
    """The first rows of a scored file, those with problems before the others.

    Raises
    ------
    NotFound
        The file is gone.
    """
    import numpy as np
    import pandas as pd

    if not path.exists():
        raise NotFound("The result is not kept any more; the predictions themselves are in the log. Score the file again.")
    troubled: list[pd.DataFrame] = []
    clean: list[pd.DataFrame] = []
    rows = problem_rows = kept_clean = kept_troubled = 0
    numbers: list[np.ndarray] = []
    number = "row"
    for chunk in pd.read_csv(path, dtype=str, chunksize=50_000, keep_default_na=False):
        number = "row" if "row" not in chunk else "row in the file"
        chunk.insert(0, number, np.arange(rows + 1, rows + len(chunk) + 1))
        bad = (chunk["problems"] != "").to_numpy()
        rows, problem_rows = rows + len(chunk), problem_rows + int(bad.sum())
        if kept_troubled < limit:
            troubled.append(chunk[bad].head(limit - kept_troubled))
            kept_troubled += len(troubled[-1])
        if kept_clean < limit:
            clean.append(chunk[~bad].head(limit - kept_clean))
            kept_clean += len(clean[-1])
        numbers.append(pd.to_numeric(chunk["prediction"], errors="coerce").to_numpy(dtype=float))
    frame = pd.concat([*troubled, *clean], ignore_index=True).head(limit)
    front = [number, "prediction", "score", "confidence", "problems"]
    frame = frame[front + [c for c in frame.columns if c not in front]]
    for name in ("score", "confidence"):
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    values = np.concatenate(numbers)
    edges: list[float] = []
    counts: list[int] = []
    if len(values) and np.isfinite(values).all() and frame["confidence"].isna().all():
        heights, borders = np.histogram(values, bins=min(20, max(1, len(np.unique(values)))))
        edges, counts = [float(b) for b in borders], [int(h) for h in heights]
    return Result(rows, problem_rows, frame, edges, counts)


def export_log_file(home: Home, actor: Actor, project: str, path: Path, *, key: str | None = None) -> int:
    """Write predictions_monitoring.jsonl to ``path``; returns the number of lines. Every feature of every person leaves
    with it, so it is an act, for the roles that may export data.

    Raises
    ------
    Refused
        The role may not export data.
    """
    get_project(home, project)

    def work(tx: Tx) -> Done:
        return Done(after={"file": path.name}, subject="prediction log")

    acts.perform(home, actor, "export_predictions", work, permission="export_dataset", project=project, key=key)
    return log.export_jsonl(home, project, path)


def export_log(home: Home, actor: Actor, project: str) -> bytes:
    """The same as bytes, for a download."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=home.work) as folder:
        path = Path(folder) / "predictions_monitoring.jsonl"
        export_log_file(home, actor, project, path)
        return path.read_bytes()


def forget_old(home: Home, now: datetime) -> int:
    """Remove what :func:`score_now` kept for a day; returns the number of folders removed."""
    gone = 0
    for folder in home.work.glob("now_*"):
        try:
            if now.timestamp() - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
                gone += 1
        except FileNotFoundError:  # another session was first
            continue
    return gone
