"""What a message says: the words of its event, the facts of its row, and the audit's head beneath."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=select_autoescape(("html",)), undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
)  # fmt: skip


@dataclass(frozen=True)
class Words:
    title: str
    lead: str
    next: str


@dataclass(frozen=True)
class Message:
    """One message as every channel shows it; all of it is plain text.

    Attributes
    ----------
    id : int
        The delivery's; a repeated message carries the same.
    link : str
        A whole address where the console's is known, else a path of it.
    audit_count, audit_head : int, str
        The last event of the audit when the message was sent: a copy of it outside the house, which a chain written anew contradicts.
    """

    id: int
    event: str
    project: str
    words: Words
    subject: str
    facts: dict[str, str]
    link: str
    at: str
    correlation_id: str
    audit_count: int
    audit_head: str

    @property
    def line(self) -> str:
        """The whole in one line: the mail's subject."""
        where = f"{self.project}: " if self.project else ""
        what = f" ({self.subject})" if self.subject else ""
        return f"[Greenlight] {where}{self.words.title}{what}"[:250]

    @property
    def when(self) -> str:
        return f"{self.at[:10]} {self.at[11:16]} UTC"

    @property
    def footer(self) -> str:
        head = f"Audit: {self.audit_count} events, head {self.audit_head}" if self.audit_count else "Audit: no event yet"
        return f"{head}. Correlation id: {self.correlation_id or 'none'}."


def compose(row: dict[str, Any], *, link: str, audit: tuple[int, str] | None) -> Message:
    """The message of a delivery."""
    message = row["message"]
    count, head = audit or (0, "")
    return Message(
        row["id"], row["event"], row["project"], find_words(row["event"]), message["subject"], message["facts"], link, message["at"],
        row["correlation_id"], count, head,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _read_words() -> dict[str, Words]:
    return {event: Words(**words) for event, words in yaml.safe_load((_HERE / "words.yaml").read_text(encoding="utf-8")).items()}


def find_words(event: str) -> Words:
    return _read_words()[event]


def render(message: Message, template: str) -> str:
    """``mail.txt``, or ``mail.html`` with everything escaped."""
    return _TEMPLATES.get_template(template).render(m=message)
