"""What is imported ahead, and what the browser is told to fetch ahead."""

import gc
import re
import sys
import threading
from pathlib import Path

import pytest
import streamlit

from pages import contents, door, warmup


@pytest.fixture(autouse=True)
def _unfreeze():
    yield
    gc.unfreeze()


def test_every_page_is_imported_ahead():
    assert {page.module for page in contents.PAGES} <= set(warmup.AT_ONCE)


def test_a_module_that_cannot_be_imported_is_logged_and_the_rest_goes_on(monkeypatch, caplog):
    monkeypatch.setattr(warmup, "AT_ONCE", ("no_such_module", "colorsys"))
    monkeypatch.setattr(warmup, "LATER", ("sndhdr_of_nothing",))
    sys.modules.pop("colorsys", None)
    then = []
    warmup.warm_up(threading.Event(), later=0, then=lambda: then.append("now"))
    assert "colorsys" in sys.modules
    assert then == ["now"]
    assert [r.getMessage() for r in caplog.records] == [
        "no_such_module could not be imported ahead",
        "sndhdr_of_nothing could not be imported ahead",
    ]


def test_nothing_is_imported_once_the_console_is_closing(monkeypatch):
    monkeypatch.setattr(warmup, "AT_ONCE", ("colorsys",))
    sys.modules.pop("colorsys", None)
    closing = threading.Event()
    closing.set()
    warmup.warm_up(closing, later=60, then=lambda: pytest.fail("there is no time left"))
    assert "colorsys" not in sys.modules


def test_what_stays_is_out_of_every_later_collection(monkeypatch):
    monkeypatch.setattr(warmup, "AT_ONCE", ())
    monkeypatch.setattr(warmup, "LATER", ())
    gc.unfreeze()
    warmup.warm_up(threading.Event(), later=0)
    assert gc.get_freeze_count() > 10_000


def test_the_browser_is_told_of_a_script_that_this_release_of_the_front_end_has():
    header = re.fullmatch(r"</static/js/(PlotlyChart\.[\w-]+\.js)>; rel=modulepreload", door._preloaded())
    assert header
    assert (Path(streamlit.__file__).parent / "static" / "static" / "js" / header[1]).is_file()
