"""cluster: is the Dask cluster there, and may its workers work for this installation?"""

from __future__ import annotations

import typer

from core.cli import console
from core.cli.console import Json
from core.errors import Refused

commands = typer.Typer()


@commands.command()
def cluster(as_json: Json = False) -> None:
    """Look at the Dask cluster that GREENLIGHT_DASK names: its workers, and whether each fits this installation."""
    from core.settings import Settings

    address = Settings.from_environment().dask
    if not address:
        lines = "GREENLIGHT_DASK is not set: training and large files are worked on by this machine."
        console.answer({"address": "", "workers": []}, as_json, lines)
        return
    from core.adapters.dask_cluster import DaskExecutor

    executor = DaskExecutor(address)
    try:
        found = executor.list_workers()
    finally:
        executor.close()
    rows = [[w.address, w.threads, w.differs or "fits"] for w in found]
    fitting = sum(w.threads for w in found if not w.differs)
    shown = [f"{address} has {len(found)} workers.", "", *console.table(["worker", "at once", "state"], rows)]
    console.answer({"address": address, "at_once": fitting, "workers": found}, as_json, shown if found else f"{address} has no worker yet.")
    if len(rows) > sum(not w.differs for w in found):
        raise Refused("Not every worker fits; nothing is sent to this cluster until each of them does.")
