"""Numbers as people read them: thousands apart, no more digits than mean something, no exponent where a person would write none."""

from __future__ import annotations

from math import floor, isfinite, log10

APART = 10_000  # thousands stand apart from here on, so that a year is left as it is
MOST, LEAST = 1e15, 1e-6  # beyond these a row of zeros would be counted, not read


def count_places(largest: float, digits: int = 4) -> int:
    """How many decimals show ``digits`` significant digits of ``largest``: 0 for 196312, 1 for 412.5, 4 for 0.0341 with three."""
    size = abs(largest)
    if not size or not isfinite(size):
        return 0
    return max(0, digits - 1 - floor(log10(size)))


def say_number(value: float | None, digits: int = 4) -> str:
    """A number in a sentence: 196,312 and 0.0341, never 1.963e+05; digits before the point are all there.

    Parameters
    ----------
    value : float or None
    digits : int
        Significant digits that are shown at least; zeros at the end of decimals are left out.

    Returns
    -------
    str
        "unknown" for what is no number.
    """
    if value is None or not isfinite(value):
        return "unknown"
    if value and not LEAST <= abs(value) < MOST:
        return f"{value:.{digits}g}"
    text = say_places(value, count_places(value, digits))
    return text.rstrip("0").rstrip(".") if "." in text else text


def say_places(value: float, places: int, *, signed: bool = False) -> str:
    """A number with so many decimals, so that numbers in a list can be added up by eye; what rounds to nothing is 0, never -0."""
    rounded = round(value, places) + 0.0
    form = ("+" if signed else "") + ("," if abs(rounded) >= APART else "") + f".{places}f"
    return f"{rounded:{form}}".replace("-", "−") if signed else f"{rounded:{form}}"


def count_of(number: int, one: str, many: str = "", *, apart: str = ",") -> str:
    """``1 row``, ``12,345 rows``; ``apart`` stands between thousands, ``many`` is a plural that does not just end in s."""
    return f"{number:,}".replace(",", apart) + f" {one if number == 1 else many or one + 's'}"
