"""How a validation report and the origin of labels read, wherever a table is looked at."""

from __future__ import annotations

import streamlit as st

from core.datasets.findings import Finding
from pages import parts

VERDICTS = {"ok": "✓ Trusted", "warnings": "⚠ Look", "errors": "✕ Not for training"}
PROVENANCES = {
    "recorded": "Recorded: what happened, as the records say",
    "person": "Person: somebody judged each row",
    "rule": "Rule: computed by a rule",
    "synthetic": "Synthetic: made by a generator",
    "model": "Model: predicted by a model (kept, refused for training)",
    "none": "None: no labels",
}
_LEVELS = {"error": (":material/error:", "red"), "warning": (":material/warning:", "orange"), "info": (":material/info:", "gray")}


def show_finding(finding: Finding) -> None:
    """One finding in one line: what, how to cure it, in which rows."""
    icon, colour = _LEVELS[finding.level]
    word = "Note" if finding.level == "info" else finding.level.capitalize()
    where = ""
    if finding.rows:
        more = f" and {finding.count - len(finding.rows):,} more" if finding.count > len(finding.rows) else ""
        where = f" :gray[Rows {', '.join(map(str, finding.rows))}{more}, counted below the header.]"
    cure = f" *{parts.plain(finding.cure)}*" if finding.cure and finding.cure != "Nothing to do." else ""
    st.markdown(f":{colour}[{icon} **{word}**] {parts.plain(finding.text)}{cure}{where}")
