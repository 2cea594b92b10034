"""Where fits are made: on this machine, or on the cluster that the environment names."""

from __future__ import annotations

from pathlib import Path

from core.settings import Settings
from core.training.executor import Executor, LocalExecutor


def choose_executor(settings: Settings, folder: str | Path) -> Executor:
    """The executor for a job: the Dask cluster where GREENLIGHT_DASK names one, else worker processes here.

    A named cluster that is away is not replaced by this machine: a night's search would take the processor from the people
    who are being answered. The job fails and says so.

    Parameters
    ----------
    folder : path
        Where local workers find the value that they share.

    Raises
    ------
    BadInput
        The cluster's address is none.
    Refused
        Dask is not installed.
    """
    if settings.dask:
        from core.adapters.dask_cluster import DaskExecutor

        return DaskExecutor(settings.dask)
    return LocalExecutor(settings.workers or None, folder=folder)
