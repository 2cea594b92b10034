"""Why something could not be mirrored: the server is away (stop, try later), or it refuses this one thing (go on)."""

from __future__ import annotations

from core.errors import GreenlightError


class Away(GreenlightError):
    """The server does not answer, is out of order, or lets us not in."""


class NotTaken(GreenlightError):
    """The server answers and refuses one thing."""
