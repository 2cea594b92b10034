"""What pages need, imported before somebody waits for it, and kept out of the garbage collector's way."""

from __future__ import annotations

import gc
import importlib
import logging
import threading
from collections.abc import Callable

from pages import contents

LOG = logging.getLogger("greenlight.pages")

# First what the first page draws with; the estimators once the first person has their page.
AT_ONCE = ("pandas", "plotly.graph_objects", "pages.charts", *(page.module for page in contents.PAGES))
LATER = (
    "core.scoring.predict", "core.scoring.chunks", "core.scoring.compiled", "treelite.gtil", "sklearn.ensemble", "sklearn.linear_model",
)  # fmt: skip
LATER_SECONDS = 15.0


def warm_up(stop: threading.Event, later: float = LATER_SECONDS, then: Callable[[], None] | None = None) -> None:
    """Import everything that pages import; returns early when ``stop`` is set.

    Parameters
    ----------
    later : float
        Seconds between the two parts.
    then : callable, optional
        Called after the second part: the machine has time now.
    """
    _import_all(AT_ONCE, stop)
    _draw_once()
    _keep_for_good()
    if not stop.wait(later):
        _import_all(LATER, stop)
        _keep_for_good()
        if then is not None and not stop.is_set():
            then()


def _import_all(names: tuple[str, ...], stop: threading.Event) -> None:
    for name in names:
        if stop.is_set():
            return
        try:
            importlib.import_module(name)
        except Exception:  # the boundary of the thread: the page that needs it will say so itself
            LOG.exception("%s could not be imported ahead", name)


def _draw_once() -> None:
    # plotly loads the code of each part of a figure at its first use
    import plotly.graph_objects as go

    from pages.charts import TEMPLATE

    figure = go.Figure([go.Bar(x=[1], y=["a"], text=["1"]), go.Scatter(x=[1], y=[1], mode="lines+markers")])
    figure.add_hline(1).add_vline(1).add_annotation(x=1, y=1, text="1", showarrow=False)
    figure.update_layout(template=TEMPLATE, xaxis_title="x", yaxis_title="y", legend_title="z").to_json()


def _keep_for_good() -> None:
    """Take what stays for the life of the process out of every later collection.

    Streamlit collects after each run of a page; with pandas, plotly and scikit-learn loaded that took 0.1 s of every
    click (175,000 objects), without them 0.001 s.
    """
    gc.collect()
    gc.freeze()
