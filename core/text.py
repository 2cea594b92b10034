"""Text that came from people and files, made safe to stand in a line of ours."""

from __future__ import annotations

# Marks that turn the direction of all that follows: "\u202e" in a name would also turn the sentence around it.
_TURNS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\N{REPLACEMENT CHARACTER}")


def one_line(text: object) -> str:
    """``text`` on one line, with marks that would turn the direction of its surroundings made visible."""
    return " ".join(str(text).split()).translate(_TURNS)
