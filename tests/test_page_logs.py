"""The Logs page through the real frame: lines, filters, links from and to the audit, and what it must not show."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from core import accounts, audit, log_files, logs, roles
from core.acts import Actor
from core.log_files import Filter
from core.times import stamp_finely, utc_now
from pages import logs as page


@pytest.fixture
def told_home(demo_home):
    """The demo with some lines of today in its files."""
    handler = logs.keep_logs(demo_home)
    try:
        with logs.bound(correlation_id="c0ffee", user="eva", project="heart_disease", version="1.2.0"):
            logging.getLogger("greenlight.mlops").info("deploy done")
            logging.getLogger("greenlight.monitoring").warning("<script>alert(1)</script> **bold** [x](y)")
        try:
            raise ValueError("planted detail")
        except ValueError:
            logging.getLogger("greenlight.clock").exception("a step failed", extra={"correlation_id": "dead"})
    finally:
        logs.drop_logs(handler)
    return demo_home


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def messages(test):
    return list(next(d.value for d in test.dataframe if "Message" in d.value.columns)["Message"])


def button(test, label):
    return next(b for b in test.button if b.label == label)


def test_the_newest_line_stands_first_with_its_context(told_home, open_page):
    test = open_page(told_home, "logs", "developer")
    assert not test.exception
    assert messages(test) == ["a step failed", "<script>alert(1)</script> **bold** [x](y)", "deploy done"]
    row = test.dataframe[0].value.iloc[2]
    assert (row["Level"], row["Logger"], row["Who"], row["Project"], row["Version"], row["Correlation id"]) == (
        "○ Info", "mlops", "eva", "heart_disease", "1.2.0", "c0ffee",
    )
    assert "script" not in texts(test)


def test_every_role_may_look(told_home, open_page):
    for name in ("scientist", "director", "devops", "developer", "admin"):
        assert len(messages(open_page(told_home, "logs", name))) == 3


def test_filters_narrow_the_lines(told_home, open_page):
    test = open_page(told_home, "logs")
    test.selectbox(key="logs-level").set_value("warning").run()
    assert messages(test) == ["a step failed", "<script>alert(1)</script> **bold** [x](y)"]
    test.text_input(key="logs-correlation").set_value("c0ffee").run()
    assert messages(test) == ["<script>alert(1)</script> **bold** [x](y)"]
    test.selectbox(key="logs-level").set_value(None).run()
    test.text_input(key="logs-text").set_value("DEPLOY").run()
    assert messages(test) == ["deploy done"]
    test.text_input(key="logs-text").set_value("nothing like it").run()
    assert "No line matches these filters" in texts(test)


def test_a_link_names_the_correlation_id(told_home, open_page):
    test = open_page(told_home, "logs", correlation="c0ffee")
    assert messages(test) == ["<script>alert(1)</script> **bold** [x](y)", "deploy done"]
    test.text_input(key="logs-correlation").set_value("").run()
    assert len(messages(test)) == 3


def test_a_line_opens_to_its_json_without_the_trace(told_home, open_page):
    test = open_page(told_home, "logs")
    line = log_files.read_lines(told_home, Filter(level="error")).lines[0]
    test.session_state["logs-open"] = line
    test.run()
    shown = json.loads(test.code[0].value)
    assert shown["message"] == "a step failed"
    assert shown["trace"].endswith(f"lines in app_{datetime.now(UTC):%Y%m%d}.log")
    assert "planted detail" not in test.code[0].value
    button(test, "All lines of this correlation id").click().run()
    assert messages(test) == ["a step failed"]
    button(test, "Close").click().run()
    assert not test.code


def test_following_shows_new_lines_in_a_place_of_their_own(told_home, open_page):
    test = open_page(told_home, "logs")
    test.toggle(key="logs-follow").set_value(True).run()
    assert not test.exception
    assert [row.split(" ", 2)[1] for row in test.code[0].value.splitlines()] == ["ERROR", "WARNING", "INFO"]
    assert "The table below stays as it is" in texts(test)


def test_older_lines_are_a_page_away(told_home, open_page, monkeypatch):
    monkeypatch.setattr(page, "PAGE_LINES", 1)
    test = open_page(told_home, "logs")
    seen = messages(test)
    while any(b.label == "Older" for b in test.button):
        button(test, "Older").click().run()
        seen += messages(test) if test.dataframe else []
    assert sorted(seen) == sorted(["a step failed", "<script>alert(1)</script> **bold** [x](y)", "deploy done"])
    button(test, "Newest").click().run()
    assert messages(test)[0] == "a step failed"


def test_the_download_holds_what_matches_and_no_trace(told_home):
    content = page._make_download(told_home, Filter(level="warning"))
    lines = [json.loads(row) for row in content.splitlines()]
    assert [line["level"] for line in lines] == ["WARNING", "ERROR"]
    assert b"planted detail" not in content


def test_without_a_line_it_says_so(home, open_page):
    accounts.add_first_account(home, "root", roles.ADMIN, os_user="me")
    assert "Nothing has been logged here yet" in texts(open_page(home, "logs", "root", project=""))


def test_the_audit_leads_to_the_logs_and_back(told_home, open_page):
    with pytest.raises(Exception, match="may not"):
        accounts.add_account(told_home, Actor("developer"), "eve", "admin")
    event = audit.search(told_home, limit=1)[0][0]
    test = open_page(told_home, "audit", event=str(event["seq"]))
    link = next(x for x in test.get("page_link") if x.proto.label == "Its lines in the logs")
    assert f"correlation={event['correlation_id']}" in link.proto.query_string
    back = open_page(told_home, "audit", correlation=event["correlation_id"])
    assert list(next(d.value for d in back.dataframe if "Outcome" in d.value.columns)["Event"]) == [event["seq"]]
    button(back, "Show all again").click().run()
    assert len(next(d.value for d in back.dataframe if "Outcome" in d.value.columns)) > 1


def test_a_span_leaves_older_lines_out(told_home, open_page):
    old = {"time": stamp_finely(utc_now() - timedelta(days=3)), "level": "INFO", "logger": "greenlight.app", "message": "three days ago"}
    day = f"{utc_now() - timedelta(days=3):%Y%m%d}"
    (told_home.logs / f"app_{day}.log").write_text(json.dumps(old) + "\n")
    test = open_page(told_home, "logs")
    assert messages(test)[-1] == "three days ago"
    test.selectbox(key="logs-span").set_value("last day").run()
    assert len(messages(test)) == 3
