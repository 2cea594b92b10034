"""Messages of people, files and libraries on one line of ours."""

import pytest

from core.errors import BadInput
from core.text import one_line, shorten, tell_error


@pytest.mark.parametrize(
    ("text", "most", "said"),
    [
        ("  two\n lines\t and a tab ", 300, "two lines and a tab"),
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("turned \u202e round", 300, "turned \N{REPLACEMENT CHARACTER} round"),
        ("", 300, ""),
    ],
)
def test_a_message_is_one_line_cut_where_it_is_too_long(text, most, said):
    assert shorten(text, most) == said


def test_an_error_of_a_library_is_told_with_its_kind_and_one_of_ours_as_it_is():
    assert tell_error(ValueError("too\nsmall")) == "ValueError: too small"
    assert tell_error(MemoryError()) == "MemoryError"
    assert tell_error(BadInput("Column age is missing.")) == "Column age is missing."
    assert len(tell_error(ValueError("x" * 1000))) == 300
    assert one_line(None) == "None"
