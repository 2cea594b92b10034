"""Text that came from people and files, made safe to stand in a line of ours."""

from __future__ import annotations

from core.errors import GreenlightError

MOST = 300  # characters of a library's message that a person is told

# Marks that turn the direction of all that follows: "\u202e" in a name would also turn the sentence around it.
_TURNS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\N{REPLACEMENT CHARACTER}")


def one_line(text: object) -> str:
    """``text`` on one line, with marks that would turn the direction of its surroundings made visible."""
    return " ".join(str(text).split()).translate(_TURNS)


def shorten(text: object, most: int = MOST) -> str:
    """``text`` on one line of at most ``most`` characters; "…" stands where it was cut."""
    said = one_line(text)
    return said if len(said) <= most else said[: most - 1] + "…"


def tell_error(error: BaseException, most: int = MOST) -> str:
    """An error as one line: a sentence of ours as it is, anything else with the name of its kind before it."""
    said = one_line(error)
    return shorten(said if isinstance(error, GreenlightError) else f"{type(error).__name__}: {said}".removesuffix(": "), most)
