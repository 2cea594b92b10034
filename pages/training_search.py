"""A search of hyperparameters: asked for in the form of a training, shown with every trial where the training is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core.adapters.optional import LIBRARIES
from core.jobs.jobs import Job
from core.projects.definition import Definition
from core.training import runs
from core.training.catalogue import Candidate, find_candidate
from core.training.search import MOST_SECONDS, MOST_TRIALS, SECONDS, TRIALS, Budget, Search, searchable
from core.training.selection import METRIC_NAMES
from pages import charts, charts_training, parts
from pages.session import PageContext

_WORDS = {"complete": "✓ to the end", "pruned": "✕ stopped early", "stopped": "■ time was up", "failed": "✕ failed"}


def show_form(definition: Definition, candidates: Sequence[Candidate]) -> list[tuple[str, Budget]]:
    """What to search, inside the training's form; nothing unless somebody chooses."""
    able = {c.name: c.title for c in candidates if c.available and not c.baseline and searchable(c.name, definition.task)}
    with st.expander("Search for better settings", icon=":material/search:"):
        library = LIBRARIES["optuna"]
        if not library.is_installed:
            st.markdown(f":orange[:material/warning: Not installed] here: {library.purpose} needs {library.title}.")
            st.code(library.install, language="sh", wrap_lines=True)
            return []
        st.caption(
            "Tries settings within each candidate's ranges on folds of the training rows, and stops hopeless ones early. The best is trained "
            "beside the candidate as it is set above, so that the gain can be seen; the hold-out is kept from the search."
        )
        one, two, three = st.columns([2, 1, 1])
        chosen = one.multiselect(
            "Candidates to search", list(able), format_func=able.__getitem__, key=f"training-{definition.name}-search",
            placeholder="None",
        )  # fmt: skip
        trials = two.number_input("Settings to try at most", 2, MOST_TRIALS, TRIALS, key="training-search-trials")
        seconds = three.number_input(
            "Seconds at most for each", 1, int(MOST_SECONDS), int(SECONDS), key="training-search-seconds"
        )
    return [(name, Budget(int(trials), float(seconds))) for name in chosen]


def show_results(context: PageContext, job: Job) -> None:
    """Every search of a training that has ended, however it did: what came of it, the course, the trials."""
    for place, search in enumerate(runs.find_searches(context.home, job.id)):
        st.markdown(f"**Search of settings.** {parts.plain(search.sentence)}")
        if job.state != "done" and not search.broken_off:
            st.markdown("The training did not come to its end, so nothing was trained with what was found.")
        alt = f"What each of {len(search.trials)} settings of {search.title} reached, and the best so far."
        charts.show_figure(charts_training.search_history(search), alt=alt, key=f"training-search-{job.id}-{place}")
        st.caption("A setting that was stopped early stands at the mean of the folds that it had answered by then.")
        rows = list_rows(search)
        st.dataframe(
            rows, hide_index=True, height=min(38 + 35 * len(rows), 320), key=f"training-trials-{job.id}-{place}",
            alt=f"Trials of {search.title}, in the order in which they were tried",
        )  # fmt: skip


def list_rows(search: Search) -> list[dict[str, Any]]:
    """The trials as a table: setting, value of each fold, state, seconds."""
    metric = METRIC_NAMES[search.metric]
    known = find_candidate(search.candidate)  # an estimator may have gone since
    titles = {p.name: p.title for p in known.params} if known else {}
    return [
        {
            "Trial": t.number + 1,
            "State": _WORDS[t.state] + "".join(f", {w}" for w, so in (("usual", t.number == 0), ("best", t.number == search.best)) if so),
            f"{metric}, mean": None if t.value is None else round(t.value, 4),
            **{titles.get(k, k): round(v, 6) if isinstance(v, float) else v for k, v in t.params.items()},
            **{f"Fold {n + 1}": None if n >= len(t.values) else t.values[n] for n in range(search.folds)},
            "Seconds": t.seconds, "Why": t.error or "",
        }
        for t in search.trials
    ]  # fmt: skip
