"""Tables as people bring them: read right, or refused with line, column and cure."""

import contextlib
import io
import zipfile

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.datasets.read import read_header, read_table, stream_table
from core.errors import BadInput


def rows_of(data, **options):
    frame = read_table(data, file_name="t.csv", **options).frame
    return [[None if pd.isna(v) else v for v in row] for row in frame.itertuples(index=False)]


def refusal(data, **options):
    with pytest.raises(BadInput) as caught:
        read_table(data, file_name="t.csv", **options)
    return str(caught.value)


def workbook_bytes(rows, sheet="Sheet1"):
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_plain_csv_is_read_as_text():
    table = read_table(b"a,b\n1,x\n2.50,y z\n", file_name="t.csv")
    assert table.frame.to_dict("list") == {"a": ["1", "2.50"], "b": ["x", "y z"]}
    assert (table.meta.encoding, table.meta.delimiter, table.meta.decimal, table.meta.rows) == ("utf-8", ",", ".", 2)
    assert len(table.meta.sha256) == 64


@pytest.mark.parametrize("word", ["", "NA", "NaN", "null", "None", "?", " NA ", '"?"', "  "])
def test_words_for_missing_are_missing(word):
    assert rows_of(f"a,b\n{word},1\nx,2\n".encode()) == [[None, "1"], ["x", "2"]]


def test_51_mb_are_refused_with_the_limit_named():
    assert "51 MB; the limit is 50 MB" in refusal(b"a,b\n" + b"1,2\n" * (51 * 1024 * 1024 // 4))


def test_no_limit_where_none_is_wanted():
    assert rows_of(b"a,b\n1,2\n", max_bytes=None) == [["1", "2"]]
    assert "limit" in refusal(b"a,b\n1,2\n", max_bytes=3)


def test_a_million_columns_are_refused():
    header = ",".join(f"c{i}" for i in range(1_000_000)).encode()
    assert "more than 2,000 columns" in refusal(header + b"\n1\n")
    assert "2,001 columns; the limit is 2,000" in refusal(",".join(f"c{i}" for i in range(2001)).encode() + b"\n1\n")


def test_a_million_values_in_a_row_are_refused_with_their_line():
    assert "line 3" in refusal(b"a,b\n1,2\n" + b"1," * 1_000_000 + b"\n")


def test_a_40_mb_cell_is_refused_with_its_line():
    assert "line 3 is longer than 1,000,000 characters" in refusal(b"a,b\n1,2\n3," + b"x" * 40_000_000 + b"\n")
    assert "line 1 is longer" in refusal(b"x" * 40_000_000)


@pytest.mark.parametrize("text", ['a,b\n1,2\n3,"x\n5,6\n7,8\n', 'a,b\n1,2\n"3,x\n5,6\n', 'a,b\n1,"ok"\n3,"' + "x\n" * 600_000])
def test_an_unclosed_quote_is_refused_with_the_line_where_it_opens(text):
    message = refusal(text.encode())
    assert "line 3" in message
    assert "quote" in message


def test_two_stray_quotes_do_not_swallow_rows():
    assert "line 3" in refusal(b'a,b\n1,2\n3,"x\n5,"y\n7,8\n')


def test_inch_signs_are_text():
    assert rows_of(b'a,b\n5" pipe,1\n6" pipe,2\nx,3"\n') == [['5" pipe', "1"], ['6" pipe', "2"], ["x", '3"']]


def test_quoted_cells_keep_separators_quotes_and_line_ends():
    assert rows_of(b'"a","b"\n"x,1","say ""hi"""\n"two\nlines",""\n') == [["x,1", 'say "hi"'], ["two\nlines", None]]


def test_a_header_may_hold_a_line_end():
    assert list(read_table(b'a,"b\nc"\n1,2\n').frame) == ["a", "b c"]


def test_a_nul_byte_is_refused_with_its_line():
    assert "line 3 contains a NUL byte" in refusal(b"a,b\n1,2\n3,\x00\n" + b"4,5\n" * 50)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_encodings_give_the_same_values(encoding):
    text = "größe;b\n1;été\n" * 1
    table = read_table(text.encode(encoding), file_name="t.csv")
    assert table.frame.to_dict("list") == {"größe": ["1"], "b": ["été"]}


def test_utf_16_big_endian_with_its_mark():
    assert rows_of(b"\xfe\xff" + "a,b\n1,é\n".encode("utf-16-be")) == [["1", "é"]]


def test_latin_1_is_read():
    table = read_table("größe,b\n1,été\n".encode("latin-1"))
    assert table.frame.to_dict("list") == {"größe": ["1"], "b": ["été"]}
    assert table.meta.encoding == "cp1252"
    assert rows_of(b"a,b\n1,\x81\n") == [["1", "\x81"]]


def test_a_mixture_of_encodings_is_refused_with_its_line():
    assert "line 4 is not valid UTF-8" in refusal("a,b\n1,été\n2,été\n".encode() + "3,é\n".encode("latin-1"))


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_separators_are_found(delimiter):
    text = "a,b\n1,x\n2,y\n".replace(",", delimiter)
    table = read_table(text.encode())
    assert table.frame.to_dict("list") == {"a": ["1", "2"], "b": ["x", "y"]}
    assert table.meta.delimiter == delimiter


def test_semicolons_win_over_decimal_commas():
    table = read_table(b"a;b\n1,5;2,5\n3,25;4\n")
    assert table.frame.to_dict("list") == {"a": ["1,5", "3,25"], "b": ["2,5", "4"]}
    assert table.meta.decimal == ","


def test_excels_sep_line_is_understood():
    assert rows_of(b"sep=;\na;b\n1;2\n") == [["1", "2"]]


def test_one_column_is_a_table():
    assert rows_of(b"a\nx\ny\n") == [["x"], ["y"]]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_and_blank_lines(ending):
    assert rows_of("\na,b\n1,2\n\n3,4".replace("\n", ending).encode()) == [["1", "2"], ["3", "4"]]


def test_repeated_headers_are_refused_by_name():
    message = refusal(b"a,b, a,b\n1,2,3,4\n")
    assert "'a', 'b'" in message
    assert "more than once" in message


def test_blank_headers_get_a_name_by_position():
    assert list(read_table(b",a,\n0,1,2\n").frame) == ["column_1", "a", "column_3"]


def test_a_file_without_header_is_refused():
    assert "line 1 holds no column names" in refusal(b"1,2.5\n3,4\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n4,5\n", "line 3 has 2 values where the header has 3 (nothing is left for column 'c')"),
        ("a,b\n1,2\n\n4,5,6\n", "line 4 has 3 values where the header has 2"),
        ('a,b\n"x\ny",2\n4\n', "line 4 has 1 values"),
    ],
)
def test_ragged_rows_are_refused_with_their_line(text, message):
    assert message in refusal(text.encode())


def test_empty_and_header_only_files_are_refused():
    assert "is empty" in refusal(b"")
    assert "is empty" in refusal(b" \n\n")
    assert "header but no rows" in refusal(b"a,b\n")
    assert "header but no rows" in refusal(b"a,b")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, ".xls"),
        (b"\x80\x04\x95" + b"x" * 50, "pickle"),
        (b"\x1f\x8b\x08" + b"x" * 50, "gzip"),
        (b"PAR1" + b"x" * 50, "Parquet"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b'[{"a": 1}]', "JSON"),
        (b"\x00\x01\x02\x03\x04" * 40, "NUL"),
    ],
)
def test_other_kinds_of_file_are_refused_by_content(data, what):
    assert what in refusal(data)


def test_a_workbook_is_read():
    data = workbook_bytes([["age", "sex", "rate"], [63, "Male", 2.5], [None, None, None], [41, None, True]], sheet="Patients")
    table = read_table(data, file_name="t.xlsx")
    assert table.meta.sheet == "Patients"
    assert rows_of(data) == [["63", "Male", "2.5"], ["41", None, "True"]]


def test_a_workbook_row_wider_than_its_header_is_refused():
    assert "row 3 has a value in column 3" in refusal(workbook_bytes([["a", "b"], [1, 2], [1, 2, 3]]))


def test_an_empty_workbook_and_a_foreign_zip_are_refused():
    assert "no cells" in refusal(workbook_bytes([]))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "x")
    assert "not an .xlsx" in refusal(file.getvalue())


@pytest.mark.parametrize("megabytes", [20, 120])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(megabytes):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as entry:
            for _ in range(megabytes):
                entry.write(b"0" * 1_000_000)
    assert "would unpack to" in refusal(file.getvalue())


def test_a_damaged_workbook_is_refused():
    assert "damaged" in refusal(workbook_bytes([["a"], [1]])[:-40])


def test_streaming_gives_the_same_values_in_chunks(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + "".join(f'{i},"x, {i}"\n' if i % 7 else f"{i}, NA \n" for i in range(2_500)), encoding="utf-8")
    chunks = list(stream_table(path, chunk_rows=1_000))
    assert [len(c) for c in chunks] == [1_000, 1_000, 500]
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), read_table(path).frame)
    header = read_header(path)
    assert (header.columns, header.meta.rows) == (("a", "b"), None)


def test_a_fault_far_down_is_still_named(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + "1,2\n" * 2_000_000 + "1,2,3\n", encoding="utf-8")
    with pytest.raises(BadInput, match="line 2000002 has 3 values"):
        for _ in stream_table(path):
            pass


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match="cannot be opened"):
        read_table(tmp_path / "no.csv")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    message = ""
    try:
        read_table(data)
    except BadInput as refused:
        message = str(refused)
    assert "\n" not in message


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='ab1,;"\n\r\t é.', max_size=80))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(BadInput):
        read_table(("x,y\n" + text).encode())
