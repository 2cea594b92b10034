"""Runs an expectation suite with Great Expectations, in a process of its own.

Importing the library takes seconds and much memory, and a pattern in a suite may run for ever: so a child does it, which
is given a table and a suite in a folder, leaves its results there, and is ended when its time is over.
``python -m core.adapters.expectations FOLDER`` is that child.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.adapters.optional import is_installed, need
from core.datasets.suites import Result
from core.errors import Refused
from core.text import shorten

if TYPE_CHECKING:
    import pandas as pd

LIBRARY = "great_expectations"
SECONDS = 120.0
_FIRST_ROWS = 20
_SILENT = {"GX_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class Outcome:
    """What a run came to: the library's name and version, and one result for each expectation, in the suite's order."""

    library: str
    results: tuple[Result, ...]


def can_run() -> bool:
    """Whether Great Expectations is installed; it is not imported."""
    return is_installed(LIBRARY)


def run_suite(frame: pd.DataFrame, suite: Mapping[str, Any], folder: Path, *, seconds: float = SECONDS) -> Outcome:
    """Check a table against a suite.

    Parameters
    ----------
    frame : DataFrame
        Numbers as numbers, everything else as text (missing None).
    suite : as core.datasets.suites.check_suite returns it
    folder : where a scratch folder may be made; it is gone afterwards
    seconds : after which the check is given up

    Raises
    ------
    Refused
        The library is not installed, the time is over, or the library itself failed.
    """
    if not can_run():
        need(LIBRARY)
    with tempfile.TemporaryDirectory(prefix="suite_", dir=folder) as scratch:
        place = Path(scratch)
        frame.to_parquet(place / "table.parquet", index=False)
        (place / "suite.json").write_text(json.dumps(suite), encoding="utf-8")
        # Without the installation's own settings: the library reads what it likes, and secrets are not its business.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GREENLIGHT_", "GX_"))}
        try:
            done = subprocess.run(  # noqa: S603 - our own module and a folder of ours
                [sys.executable, "-m", "core.adapters.expectations", str(place)],
                cwd=Path(__file__).resolve().parents[2], env={**kept, **_SILENT, "HOME": str(place)}, stdin=subprocess.DEVNULL,
                capture_output=True, timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Refused(
                f"Suite {suite['name']} was not checked to its end in {seconds:.4g} s; make it smaller, or look in it for a pattern "
                "that takes for ever."
            ) from None
        answer = place / "results.json"
        if done.returncode or not answer.exists():
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise Refused(f"Suite {suite['name']} could not be checked: Great Expectations ended with {shorten(last[0])!r}.")
        read = json.loads(answer.read_text(encoding="utf-8"))
    return Outcome(read["library"], tuple(Result(**{**r, "rows": tuple(r["rows"])}) for r in read["results"]))


def _run(place: Path) -> None:
    import great_expectations as gx
    import pandas as pd

    frame = pd.read_parquet(place / "table.parquet")
    suite = json.loads((place / "suite.json").read_text(encoding="utf-8"))
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("greenlight")
    batch = source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    results = [_check(gx, batch, expectation) for expectation in suite["expectations"]]
    answer = {"library": f"Great Expectations {gx.__version__}", "results": [asdict(r) for r in results]}
    (place / "results.json").write_text(json.dumps(answer), encoding="utf-8")


def _check(gx: Any, batch: Any, expectation: dict[str, Any]) -> Result:
    """One at a time: an expectation that cannot be built must not take the others with it."""
    try:
        suite = gx.ExpectationSuite(name="one", expectations=[expectation])
        checked = batch.validate(suite, result_format={"result_format": "SUMMARY", "partial_unexpected_count": _FIRST_ROWS})
    except Exception as error:  # the boundary of one expectation: the library raises whatever pandas and Python raise
        return Result(False, error=_say(str(error)))
    found = checked.to_json_dict()["results"][0]
    if found["success"]:
        return Result(True)
    failure = _find_failure(found["exception_info"])
    if failure:
        return Result(False, error=_say(failure))
    measured = found["result"]
    rows = [r for r in measured.get("partial_unexpected_index_list") or [] if isinstance(r, int)]
    observed = measured.get("observed_value")
    return Result(
        False, measured.get("unexpected_count"), measured.get("element_count"), tuple(rows),
        "" if observed is None else json.dumps(observed, ensure_ascii=False)[:200],
    )  # fmt: skip


def _find_failure(info: dict[str, Any]) -> str:
    """The message of an exception, which stands by itself or under the name of a metric; "" where there was none."""
    for part in (info, *(v for v in info.values() if isinstance(v, dict))):
        if part.get("raised_exception"):
            return str(part.get("exception_message") or "an unknown failure")
    return ""


def _say(text: str) -> str:
    return shorten(text).rstrip(".") or "an unknown failure"


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
