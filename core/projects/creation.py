"""A new project made of a table and a person's answers: the definition, its first data, and what both will do."""

from __future__ import annotations

import dataclasses
import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.acts import Actor
from core.errors import BadInput
from core.home import Home
from core.projects.definition import Definition, Gates, check
from core.projects.projects import create_project

if TYPE_CHECKING:
    from core.datasets.findings import Report
    from core.datasets.read import Table


def suggest_name(title: str) -> str:
    """A name that fits a title: ``"Café churn 2026"`` -> ``"cafe_churn_2026"``; "" when the title has no letter."""
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).lstrip("0123456789_")[:50].strip("_")


def define_project(
    table: Table, *, name: str, title: str, target: str, task: str, positive: str = "", group: str = "", key: str = "",
    overrides: Mapping[str, Mapping[str, Any]] | None = None, order: Sequence[str] = (),
    level_weights: Mapping[str, float] | None = None, gates: Gates | None = None, description: str = "", source: str = "",
    licence: str = "", synthetic: bool = False,
) -> Definition:  # fmt: skip
    """Make the definition that a person's answers describe.

    Parameters
    ----------
    order : sequence of str
        Multiclass: the classes from low to high; must name exactly those of the table. Empty: as the table suggests.
    level_weights : mapping, class -> 0..1, optional
        Multiclass: empty says that the classes have no order; None leaves the suggestion.

    Raises
    ------
    BadInput
        The answers contradict each other or the table.
    """
    from core.datasets.guess import build_definition

    if not title.strip():
        raise BadInput("The project has no title; write a few words that people will recognise it by.")
    made = build_definition(
        name, title.strip(), table, target, task, positive=positive.strip() or None, group=group or None,
        overrides=overrides, key=key or None,
    )  # fmt: skip
    changes: dict[str, Any] = {
        "gates": gates or made.gates, "description": description.strip(), "source": source.strip(), "licence": licence.strip(),
        "synthetic": synthetic,
    }  # fmt: skip
    if task == "multiclass" and order:
        if sorted(order) != sorted(made.classes):
            raise BadInput(f"The order must name each class once: {', '.join(made.classes)}.")
        changes["classes"] = tuple(order)
    if task == "multiclass" and level_weights is not None:
        changes["level_weights"] = dict(level_weights)
    return check(dataclasses.replace(made, **changes))


def check_first_data(table: Table, definition: Definition) -> Report:
    """The report that the table will get as first data of the project; nothing is stored."""
    from core.datasets.validation import validate

    return validate(table, definition, purpose="training")


def create_with_data(
    home: Home,
    actor: Actor,
    definition: Definition,
    content: bytes,
    *,
    file_name: str,
    source: str = "upload",
    label_provenance: str = "recorded",
    key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Create a project and add its first data: two acts under one correlation id, safe to repeat with the same key.

    Returns
    -------
    dict
        id (the project), dataset (as ``add_dataset`` returns it).
    """
    from core.datasets.versions import add_dataset

    correlation_id = secrets.token_hex(8)
    made = create_project(home, actor, definition, key=f"{key}-project" if key else None, correlation_id=correlation_id, now=now)
    dataset = add_dataset(
        home, actor, definition.name, content, file_name=file_name, source=source, label_provenance=label_provenance,
        key=f"{key}-data" if key else None, correlation_id=correlation_id, now=now,
    )  # fmt: skip
    return {**made, "dataset": dataset}
