"""The Reports page through the real frame: make one, open it by link, find it again, and what a role may."""

from datetime import timedelta

import pytest

from core import audit
from core.acts import Actor
from core.reports.make import make_report, write_due
from core.reports.reports import count_reports, list_reports, read_report
from core.times import utc_now
from storage.connection import reading
from tests.agent_cases import asked_to_retrain

DEVOPS = Actor("devops")
PROJECT = "heart_disease"


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def button(test, label):
    return next((b for b in test.button if b.label == label), None)


def listed(test):
    return next((d.value for d in test.dataframe if "Title" in d.value.columns), None)


def choose_kind(test, kind):
    return next(g for g in test.button_group if g.key == "report-kind").set_value(kind).run()


def test_without_reports_the_page_says_how_there_will_be_one(trained_home, open_page):
    test = open_page(trained_home, "reports")
    assert "There is no report yet" in texts(test)
    assert "The next deployment makes one by itself within a minute" in texts(test)
    assert not test.exception


def test_a_weekly_report_is_made_and_opened(trained_home, open_page):
    test = open_page(trained_home, "reports", "director")
    button(test, "Make a report").click().run()
    assert not test.exception
    report = list_reports(trained_home)[0]
    today = utc_now().date()
    assert (report.kind, report.made_by) == ("weekly", "director")
    assert report.subject == f"{today - timedelta(days=6)}/{today + timedelta(days=1)}"
    assert test.query_params["report"] == "1"
    assert "Report 1 is made: " in test.success[0].value
    assert f"Weekly report {report.id}, made by director" in texts(test)
    assert listed(test)["Title"].tolist() == [report.title]


def test_a_deployment_is_chosen_from_those_that_there_were(trained_home, open_page):
    test = choose_kind(open_page(trained_home, "reports", "devops"), "deployment")
    about = next(s for s in test.selectbox if s.label == "About")
    assert about.options[0].startswith("1.0.0, deployed ")
    button(test, "Make a report").click().run()
    assert list_reports(trained_home)[0].subject == "1"


@pytest.mark.parametrize(
    ("kind", "said"),
    [("drift", "No drift check was made"), ("incident", "has had no incident"), ("retraining", "was never retrained")],
)
def test_where_there_is_nothing_to_report_the_page_says_so(trained_home, open_page, kind, said):
    test = choose_kind(open_page(trained_home, "reports", "devops"), kind)
    assert said in texts(test)
    assert button(test, "Make a report") is None


def test_a_developer_reads_reports_and_makes_none(trained_home, open_page):
    make_report(trained_home, DEVOPS, "deployment", PROJECT)
    test = open_page(trained_home, "reports", "developer", report="1")
    assert "Version 1\\.0\\.0 of Heart disease went live" in texts(test)
    assert {d.label for d in test.get("download_button")} == {"PDF", "HTML"}
    assert button(test, "Make a report") is None
    assert button(test, "Mail it") is None
    assert "Reports are made by data scientists, DRH managers and DevOps" in texts(test)


def test_a_report_is_mailed_once_for_each_press(trained_home, open_page):
    make_report(trained_home, DEVOPS, "deployment", PROJECT)
    test = open_page(trained_home, "reports", "devops", report="1")
    button(test, "Mail it").click().run()
    waiting = reading(trained_home.db).conn.execute("SELECT count(*) FROM deliveries WHERE event = 'report_made'").fetchone()[0]
    assert waiting >= 1
    assert f"{waiting} messages wait" in test.success[0].value
    assert audit.search(trained_home, action="send_report")[1] == 1


@pytest.mark.parametrize(("days", "called"), [(7, "Weekly"), (3, "Period")])
def test_only_a_report_of_seven_days_is_called_weekly(trained_home, open_page, days, called):
    last = utc_now().date()
    make_report(trained_home, DEVOPS, "weekly", PROJECT, subject=f"{last - timedelta(days=days)}/{last}")
    test = open_page(trained_home, "reports", report="1")
    assert listed(test)["Kind"].tolist() == [called]
    assert f"{called} report 1, made by devops" in texts(test)
    assert f'<p class="kind">{called} report</p>' in read_report(trained_home, 1).decode()


def test_a_report_of_an_incident_is_named_after_its_diagnosis(trained_home, open_page):
    asked_to_retrain(trained_home, now=utc_now())
    test = choose_kind(open_page(trained_home, "reports", "devops"), "incident")
    assert next(s for s in test.selectbox if s.label == "About").options[0].startswith("Incident 1, other rows than in training, waiting")
    titles = [r.title for r in list_reports(trained_home, kind="incident")]
    assert titles == ["Data drift: other rows than in training"]  # the agent's own


@pytest.mark.parametrize("wanted", ["99", "x", "1" * 40, "../1", "\u00b2"])
def test_a_link_to_no_report_says_so(trained_home, open_page, wanted):
    test = open_page(trained_home, "reports", report=wanted)
    assert "There is no report" in test.error[0].value
    assert not test.exception


def test_a_changed_file_is_named_and_not_shown(trained_home, open_page):
    make_report(trained_home, DEVOPS, "deployment", PROJECT)
    path = trained_home.reports / "1" / "report.html"
    path.write_bytes(path.read_bytes() + b" ")
    test = open_page(trained_home, "reports", report="1")
    assert "was changed after it was made" in test.error[0].value
    assert not test.get("download_button")


def test_filters_narrow_the_list_to_a_kind_and_a_project(trained_home, open_page):
    write_due(trained_home, now=utc_now())
    make_report(trained_home, DEVOPS, "weekly", PROJECT)
    make_report(trained_home, DEVOPS, "weekly", "future_skills")
    test = open_page(trained_home, "reports")
    assert "Project" not in listed(test)  # the header names it
    assert listed(test)["By"].tolist() == ["devops", "by itself"]
    next(t for t in test.toggle if t.label == "All projects").set_value(True).run()
    assert len(listed(test)) == count_reports(trained_home) == 3
    assert listed(test)["Project"].tolist() == ["Future skills (synthetic)", "Heart disease", "Heart disease"]
    next(s for s in test.selectbox if s.key == "reports-kind").set_value("deployment").run()
    assert listed(test)["Kind"].tolist() == ["Deployment"]
    next(s for s in test.selectbox if s.key == "reports-kind").set_value("drift").run()
    assert "No report matches these filters" in texts(test)
