"""CSV out: nothing runs in a spreadsheet, numbers stay numbers, half files never appear."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.datasets.read import read_table, stream_table
from core.datasets.write import CsvWriter, write_csv


def written(frame):
    file = io.BytesIO()
    assert write_csv(file, frame) == len(frame)
    return file.getvalue().decode()


@pytest.mark.parametrize("cell", ["=1+1", "+x", "-x", "@SUM(A1)", "\tx", "\rx", "=HYPERLINK(1)", "-3.5x", "+1-1"])
@pytest.mark.parametrize("dtype", ["str", object])
def test_formulas_become_text(cell, dtype):
    [[got]] = list(csv.reader(io.StringIO(written(pd.DataFrame({"a": pd.Series([cell], dtype=dtype)})), newline="")))[1:]
    assert got == "'" + cell


@pytest.mark.parametrize("cell", ["-3.5", "+5", "-1e-3", "-3,5", "-.5"])
def test_numbers_stay_numbers(cell):
    assert next(csv.reader(io.StringIO(written(pd.DataFrame({"a": [cell]})).splitlines()[1]))) == [cell]
    assert written(pd.DataFrame({"a": [-3.5, 2.0, np.nan]})) == 'a\n-3.5\n2\n""\n'


def test_headers_are_made_safe_as_well():
    assert written(pd.DataFrame({"=a": ["x"], "b,c": ["y"]})) == '\'=a,"b,c"\nx,y\n'


def test_every_kind_of_cell_is_written():
    frame = pd.DataFrame(
        {"t": ["x", None, 'say "hi"'], "n": [1, 2, 3], "f": [0.1, np.nan, 1e-9], "b": [True, False, True], "m": [1, "@x", None]}
    )
    assert written(frame) == 't,n,f,b,m\nx,1,0.1,True,1\n,2,,False,\'@x\n"say ""hi""",3,1e-9,True,\n'


def test_a_frame_without_rows_is_its_header():
    assert written(pd.DataFrame({"a": [], "b": []})) == "a,b\n"


def test_a_stream_is_written_frame_by_frame(tmp_path):
    path, copy = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("a,b\n" + "".join(f"{i},x {i}\n" for i in range(2_500)), encoding="utf-8")
    assert write_csv(copy, stream_table(path, chunk_rows=1_000)) == 2_500
    assert copy.read_bytes() == path.read_bytes()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old", encoding="utf-8")

    def frames():
        yield pd.DataFrame({"a": [1]})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_csv(path, frames())
    assert [(p.name, p.read_text(encoding="utf-8")) for p in tmp_path.iterdir()] == [("out.csv", "old")]


def test_frames_of_one_file_have_the_same_columns(tmp_path):
    with CsvWriter(tmp_path / "out.csv") as out:
        out.write(pd.DataFrame({"a": [1]}))
        with pytest.raises(ValueError, match="columns"):
            out.write(pd.DataFrame({"b": [1]}))


_cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_cells, _cells), min_size=1, max_size=8))
def test_what_is_written_is_read_again(rows):
    text = written(pd.DataFrame(rows, columns=["a", "b"], dtype=object))
    back = list(csv.reader(io.StringIO(text, newline=""), strict=True))[1:]
    assert [[c.removeprefix("'") for c in row] for row in back] == [[c.removeprefix("'") for c in row] for row in rows]
    frame = read_table(text.encode()).frame
    assert len(frame) == len(rows)
