"""How a delivery can go wrong."""

from __future__ import annotations

from core.errors import GreenlightError


class Failed(GreenlightError):
    """A message was not delivered; the sentence says why and holds no secret.

    Attributes
    ----------
    again : bool
        Whether it may go better later, so that it is tried again.
    whole : bool
        Whether the channel itself failed, so that its other messages wait too.
    """

    def __init__(self, message: str, *, again: bool = False, whole: bool = False) -> None:
        super().__init__(message)
        self.again = again
        self.whole = whole
