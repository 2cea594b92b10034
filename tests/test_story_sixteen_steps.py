"""Alert to remediation, played for real: the world changes, the agent asks, people decide, a better version goes live; and a
second retraining, on spoiled labels, that is worse and goes nowhere."""

import os
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from core import approvals, audit, deployment
from core.agent import agent_requests, incidents
from core.errors import Refused
from core.jobs import jobs
from core.monitoring import alerts, checks
from core.notify import outbox
from core.registry import versions
from core.reports import reports
from core.retraining import retraining
from core.schedule import schedules, slots
from core.times import utc_now
from samples.future_skills import __main__ as worlds
from samples.future_skills.hr_source import HIGH_FROM, MEDIUM_FROM, planners_score
from tests import story_future as story
from tests import walk_agent
from tests.browser import CHROMIUM, FLAGS, Person, serve
from tests.conftest import copy_home
from tests.receivers import mail_server, make_authority
from tests.story_future import DEVOPS, DIRECTOR, PROJECT, SCIENTIST


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def built_future(built_demo, tmp_path_factory):
    """The demo with future_skills 1.0.0 live for twenty days."""
    home = copy_home(built_demo, tmp_path_factory.mktemp("future") / "home")
    story.put_live(home, now=utc_now() - timedelta(days=20))
    return home.root


def test_a_world_that_changed_is_found_asked_about_retrained_released_and_told(built_future, authority, tmp_path, monkeypatch):
    home = copy_home(built_future, tmp_path / "home")
    with mail_server(authority) as mail:
        story.connect_mail(monkeypatch, mail, authority)
        start = utc_now() - timedelta(hours=3)

        # 1 to 4: drift is found and performance has fallen; each is an alert; the agent is told in the same turn and diagnoses
        world = story.let_the_world_change(home, tmp_path, now=start)
        assert world.right < 0.5
        opened = {a.kind: a for a in alerts.list_open(home, PROJECT)}
        assert opened["drift"].severity == "critical"
        assert opened["drift"].value > 0.7
        assert {"trend_score", "scarcity_index"} <= set(opened["drift"].detail["columns"])
        assert (opened["accuracy"].severity, opened["accuracy"].value) == ("critical", pytest.approx(world.right, abs=1e-9))
        assert opened["quality_drift"].value > 0.05
        incident = story.the_incident(home)
        assert (incident.kind, incident.diagnosis["cause"]) == ("performance", "world_moved")
        assert incident.diagnosis["retraining_helps"] is True
        assert incident.severity >= 0.7
        assert {a.id for a in incidents.list_alerts(home, incident.id)} == {a.id for a in opened.values()}

        # 5 to 7: the decision is risky, so it waits for a person, who is told by mail in the same turn of the clock
        assert incident.state == "waiting"
        at = start + timedelta(minutes=21)
        request = story.the_request(home, now=at)
        assert (request.state, request.risk, request.evidence["cause"]) == ("pending", "medium", "world_moved")
        assert retraining.list_retrainings(home, PROJECT) == []
        filed = [(to, s) for to, s in story.subjects(mail) if "agent request 1: Retrain" in s]
        assert sorted(to for to, _ in filed) == ["director@example.org", "scientist@example.org"]

        # 8 and 9: whoever may not approve it is refused; a person reviews and approves
        with pytest.raises(Refused):
            agent_requests.approve(home, DEVOPS, request.id, reason="Quickly", now=at)
        agent_requests.approve(home, SCIENTIST, request.id, reason="The charts say so", now=start + timedelta(hours=1))

        # 10 to 12: the eight steps, on the old rows and the newly labelled ones; better than what is live
        found = story.work_on_it(home)
        assert (found.trigger, found.started_by, found.outcome, found.version) == ("agent", "agent", "better", "1.1.0")
        exported = found.find_step("export").detail
        assert exported["labelled"] == exported["kept"] == len(world.scored)
        assert exported["rows"] == len(world.scored) + 1477  # and those of the HR database
        evaluation = found.find_step("evaluation").detail
        assert evaluation["unseen"]["low"] > 0.2
        assert evaluation["recent"]["low"] > 0.2
        assert deployment.find_live(home, PROJECT).version == "1.0.0"
        story.tick(home, utc_now())

        # 13 and 14: the release is asked for in the agent's name, approved by the director, deployed by DevOps
        asked = approvals.get_request(home, found.request_id)
        assert (asked.state, asked.version, asked.requested_by) == ("pending", "1.1.0", "agent")
        assert [a["outcome"] for a in incident_events(home, incident.id, "effect")] == ["better"]
        with pytest.raises(Refused, match="no approval"):
            deployment.deploy(home, DEVOPS, PROJECT, "1.1.0")
        approvals.approve(home, DIRECTOR, asked.id, reason="Clearly better", despite_gates=bool(asked.failed_gates))
        deployment.deploy(home, DEVOPS, PROJECT, "1.1.0")

        # 15: its effect is measured: rows of the changed world are answered right again, so nothing is asked a second time
        now = utc_now()
        again = story.predict_changed_world(home, tmp_path, part=1, now=now)
        assert again.right > 0.75
        again.label(home, again.scored["future_need_level"], now=now)
        for minutes in (1, 12, 28):
            story.tick(home, now + timedelta(minutes=minutes))
        ended = {a.kind: a.state for a in incidents.list_alerts(home, incident.id) if a.version == "1.0.0"}
        assert (ended["accuracy"], ended["quality_drift"]) == ("resolved", "resolved")
        quality = {f.kind: f for w in checks.find_last(home, PROJECT) if w.kind == "quality" for f in w.findings}
        assert (quality["accuracy"].state, quality["accuracy"].version) == ("ok", "1.1.0")
        assert quality["accuracy"].value == pytest.approx(again.right, abs=1e-9)
        # Its training holds both worlds and what comes now is of one, so drift stays; but labels say that the answers are right:
        # nothing is asked for, it is watched, and a day later it is over, because the labels of that day say so too
        assert {a.kind for a in alerts.list_open(home, PROJECT)} <= {"drift", "prediction_drift"}
        watched = story.the_incident(home)
        assert (watched.diagnosis["cause"], watched.state) == ("labels_right", "watching")
        assert watched.diagnosis["measured"]["labels_value"] == pytest.approx(again.right, abs=1e-9)
        assert story.the_request(home, now=now).state == "used"
        assert len(retraining.list_retrainings(home, PROJECT)) == 1
        later = now + timedelta(hours=26)
        day_after = story.predict_changed_world(home, tmp_path, part=1, now=later)
        day_after.label(home, day_after.scored["future_need_level"], now=later)
        story.tick(home, later + timedelta(minutes=1))
        assert story.the_incident(home).state == "closed"
        assert "labels say that they are answered right" in story.the_incident(home).outcome

        # 16: reports and mails tell it, and one correlation id runs from the alert to the deployment
        told_by_mail = " ".join(s for _, s in story.subjects(mail))
        for words in ("retraining 1: better", "release of version 1.1.0", "version 1.1.0", "incident 1"):
            assert words in told_by_mail, words
    check_reports(home, incident.id, found.id)
    check_one_story(home, incident, found)
    assert {d.state for d in outbox.list_deliveries(home)} <= {"sent", "skipped"}


def incident_events(home, incident_id, kind):
    return [e.detail for e in incidents.list_events(home, incident_id) if e.kind == kind]


def check_reports(home, incident_id, retraining_id):
    made = {(r.kind, r.subject): r for r in reversed(reports.list_reports(home, PROJECT))}
    for wanted in (("incident", str(incident_id)), ("retraining", str(retraining_id)), ("deployment", "2")):
        assert wanted in made, wanted
    text = reports.read_report(home, made["retraining", str(retraining_id)].id, "html").decode()
    for words in ("better", "1.1.0", "1.0.0"):
        assert words in text, words


def check_one_story(home, incident, found):
    """Everything that belongs to the story is found by the one id with which its first alert was raised."""
    events = audit.search(home, correlation_id=incident.correlation_id, limit=200)[0]
    done = [e["action"] for e in reversed(events) if e["outcome"] == "done"]
    order = [
        "raise_alert", "open_incident", "file_agent_request", "approve_agent_request", "start_retraining", "add_dataset", "train",
        "register", "request_release", "finish_retraining", "approve_release", "deploy", "close_incident",
    ]  # fmt: skip
    assert [a for a in done if a in order] == sorted((a for a in done if a in order), key=order.index)
    assert set(order) <= set(done)
    assert found.correlation_id == jobs.get_job(home, found.job_id).correlation_id == incident.correlation_id
    assert {r.correlation_id for r in reports.list_reports(home, PROJECT)} == {incident.correlation_id}
    queued = {d.event for d in outbox.list_deliveries(home) if d.correlation_id == incident.correlation_id}
    assert {"request_filed", "request_decided", "retraining_finished", "deployed", "incident_closed", "report_made"} <= queued
    assert audit.verify(home).intact


def test_a_retraining_on_spoiled_labels_is_worse_and_archived_and_what_is_live_stays(built_future, tmp_path):
    home = copy_home(built_future, tmp_path / "home")
    now = utc_now()
    world = story.predict_changed_world(home, tmp_path, part=0, now=now)
    shuffled = world.scored["future_need_level"].sample(frac=1, random_state=1)  # one column was sorted without the others
    world.label(home, shuffled, now=now)
    set_ = schedules.set_schedule(home, DEVOPS, PROJECT, "retrain_check", {"cron": "* * * * *", "timezone": "UTC"}, now=now)
    ran = slots.run_due(home, now=now + timedelta(minutes=1))
    assert [(s.schedule_id, s.state) for s in ran] == [(set_["id"], "done")]
    found = story.work_on_it(home)
    assert (found.trigger, found.state, found.outcome) == ("new_data", "done", "worse")
    assert deployment.find_live(home, PROJECT).version == "1.0.0"
    assert approvals.list_requests(home, project=PROJECT, states=("pending",)) == []
    if found.version is not None:
        version = versions.get_version(home, PROJECT, found.version)
        assert version.stage == "archived"
        assert version.stage_reason.startswith("retraining 1: worse.")
    detail = found.find_step("request").detail
    assert detail["findings"]
    assert detail["reruns"]
    assert found.correlation_id == ran[0].correlation_id


def test_the_changed_world_is_made_from_its_seed_and_moves_trend_scarcity_and_rule(tmp_path):
    old, new, again, other = (tmp_path / f"{name}.csv" for name in ("old", "new", "again", "other"))
    worlds.main([str(old)])
    worlds.main([str(new), "--changed"])
    worlds.main([str(again), "--changed"])
    worlds.main([str(other), "--changed", "--seed", "43"])
    assert new.read_bytes() == again.read_bytes() != other.read_bytes()
    before, after = pd.read_csv(old).set_index("role_skill"), pd.read_csv(new).set_index("role_skill")
    assert (len(before), len(after)) == (1477, 1472)
    assert after["trend_score"].mean() - before["trend_score"].mean() > 0.3
    assert after["scarcity_index"].mean() - before["scarcity_index"].mean() > 0.1
    assert set(after["future_need_level"]) == {"LOW", "MEDIUM", "HIGH"}
    by_old_rule = pd.cut(planners_score(after), [-1, MEDIUM_FROM, HIGH_FROM, 2], labels=["LOW", "MEDIUM", "HIGH"], right=False)
    assert (by_old_rule.astype(str) == after["future_need_level"]).mean() < 0.6


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_in_the_browser_a_person_approves_what_the_agent_asks_and_the_better_version_goes_live(built_future, authority, tmp_path, monkeypatch):
    home = copy_home(built_future, tmp_path / "home")
    with mail_server(authority) as mail:
        story.connect_mail(monkeypatch, mail, authority)
        story.let_the_world_change(home, tmp_path, now=utc_now() - timedelta(hours=3))
        assert any("agent request 1: Retrain" in s for _, s in story.subjects(mail))
    incident = story.the_incident(home)
    shots = Path(os.environ.get("GREENLIGHT_SHOTS") or tmp_path / "shots")
    shots.mkdir(parents=True, exist_ok=True)
    with serve(home.root, tmp_path / "console.log") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        scientist, director, devops = people = [Person(browser, address, name, shots) for name in ("scientist", "director", "devops")]
        try:
            for person in people:
                person.sign_in()
            walk_agent.review_and_approve(home, scientist)
            walk_agent.watch_the_steps(home, scientist)
            walk_agent.approve_the_release(home, director)
            walk_agent.deploy_it(home, devops)
            walk_agent.read_the_timeline(director)
            walk_agent.find_it_in_the_audit(director, incident.correlation_id)
        except BaseException:
            for person in people:
                person.page.screenshot(path=shots / f"agent_failed_{person.name}.png")
            raise
        for person in people:
            assert person.complaints == [], person.name
        browser.close()
    assert "Traceback" not in (tmp_path / "console.log").read_text()
    events = audit.search(home, correlation_id=incident.correlation_id, limit=200)[0]
    done = {e["action"]: e for e in events if e["outcome"] == "done"}
    assert {"raise_alert", "file_agent_request", "approve_agent_request", "register", "approve_release", "deploy"} <= set(done)
    assert [done[a]["actor"] for a in ("approve_agent_request", "approve_release", "deploy")] == ["scientist", "director", "devops"]
