"""Can a live model really answer here and now? Asked by probes every few seconds, so the answer is kept for some."""

from __future__ import annotations

import logging
import threading
import time

from core.errors import GreenlightError
from core.home import Home
from core.projects.projects import list_projects
from core.scoring.rows import score_rows
from core.scoring.scorer import load_scorer

LOG = logging.getLogger("greenlight.app")
HOLDS = 5.0  # seconds

_answers: dict[str, tuple[float, bool]] = {}
_lock = threading.Lock()


def is_ready(home: Home) -> bool:
    """Whether at least one live version loads (its golden answers equal) and scores a row; nothing is logged as a prediction."""
    place = str(home.root)
    with _lock:  # many probes at once try one model once
        at, answer = _answers.get(place, (0.0, False))
        if not answer or time.monotonic() - at > HOLDS:
            answer = any(_answers_a_row(home, p.name) for p in list_projects(home))
            _answers[place] = (time.monotonic(), answer)
        return answer


def _answers_a_row(home: Home, project: str) -> bool:
    try:
        scorer = load_scorer(home, project)
        score_rows(home, project, [{c.name: None for c in scorer.definition.features}], caller="readiness", source="readiness")
    except GreenlightError:
        return False
    except Exception:  # the boundary of a probe: a model that breaks is one that cannot answer
        LOG.exception("the live model of %s cannot answer", project)
        return False
    return True
