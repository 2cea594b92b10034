"""A sample of logged rows for the full report, drawn without reading the log: some rows at each of a hundred moments.

Hours are chosen by how much was predicted in them, moments within an hour evenly; what is read grows with the sample, not
with the log. Rows that came together are drawn together, so the sample is a little less varied than one drawn row by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.drift.periods import Period, span_hours
from core.home import Home
from core.scoring import batches
from core.scoring import payload as payloads
from core.times import parse, stamp
from storage import labels as labels_store
from storage import predictions as store
from storage.connection import reading

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sqlite_utils import Database

PLACES = 100
PAGE = 200  # groups looked at in one place


def draw_logged(home: Home, project: str, period: Period, versions: Sequence[str], *, rows: int, seed: int = 42) -> pd.DataFrame:
    """Logged rows of some versions in a period, widened to whole hours.

    Returns
    -------
    DataFrame
        ``prediction_id``, features, ``out:`` columns; all rows if there are no more than ``rows``, else about ``rows`` of them.
        Erased rows are left out. Empty where nothing is left in the log.
    """
    import numpy as np
    import pandas as pd

    db = reading(home.predictions_db)
    first, last = span_hours(period)
    cells = {
        (hour, version): n
        for version in versions
        for hour, n in sorted(store.list_counted_hours(db, project, version).items())
        if first <= hour <= last
    }
    total = sum(cells.values())
    frames: list[pd.DataFrame] = []
    if total <= rows:
        for hour, version in cells:
            found = batches.iterate_batches(home, project, since=hour, until=f"{hour}~", version=version)
            frames += [_frame(batch) for batch in found]
    else:
        generator = np.random.default_rng(seed)
        places = list(cells)
        shares = np.array([cells[p] for p in places]) / total
        quotas: Counter[int] = Counter(generator.choice(len(places), PLACES, p=shares).tolist())
        for place, times in sorted(quotas.items()):
            hour, version = places[place]
            frames += _draw_in_hour(home, project, hour, version, times * -(-rows // PLACES), generator)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def find_labels(home: Home, project: str, prediction_ids: Sequence[str]) -> list[str | None]:
    """The current label of each prediction, None where there is none."""
    known = labels_store.find_current(reading(home.predictions_db), project, list(prediction_ids))
    return [known[i][1] if i in known else None for i in prediction_ids]


def _draw_in_hour(
    home: Home, project: str, hour: str, version: str, wanted: int, generator: np.random.Generator
) -> list[pd.DataFrame]:
    """About ``wanted`` rows of the groups that follow a random moment of the hour, from its beginning again after its end."""
    db = reading(home.predictions_db)
    begin = parse(f"{hour}:00:00.000Z")
    moment = begin + timedelta(seconds=float(generator.uniform(0, 3600)))
    groups = _list_groups(db, project, version, moment, begin + timedelta(hours=1), wanted)
    if sum(n for _, n in groups) < wanted:
        groups += _list_groups(db, project, version, begin, moment, wanted - sum(n for _, n in groups))
    if not groups:
        return []
    frames = [_frame(batch) for batch in batches.read_batches(home, [uid for uid, _ in groups])]
    there = sum(len(f) for f in frames)
    if there <= wanted:
        return frames
    chosen = generator.random(there) < wanted / there
    start, drawn = 0, []
    for frame in frames:
        drawn.append(frame[chosen[start : start + len(frame)]])
        start += len(frame)
    return drawn


def _list_groups(db: Database, project: str, version: str, since: datetime, until: datetime, wanted: int) -> list[tuple[str, int]]:
    """Groups from a moment on, as many as hold the wanted rows."""
    found: list[tuple[str, int]] = []
    page = store.list_page(db, project, after=("", ""), since=stamp(since), until=stamp(until), version=version, limit=PAGE)
    for _, uid, n in page:
        if sum(rows for _, rows in found) >= wanted:
            break
        found.append((uid, n))
    return found


def _frame(batch: Any) -> pd.DataFrame:
    frame = payloads.to_frame(batch.kept_table())
    frame.insert(0, "prediction_id", batch.prediction_ids())
    return frame
