"""A fresh dataset from a project's source, exported as an act."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import BadInput
from core.home import Home


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
    """Write the judged pairs of an HR database to ``out`` as CSV; returns the number of rows.

    Parameters
    ----------
    database : Path
        SQLite file with the tables that ``core.datasets.hr_export`` reads.
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
