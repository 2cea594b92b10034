"""report: make a report, list those that there are, get one as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json, Reason

commands = typer.Typer(help="Reports of deployments, drift checks, incidents, retrainings and weeks.", no_args_is_help=True)

ReportId = Annotated[int, typer.Argument(metavar="ID", help="Number of the report.")]


@commands.command()
def make(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="deployment, drift, incident, retraining or weekly.")],
    project: console.Project,
    about: Annotated[
        str,
        typer.Option(
            "--about", metavar="WHAT", show_default=False,
            help="Number of the deployment, check, incident or retraining (the newest unless given); for weekly 2026-W47 or "
            "2026-11-14/2026-11-21 (the last seven whole days unless given).",
        ),
    ] = "",
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Make a report, as HTML and PDF."""
    from core.reports.make import make_report

    home = console.open_home()
    done = make_report(home, console.actor(home, as_name), kind, project, subject=about, reason=reason)
    no_pdf = "" if done["pdf"] else " It has no PDF, because no font was found on this system."
    console.answer(done, as_json, f"Report {done['id']}: {console.printable(done['title'])}.{no_pdf}")


@commands.command("list")
def list_all(
    project: Annotated[str, typer.Argument(metavar="[PROJECT]", help="All of them unless named.", show_default=False)] = "",
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="One kind only.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """List reports, the newest first."""
    from core.projects.projects import get_project
    from core.reports.reports import list_reports

    home = console.open_home()
    if project:
        get_project(home, project)
    found = list_reports(home, project or None, kind=kind or None)
    rows = [[r.id, r.project, r.kind, r.title, r.made_at[:16].replace("T", " "), r.made_by, "html, pdf" if r.pdf_sha256 else "html"] for r in found]
    headers = ["id", "project", "kind", "title", "made (UTC)", "by", "files"]
    nothing = "There is no report; make one with: report make weekly PROJECT --as ACCOUNT"
    console.answer({"reports": found}, as_json, console.table(headers, rows) if rows else [nothing])


@commands.command()
def get(
    report_id: ReportId,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; .pdf or .html says which form.")],
    as_json: Json = False,
) -> None:
    """Write a report into a file, after checking that it is what was made."""
    from core.errors import BadInput
    from core.reports.reports import read_report

    form = {".pdf": "pdf", ".html": "html", ".htm": "html"}.get(out.suffix.lower())
    if form is None:
        raise BadInput(f"{out.name}: end the name with .pdf or .html, which says in what form you want the report.")
    home = console.open_home()
    data = read_report(home, report_id, form)
    out.write_bytes(data)
    console.answer({"id": report_id, "file": str(out), "bytes": len(data)}, as_json, f"Report {report_id} is in {out}.")
