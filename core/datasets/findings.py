"""What validation found, as values that survive JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

LEVELS = ("error", "warning", "info")
_FIRST_ROWS = 20


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes
    ----------
    level : "error", "warning" or "info"
    check : str
        schema, type, range, allowed, integer, missing, duplicates, rows, classes, balance, constant,
        leakage, drift, target, group, output or suite.
    column : str
        "" when it concerns the whole table.
    rows : tuple of int
        The first 20 data rows concerned, counted from 1 below the header.
    source : str
        Who found it, where it is not the definition's own rules: "suite NAME".
    """

    level: str
    check: str
    column: str
    count: int
    rows: tuple[int, ...]
    text: str
    cure: str
    source: str = ""


@dataclass(frozen=True)
class Report:
    """All findings of one table, errors first."""

    purpose: str
    row_count: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """No error was found."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.level == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.level == "warning")

    @property
    def verdict(self) -> str:
        """ "ok", "warnings" or "errors"."""
        return "errors" if self.errors else "warnings" if self.warnings else "ok"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict, "ok": self.ok}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Report:
        return cls(data["purpose"], data["row_count"], read_findings(data["findings"]))

    def add(self, findings: Iterable[Finding]) -> Report:
        """The report with further findings, errors first."""
        return replace(self, findings=tuple(sorted((*self.findings, *findings), key=lambda f: LEVELS.index(f.level))))


def read_findings(data: Iterable[dict[str, Any]]) -> tuple[Finding, ...]:
    """Findings that came back from JSON."""
    return tuple(Finding(**{**f, "rows": tuple(f["rows"])}) for f in data)


def make_finding(level: str, check: str, column: str, count: int, rows: Any, text: str, cure: str, source: str = "") -> Finding:
    """A finding from 0-based rows."""
    return Finding(level, check, column, int(count), tuple(int(r) + 1 for r in list(rows)[:_FIRST_ROWS]), text, cure, source)
