"""Numbers as people read them."""

import pytest

from core.numbers import count_of, count_places, say_number, say_places


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [
        (196312.4, 4, "196,312"),
        (11334.656, 3, "11,335"),
        (1234.56, 4, "1235"),
        (1957.0, 4, "1957"),
        (412.54, 4, "412.5"),
        (0.03412, 3, "0.0341"),
        (0.5, 4, "0.5"),
        (-12060.2, 4, "-12,060"),
        (100.0, 4, "100"),
        (0.0, 4, "0"),
        (-0.0, 4, "0"),
        (9.9996, 4, "10"),
        (2.5e18, 4, "2.5e+18"),
        (2.5e-9, 4, "2.5e-09"),
        (float("nan"), 4, "unknown"),
        (float("inf"), 4, "unknown"),
        (None, 4, "unknown"),
    ],
)
def test_a_number_is_said_without_an_exponent_and_without_needless_digits(value, digits, said):
    assert say_number(value, digits) == said


def test_numbers_of_one_list_have_the_same_decimals_and_none_is_minus_nothing():
    places = count_places(196312.4)
    assert [say_places(v, places, signed=True) for v in (62440.3, -12060.4, 3309.1, -8.1e-13, 0.0)] == [
        "+62,440", "−12,060", "+3309", "+0", "+0",
    ]  # fmt: skip
    assert (count_places(0.0341, 3), count_places(0.0), count_places(float("nan"))) == (4, 0, 0)


def test_one_of_a_kind_has_no_plural():
    assert [count_of(n, "row") for n in (0, 1, 2, 12345)] == ["0 rows", "1 row", "2 rows", "12,345 rows"]
