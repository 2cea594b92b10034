"""Text that came from people and files, as it stands in a report: on one line, every sign visible, never markup."""

from __future__ import annotations

import re

MOST = 1_000  # signs of one cell or sentence
_KEPT = "\u202f\u00a0"  # spaces of our own numbers, at which no line may break


def shown(text: object) -> str:
    """``text`` on one line; what cannot be seen or would turn the direction of its surroundings is replaced by a visible sign."""
    signs = (c if c.isprintable() or c in _KEPT else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    flat = re.sub(" +", " ", "".join(signs)).strip()
    return flat if len(flat) <= MOST else flat[: MOST - 1] + "…"
