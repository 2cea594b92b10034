"""One request on its way through: who comes, what is known of it so far, and what is to be recorded in the end."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import Request

from api.problems import Problem
from core.acts import Actor
from core.home import Home
from core.keys import Key
from core.projects.projects import Project, find_project, list_projects


@dataclass(slots=True)
class Visit:
    """What the door knows and the handlers add.

    Attributes
    ----------
    caller : str
        The account that acts: a program's, or a signed-in person's on the pages of the documentation.
    scope : str
        What the route asks of a key.
    project, version, rows, stages
        What traffic records; a name that is no project of this installation never gets that far.
    """

    home: Home
    at: datetime
    address: str
    # no secret, so no call to the system for each request
    request_id: str = field(default_factory=lambda: f"{random.getrandbits(64):016x}")
    began: float = field(default_factory=time.perf_counter)
    route: str = "unknown"
    scope: str = ""
    caller: str = ""
    key: Key | None = None
    body: bytes = b""
    project: str = ""
    version: str = ""
    rows: int = 0
    stages: dict[str, float] = field(default_factory=dict)

    def actor(self) -> Actor:
        return Actor(self.caller, via="api")

    def enter(self, name: str) -> Project:
        """The project of that name, if there is one and the key is good for it.

        Raises
        ------
        Problem
            403 where the key is not good for it (whether it exists is not told), 404 where it does not exist.
        """
        self.check_reach(name)
        project = find_project(self.home, name)
        if project is None:
            listed = ", ".join(p.name for p in list_projects(self.home) if self._may(p.name)) or "none yet"
            raise Problem(404, f"There is no project {name[:60]!r}; the projects are: {listed}.")
        self.project = project.name
        return project

    def check_reach(self, name: str) -> None:
        """Raise Problem unless the key is good for the project of that name, be there one or not."""
        if self.key is not None and not self.key.may(self.scope, name):
            known = ", ".join(self.key.projects)
            raise Problem(403, f"This key is not good for the project {name[:60]!r}, only for {known}; ask an administrator.")

    def projects(self) -> list[Project]:
        """The projects that the caller may know of."""
        return [p for p in list_projects(self.home) if self._may(p.name)]

    def _may(self, name: str) -> bool:
        return self.key is None or self.key.every_project or name in self.key.projects


def visit_of(request: Request) -> Visit:
    visit: Visit = request.scope["state"]["visit"]
    return visit
