"""The agent's rounds: alerts join incidents, plans are worked off within limits, effects are checked, and incidents end truthfully."""

import hashlib
import json
import logging
import threading
from datetime import timedelta

import pytest

from core import accounts, agent, audit
from core.agent import agent_requests, control, incidents, rounds, safe
from core.errors import BadInput, Refused
from core.jobs import capacity
from core.monitoring import alerts, checks
from core.monitoring.findings import Finding
from core.notify import outbox
from core.projects import projects
from core.scoring import scorer
from core.times import stamp, utc_now
from core.training import runs
from storage import accounts as accounts_store
from storage import alerts as alerts_store
from storage.connection import close_all, writing
from tests.agent_cases import (
    ADMIN,
    DEVOPS,
    DIRECTOR,
    HEART,
    NOW,
    SCIENTIST,
    alarm,
    asked_to_retrain,
    drifted,
    predict,
    steps,
    told,
)


def only(home):
    found = incidents.list_incidents(home)
    assert len(found) == 1
    return found[0]


def test_without_alerts_nothing_happens_and_no_account_is_made(trained_home):
    assert agent.turn(trained_home, now=NOW) == []
    assert audit.search(trained_home, action="add_agent_account")[1] == 0


def test_one_round_diagnoses_decides_runs_and_asks(trained_home, tmp_path):
    predict(trained_home, "heart_hungary.csv", tmp_path)
    drifted(trained_home, 0.6)
    incident = agent.turn(trained_home, now=NOW)[0]
    assert (incident.kind, incident.state, incident.severity, incident.opened_at) == ("data_drift", "watching", 0.6, "2026-11-21T12:00:00.000Z")
    kinds = [e.kind for e in incidents.list_events(trained_home, incident.id)]
    assert kinds[:3] == ["alert", "diagnosis", "decision"]
    events = audit.search(trained_home, correlation_id=incident.correlation_id)[0]
    mine = {e["action"]: (e["actor"], e["outcome"]) for e in events if e["actor"] == "agent"}
    assert {"open_incident", "agent_log", "agent_alert", "agent_collect_diagnostics"} <= set(mine)
    assert {d.title for d in outbox.list_deliveries(trained_home, event="alert_opened")} == {"An alert is open"}  # no critical one
    assert set(mine.values()) == {("agent", "done")}
    assert audit.verify(trained_home).intact


def test_repeated_alerts_of_one_cause_join_one_incident_and_act_once(trained_home):
    drifted(trained_home, 0.8)
    agent.turn(trained_home, now=NOW)
    for n, (kind, subject) in enumerate((("missing_values", "ca"), ("missing_values", "thal"), ("problem_rows", ""), ("unsure", ""))):
        alarm(trained_home, kind, 0.2, subject=subject, threshold=0.1, minutes=n + 1)
        agent.turn(trained_home, now=NOW + timedelta(minutes=n + 1))
    incident = only(trained_home)
    assert len(incidents.list_alerts(trained_home, incident.id)) == 5
    assert [a for a, s, _ in told(trained_home, incident, "action") if s == "done"].count("alert") == 1
    assert [r.action for r in agent_requests.list_requests(trained_home, now=NOW)] == ["retrain"]


def test_other_families_and_projects_have_incidents_of_their_own(trained_home):
    drifted(trained_home)
    alarm(trained_home, "latency", 9000.0, threshold=5000.0, severity="critical")
    alarm(trained_home, "external", subject="disk", project="future_skills")
    agent.turn(trained_home, now=NOW)
    assert sorted((i.project, i.cause) for i in incidents.list_incidents(trained_home)) == [
        ("future_skills", "other systems"), (HEART, "inputs and answers"), (HEART, "service"),
    ]  # fmt: skip


def test_a_worse_alert_is_diagnosed_again_and_asks_then(trained_home):
    drifted(trained_home, 0.6)
    agent.turn(trained_home, now=NOW)
    assert agent_requests.list_requests(trained_home, now=NOW) == []
    drifted(trained_home, 0.9, now=NOW + timedelta(minutes=5))
    agent.turn(trained_home, now=NOW + timedelta(minutes=5))
    incident = only(trained_home)
    assert (incident.severity, incident.state, incident.diagnosis["plan"]["band"]) == (0.9, "waiting", "high")
    assert [s for a, s, _ in told(trained_home, incident, "action") if a == "alert"] == ["done", "done"]
    assert told(trained_home, incident, "request") == [("retrain", "waiting", "")]


def test_low_severity_only_logs(trained_home, caplog):
    alarm(trained_home, "accuracy", 0.7, threshold=0.7)
    with caplog.at_level(logging.INFO, logger="greenlight.monitoring"):
        drift = alarm(trained_home, "prediction_drift", 0.3, threshold=0.5, minutes=1, project="future_skills")
        agent.turn(trained_home, now=NOW + timedelta(minutes=1))
    low = next(i for i in incidents.list_incidents(trained_home) if i.project == "future_skills")
    assert (low.severity, steps(low)) == (0.3, {"log": "done"})
    assert any(r.getMessage().startswith(f"incident {low.id}: ") for r in caplog.records)
    assert drift.severity == "warning"


def test_the_alerts_of_an_archived_project_wait_until_it_is_back(trained_home):
    alarm(trained_home, "external", subject="disk", project="future_skills")
    projects.archive_project(trained_home, SCIENTIST, "future_skills")
    assert agent.turn(trained_home, now=NOW) == []
    projects.restore_project(trained_home, SCIENTIST, "future_skills")
    assert len(agent.turn(trained_home, now=NOW)) == 1


# The switches


def test_paused_it_sees_and_does_nothing_and_catches_up_afterwards(trained_home, monkeypatch):
    control.pause(trained_home, DIRECTOR, reason="Migration", now=NOW)
    drifted(trained_home)
    assert agent.turn(trained_home, now=NOW) == []
    assert incidents.list_incidents(trained_home) == []
    control.resume(trained_home, DEVOPS, reason="Done", now=NOW)
    collect = safe.RUN["collect_diagnostics"]

    def collect_and_pause(home, incident, now):
        done = collect(home, incident, now)
        control.pause(home, DIRECTOR, reason="Stop", now=now)
        return done

    monkeypatch.setitem(safe.RUN, "collect_diagnostics", collect_and_pause)
    found = agent.turn(trained_home, now=NOW + timedelta(minutes=1))[0]  # a pause stops what is under way
    assert steps(found)["collect_diagnostics"] == "done"
    assert (steps(found)["validate_data"], steps(found)["retrain"], agent_requests.list_requests(trained_home)) == ("pending", "pending", [])
    monkeypatch.undo()
    control.resume(trained_home, DEVOPS, reason="Done", now=NOW)
    assert [i.state for i in agent.turn(trained_home, now=NOW + timedelta(minutes=2))] == ["waiting"]
    event = audit.search(trained_home, action="pause_agent")[0][-1]
    assert (event["actor"], event["reason"], event["before"]["paused"], event["after"]["paused"]) == ("director", "Migration", False, True)


def test_a_dry_run_decides_and_shows_everything_and_does_nothing(trained_home):
    control.set_dry_run(trained_home, DEVOPS, True, reason="Look first", now=NOW)
    drifted(trained_home)
    incident = agent.turn(trained_home, now=NOW)[0]
    assert set(steps(incident).values()) == {"dry run"}
    assert {s for _, s, _ in told(trained_home, incident, "action")} == {"dry run"}
    assert agent_requests.list_requests(trained_home, now=NOW) == []
    assert not (trained_home.reports / "incident_1").exists()
    agent.turn(trained_home, now=NOW + timedelta(minutes=1))
    assert len(told(trained_home, incident, "action")) == len(steps(incident))  # said once
    agent.turn(trained_home, now=NOW + timedelta(hours=25))
    assert only(trained_home).state == "watching"  # nothing was done, so nothing has failed to help
    control.set_dry_run(trained_home, DEVOPS, False, reason="Go", now=NOW)
    again = agent.turn(trained_home, now=NOW + timedelta(hours=26))[0]
    assert (again.state, steps(again)["log"], steps(again)["retrain"]) == ("waiting", "done", "waiting")


def test_no_more_safe_actions_run_in_an_hour_than_allowed_and_the_rest_runs_later(trained_home):
    control.set_hourly_limit(trained_home, DEVOPS, 2, reason="Gently", now=NOW)
    drifted(trained_home, 0.6)
    incident = agent.turn(trained_home, now=NOW)[0]
    assert steps(incident) == {"log": "done", "alert": "done", "collect_diagnostics": "pending"}
    assert incident.state == "open"
    agent.turn(trained_home, now=NOW + timedelta(minutes=30))
    assert told(trained_home, incident, "action")[2:] == [("collect_diagnostics", "held back", "")]
    later = agent.turn(trained_home, now=NOW + timedelta(minutes=61))[0]
    assert steps(later)["collect_diagnostics"] == "done"


@pytest.mark.parametrize("bad", [0, 1001, True, 2.5, "9"])
def test_an_hourly_limit_is_a_whole_number_in_its_range(trained_home, bad):
    with pytest.raises(BadInput, match="Actions an hour"):
        control.set_hourly_limit(trained_home, DEVOPS, bad, reason="x")


def test_a_switch_that_changes_nothing_and_one_without_a_reason_are_refused(trained_home):
    with pytest.raises(Refused, match="Nothing would change"):
        control.resume(trained_home, DEVOPS, reason="why not")
    with pytest.raises(BadInput, match="reason"):
        control.pause(trained_home, DEVOPS, reason=" ")


def test_an_agent_whose_account_was_closed_does_nothing(trained_home):
    asked_to_retrain(trained_home)
    accounts.close_account(trained_home, ADMIN, "agent")
    alarm(trained_home, "latency", 9000.0, threshold=5000.0, severity="critical")
    with pytest.raises(Refused, match="is closed"):
        agent.turn(trained_home, now=NOW + timedelta(minutes=1))
    assert rounds.hear(trained_home, [HEART], now=NOW + timedelta(minutes=1)) == []  # whoever sent an alert is not told so


# Actions, each with before and after


def outcome_of(home, action):
    row = next(e for e in incidents.list_events(home, 1) if e.action == action and e.kind == "action")
    return row.status, row.sentence, row.detail


def test_diagnostics_are_a_file_whose_hash_is_kept(trained_home):
    drifted(trained_home, 0.6)
    agent.turn(trained_home, now=NOW)
    status, _, detail = outcome_of(trained_home, "collect_diagnostics")
    data = (trained_home.reports / detail["after"]["file"]).read_bytes()
    assert (status, hashlib.sha256(data).hexdigest()) == ("done", detail["after"]["sha256"])
    kept = json.loads(data)
    assert set(kept) == {"incident", "at", "health", "last_hour", "checks", "alerts", "errors_of_24_hours"}
    assert kept["alerts"][0]["value"] == 0.6


def test_scaling_without_waiting_work_is_skipped_and_with_it_raises_the_limit_by_one(trained_home):
    incident = asked_to_retrain(trained_home)
    skipped = safe.raise_workers(trained_home, incident, NOW)
    assert (skipped.status, skipped.sentence) == ("skipped", "No job waits for a worker, so more of them would change nothing.")
    runs.start_training(trained_home, SCIENTIST, HEART, candidates=[("dummy", {})])
    alarm(trained_home, "latency", 9000.0, threshold=5000.0, severity="critical")
    agent.turn(trained_home, now=NOW)
    event = next(e for e in incidents.list_activity(trained_home, action="scale"))
    assert (event.status, event.detail["before"], event.detail["after"]) == ("done", {"jobs_at_once": 2}, {"jobs_at_once": 3})
    assert capacity.read_limit(trained_home) == 3
    with writing(trained_home.db) as db:
        capacity.set_limit(db, capacity.MOST)
    assert safe.raise_workers(trained_home, incident, NOW).status == "skipped"


def test_clearing_the_caches_drops_what_is_loaded_here_and_in_every_other_process(trained_home):
    first = scorer.load_scorer(trained_home, HEART)
    alarm(trained_home, "errors", 0.3, threshold=0.05, severity="critical")
    agent.turn(trained_home, now=NOW)
    status, _, detail = outcome_of(trained_home, "clear_cache")
    assert (status, detail["before"], detail["after"]) == (
        "done", {"generation": 0, "loaded_here": 1}, {"generation": 1, "loaded_here": 0},
    )  # fmt: skip
    second = scorer.load_scorer(trained_home, HEART)
    assert second is not first
    with writing(trained_home.db) as db:  # as another process would
        accounts_store.set_setting(db, scorer.GENERATION, "2")
    assert scorer.load_scorer(trained_home, HEART) is not second


def test_validating_names_columns_and_counts_or_is_skipped_without_rows(trained_home, tmp_path):
    incident = asked_to_retrain(trained_home)
    assert steps(incident)["validate_data"] == "skipped"
    predict(trained_home, "heart_switzerland.csv", tmp_path)
    found = safe.validate_data(trained_home, incident, utc_now())
    assert found.after["rows"] == 123
    assert found.after["columns"]["chol"] == {"out of range": 123}
    assert found.after["columns"]["fbs"] == {"missing": 75}


def test_an_action_that_fails_is_said_to_have_failed_and_the_others_run(trained_home, monkeypatch):
    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setitem(safe.RUN, "collect_diagnostics", broken)
    drifted(trained_home, 0.8)
    incident = agent.turn(trained_home, now=NOW)[0]
    assert steps(incident)["collect_diagnostics"] == "failed"
    assert steps(incident)["retrain"] == "waiting"
    event = audit.search(trained_home, action="agent_collect_diagnostics")[0][0]
    assert (event["outcome"], event["error"]) == ("failed", "It failed (OSError); the log holds the trace.")


# The end


def test_it_closes_when_every_alert_has_stayed_ended_and_takes_back_what_it_asked(trained_home):
    incident = asked_to_retrain(trained_home)
    alerts.settle(trained_home, HEART, "drift", now=NOW + timedelta(minutes=10), reason="good rows")
    agent.turn(trained_home, now=NOW + timedelta(minutes=24))
    assert incidents.get_incident(trained_home, incident.id).state == "waiting"
    agent.turn(trained_home, now=NOW + timedelta(minutes=25))
    ended = incidents.get_incident(trained_home, incident.id)
    assert (ended.state, ended.closed_at) == ("closed", "2026-11-21T12:25:00.000Z")
    assert ended.outcome == "Its alert has ended; what it measured has not been measured again since."
    assert agent_requests.get_request(trained_home, 1, now=NOW).state == "withdrawn"
    drifted(trained_home, 0.6, now=NOW + timedelta(hours=1))
    agent.turn(trained_home, now=NOW + timedelta(hours=1))
    assert [i.state for i in incidents.list_incidents(trained_home)] == ["watching", "closed"]


def test_what_comes_back_within_the_quiet_time_is_the_same_incident(trained_home):
    asked_to_retrain(trained_home)
    alerts.settle(trained_home, HEART, "drift", now=NOW + timedelta(minutes=10))
    drifted(trained_home, 0.8, now=NOW + timedelta(minutes=20))
    agent.turn(trained_home, now=NOW + timedelta(minutes=20))
    incident = only(trained_home)
    assert (incident.state, len(incidents.list_alerts(trained_home, incident.id))) == ("waiting", 2)


def test_a_day_after_the_last_action_it_goes_to_people_if_nothing_has_ended(trained_home):
    drifted(trained_home, 0.6)
    agent.turn(trained_home, now=NOW)
    agent.turn(trained_home, now=NOW + timedelta(hours=23, minutes=59))
    assert only(trained_home).state == "watching"
    agent.turn(trained_home, now=NOW + timedelta(hours=24))
    assert only(trained_home).state == "escalated"
    last = incidents.list_events(trained_home, 1)[-1]
    assert (last.kind, last.status, last.sentence) == (
        "end", "escalated", "Escalated: A day after the last action its alert is still open (drift).",
    )  # fmt: skip


def test_a_new_diagnosis_takes_back_a_request_that_would_do_harm(trained_home, tmp_path):
    now = utc_now()
    incident = asked_to_retrain(trained_home, now=now)
    predict(trained_home, "heart_switzerland.csv", tmp_path)
    now += timedelta(minutes=1)
    alarm(trained_home, "missing_values", 0.61, subject="fbs", threshold=0.1, now=now)
    agent.turn(trained_home, now=now)
    after = incidents.get_incident(trained_home, incident.id)
    assert after.diagnosis["cause"] == "broken_source"
    assert [r.state for r in agent_requests.list_requests(trained_home, now=now)] == ["withdrawn"]


# Two processes at once


def test_two_processes_open_one_incident_and_run_each_action_once(trained_home):
    for kind in ("latency", "errors", "model"):
        alarm(trained_home, kind, 9000.0, threshold=5000.0, severity="critical", version="1.0.0")
    failures = []

    def go():
        try:
            agent.turn(trained_home, now=NOW)
        except Exception as error:
            failures.append(error)
        finally:
            close_all()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    incident = only(trained_home)
    done = [a for a, s, _ in told(trained_home, incident, "action") if s != "failed"]
    assert len(done) == len(told(trained_home, incident, "action"))
    assert sorted(done) == sorted(set(done))
    assert audit.verify(trained_home).intact


def test_activity_is_filtered_by_action_status_and_time(trained_home):
    asked_to_retrain(trained_home)
    activity = incidents.list_activity
    assert {e.action for e in activity(trained_home)} >= {"log", "alert", "retrain"}
    assert [e.status for e in activity(trained_home, action="retrain")] == ["waiting"]
    assert activity(trained_home, status="failed") == []
    assert activity(trained_home, since=NOW + timedelta(seconds=1)) == []
    assert activity(trained_home, project="future_skills") == []
    assert {e.project for e in activity(trained_home, project=HEART)} == {HEART}


def test_a_grave_incident_in_which_nothing_can_be_asked_for_goes_to_people_at_once(trained_home):
    alarm(trained_home, "errors", 0.3, threshold=0.05, severity="critical")
    incident = agent.turn(trained_home, now=NOW)[0]  # no version was live before, so there is none to go back to
    assert (steps(incident)["rollback"], incident.state) == ("skipped", "escalated")
    last = incidents.list_events(trained_home, incident.id)[-1].sentence
    assert last == "Escalated: Severity 0.87, and no action (roll back) has anything to act on; a person must look."
    agent.turn(trained_home, now=NOW + timedelta(minutes=1))
    assert [e.status for e in incidents.list_events(trained_home, incident.id)].count("escalated") == 1


def flood(home, project, count):
    """So many open alerts of other systems, as they stand after a storm."""
    with writing(home.db) as db:
        for k in range(count):
            alerts_store.insert_alert(
                db,
                {"project": project, "kind": "external", "subject": f"s{k}", "severity": "warning", "state": "active", "unit": "",
                 "sentence": "It was sent.", "detail": {}, "since": stamp(NOW), "last_seen_at": stamp(NOW), "times": 1, "correlation_id": "storm"},
            )  # fmt: skip


def test_a_flood_in_an_archived_project_hides_no_alert_of_another(trained_home):
    flood(trained_home, "future_skills", 1_001)
    projects.archive_project(trained_home, DEVOPS, "future_skills")
    drifted(trained_home, 0.6)
    assert [i.project for i in agent.turn(trained_home, now=NOW)] == [HEART]


def test_a_storm_of_other_alerts_does_not_keep_one_from_ending(trained_home):
    drifted(trained_home, 0.6)
    flood(trained_home, HEART, 201)
    checks.note_findings(trained_home, HEART, [Finding("drift", "Drift", "ok", "The rows are as in training.")], now=NOW)
    assert alerts.list_alerts(trained_home, HEART, states=alerts.OPEN, kind="drift") == []


def test_every_alert_of_a_storm_is_counted_when_it_is_over(trained_home):
    flood(trained_home, HEART, 250)
    incident = agent.turn(trained_home, now=NOW)[0]
    assert incident.diagnosis["sentence"].startswith("At least 200 alerts of other systems")
    for k in range(250):  # the newest last, so that the oldest ends within the quiet time
        with writing(trained_home.db) as db:
            at = NOW + timedelta(minutes=20 if k == 0 else 1)
            alerts_store.update_alert(db, k + 1, state="resolved", resolved_at=stamp(at), resolved_by="monitor")
    agent.turn(trained_home, now=NOW + timedelta(minutes=30))
    assert only(trained_home).closed_at is None
    agent.turn(trained_home, now=NOW + timedelta(minutes=35))
    assert only(trained_home).outcome.startswith("All 250 alerts have ended")


def test_alerts_that_cannot_be_diagnosed_go_to_people_and_keep_no_others_waiting(trained_home):
    bad = alarm(trained_home, "drift", 0.9, severity="critical", detail={"columns": 5, "hours": "a day"})
    alarm(trained_home, "latency", 3000.0)
    found = {i.cause: i for i in agent.turn(trained_home, now=NOW)}
    unclear = found["inputs and answers"]
    assert (unclear.diagnosis["cause"], unclear.kind, unclear.severity) == ("unknown", "system_error", 0.9)
    assert "could not be found out (ValueError)" in unclear.diagnosis["sentence"]
    assert steps(unclear) == {"log": "done", "alert": "done", "collect_diagnostics": "done"}
    assert found["service"].diagnosis["cause"] == "slow"
    with writing(trained_home.db) as db:
        alerts_store.update_alert(db, bad.id, detail={"columns": ["age", "chol"]})
    agent.turn(trained_home, now=NOW + timedelta(minutes=1))
    assert incidents.get_incident(trained_home, unclear.id).diagnosis["cause"] == "population"  # it is looked at again
