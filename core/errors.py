"""What can go wrong, in one sentence for the person who can cure it."""


class GreenlightError(Exception):
    """Base of everything that a person is told.

    The message is one clear sentence (or two): what, where, how to cure it. Pages, commands and
    routes show ``str(error)`` as it is; anything that is not a GreenlightError is a bug.
    """


class BadInput(GreenlightError):
    """A file, a value or a name that cannot be read or used. Nothing was changed."""


class BadValue(BadInput):
    """One value of one row that cannot be used.

    Attributes
    ----------
    row : int
        Counted from 1, as people count.
    column : str
    cure : str
        What to send instead, as a sentence; it is the end of the message as well.
    """

    def __init__(self, what: str, *, row: int, column: str, cure: str) -> None:
        super().__init__(f"{what} {cure}")
        self.row = row
        self.column = column
        self.cure = cure


class Refused(GreenlightError):
    """An act that the rules do not allow now: a role, a gate, a stage, an approval. Audited."""


class NotFound(GreenlightError):
    """A named thing that does not exist (or is not visible to the caller)."""


class Cancelled(GreenlightError):
    """A person stopped the work; what was finished before is kept where that is honest."""
