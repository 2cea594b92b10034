"""Reports: what they say, that they are what was made, and that no text of anybody becomes anything but text."""

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import plutoprint
import pypdfium2
import pytest

from core import audit, deployment
from core.acts import Actor
from core.agent import incidents
from core.cli.app import main
from core.drift import checks
from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.projects import projects
from core.reports import charts, render, weekly
from core.reports.document import Chart, Document, Entry, Facts, Section, Table, Text, Timeline, say, say_time
from core.reports.make import A_TURN, make_report, make_unattended, send_report, write_due
from core.reports.render import Standing, render_html, render_pdf
from core.reports.reports import count_reports, folder_of, get_report, list_reports, read_report
from core.reports.words import shown
from core.scoring import files, labels
from core.times import parse, stamp, utc_now
from storage import agent as agent_store
from storage import alerts as alerts_store
from storage import notify as notify_store
from storage.connection import close_all, reading, writing

PROJECT = "heart_disease"
DEVOPS, DIRECTOR, SCIENTIST = (Actor(name) for name in ("devops", "director", "scientist"))
HOSTILE = '<script>a(1)</script> {{7*7}} "; } @import url(http://127.0.0.1:9/x);'
TURNED = "a\u202eb\u2067c\nd\x00e"
DATA = Path(__file__).parents[1] / "samples" / "heart_disease" / "data"


def read_pdf(data: bytes) -> list[str]:
    """The text of each page."""
    pages = pypdfium2.PdfDocument(data)
    return [page.get_textpage().get_text_range() for page in pages]


def flat(pages: list[str]) -> str:
    return " ".join(" ".join(pages).split())


def document(text: str = "word", title: str = "A title") -> Document:
    """Every kind of block, each holding ``text``."""
    drawn = charts.bars([charts.Bar(text, 0.5, text)])
    blocks = (
        Text(text), Facts(((text, text),)), Table((text, "n"), ((text, "1"),), numbers=frozenset({1}), note=text),
        Chart(drawn, text, text), Timeline((Entry("2026-11-21T10:00:00.000Z", text, text, text),)),
    )  # fmt: skip
    return Document("drift", PROJECT, "1", title, text, "look", text, Facts(((text, text),)), (Section(text, blocks),), text)


STANDING = Standing("2026-11-21T10:00:00.000Z", "devops", 12, "ab" * 32)


def make_incident(home: Home, events: int, *, alerts: int = 0, closed_at: str | None = None, story: str = "story") -> int:
    """An incident of one alert a second; its third event is a request that the director approved."""
    start = datetime(2026, 11, 20, 8, tzinfo=UTC)
    with writing(home.db) as db:
        incident = agent_store.insert_incident(db, {
            "project": PROJECT, "kind": "data_drift", "cause": "world_moved", "severity": 0.89, "state": "closed" if closed_at else "open",
            "diagnosis": {"sentence": f"thalch has drifted. {HOSTILE}", "retraining_helps": True, "measured": {"worst": 0.89}},
            "opened_at": stamp(start), "last_seen_at": stamp(start + timedelta(seconds=events)), "closed_at": closed_at,
            "outcome": "Good rows came back." if closed_at else "", "correlation_id": story,
        })  # fmt: skip
        for k in range(events):
            kind, action, status, by = ("request", "retrain", "approved", "director") if k == 2 else ("alert", "", "", "")
            agent_store.insert_event(
                db, incident_id=incident, at=stamp(start + timedelta(seconds=k)), kind=kind, action=action, status=status,
                sentence=f"Event number {k}.", approver=by,
            )  # fmt: skip
        for k in range(alerts):
            alert = alerts_store.insert_alert(db, {
                "project": PROJECT, "kind": "drift", "subject": f"column {k}", "severity": "critical" if k == 7 else "warning",
                "state": "resolved", "value": 0.8, "threshold": 0.7, "unit": "", "sentence": "Drifted.", "detail": {},
                "since": stamp(start), "last_seen_at": stamp(start), "correlation_id": story,
            })  # fmt: skip
            agent_store.link_alert(db, alert, incident)
    return incident


# What they say


def test_a_deployment_report_says_what_went_live_how_good_it_is_and_who_allowed_it(trained_home):
    before = audit.verify(trained_home)
    made = make_report(trained_home, DEVOPS, "deployment", PROJECT)
    page = read_report(trained_home, made["id"], "html").decode()
    pages = read_pdf(read_report(trained_home, made["id"], "pdf"))
    text = flat(pages)
    assert made["title"] == "Version 1.0.0 of Heart disease went live"
    version = next(s for s in deployment.list_deployments(trained_home, PROJECT))
    request = json.loads(json.dumps(reading(trained_home.db).conn.execute("SELECT evidence FROM requests WHERE id = 1").fetchone()["evidence"]))
    evidence = json.loads(request)
    accuracy = f"{evidence['metrics']['accuracy']:.3f}"
    low, high = (f"{v:.3f}" for v in evidence["intervals"]["accuracy"])
    nothing = f"{evidence['baseline']['holdout']['accuracy']:.3f}"
    for said in (
        "First model", "Better than doing nothing", accuracy, f"{low} to {high}", nothing, "nothing", "director", "devops",
        before.head, "Who was live when", "No alert was open when it went live.", say_time(version.live_from),
    ):  # fmt: skip
        assert said in page, said
        assert " ".join(said.split()) in text.replace("\ufffe", "") or said == before.head, said
    # every page is numbered, and names the audit that it stands on
    for number, words in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in words
        assert f"audit event {before.count}, head {before.head[:12]}" in words
    event = audit.search(trained_home, action="deploy")[0][0]
    assert get_report(trained_home, made["id"]).correlation_id == event["correlation_id"]
    assert event["correlation_id"] in page


def test_a_rollback_report_says_that_nothing_was_approved_anew(trained_home):
    deployment.undeploy(trained_home, DEVOPS, PROJECT)
    deployment.rollback(trained_home, DEVOPS, PROJECT, to="1.0.0", reason="the old one was better")
    page = read_report(trained_home, make_report(trained_home, DEVOPS, "deployment", PROJECT)["id"]).decode()
    assert "Version 1.0.0 of Heart disease was brought back" in page
    assert "nothing was trained or approved anew. Reason: the old one was better." in page
    assert "A rollback needs no approval of its own" in page


def test_a_drift_report_shows_every_column_worst_first_and_unknown_quality_as_unknown(trained_home):
    table = (DATA / "heart_switzerland.csv").read_bytes()
    check = checks.run_check(trained_home, SCIENTIST, PROJECT, current=checks.Upload(table, "switzerland.csv"), evidently=False)
    made = make_report(trained_home, DEVOPS, "drift", PROJECT)
    page = read_report(trained_home, made["id"]).decode()
    result = checks.get_check(trained_home, check["id"]).result
    places = [page.index(f"<td><bdi>{c.name}</bdi></td>") for c in result.worst_first]
    assert places == sorted(places)
    assert len(places) == 13
    assert f"{result.overall:.2f}, drift" in page
    assert f'{result.worst_first[0].score:.2f} drift</text>' in page
    report = get_report(trained_home, made["id"])
    assert report.subject == str(check["id"])
    assert report.correlation_id == audit.search(trained_home, action="check_drift")[0][0]["correlation_id"]


def test_a_weekly_report_counts_its_days_and_says_unknown_where_no_label_came_back(trained_home, tmp_path):
    rows = (DATA / "heart_cleveland.csv").read_text().splitlines()[:41]
    (tmp_path / "in.csv").write_text("\n".join(rows) + "\n")
    at = datetime(2026, 11, 18, 9, tzinfo=UTC)
    files.predict_file(trained_home, DEVOPS, PROJECT, tmp_path / "in.csv", tmp_path / "out.csv", source="test", now=at)
    made = make_report(trained_home, DIRECTOR, "weekly", PROJECT, subject="2026-W47")
    page = read_report(trained_home, made["id"]).decode()
    report = get_report(trained_home, made["id"])
    assert (report.since, report.until) == ("2026-11-16T00:00:00.000Z", "2026-11-23T00:00:00.000Z")
    assert report.subject == "2026-11-16/2026-11-23"
    assert made["title"] == "Heart disease: 16 Nov 2026 to 22 Nov 2026"
    assert ">40</text>" in page  # the one bar of the volume
    assert "Unknown: no label came back for the predictions of these days." in page
    out = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    column, target = out[0].index("prediction_id"), out[0].index("num")
    fed = "prediction_id,label\n" + "".join(f"{r[column]},{int(float(r[target]) > 0)}\n" for r in out[1:])
    labels.feed_labels(trained_home, SCIENTIST, PROJECT, fed.encode(), file_name="labels.csv", now=at + timedelta(hours=1))
    page = read_report(trained_home, make_report(trained_home, DIRECTOR, "weekly", PROJECT, subject="2026-W47")["id"]).decode()
    assert "On 40 labelled predictions." in page
    assert "Accuracy each day, with its 95 % interval" in page


@pytest.mark.parametrize(
    ("text", "since", "days"),
    [
        ("2026-W47", "2026-11-16", 7), ("2026-W01", "2025-12-29", 7), ("2026-11-14/2026-11-21", "2026-11-14", 7),
        ("2026-11-14/2026-11-15", "2026-11-14", 1),
    ],
)  # fmt: skip
def test_a_period_is_a_week_or_two_days(text, since, days):
    first, last = weekly.read_period(text)
    assert (f"{first:%Y-%m-%d}", (last - first).days, first.tzinfo) == (since, days, UTC)


@pytest.mark.parametrize("text", ["", "2026-W54", "2026-W00", "2026-11-21", "2026-11-21/2026-11-14", "2026-11-14/2026-11-14", "2024-01-01/2026-01-01",
                                  "a/b/c", "../../etc", "9999-12-31/9999-12-31", "9999-W52", "0001-W01", "2026-W٠١"])  # fmt: skip
def test_what_is_no_period_is_refused_in_a_sentence(text):
    with pytest.raises(BadInput, match="period"):
        weekly.read_period(text)


def test_the_default_week_is_the_seven_whole_days_before_now():
    assert weekly.find_period(datetime(2026, 11, 23, 6, 0, tzinfo=UTC)) == "2026-11-16/2026-11-23"


def test_an_incident_of_ten_thousand_events_is_counted_whole_and_shown_in_part(trained_home):
    incident = make_incident(trained_home, 10_000, alerts=2_000, closed_at="2026-11-20T11:00:00.000Z")
    start = time.process_time()  # of this process: the machine may be busy with other things
    made = make_unattended(trained_home, "incident", PROJECT, subject=str(incident), now=utc_now())
    assert time.process_time() - start < 2.0
    report = get_report(trained_home, made["id"])
    assert report.bytes < 1_000_000
    page = read_report(trained_home, made["id"]).decode()
    assert page.count("Event number ") == 50
    for said in ("number 0.", "number 24.", "number 9975.", "number 9999.", "9950 further entries", "2\u202f000 alerts, 10\u202f000 events"):
        assert said in page, said
    assert "Event number 25." not in page
    assert ">9\u202f999</bdi>" in page  # alerts among the events, counted
    assert page.index("Drift, column 7") < page.index("Drift, column 0")  # the critical one first


# How they are made


def test_the_same_request_key_gives_the_same_report(trained_home):
    first = make_report(trained_home, DEVOPS, "deployment", PROJECT, key="one")
    again = make_report(trained_home, DEVOPS, "deployment", PROJECT, key="one")
    assert again == first
    assert count_reports(trained_home) == 1
    assert [p.name for p in trained_home.reports.iterdir()] == ["1"]


def test_who_may_not_make_reports_is_refused_and_leaves_nothing(trained_home):
    with pytest.raises(Refused, match="may not make report"):
        make_report(trained_home, Actor("developer"), "deployment", PROJECT)
    assert count_reports(trained_home) == 0
    assert list(trained_home.reports.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "project", "subject", "error"),
    [
        ("monthly", PROJECT, "", "no report 'monthly'"), ("deployment", "nothing", "", "nothing"), ("deployment", PROJECT, "7", "no deployment '7'"),
        ("drift", PROJECT, "", "no drift check yet"), ("drift", PROJECT, "../1", "no drift check"), ("incident", PROJECT, "", "no incident"),
        ("retraining", PROJECT, "", "never retrained"), ("incident", PROJECT, "1" * 30, "no incident"),
        ("incident", PROJECT, "²", "no incident"),
        ("deployment", "future_skills", "1", "no deployment"),
    ],
)  # fmt: skip
def test_what_cannot_be_reported_is_refused_in_a_sentence_and_audited(trained_home, kind, project, subject, error):
    with pytest.raises((BadInput, NotFound), match=error):
        make_report(trained_home, DEVOPS, kind, project, subject=subject)
    event = audit.search(trained_home, limit=1)[0][0]
    assert (event["action"], event["outcome"]) == ("make_report", "refused")
    assert count_reports(trained_home) == 0


def test_a_deployment_makes_and_sends_one_report_by_itself(trained_home):
    now = utc_now()
    made = write_due(trained_home, now=now)
    assert len(made) == 1
    assert write_due(trained_home, now=now + timedelta(minutes=1)) == []
    report = list_reports(trained_home)[0]
    assert (report.kind, report.subject, report.made_by) == ("deployment", "1", "clock")
    event = audit.search(trained_home, action="make_report")[0][0]
    assert (event["actor"], event["trigger"], event["correlation_id"]) == ("clock", "person", report.correlation_id)
    waiting = reading(trained_home.db).conn.execute("SELECT message FROM deliveries WHERE event = 'report_made'").fetchall()
    assert len(waiting) >= 1
    assert {json.loads(row["message"])["report"] for row in waiting} == {report.id}


def test_four_clocks_at_once_make_one_report(trained_home):
    now, found = utc_now(), []

    def make() -> None:
        found.append(make_unattended(trained_home, "deployment", PROJECT, subject="1", now=now))
        close_all()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((m["id"], m["new"]) for m in found) == [(1, False), (1, False), (1, False), (1, True)]
    assert audit.search(trained_home, action="make_report")[1] == 1
    assert [p.name for p in trained_home.reports.iterdir()] == ["1"]


def test_a_disk_that_is_full_leaves_no_report_and_no_file(trained_home, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        make_report(trained_home, DEVOPS, "deployment", PROJECT)
    monkeypatch.undo()
    assert count_reports(trained_home) == 0
    assert list(trained_home.reports.iterdir()) == []
    assert make_report(trained_home, DEVOPS, "deployment", PROJECT)["id"] == 1


def test_a_report_that_cannot_be_made_does_not_keep_the_others(trained_home, caplog):
    many = [make_incident(trained_home, 1, closed_at=stamp(utc_now() - timedelta(days=2))) for _ in range(A_TURN + 1)]
    broken = many[0]
    with writing(trained_home.db) as db:
        for incident in many:
            agent_store.update_incident(db, incident, diagnosis={"measured": 5})
    made = write_due(trained_home, now=utc_now())
    assert [get_report(trained_home, i).kind for i in made] == ["deployment"]
    assert f"the incident report about {broken} of project {PROJECT} could not be made" in caplog.text


def test_what_happened_long_ago_makes_no_report_by_itself(trained_home):
    assert write_due(trained_home, now=utc_now() + timedelta(days=8)) == []


def test_an_incident_gets_a_report_when_the_agent_asks_and_another_one_when_it_is_closed(trained_home):
    incident = make_incident(trained_home, 3)
    with writing(trained_home.db) as db:
        for kind, action, status in (
            ("decision", "", "high"), ("diagnosis", "", "system_error"), ("action", "clear_cache", "done"), ("end", "", "escalated"),
        ):  # fmt: skip
            agent_store.insert_event(db, incident_id=incident, at=stamp(utc_now()), kind=kind, action=action, status=status, sentence="So.")
    seen = parse(incidents.get_incident(trained_home, incident).last_seen_at)
    first = make_unattended(trained_home, "incident", PROJECT, subject=str(incident), trigger="alert", now=seen)
    assert first["new"]
    page = read_report(trained_home, first["id"]).decode()
    for words in ("Request: Retrain, approved", "Decision, high severity", "Diagnosis, system error", "Clear the caches, done", "Escalated"):
        assert f"<bdi>{words}</bdi>" in page, words  # the console's own words, no names of columns
    assert make_unattended(trained_home, "incident", PROJECT, subject=str(incident), now=seen + timedelta(minutes=1)) == {**first, "new": False}
    closed = seen + timedelta(hours=1)
    with writing(trained_home.db) as db:
        agent_store.update_incident(db, incident, state="closed", closed_at=stamp(closed), outcome="Over.")
    last = write_due(trained_home, now=closed)
    assert [(get_report(trained_home, i).kind, get_report(trained_home, i).subject) for i in last] == [("incident", str(incident))]
    assert "Over." in read_report(trained_home, last[0]).decode()
    assert write_due(trained_home, now=closed + timedelta(minutes=1)) == []


def test_a_report_that_is_sent_waits_for_who_sent_it_too(trained_home):
    made = make_report(trained_home, DEVOPS, "deployment", PROJECT)
    sent = send_report(trained_home, DEVOPS, made["id"], key="k")
    assert send_report(trained_home, DEVOPS, made["id"], key="k") == sent
    waiting = reading(trained_home.db).conn.execute("SELECT recipient FROM deliveries WHERE event = 'report_made'").fetchall()
    assert len(waiting) == sent["messages"]
    assert "devops" in {row["recipient"] for row in waiting}
    assert notify_store.list_channels(reading(trained_home.db)) == {}


def test_files_that_no_row_names_are_replaced(trained_home):
    left = folder_of(trained_home, 1)
    left.mkdir()
    (left / "report.html").write_text("half a report")
    made = make_report(trained_home, DEVOPS, "deployment", PROJECT)
    assert made["id"] == 1
    assert b"half a report" not in read_report(trained_home, 1)


# Handing out


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_a_file_that_was_changed_or_taken_is_not_handed_out(trained_home, form):
    made = make_report(trained_home, DEVOPS, "deployment", PROJECT)
    path = folder_of(trained_home, made["id"]) / f"report.{form}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Refused, match="was changed after it was made"):
        read_report(trained_home, made["id"], form)
    path.unlink()
    with pytest.raises(Refused, match="is gone"):
        read_report(trained_home, made["id"], form)


def test_only_html_and_pdf_of_a_known_report_are_read(trained_home):
    with pytest.raises(BadInput, match="html or pdf"):
        read_report(trained_home, 1, "../../secret.key")
    with pytest.raises(NotFound, match="no report 99"):
        read_report(trained_home, 99)


# Text stays text


def test_hostile_text_is_shown_as_text_in_html_and_pdf():
    found = document(HOSTILE, title=HOSTILE)
    page = render_html(found, STANDING)
    assert "<script" not in page
    assert page.count("&lt;script&gt;a(1)&lt;/script&gt; {{7*7}}") >= 15
    assert "49" not in page.replace(STANDING.head, "").split("</style>")[1].split("<svg")[0]
    style = page.split("<style>")[1].split("</style>")[0]
    assert "@import" not in style
    assert "127.0.0.1" not in style.replace("\\", "")
    text = flat(read_pdf(render_pdf(found, STANDING) or b""))
    assert "<script>a(1)</script> {{7*7}}" in text


def test_signs_that_turn_or_hide_the_text_around_them_are_made_visible():
    assert shown(TURNED) == "a\ufffdb\ufffdc d\ufffde"
    assert shown("12\u202f345  x") == "12\u202f345 x"
    assert len(shown("x" * 5_000)) == 1_000
    page = render_html(document(TURNED), STANDING)
    assert not {"\u202e", "\u2067", "\x00"} & set(page)


def test_text_from_right_to_left_stands_beside_ours_in_html_and_pdf():
    page = render_html(document("\u05e9\u05dc\u05d5\u05dd 12"), STANDING)
    assert "<bdi>\u05e9\u05dc\u05d5\u05dd 12</bdi>" in page
    assert render_pdf(document("\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627"), STANDING) is not None


def test_the_html_is_complete_in_itself_and_runs_nothing():
    page = render_html(document(), STANDING)
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    rest = page.replace("http://www.w3.org/2000/svg", "")
    assert "://" not in rest
    assert "@font-face" not in rest
    for word in ("<script", "<img", "<link", "<iframe", "javascript:", "onload"):
        assert word not in rest


def test_the_renderer_opens_no_address_and_no_file(tmp_path):
    asked = []

    class Receiver(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret = tmp_path / "secret.css"
    secret.write_text("body { color: red }")
    place = f"http://127.0.0.1:{server.server_port}"
    fetcher = render._make_fetcher({"regular": b"font"})
    book = plutoprint.Book(plutoprint.PAGE_SIZE_A4)
    book.custom_resource_fetcher = fetcher
    book.load_html(
        f'<link rel="stylesheet" href="{place}/a.css"><link rel="stylesheet" href="file://{secret}"><img src="{place}/b.png">'
        f'<style>@import url({place}/c.css); p {{ background: url({place}/d.png) }}</style><p>text</p><object data="{place}/e"></object>'
        f'<svg><image href="{place}/f.png" width="9" height="9"/><use href="file://{secret}#x"/></svg><iframe src="file://{secret}"></iframe>'
    )
    book.write_to_pdf(str(tmp_path / "out.pdf"))
    server.shutdown()
    server.server_close()
    assert asked == []
    assert {f"{place}/a.css", f"file://{secret}", f"{place}/b.png", f"{place}/c.css", f"{place}/f.png"} <= set(fetcher.refused)


def test_fonts_are_embedded_and_a_system_without_any_gets_no_empty_pdf(tmp_path):
    assert b"/FontFile" in (render_pdf(document(), STANDING) or b"")
    (tmp_path / "fonts.conf").write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f"<dir>{tmp_path}/none</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>"
    )
    code = (
        f"import plutoprint; plutoprint.plutobook_set_fontconfig_path({str(tmp_path)!r})\n"
        "from tests.test_reports import document, STANDING\nfrom core.reports import render\n"
        "print(len(render.render_pdf(document(), STANDING)) > 2000)\n"  # the console's fonts are enough
        "render._find_fonts.cache_clear()\nrender._FILES = {}\nprint(render.render_pdf(document(), STANDING))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True)
    assert done.stdout.split() == ["True", "None"]


def test_the_same_report_is_the_same_bytes():
    assert render_pdf(document(), STANDING) == render_pdf(document(), STANDING)
    assert render_html(document(), STANDING) == render_html(document(), STANDING)


def test_a_heading_never_stands_alone_and_table_heads_are_repeated():
    rows = tuple((f"row {k}", "1") for k in range(70))
    sections = tuple(Section(f"Heading {k}", (Table(("Name", "Count"), rows[: 7 * k + 3], numbers=frozenset({1})),)) for k in range(9))
    found = Document("drift", PROJECT, "1", "Long", "", "ok", "", Facts(()), sections, "")
    pages = read_pdf(render_pdf(found, STANDING) or b"")
    assert len(pages) > 4
    for page in pages:
        lines = [line for line in page.splitlines() if line.strip() and not line.startswith(("Made ", "Page "))]
        assert not lines[-1].startswith("Heading"), lines[-3:]
        if any(line.startswith("row") for line in lines):
            assert any(line.startswith("Name") for line in lines)


# Charts


def test_an_unknown_value_draws_no_bar_and_a_bar_within_chance_is_hollow():
    drawn = charts.bars([charts.Bar("a", None, "unknown", "unknown"), charts.Bar("b", 0.5, "0.50 within chance", "chance")])
    assert drawn.count("<rect") == 1
    assert 'fill="#ffffff" stroke="#68746e" stroke-width="1" stroke-dasharray="3 2"' in drawn
    assert ">unknown</text>" in drawn


def test_a_bar_is_as_long_as_its_value():
    drawn = charts.bars([charts.Bar("half", 0.5, "", "ok"), charts.Bar("all", 1.0, "", "ok"), charts.Bar("more", 3.0, "", "ok")])
    assert [part.split('"')[0] for part in drawn.split('<rect x="150.0"')[1:] for part in [part.split('width="')[1]]] == ["190.0", "380.0", "380.0"]


def test_a_line_is_broken_where_a_value_is_unknown():
    steps = [charts.Step(str(k), v, v, v) for k, v in enumerate([0.5, 0.6, None, 0.7, 0.8, None, 0.9])]
    drawn = charts.lines(steps, top=1.0)
    assert drawn.count("<polyline") == 2  # and the last value stands alone, as a point
    assert drawn.count("<circle") == 5


def test_an_estimate_stands_at_its_value_with_its_interval_and_baseline():
    drawn = charts.estimates([charts.Estimate("F1", 0.5, 0.25, 0.75, 0.0)])
    # the scale goes from 150 at 0 to 590 at 1
    assert '<circle cx="370.0"' in drawn
    assert '<line x1="260.0"' in drawn
    assert 'x2="480.0"' in drawn
    assert ">0.500</text>" in drawn


def test_charts_of_nothing_are_drawn_without_a_fault():
    assert charts.lines([]).startswith("<svg")
    assert charts.columns([]).startswith("<svg")
    assert charts.columns([charts.Step("a", 0.0), charts.Step("b", None)]).count("<rect") == 0


def test_numbers_are_said_as_people_read_them():
    assert [say(None), say(""), say(12345), say(0.5), say(True)] == ["unknown", "unknown", "12\u202f345", "0.500", "yes"]
    assert say(float("nan")) == "unknown"
    assert say_time("2026-11-21T16:05:59.000Z") == "21\u00a0Nov\u00a02026, 16:05\u00a0UTC"
    assert say_time(None) == "unknown"


# By command


def test_reports_are_made_listed_and_written_by_command(trained_home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    assert main(["report", "make", "deployment", PROJECT, "--as", "devops", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"id": 1, "title": "Version 1.0.0 of Heart disease went live", "pdf": True}
    assert main(["report", "list", PROJECT, "--kind", "deployment", "--json"]) == 0
    assert [r["id"] for r in json.loads(capsys.readouterr().out)["reports"]] == [1]
    for name, form in (("out.pdf", "pdf"), ("out.HTML", "html")):
        assert main(["report", "get", "1", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_bytes() == read_report(trained_home, 1, form)
    capsys.readouterr()
    assert main(["report", "get", "1", str(tmp_path / "out.txt")]) == 1
    assert "end the name with .pdf or .html" in capsys.readouterr().err
    assert main(["report", "make", "weekly", PROJECT, "--about", "last week", "--as", "devops"]) == 1
    assert "'last week' is no period" in capsys.readouterr().err


def test_an_archived_project_can_still_be_reported(trained_home):
    deployment.undeploy(trained_home, DEVOPS, PROJECT)
    projects.archive_project(trained_home, SCIENTIST, PROJECT)
    assert make_report(trained_home, DEVOPS, "deployment", PROJECT)["id"] == 1
