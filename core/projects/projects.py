"""Projects as people make and archive them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import NotFound, Refused
from core.home import Home
from core.projects.definition import Definition, check, from_json, to_json
from storage import projects as store
from storage.connection import reading


@dataclass(frozen=True)
class Project:
    name: str
    title: str
    task: str
    definition_sha: str
    created_at: str
    created_by: str
    archived_at: str | None
    demo: bool

    @property
    def archived(self) -> bool:
        return self.archived_at is not None


def list_projects(home: Home, *, archived: bool = False) -> list[Project]:
    """Projects in the order they were made; archived ones only on request."""
    return [_project(r) for r in store.list_projects(reading(home.db), archived=archived)]


def find_project(home: Home, name: str) -> Project | None:
    row = store.find_project(reading(home.db), name)
    return _project(row) if row else None


def get_project(home: Home, name: str) -> Project:
    project = find_project(home, name)
    if project is None:
        known = ", ".join(p.name for p in list_projects(home, archived=True)) or "none yet"
        raise NotFound(f"There is no project {name[:60]!r}; the projects are: {known}.")
    return project


def get_definition(home: Home, project: str, sha: str | None = None) -> Definition:
    """The project's definition: today's, or the one with that sha256."""
    wanted = sha or get_project(home, project).definition_sha
    body = store.find_definition(reading(home.db), project, wanted)
    if body is None:
        raise NotFound(f"Project {project} never had the definition {wanted[:12]}.")
    return from_json(body)


@dataclass(frozen=True)
class DefinitionChange:
    """When a definition came into force, and who made it."""

    sha256: str
    at: str
    by: str


def list_definitions(home: Home, project: str) -> list[DefinitionChange]:
    """Every definition that the project had, newest first."""
    return [DefinitionChange(**r) for r in store.list_definitions(reading(home.db), project)]


def create_project(
    home: Home, actor: Actor, definition: Definition, *, demo: bool = False, key: str | None = None,
    correlation_id: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Make a project from its definition."""
    check(definition)

    def work(tx: Tx) -> Done:
        if store.find_project(tx.db, definition.name) is not None:
            raise Refused(f"There is a project {definition.name} already; choose another name.")
        store.insert_project(
            tx.db, name=definition.name, title=definition.title, task=definition.task, sha=definition.sha256,
            body=to_json(definition), at=tx.at, by=actor.name, demo=demo,
        )
        after = {"task": definition.task, "target": definition.target, "definition": definition.sha256,
                 "features": [c.name for c in definition.features]}
        return Done({"id": definition.name}, after=after, subject=f"project {definition.name}")

    return acts.perform(
        home, actor, "create_project", work, project=definition.name, key=key, correlation_id=correlation_id, now=now
    )


def archive_project(
    home: Home, actor: Actor, name: str, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Put a project out of sight; nothing is deleted. A project with a live version is undeployed first."""

    def work(tx: Tx) -> Done:
        from storage import versions as versions_store

        row = store.find_project(tx.db, name)
        if row is None:
            raise NotFound(f"There is no project {name[:60]!r}.")
        if versions_store.find_live(tx.db, name) is not None:
            raise Refused(f"Project {name} has a live version; undeploy it before archiving the project.")
        store.set_archived(tx.db, name, tx.at)
        return Done({"id": name}, {"archived_at": row["archived_at"]}, {"archived_at": tx.at}, f"project {name}")

    return acts.perform(home, actor, "archive_project", work, project=name, reason=reason, key=key, now=now)


def restore_project(
    home: Home, actor: Actor, name: str, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Bring an archived project back."""

    def work(tx: Tx) -> Done:
        row = store.find_project(tx.db, name)
        if row is None:
            raise NotFound(f"There is no project {name[:60]!r}.")
        store.set_archived(tx.db, name, None)
        return Done({"id": name}, {"archived_at": row["archived_at"]}, {"archived_at": None}, f"project {name}")

    return acts.perform(
        home, actor, "restore_project", work, permission="archive_project", project=name, reason=reason, key=key, now=now
    )


def _project(row: dict[str, Any]) -> Project:
    return Project(
        row["name"], row["title"], row["task"], row["definition_sha"], row["created_at"], row["created_by"],
        row["archived_at"], bool(row["demo"]),
    )
