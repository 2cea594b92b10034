"""SHAP: the same contributions by a library that many know, in a process of its own that stays warm.

Importing SHAP takes seconds and brings a compiler with it, so it happens in a child process only: it loads the version itself,
answers one question after the other over its pipes, and ends when nobody asked for ten minutes.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.adapters.optional import LIBRARIES, is_installed
from core.errors import BadInput, GreenlightError, NotFound, Refused
from core.home import Home
from core.scoring import explain

if TYPE_CHECKING:
    from core.scoring.scorer import Scorer

LOG = logging.getLogger("greenlight.app")

PATIENCE_SECONDS = 60.0
IDLE_SECONDS = 600.0
# SHAP's trees read single precision. A larger difference than this share of the answers' range means that it follows
# another model than ours; a smaller one is rounding, and goes into the base so that the sum is exact.
ROUNDING = 1e-5
_KNOWN = {"BadInput": BadInput, "NotFound": NotFound, "Refused": Refused}


def is_possible() -> bool:
    """Whether SHAP is installed."""
    return is_installed("shap")


def explain_rows(home: Home, scorer: Scorer, rows: Sequence[dict[str, Any]], *, patience: float = PATIENCE_SECONDS) -> list[explain.Explanation]:
    """Explain answers by SHAP; waits for its process, the first time for seconds.

    Raises
    ------
    Refused
        SHAP is not installed, or its process gave no answer within ``patience`` seconds.
    BadInput
        More than 20 rows.
    """
    if not is_possible():
        library = LIBRARIES["shap"]
        raise Refused(f"{library.title} is not installed, and {library.purpose} needs it: {library.install}.")
    question = {"root": str(home.root), "models": str(home.models), "project": scorer.project, "version": scorer.version, "rows": list(rows)}
    answer = _helper.ask(question, patience)
    if "error" in answer:
        if "trace" in answer:
            LOG.error("SHAP failed on version %s of %s:\n%s", scorer.version, scorer.project, answer["trace"])
        raise _KNOWN.get(answer["kind"], Refused)(answer["error"])
    return [explain.Explanation.from_dict(one) for one in answer["explanations"]]


class _Helper:
    """The child process and its pipes; one question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: dict[str, Any], patience: float) -> dict[str, Any]:
        until = time.monotonic() + patience
        if not self._lock.acquire(timeout=patience):
            raise Refused("SHAP is busy with other explanations; try again in a minute.")
        try:
            for _ in range(2):  # one that has just ended from idleness is started again
                line = self._send(self._running(), json.dumps(question).encode() + b"\n", until)
                if line.endswith(b"\n"):
                    return dict(json.loads(line))
                ended = self._process is not None and self._process.poll() is not None
                self.stop()
                if not ended:
                    break
            raise Refused(f"SHAP gave no answer within {patience:.0f} seconds; try again, or use the quick explanation.")
        finally:
            self._lock.release()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            from core.jobs.worker import ONE_THREAD

            self._process = subprocess.Popen(
                [sys.executable, "-m", "core.adapters.shap_values"], cwd=Path(__file__).resolve().parents[2],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD},
                start_new_session=True, bufsize=0,
            )
        return self._process

    def _send(self, process: subprocess.Popen[bytes], line: bytes, until: float) -> bytes:
        """The line that comes back; shorter, without its end, where the process ended or took too long."""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line)
        except BrokenPipeError:
            process.wait(timeout=5)
            return b""
        answer = b""
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
            part = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            if not part:
                if ready:
                    process.wait(timeout=5)
                return answer
            answer += part
        return answer

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


_helper = _Helper()


def stop_helper() -> None:
    """End the child process now instead of after its idle time."""
    _helper.stop()


# ---- in the child process ----


def compute(home: Home, project: str, version: str, rows: Sequence[dict[str, Any]]) -> list[explain.Explanation]:
    """Explain rows here and now; imports SHAP."""
    from core.scoring.scorer import load_scorer

    scorer = load_scorer(home, project, version)
    coded, background = explain.prepare_rows(home, scorer, rows)
    found = []
    for row, (of, game) in zip(coded.rows, explain.make_games(scorer, coded), strict=True):
        answer, base = float(game(row[None])[0]), float(game(coded.background).mean())
        method, changes = _choose(scorer, coded, row, of, game, answer - base)
        rest = answer - base - float(changes.sum())
        found.append(explain.make_explanation(coded, row, of, base + rest, changes, method, background.words))
    return found


def _choose(scorer: Scorer, coded: explain.Coded, row: np.ndarray, of: str, game: explain.Game, whole: float) -> tuple[str, np.ndarray]:
    """The explainer made for the estimator where it gives our own sums, else the one for any model."""
    span = ROUNDING * (100.0 if of == "score" else max(1.0, abs(whole)))
    for name, ask in (("TreeExplainer", _ask_trees), ("LinearExplainer", _ask_linear)):
        try:
            changes = ask(scorer, coded, row, of)
        except Exception:  # noqa: S112 - SHAP raises a kind of its own for each estimator that it does not know
            continue
        if changes is not None and abs(float(changes.sum()) - whole) <= span:
            return f"SHAP {name}", changes
    return "SHAP PermutationExplainer", _ask_any(coded, row, game)


def _inside(scorer: Scorer) -> tuple[Any, Any, list[int]]:
    """The fitted columns, the estimator, and which of the project's columns each of the estimator's comes from."""
    from core.training.estimators import EncodedClassifier

    columns, estimator = scorer.pipeline.named_steps["columns"], scorer.pipeline.named_steps["estimator"]
    if isinstance(estimator, EncodedClassifier):
        estimator = estimator.estimator_
    names = [c.name for c in scorer.definition.features]
    owners: list[int] = []
    for kind, part, used in columns.transformers_:
        if kind == "categories":
            widths = [len(out) for out in _widths(part)]
            owners.extend(at for name, width in zip(used, widths, strict=True) for at in [names.index(name)] * width)
        elif kind == "numbers":
            owners.extend(names.index(name) for name in used)
    return columns, estimator, owners


def _widths(part: Any) -> list[Any]:
    """For each category column the outputs that it switches on."""
    encoder = part.steps[-1][1]
    total = list(encoder.get_feature_names_out([str(i) for i in range(encoder.n_features_in_)]))
    return [[n for n in total if n.split("_", 1)[0] == str(i)] for i in range(encoder.n_features_in_)]


def _sum_up(values: np.ndarray, owners: list[int], width: int) -> np.ndarray:
    changes = np.zeros(width)
    np.add.at(changes, owners, values)
    return changes


def _ask_trees(scorer: Scorer, coded: explain.Coded, row: np.ndarray, of: str) -> np.ndarray | None:
    import shap

    columns, estimator, owners = _inside(scorer)
    # scikit-learn's forests round every number to single precision before they look at it; its histogram boosting does not
    read = float if type(estimator).__name__.startswith("HistGradientBoosting") else np.float32
    table = np.asarray(columns.transform(coded.decode(coded.background)), dtype=read).astype(float)
    one = np.asarray(columns.transform(coded.decode(row[None])), dtype=read).astype(float)
    definition = scorer.definition
    output = "probability" if definition.is_classifier else "raw"
    explainer = shap.TreeExplainer(estimator, data=table, model_output=output, feature_perturbation="interventional")
    values = np.asarray(explainer.shap_values(one, check_additivity=False), dtype=float)[0]
    if definition.is_classifier:
        weights = _class_weights(scorer, of)
        if values.ndim == 1:  # of two classes, the second one's
            values = values * (weights[1] - weights[0])
        else:
            values = values @ weights
    return _sum_up(values, owners, len(coded.names))


def _class_weights(scorer: Scorer, of: str) -> np.ndarray:
    """What the probability of each class, in the pipeline's order, counts in the answer."""
    definition = scorer.definition
    if of.startswith("probability of "):
        by_class = {of.removeprefix("probability of "): 1.0}
    elif definition.task == "binary":
        by_class = {definition.classes[1]: 100.0}
    else:
        by_class = {name: 100.0 * weight for name, weight in definition.level_weights.items()}
    return np.array([by_class.get(str(name), 0.0) for name in scorer.pipeline.classes_])


def _ask_linear(scorer: Scorer, coded: explain.Coded, row: np.ndarray, of: str) -> np.ndarray | None:
    """Linear models of a number; a linear classifier is linear in its logarithms of odds, not in its answer."""
    import shap

    columns, estimator, owners = _inside(scorer)
    if scorer.definition.is_classifier or not hasattr(estimator, "coef_"):
        return None
    table = np.asarray(columns.transform(coded.decode(coded.background)), dtype=float)
    one = np.asarray(columns.transform(coded.decode(row[None])), dtype=float)
    values = np.asarray(shap.LinearExplainer(estimator, table).shap_values(one), dtype=float)[0]
    return _sum_up(values, owners, len(coded.names))


def _ask_any(coded: explain.Coded, row: np.ndarray, game: explain.Game) -> np.ndarray:
    import shap

    masker = shap.maskers.Independent(coded.background.astype(float), max_samples=len(coded.background))
    explainer = shap.explainers.Permutation(lambda places: game(places.astype(np.int64)), masker, seed=0)
    # ten orders and their reverses, each over the whole background
    values = explainer(row[None].astype(float), max_evals=20 * (len(row) + 1), silent=True).values[0]
    return np.asarray(values, dtype=float)


def _serve() -> None:
    """Answer questions, one a line, until the pipe closes or nobody asks for a while."""
    from core.home import open_home

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand among the answers
    homes: dict[tuple[str, str], Home] = {}
    while select.select([sys.stdin.buffer], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        asked = json.loads(line)
        answer: dict[str, Any]
        try:
            key = (asked["root"], asked["models"])
            home = homes.get(key) or homes.setdefault(key, open_home(*key))
            found = compute(home, asked["project"], asked["version"], asked["rows"])
            answer = {"explanations": [one.to_dict() for one in found]}
        except GreenlightError as known:
            answer = {"error": str(known), "kind": type(known).__name__}
        except Exception as unknown:  # the boundary of the process
            answer = {"error": f"SHAP could not explain this version ({type(unknown).__name__}); use the quick explanation.", "kind": "Refused"}
            answer["trace"] = traceback.format_exc()
        out.write(json.dumps(answer).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    _serve()
