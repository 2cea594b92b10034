"""The frame, run as a script by Streamlit's own test runner; only "who is signed in" is replaced."""

import logging
import sys
import tomllib
import types
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import accounts
from core.errors import BadInput
from core.home import open_home
from core.projects import projects
from core.projects.definition import from_dict
from pages import charts, contents, parts, session

FRAME = str(Path(__file__).parent.parent / "pages" / "frame.py")
SCIENTIST = accounts.Actor("scientist")


def define(name, title):
    return from_dict(
        {
            "name": name, "title": title, "task": "binary", "target": "num", "positive": ">0", "classes": ["0", "1"],
            "columns": [{"name": "age"}],
        }
    )  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GREENLIGHT_HOME", str(tmp_path))
    home = open_home(tmp_path)
    accounts.add_demo_accounts(home)
    return home


@pytest.fixture
def open_as(home, monkeypatch):
    """Open the frame as one of the demo's accounts, on a page given as a function."""

    def show_home(context):
        st.write(f"home of {context.project.name if context.project else 'nothing'}")

    shown = {"home": show_home, "drift": lambda context: st.write("drift inside")}
    pages = (
        contents.Page("home", "Home", "Now", ":material/home:", default=True),
        contents.Page("drift", "Drift", "Watch", ":material/water:", "analyse_drift"),
    )
    monkeypatch.setattr(contents, "PAGES", pages)

    def open_frame(name, show=None, page="home", **query):
        for url, function in {**shown, **({page: show} if show else {})}.items():
            module = types.ModuleType(f"pages.{url}")
            module.show = function
            monkeypatch.setitem(sys.modules, f"pages.{url}", module)
        monkeypatch.setattr(session, "current_account", lambda home, now: accounts.find_account(home, name) if name else None)
        test = AppTest.from_file(FRAME, default_timeout=20)
        for key, value in query.items():
            test.query_params[key] = value
        return test.run()

    return open_frame


def texts(test):
    return [m.value for m in test.markdown]


def test_nobody_signed_in_sees_the_way_to_sign_in_and_nothing_else(open_as):
    test = open_as(None)
    assert test.title[0].value == "You are signed out"
    assert not any("home of" in t for t in texts(test))
    assert len(test.selectbox) == 0
    assert not test.exception


def test_without_a_project_the_page_is_shown_and_no_switch(open_as):
    test = open_as("scientist")
    assert "home of nothing" in texts(test)
    assert len(test.selectbox) == 0


def test_the_first_project_is_chosen_and_its_name_goes_into_the_address(open_as, home):
    projects.create_project(home, SCIENTIST, define("heart", "Heart disease"))
    projects.create_project(home, SCIENTIST, define("skills", "Future skills"))
    test = open_as("scientist")
    assert "home of heart" in texts(test)
    assert test.selectbox[0].options == ["Heart disease", "Future skills"]
    assert test.query_params["project"] == "heart"
    assert any("Nothing live" in t for t in texts(test))


def test_a_link_names_the_project_and_the_switch_changes_it(open_as, home):
    for name in ("heart", "skills"):
        projects.create_project(home, SCIENTIST, define(name, name.title()))
    test = open_as("scientist", project="skills", request="17")
    assert "home of skills" in texts(test)
    test.selectbox[0].set_value("heart").run()
    assert "home of heart" in texts(test)
    assert dict(test.query_params) == {"project": "heart"}  # request 17 belonged to the other one


def test_a_project_that_does_not_exist_is_named_and_no_other_is_shown_instead(open_as, home):
    projects.create_project(home, SCIENTIST, define("heart", "Heart disease"))
    test = open_as("scientist", project="gone")
    assert test.warning[0].value == "There is no project gone here, or it is archived. Choose one above."
    assert not any("home of" in t for t in texts(test))
    test.selectbox[0].set_value("heart").run()
    assert "home of heart" in texts(test)


def test_the_header_says_who_i_am_and_leads_out(open_as):
    test = open_as("director")
    assert "Signed in as **director**, DRH manager." in texts(test)
    assert '<a href="/sign-out" target="_self">Sign out</a>' in texts(test)
    assert '<a href="/password" target="_self">Change password</a>' in texts(test)


@pytest.mark.parametrize(("name", "may"), [("scientist", True), ("devops", True), ("director", False), ("developer", False)])
def test_a_page_is_shown_to_those_who_may_and_explained_to_the_others(open_as, monkeypatch, name, may):
    # The runner opens only the default page by itself, so the guarded page is made the default here.
    pages = tuple(replace(p, default=p.url == "drift") for p in contents.PAGES)
    monkeypatch.setattr(contents, "PAGES", pages)
    test = open_as(name)
    assert ("drift inside" in texts(test)) is may
    if not may:
        mine = {"director": "DRH manager", "developer": "Developer"}[name]
        assert test.info[0].value == f"Drift is for Data scientist and DevOps; you are signed in as {mine}."
        assert "Ask devops (DevOps) or scientist (Data scientist)." in texts(test)


def test_a_mistake_that_a_person_can_cure_is_one_sentence(open_as):
    def show(context):
        raise BadInput("Column *age* is missing; add it.")

    test = open_as("scientist", show)
    assert [e.value for e in test.error] == [r"Column \*age\* is missing; add it\."]
    assert not test.exception


def test_a_bug_is_a_number_on_the_screen_and_a_trace_in_the_log(open_as, caplog):
    def show(context):
        return {}["a secret path"]

    with caplog.at_level(logging.ERROR, logger="greenlight.pages"):
        test = open_as("scientist", show)
    record = caplog.records[-1]
    assert len(test.error) == 1
    assert record.correlation_id in test.error[0].value
    assert "a secret path" not in test.error[0].value
    assert record.exc_info[0] is KeyError
    assert not test.exception


def test_what_a_page_remembered_for_one_person_is_forgotten_for_the_next(open_as, monkeypatch):
    def show(context):
        st.write(f"draft {st.session_state.get('draft', 'none')}")
        if context.account.name == "scientist":
            st.session_state["draft"] = "of the scientist"

    test = open_as("scientist", show)
    assert "draft of the scientist" in texts(test.run())
    monkeypatch.setattr(session, "current_account", lambda home, now: accounts.find_account(home, "director"))
    assert "draft none" in texts(test.run())


def test_an_act_asks_for_its_reason_and_for_the_typed_word(open_as):
    def show(context):
        reason = parts.confirm("Delete the data", "Rows are deleted for good.", key="purge", typed="heart")
        if reason is not None:
            st.write(f"done because {reason}")

    test = open_as("admin", show)
    button = next(b for b in test.button if b.label == "Delete the data")
    button.click().run()
    assert "Write a reason" in test.error[0].value
    test.text_area[0].input("too old")
    test.text_input[0].input("hearts")
    next(b for b in test.button if b.label == "Delete the data").click().run()
    assert "type heart exactly" in test.error[0].value
    test.text_input[0].input("heart")
    next(b for b in test.button if b.label == "Delete the data").click().run()
    assert "done because too old" in texts(test)


def test_names_lose_their_markdown():
    assert parts.plain("**bold** [x](http://e) :red[r] $a$ <b>\n# h") == (
        r"\*\*bold\*\* \[x\]\(http\://e\) \:red\[r\] \$a\$ \<b\> \# h"
    )


def test_a_moment_is_shown_in_the_visitors_zone():
    assert parts.local_time("2026-11-21T11:36:07.123Z", zone="Europe/Paris") == "21 Nov 2026, 12:36 CET"
    assert parts.local_time("2026-11-21T11:36:07.123Z", zone="no/where") == "21 Nov 2026, 11:36 UTC"
    now = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)  # in Paris the next year has begun
    assert parts.short_time("2026-11-21T11:36:07.123Z", zone="UTC", now=now) == "21 Nov, 11:36"
    assert parts.short_time("2026-11-21T11:36:07.123Z", zone="Europe/Paris", now=now) == "21 Nov 2026, 12:36"
    assert parts.utc_time("2026-11-21T23:36:07.123Z") == "21 Nov 2026, 23:36 UTC"


def test_an_unknown_state_never_looks_fine():
    assert parts.find_status("odd_state").colour == "gray"
    assert parts.find_status("odd_state").word == "Odd state"
    assert charts.colour_of("odd_state") == charts.QUIET
    assert charts.colour_of("ok") == charts.GO


def test_every_state_has_a_colour_an_icon_and_a_word_of_its_own_in_charts():
    assert {(s, w) for _, s, w in charts.colours.values()} >= {("circle", "OK"), ("triangle-up", "Look"), ("diamond", "Drift")}
    assert len({word for _, _, word in charts.colours.values()}) == len(charts.colours)


def test_every_listed_page_exists_and_stands_in_a_known_group():
    for page in contents.PAGES:
        assert (Path(contents.__file__).parent / f"{page.url}.py").is_file(), page.url
        assert page.group in contents.GROUPS
    assert sum(page.default for page in contents.PAGES) == 1


def _contrast(one, other):
    """WCAG 2.1's ratio of two colours, each (red, green, blue) in 0..255."""
    lights = []
    for colour in (one, other):
        parts = [v / 255 / 12.92 if v / 255 <= 0.03928 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
        lights.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_captions_and_words_in_colour_are_readable_in_both_themes(scheme):
    theme = tomllib.loads((Path(__file__).parent.parent / ".streamlit" / "config.toml").read_text())["theme"][scheme]
    colour = {name: [int(text[i : i + 2], 16) for i in (1, 3, 5)] for name, text in theme.items() if isinstance(text, str)}
    paper = colour["backgroundColor"]
    caption = [0.6 * ink + 0.4 * ground for ink, ground in zip(colour["textColor"], paper, strict=True)]  # Streamlit pales captions
    assert _contrast(caption, paper) >= 4.5
    for name in ("greenTextColor", "orangeTextColor", "redTextColor", "grayTextColor", "linkColor"):
        assert _contrast(colour[name], paper) >= 4.5, name
    assert _contrast(colour["primaryColor"], [255, 255, 255]) >= (4.5 if scheme == "light" else 4.1)  # white words on a button
    assert _contrast(colour["primaryColor"], paper) >= 4.2  # a chosen tab
