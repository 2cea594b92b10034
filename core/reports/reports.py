"""Reports that were made: list, find, read. What was changed after it was made is not handed out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from core.errors import BadInput, NotFound, Refused
from core.home import Home
from storage import reports as store
from storage.connection import reading

KINDS = {
    "deployment": "Deployment",
    "drift": "Drift",
    "incident": "Incident",
    "retraining": "Retraining",
    "weekly": "Period",
}
FORMS = ("html", "pdf")
BY_ITSELF = "clock"  # who made the reports that nobody asked for


@dataclass(frozen=True)
class Report:
    """One report.

    Attributes
    ----------
    subject : str
        What it is about: the id of a deployment, a check, an incident or a retraining, or ``since/until`` of a period.
    since, until : str or None
        The period, where it is about one.
    pdf_sha256 : str or None
        None where no PDF could be drawn (no font on the system); the HTML is there.
    bytes : int
        Of both files.
    audit_count, audit_head : int, str
        Number and hash of the last audit event before it was made; both stand in it.
    """

    id: int
    project: str
    kind: str
    title: str
    subject: str
    since: str | None
    until: str | None
    made_at: str
    made_by: str
    html_sha256: str
    pdf_sha256: str | None
    bytes: int
    audit_count: int
    audit_head: str
    correlation_id: str

    @property
    def file_name(self) -> str:
        """Without ending: ``heart_disease_deployment_20261121_17``."""
        return f"{self.project}_{self.kind}_{self.made_at[:10].replace('-', '')}_{self.id}"


def say_kind(kind: str, subject: str) -> str:
    """What a report is called beside its title: ``Deployment``; a period (``since/until``) is ``Weekly`` where it has seven days."""
    if kind != "weekly":
        return KINDS[kind]
    since, until = (date.fromisoformat(day) for day in subject.split("/"))
    return "Weekly" if (until - since).days == 7 else KINDS[kind]


def get_report(home: Home, report_id: int) -> Report:
    """One report.

    Raises
    ------
    NotFound
        There is none of that number.
    """
    row = store.find_report(reading(home.db), report_id)
    if row is None:
        raise NotFound(f"There is no report {report_id}.")
    return Report(**row)


def list_reports(
    home: Home, project: str | None = None, *, kind: str | None = None, since: str = "", until: str = "", limit: int = 100, offset: int = 0
) -> list[Report]:
    """Newest first; ``since`` and ``until`` bound the moment at which they were made."""
    rows = store.list_reports(reading(home.db), project=project, kind=kind, since=since, until=until, limit=limit, offset=offset)
    return [Report(**r) for r in rows]


def count_reports(home: Home, project: str | None = None, *, kind: str | None = None, since: str = "", until: str = "") -> int:
    """How many :func:`list_reports` would find in all."""
    return store.count_reports(reading(home.db), project=project, kind=kind, since=since, until=until)


def read_report(home: Home, report_id: int, form: str = "html") -> bytes:
    """The file of a report.

    Parameters
    ----------
    form : "html" or "pdf"

    Raises
    ------
    NotFound
        No such report, or it has no PDF.
    Refused
        The file is gone, or is not what was made.
    """
    if form not in FORMS:
        raise BadInput(f"A report is html or pdf, not {form[:20]!r}.")
    report = get_report(home, report_id)
    known = report.html_sha256 if form == "html" else report.pdf_sha256
    if known is None:
        raise NotFound(f"Report {report_id} has no PDF: no font was found when it was made. Take the HTML, or install a font and make it again.")
    try:
        data = (folder_of(home, report_id) / f"report.{form}").read_bytes()
    except FileNotFoundError:
        raise Refused(f"The {form.upper()} file of report {report_id} is gone; make the report again.") from None
    if hashlib.sha256(data).hexdigest() != known:
        raise Refused(f"The {form.upper()} file of report {report_id} was changed after it was made; make the report again.")
    return data


def folder_of(home: Home, report_id: int) -> Path:
    return home.reports / str(report_id)
