"""Where a project's rows come from, read afresh: the database that it is joined to, or the sample's HR database.

Reading happens before the act that tells of it: a database far away must not hold up everybody else's acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.datasets.connect import find_mapping, newest_day, read_hr, read_table_rows
from core.errors import BadInput, GreenlightError, NotFound
from core.home import Home
from core.projects.definition import Definition
from core.projects.projects import get_definition
from core.projects.samples import HR_DATABASE
from storage import hr_source

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Origin:
    """Where rows come from: a mapping to a database, or the file of the sample's HR database."""

    mapping: Mapping[str, Any] | None = None
    file: Path | None = None

    @property
    def shape(self) -> str:
        """ "hr": every job role x skill; "table": the rows of one table."""
        return "hr" if self.mapping is None else str(self.mapping["shape"])

    @property
    def name(self) -> str:
        """In words."""
        if self.mapping is None:
            return "the HR database"
        return f"{'the HR database' if self.shape == 'hr' else self.mapping['table'] + ' of database'} {self.mapping['connection']}"


@dataclass(frozen=True)
class Fetched:
    """Rows as they were read.

    Attributes
    ----------
    frame : DataFrame
        Columns by the definition's names. HR: every pair, its target None where nobody has judged it.
    name : str
        Where they come from, in words.
    as_of : str
        HR: the day after which nothing was used; else empty.
    counts : dict
        Record or table -> rows read.
    """

    frame: pd.DataFrame
    name: str
    as_of: str
    counts: dict[str, int]
    connection: str
    provenance: str

    @property
    def words(self) -> str:
        """Provenance for people: "the HR database hr up to 2026-06-30 (JobRole 40 rows, ...)"."""
        counted = ", ".join(f"{name} {rows:,}" for name, rows in self.counts.items())
        return f"{self.name}; rows read: {counted}"


def find_origin(home: Home, definition: Definition) -> Origin | None:
    """The database that the project is joined to, else the sample's own; None for a project that lives from uploads."""
    mapping = find_mapping(home, definition.name)
    if mapping is not None:
        return Origin(mapping)
    path = home.root / "samples" / definition.name / HR_DATABASE
    return Origin(file=path) if definition.target == "future_need_level" and path.is_file() else None


def get_origin(home: Home, definition: Definition) -> Origin:
    """The same.

    Raises
    ------
    NotFound
        The project has none; the sentence says how to get one.
    """
    found = find_origin(home, definition)
    if found is None:
        raise NotFound(
            f"Project {definition.name} is joined to no database; join it on the Data page, "
            f"or with `project connect {definition.name} --connection NAME`."
        )
    return found


def fetch(definition: Definition, origin: Origin, *, today: date) -> Fetched:
    """Read every row of an origin.

    Raises
    ------
    GreenlightError
        The database cannot be reached, or lacks what is needed.
    """
    import pandas as pd

    from core.datasets.hr_export import build_dataset

    if origin.mapping is not None and origin.shape == "table":
        rows, columns = read_table_rows(origin.mapping, definition)
        frame = pd.DataFrame(rows, columns=columns, dtype=object)
        return Fetched(frame, origin.name, "", {origin.mapping["table"]: len(frame)}, origin.mapping["connection"], origin.mapping["provenance"])
    if origin.mapping is None:
        assert origin.file is not None
        source: dict[str, list[dict[str, Any]]] = hr_source.read_source(origin.file)
        counts = {table.removeprefix("future_skills_"): len(rows) for table, rows in source.items()}
        connection, provenance, fixed = origin.file.name, "synthetic", None
    else:
        source, counts = read_hr(origin.mapping)
        connection, provenance, fixed = origin.mapping["connection"], origin.mapping["provenance"], origin.mapping["as_of"]
    as_of = date.fromisoformat(fixed) if fixed else min(today, newest_day(source) or today)
    frame = build_dataset(source, as_of=as_of)
    return Fetched(frame, f"{origin.name} up to {as_of}", as_of.isoformat(), counts, connection, provenance)


def keep_labelled(fetched: Fetched, definition: Definition) -> pd.DataFrame:
    """The rows that have a target.

    Raises
    ------
    BadInput
        None has one.
    """
    frame = fetched.frame
    if definition.target not in frame or not frame[definition.target].notna().any():
        what = "pair was judged" if "role_skill" in frame else f"row has a value of {definition.target}"
        raise BadInput(f"No {what} in {fetched.name}; there is nothing to train on.")
    return frame[frame[definition.target].notna()].reset_index(drop=True)


def export_fresh(
    home: Home, actor: Actor, project: str, out: Path, *, today: date, plain: bool = False, now: datetime | None = None
) -> Fetched:
    """Write the labelled rows of a project's origin, as it is now, to ``out`` as CSV; the act names what was read.

    Parameters
    ----------
    plain : bool
        Every cell as it is, for training: a "-" that a spreadsheet would take for a formula must stay what it will be in scoring.

    Raises
    ------
    NotFound
        The project is joined to no database.
    GreenlightError
        It cannot be reached, lacks what is needed, or no row has a label.
    """
    from core.datasets.write import write_csv

    definition = get_definition(home, project)
    fetched: Fetched | None = None
    frame: pd.DataFrame | None = None
    refusal: GreenlightError | None = None
    if actor.errand or acts.is_allowed(home, actor, "export_dataset"):
        try:
            fetched = fetch(definition, get_origin(home, definition), today=today)
            frame = keep_labelled(fetched, definition)
        except GreenlightError as error:
            refusal = error  # raised inside the act, so that the attempt is audited

    def work(tx: Tx) -> Done:
        if refusal is not None:
            raise refusal
        assert fetched is not None
        assert frame is not None
        write_csv(out, frame, plain=plain)
        after = {"source": fetched.connection, "rows": len(frame), "as_of": fetched.as_of, "read": fetched.counts}
        return Done({"rows": len(frame)}, after=after, subject=f"source {fetched.connection}")

    acts.perform(home, actor, "export_dataset", work, project=project, now=now)
    assert fetched is not None
    assert frame is not None
    return replace(fetched, frame=frame)


def import_fresh(
    home: Home, actor: Actor, project: str, *, today: date, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """A new dataset version from the project's origin as it is now: an export and an addition, two acts.

    Returns
    -------
    dict
        As `core.datasets.versions.add_dataset`, and ``source``: where the rows come from, in words.
    """
    import tempfile

    from core.datasets.versions import add_dataset

    with tempfile.TemporaryDirectory(prefix="import-", dir=home.work) as near:
        out = Path(near) / f"{project}_source.csv"
        fetched = export_fresh(home, actor, project, out, today=today, plain=True, now=now)
        added = add_dataset(
            home, actor, project, out, file_name=out.name, source=fetched.words[:500], label_provenance=fetched.provenance, key=key, now=now
        )
    return {**added, "source": fetched.words}


def export_source(
    home: Home,
    actor: Actor,
    project: str,
    database: Path,
    out: Path,
    *,
    as_of: date,
    key: str | None = None,
    now: datetime | None = None,
) -> int:
    """Write the judged pairs of an HR database that lies here as a file to ``out`` as CSV; returns the number of rows.

    Parameters
    ----------
    database : Path
        SQLite file with the tables that ``core.datasets.hr_export`` reads; SQLAlchemy is not needed for it.
    as_of : date
        Nothing later is used.

    Raises
    ------
    BadInput
        The tables are not there, or no pair was judged.
    """
    from core.datasets import hr_export
    from core.datasets.write import write_csv

    def work(tx: Tx) -> Done:
        frame = hr_export.export_dataset(database, as_of=as_of)
        judged = frame[frame["future_need_level"].notna()].reset_index(drop=True)
        if judged.empty:
            raise BadInput(f"No pair in {database.name} was judged up to {as_of}; there is nothing to train on.")
        write_csv(out, judged)
        after = {"source": database.name, "rows": len(judged), "as_of": as_of.isoformat()}
        return Done({"rows": len(judged)}, after=after, subject=f"source {database.name}")

    return int(acts.perform(home, actor, "export_dataset", work, project=project, key=key, now=now)["rows"])
