"""predict, feedback, export-log: answers, and what became of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json, Project
from core.errors import BadInput, Cancelled

commands = typer.Typer()
SAY_EVERY = 1.0  # seconds between two lines of progress


@commands.command()
def predict(
    project: Project,
    in_path: Annotated[Path, typer.Argument(metavar="IN.csv", help="CSV or Excel table with the project's features.")],
    out_path: Annotated[Path, typer.Argument(metavar="OUT.csv", help="Where the answers go; written over if it exists.")],
    version: Annotated[
        str, typer.Option("--version", metavar="X.Y.Z", help="One that was live; the live one unless named.", show_default=False)
    ] = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Predict a file: the columns of IN, then prediction_id, prediction, score, confidence, problems."""
    from core.scoring.files import predict_file
    from core.scoring.part import part_path
    from core.settings import Settings

    home = console.open_home()
    who = console.actor(home, as_name)
    console.check_readable(in_path)
    if out_path.resolve() == in_path.resolve():
        raise BadInput(f"{out_path} is the table to be predicted; name another file for the answers.")
    if not out_path.resolve().parent.is_dir():
        raise BadInput(f"There is no folder {out_path.resolve().parent}; make it first, or name another place for the answers.")
    said = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= SAY_EVERY:
            said = time.monotonic()
            console.say(f"{done / total:4.0%}  {done:,} of {total:,} rows")

    try:
        summary = predict_file(
            home, who, project, in_path, out_path, source=f"cli {in_path.name}"[:200], version=version or None, progress=progress,
            cluster=Settings.from_environment().dask,
        )
    except KeyboardInterrupt:
        kept = part_path(out_path)
        raise Cancelled(
            f"Stopped. What is scored so far is in {kept} and in the log; the same command goes on from there."
            if kept.exists()
            else "Stopped before anything was scored."
        ) from None
    again = f", {summary.resumed_rows} of them before it was stopped" if summary.resumed_rows else ""
    counts = ", ".join(f"{label}: {n}" for label, n in summary.by_prediction.items())
    lines = [
        f"Version {summary.version} predicted {summary.rows} rows{again} in {summary.seconds:.2f} s; "
        f"{summary.problem_rows} have problems. The answers are in {out_path}.",
        *([f"Predictions: {counts}."] if counts else []),
    ]
    console.answer({**summary.to_dict(), "id": summary.request_id, "out": str(out_path)}, as_json, lines)


@commands.command()
def feedback(
    project: Project,
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS.csv", help="Columns prediction_id and label, or the key column and the target.")
    ],
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Feed back what the predictions should have been."""
    from core.scoring.accuracy import live_quality
    from core.scoring.labels import feed_labels
    from core.times import utc_now

    home = console.open_home()
    counts = feed_labels(home, console.actor(home, as_name), project, console.read_file(labels), file_name=labels.name)
    quality = live_quality(home, project, now=utc_now())
    problems = counts.pop("problems")
    lines = ["Labels: " + ", ".join(f"{n} {what}" for what, n in counts.items()) + "."]
    lines += [f"Row {p['row']}: {p['problem']}" for p in problems]
    if quality and "accuracy" in quality:
        lines.append(
            f"Accuracy of the last 30 days on {quality['rows']} labelled predictions: {quality['accuracy']:.3f} "
            f"({quality['low']:.3f} to {quality['high']:.3f}); "
            f"always the most frequent label: {quality['baseline_accuracy']:.3f}."
        )
    elif quality:
        lines.append(
            f"Mean absolute error of the last 30 days on {quality['rows']} labelled predictions: {quality['mae']:.3f}; "
            f"always their mean: {quality['baseline_mae']:.3f}."
        )
    console.answer({**counts, "problems": problems, "project": project, "quality": quality}, as_json, lines)


@commands.command("export-log")
def export_log(
    project: Project,
    out: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="Written over if it exists.")],
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Export the prediction log: one JSON line a prediction."""
    from core.scoring.tables import export_log_file

    home = console.open_home()
    lines = export_log_file(home, console.actor(home, as_name), project, out)
    console.answer({"project": project, "lines": lines, "out": str(out)}, as_json, f"{lines} predictions are in {out}.")
