"""A retraining as one page of text, for whoever asks later what was done and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.home import Home
from core.retraining.retraining import Retraining
from core.text import one_line


def report_path(home: Home, retraining_id: int) -> Path:
    """Where the report of a retraining lies once its seventh step is done."""
    return home.reports / f"retraining_{retraining_id}.md"


def write_report(home: Home, found: Retraining, sentence: str, detail: dict[str, Any]) -> Path:
    """Write the report complete or not at all; ``sentence`` and ``detail`` are those of the step that writes it."""
    path = report_path(home, found.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(make_report(found, sentence, detail), encoding="utf-8")
    fresh.replace(path)
    return path


def make_report(found: Retraining, sentence: str, detail: dict[str, Any]) -> str:
    """Markdown: who asked and why, the steps, the comparison class by class, and what was found where it was not better."""
    lines = [
        f"# Retraining {found.id} of {found.project}", "",
        f"Started {found.started_at} by {found.started_by} ({found.trigger.replace('_', ' ')}): {_text(found.reason)}",
        f"Live then: {found.live_version or 'nothing'}. Candidate: {found.version or 'not registered'}. Correlation id: {found.correlation_id}.",
        "", "## Steps", "", "| Step | State | What was done |", "|---|---|---|",
    ]  # fmt: skip
    for step in found.steps:
        if step.name == "request":
            lines.append(f"| {step.title} | done | {_text(sentence)} |")
        elif step.state != "waiting":
            lines.append(f"| {step.title} | {step.state} | {_text(step.sentence)} |")
    unseen = found.find_step("evaluation").detail.get("unseen") or {}
    if unseen.get("per_class"):
        lines += ["", "## Classes on the rows that neither was fitted on", ""]
        lines += ["| Class | Rows | Recall, candidate | Recall, live |", "|---|---:|---:|---:|"]
        lines += [f"| {_text(name)} | {rows} | {_number(new)} | {_number(old)} |" for name, (rows, new, old) in unseen["per_class"].items()]
    for title, found_there in (("What was found", detail.get("findings")), ("What may be tried next", _reruns(detail))):
        if found_there:
            lines += ["", f"## {title}", "", *(f"- {_text(text)}" for text in found_there)]
    return "\n".join([*lines, ""])


def _reruns(detail: dict[str, Any]) -> list[str]:
    return [f"{one['label']}: {one['why']}" for one in detail.get("reruns", [])]


def _text(text: object) -> str:
    """On one line and inside its cell: names and reasons come from people and files."""
    return one_line(text).replace("|", "\\|").replace("<", "&lt;")


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
