"""Every act of core, as every role: refused exactly as the role table says, before anything changes, and written down."""

import ast
import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core import accounts, approvals, audit, audit_export, backup, deployment, erasure, keys, retention, roles
from core.acts import Actor
from core.adapters import expectations
from core.adapters.dvc_remote import Tracked, write_dvc_file
from core.agent import account as agent_account
from core.agent import agent_requests, control
from core.cli.app import main
from core.datasets import remote, source, suite_checks, suites, versions
from core.datasets.findings import Report
from core.drift import checks
from core.errors import GreenlightError, Refused
from core.home import Home
from core.jobs import jobs
from core.monitoring import alerts, webhooks
from core.notify import channels, outbox
from core.notify.connections import Connections
from core.projects import creation, joins, projects, proposals, samples
from core.registry import versions as registry
from core.reports import make as reports
from core.retraining import retraining, triggers
from core.schedule import schedules, slots
from core.scoring import files, labels, log, predict, tables
from core.scoring import job as scoring
from core.scoring import source as source_scoring
from core.times import stamp, utc_now
from core.training import runs
from storage import accounts as accounts_store
from storage import agent as agent_store
from storage.connection import writing
from tests.conftest import chosen_candidate, copy_home

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "heart_disease"
PEOPLE = {
    "scientist": roles.SCIENTIST, "director": roles.DRH, "devops": roles.DEVOPS, "developer": roles.DEVELOPER,
    "admin": roles.ADMIN, "robot": roles.AGENT,
}  # fmt: skip
SCIENTIST, DIRECTOR, DEVOPS, ADMIN = (Actor(n) for n in ("scientist", "director", "devops", "admin"))
HEADER = "id,age,sex,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak,slope,ca,thal"
ROW = "1,63,Male,asymptomatic,145,233,True,normal,150,False,2.3,flat,0,normal"
TABLE = f"{HEADER}\n{ROW}\n".encode()
TRACKED = Tracked("d41d8cd98f00b204e9800998ecf8427e", 0, "table.csv")
DVC_FILE = write_dvc_file(TRACKED, {}).encode()


@pytest.fixture(scope="module")
def built_busy(built_trained, tmp_path_factory) -> Path:
    """1.0.0 live, 1.1.0 with a pending request, a queued job, a logged prediction, a spare account and an agent's."""
    root = tmp_path_factory.mktemp("busy") / "home"
    home = copy_home(built_trained, root)
    forest = next(c for c in runs.list_candidates(home, 1) if c.name == "random_forest")
    registry.register(home, SCIENTIST, forest.id, version="1.1.0")
    approvals.request_release(home, SCIENTIST, PROJECT, "1.1.0", reason="second")
    runs.start_training(home, SCIENTIST, PROJECT, candidates=[("dummy", {})])
    table = root.parent / "one.csv"
    table.write_bytes(TABLE)
    files.predict_file(home, DEVOPS, PROJECT, table, root.parent / "out.csv", source="test")
    accounts.add_account(home, ADMIN, "spare", roles.DEVELOPER)
    with writing(home.db) as db:
        accounts_store.insert_account(
            db, name="robot", role=roles.AGENT, password_hash=None, demo=False, at="2026-01-01T00:00:00.000Z", by="test"
        )
    return root


@pytest.fixture
def home(built_busy, tmp_path) -> Home:
    return copy_home(built_busy, tmp_path / "home")


def approved(home: Home) -> None:
    approvals.approve(home, DIRECTOR, 2, reason="good", despite_gates=True)


def both_were_live(home: Home) -> None:
    approved(home)
    deployment.deploy(home, DEVOPS, PROJECT, "1.1.0")


def job_ended(home: Home) -> None:
    jobs.cancel(home, SCIENTIST, 2)


def archived(home: Home) -> None:
    projects.archive_project(home, SCIENTIST, "future_skills")


def closed(home: Home) -> None:
    accounts.close_account(home, ADMIN, "spare")


def proposed(home: Home) -> None:
    proposals.propose(home, SCIENTIST, PROJECT, {"accuracy_floor": 0.8}, reason="better")


def alarmed(home: Home) -> None:
    alerts.raise_alert(home, PROJECT, "latency", severity="warning", sentence="Slow.", now=utc_now())


def with_a_suite(home: Home) -> None:
    suite = {"name": "one", "expectations": [{"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}]}
    suite_checks.set_suite(home, SCIENTIST, PROJECT, json.dumps(suite).encode())


def every_expectation_met(_frame: Any, suite: dict[str, Any], _folder: Path) -> expectations.Outcome:
    """The library's part, which is tested with the library itself; here it is about roles."""
    return expectations.Outcome("none", tuple(suites.Result(True) for _ in suite["expectations"]))


def judge_newest_version(home: Home, actor: Actor) -> None:
    """As a training does, which has validated the table before."""
    dataset, definition_ = versions.get_version(home, PROJECT), projects.get_definition(home, PROJECT)
    table, prepared = versions.read_version(home, dataset, definition_)
    report = Report("training", len(table.frame), ())
    suite_checks.judge_version(home, actor, report, dataset, table, prepared, definition_, run=every_expectation_met)


def scheduled(home: Home) -> None:
    schedules.set_schedule(home, DEVOPS, PROJECT, "drift_check", {"every_days": 1, "at": "02:30"})


def asked_by_the_agent(home: Home) -> None:
    """Request 1 of the agent: to retrain."""
    agent_account.ensure(home, utc_now())
    with writing(home.db) as db:
        incident = agent_store.insert_incident(
            db,
            {"project": PROJECT, "kind": "data_drift", "cause": "inputs and answers", "severity": 0.9, "state": "waiting", "outcome": "",
             "diagnosis": {}, "opened_at": stamp(utc_now()), "last_seen_at": stamp(utc_now()), "correlation_id": "story"},
        )
        agent_store.insert_request(
            db,
            {"project": PROJECT, "incident_id": incident, "action": "retrain", "params": {}, "reason": "drift", "risk": "medium",
             "impact": "", "if_nobody": "", "evidence": {}, "requested_by": "agent", "requested_at": stamp(utc_now()),
             "expires_at": stamp(utc_now() + timedelta(hours=1)), "state": "pending", "outcome": ""},
        )


def paused(home: Home) -> None:
    control.pause(home, DEVOPS, reason="quiet")


def joined_to_a_table(home: Home) -> None:
    joins.set_join(home, SCIENTIST, PROJECT, "database", {"connection": "hr", "shape": "table", "table": "patients"}, check=dict)


def reported(home: Home) -> None:
    reports.make_report(home, SCIENTIST, "deployment", PROJECT)


def prediction_label(home: Home) -> bytes:
    found = log.read(home, PROJECT)["prediction_id"].iloc[0]
    return f"prediction_id,label\n{found},1\n".encode()


def first_prediction(home: Home) -> tuple[str]:
    return (log.read(home, PROJECT)["prediction_id"].iloc[0],)


def label_rows(home: Home) -> list[dict[str, Any]]:
    return [{"prediction_id": log.read(home, PROJECT)["prediction_id"].iloc[0], "label": 0}]


def hr_database(home: Home) -> Path:
    return home.root / "samples" / "future_skills" / samples.HR_DATABASE


def hr_day() -> Any:
    from samples.future_skills.hr_source import AS_OF

    return AS_OF


def definition(home: Home, name: str) -> Any:
    return replace(projects.get_definition(home, PROJECT), name=name)


@dataclass(frozen=True)
class Act:
    """One act: the function that people's doors call, what the audit calls it, its row of the role table."""

    entry: str
    action: str
    permission: str
    call: Callable[[Home, Actor], Any]
    prepare: Callable[[Home], Any] = lambda home: None
    by_hand: str = ""  # the command that does the same


ACTS = (
    Act("core.accounts.add_account", "add_account", "manage_accounts", lambda h, a: accounts.add_account(h, a, "eva", "devops"),
        by_hand="user add eva --role devops"),
    Act("core.accounts.change_role", "change_role", "manage_accounts", lambda h, a: accounts.change_role(h, a, "spare", "devops"),
        by_hand="user role spare devops"),
    Act("core.accounts.close_account", "close_account", "manage_accounts", lambda h, a: accounts.close_account(h, a, "spare"),
        by_hand="user close spare"),
    Act("core.accounts.reopen_account", "reopen_account", "manage_accounts", lambda h, a: accounts.reopen_account(h, a, "spare"),
        closed, "user reopen spare"),
    Act("core.accounts.revoke_sessions", "revoke_sessions", "manage_accounts",
        lambda h, a: accounts.revoke_sessions(h, a, "spare")),
    Act("core.accounts.set_email", "set_email", "manage_accounts", lambda h, a: accounts.set_email(h, a, "spare", "sam@example.org"),
        by_hand="user email spare sam@example.org"),
    Act("core.accounts.reset_code", "give_reset_code", "manage_accounts", lambda h, a: accounts.reset_code(h, a, "spare"),
        by_hand="user reset spare"),
    Act("core.retraining.triggers.note_check", "check_retraining", "check_retraining", lambda h, a: triggers.note_check(h, a, PROJECT)),
    Act("core.monitoring.webhooks.show_secret", "show_webhook_secret", "manage_keys", lambda h, a: webhooks.show_secret(h, a),
        by_hand="key webhook"),
    Act("core.keys.add_key", "add_key", "manage_keys", lambda h, a: keys.add_key(h, a, "partner", ["predict"]),
        by_hand="key add partner --scopes predict"),
    Act("core.keys.revoke_key", "revoke_key", "manage_keys", lambda h, a: keys.revoke_key(h, a, keys.list_keys(h)[0].id),
        lambda h: keys.add_key(h, ADMIN, "partner", ["predict"])),
    Act("core.jobs.jobs.cancel", "cancel_job", "train", lambda h, a: jobs.cancel(h, a, 2)),
    Act("core.jobs.jobs.rerun", "rerun_job", "train", lambda h, a: jobs.rerun(h, a, 2), job_ended),
    Act("core.audit_export.export_audit", "export_audit", "export_audit", lambda h, a: audit_export.export_audit(h, a)),
    Act("core.audit_export.export_audit_file", "export_audit", "export_audit",
        lambda h, a: audit_export.export_audit_file(h, a, h.reports / f"{a.name[:20]}.jsonl"), by_hand="audit export {out}"),
    Act("core.projects.projects.create_project", "create_project", "create_project",
        lambda h, a: projects.create_project(h, a, definition(h, "fresh"))),
    Act("core.projects.creation.create_with_data", "create_project", "create_project",
        lambda h, a: creation.create_with_data(h, a, definition(h, "fresh"), b"x", file_name="x.csv")),
    Act("core.projects.projects.archive_project", "archive_project", "archive_project",
        lambda h, a: projects.archive_project(h, a, "future_skills"), by_hand="project archive future_skills"),
    Act("core.projects.projects.restore_project", "restore_project", "archive_project",
        lambda h, a: projects.restore_project(h, a, "future_skills"), archived, "project restore future_skills"),
    Act("core.projects.joins.set_join", "join", "upload_data",
        lambda h, a: joins.set_join(h, a, PROJECT, "expectations", {"expectations": []}, check=dict)),
    Act("core.training.runs.start_training", "start_training", "train",
        lambda h, a: runs.start_training(h, a, PROJECT, candidates=[("dummy", {})]),
        by_hand=f"train {PROJECT} --candidates dummy"),
    Act("core.retraining.retraining.start", "start_retraining", "train", lambda h, a: retraining.start(h, a, PROJECT, reason="again"),
        by_hand=f"retrain {PROJECT}"),
    Act("core.reports.make.make_report", "make_report", "make_report", lambda h, a: reports.make_report(h, a, "deployment", PROJECT),
        by_hand=f"report make deployment {PROJECT}"),
    Act("core.reports.make.send_report", "send_report", "make_report", lambda h, a: reports.send_report(h, a, 1), reported),
    Act("core.deployment.deploy", "deploy", "deploy", lambda h, a: deployment.deploy(h, a, PROJECT, "1.1.0"), approved,
        f"deploy {PROJECT} 1.1.0"),
    Act("core.deployment.rollback", "rollback", "rollback", lambda h, a: deployment.rollback(h, a, PROJECT), both_were_live,
        f"rollback {PROJECT}"),
    Act("core.deployment.undeploy", "undeploy", "deploy", lambda h, a: deployment.undeploy(h, a, PROJECT),
        by_hand=f"undeploy {PROJECT}"),
    Act("core.datasets.source.export_source", "export_dataset", "export_dataset",
        lambda h, a: source.export_source(h, a, "future_skills", hr_database(h), h.reports / f"{a.name}.csv", as_of=hr_day())),
    Act("core.datasets.source.export_fresh", "export_dataset", "export_dataset",
        lambda h, a: source.export_fresh(h, a, "future_skills", h.reports / f"{a.name[:20]}.csv", today=hr_day()),
        by_hand="export future_skills {out} --fresh"),
    Act("core.scoring.source.start", "score_source", "predict", lambda h, a: source_scoring.start(h, a, PROJECT), joined_to_a_table,
        f"score-source {PROJECT} {{out}}"),
    Act("core.datasets.versions.add_dataset", "add_dataset", "upload_data",
        lambda h, a: versions.add_dataset(h, a, PROJECT, _another_table(h), file_name="more.csv")),
    Act("core.datasets.versions.export_dataset", "export_dataset", "export_dataset",
        lambda h, a: versions.export_dataset(h, a, versions.get_version(h, PROJECT)), by_hand=f"export {PROJECT} {{out}}"),
    Act("core.datasets.suite_checks.check_version", "check_suite", "upload_data",
        lambda h, a: suite_checks.check_version(h, a, PROJECT, run=every_expectation_met), with_a_suite,
        f"project suite {PROJECT} --check"),
    Act("core.datasets.suite_checks.judge_version", "check_suite", "train", judge_newest_version, with_a_suite),
    Act("core.datasets.remote.push_dataset", "push_dataset", "export_dataset",
        lambda h, a: remote.push_dataset(h, a, versions.get_version(h, PROJECT), "/srv/dvc", push=lambda *_: TRACKED),
        by_hand=f"dataset push {PROJECT}"),
    Act("core.datasets.remote.pull_dataset", "pull_dataset", "upload_data",
        lambda h, a: remote.pull_dataset(h, a, PROJECT, DVC_FILE, "/srv/dvc", pull=lambda *_: _another_table(h)),
        by_hand=f"dataset pull {PROJECT} --dvc {{labels}}"),
    Act("core.drift.checks.run_check", "check_drift", "analyse_drift",
        lambda h, a: checks.run_check(h, a, PROJECT, current=checks.Upload(TABLE, "now.csv"), evidently=False),
        by_hand=f"drift {PROJECT} --current {{table}} --no-evidently"),
    Act("core.drift.checks.recount", "recount_log", "analyse_drift", lambda h, a: checks.recount(h, a, PROJECT),
        by_hand=f"drift {PROJECT} --rebuild"),
    Act("core.registry.versions.register", "register", "register",
        lambda h, a: registry.register(h, a, chosen_candidate(h, 1).id, threshold=0.4),
        by_hand=f"register {PROJECT} 1 --threshold 0.4"),
    Act("core.scoring.job.start_scoring", "score_file", "predict",
        lambda h, a: scoring.start_scoring(h, a, PROJECT, TABLE, file_name="now.csv")),
    Act("core.scoring.tables.export_log_file", "export_predictions", "export_dataset",
        lambda h, a: tables.export_log_file(h, a, PROJECT, h.reports / f"{a.name[:40]}.jsonl"),
        by_hand=f"export-log {PROJECT} {{out}}"),
    Act("core.scoring.labels.feed_labels", "feed_labels", "feed_labels",
        lambda h, a: labels.feed_labels(h, a, PROJECT, prediction_label(h), file_name="labels.csv"),
        by_hand=f"feedback {PROJECT} {{labels}}"),
    Act("core.scoring.labels.feed_label_rows", "feed_labels", "feed_labels",
        lambda h, a: labels.feed_label_rows(h, a, PROJECT, label_rows(h), source="api")),
    Act("core.approvals.request_release", "request_release", "request_release",
        lambda h, a: approvals.request_release(h, a, PROJECT, "1.1.0", reason="again"),
        lambda h: approvals.withdraw(h, SCIENTIST, 2), f"request {PROJECT} 1.1.0 --reason again"),
    Act("core.approvals.approve", "approve_release", "approve_release",
        lambda h, a: approvals.approve(h, a, 2, reason="good", despite_gates=True),
        by_hand="approve 2 --reason good --despite-gates"),
    Act("core.approvals.reject", "reject_release", "approve_release", lambda h, a: approvals.reject(h, a, 2, reason="bad"),
        by_hand="reject 2 --reason bad"),
    Act("core.monitoring.alerts.acknowledge", "acknowledge_alert", "acknowledge_alert", lambda h, a: alerts.acknowledge(h, a, 1), alarmed,
        "alert acknowledge 1"),
    Act("core.monitoring.alerts.resolve", "resolve_alert", "acknowledge_alert",
        lambda h, a: alerts.resolve(h, a, 1, reason="over"), alarmed, "alert resolve 1 --reason over"),
    Act("core.projects.proposals.propose", "propose_settings", "propose_settings",
        lambda h, a: proposals.propose(h, a, PROJECT, {"accuracy_floor": 0.8}, reason="better"),
        by_hand=f"limits propose {PROJECT} accuracy_floor=0.8 --reason better"),
    Act("core.projects.proposals.decide", "approve_settings", "approve_settings",
        lambda h, a: proposals.decide(h, a, 1, "approved", reason="yes"), proposed,
        "limits approve 1 --reason yes"),
    Act("core.projects.proposals.withdraw", "withdraw_settings", "propose_settings",
        lambda h, a: proposals.withdraw(h, a, 1), proposed, "limits withdraw 1"),
    Act("core.retention.set_rule", "set_retention", "delete_data",
        lambda h, a: retention.set_rule(h, a, "predictions", 30, project=PROJECT, confirm=PROJECT, reason="law"),
        by_hand=f"purge keep predictions {PROJECT} --days 30 --confirm {PROJECT} --reason law"),
    Act("core.retention.purge_predictions", "purge_predictions", "delete_data",
        lambda h, a: retention.purge_predictions(h, a, PROJECT, confirm=PROJECT, reason="old"),
        by_hand=f"purge predictions {PROJECT} --confirm {PROJECT} --reason old"),
    Act("core.retention.purge_dataset", "purge_dataset", "delete_data",
        lambda h, a: retention.purge_dataset(h, a, "future_skills", 1, confirm="future_skills", reason="old"),
        by_hand="purge dataset future_skills 1 --confirm future_skills --reason old"),
    Act("core.erasure.erase", "erase_person", "delete_data",
        lambda h, a: erasure.erase(h, a, PROJECT, prediction_ids=first_prediction(h), confirm=PROJECT, reason="asked"),
        by_hand=f"purge person {PROJECT} --ids-file {{ids}} --confirm {PROJECT} --reason asked"),
    Act("core.schedule.schedules.set_schedule", "set_schedule", "schedule",
        lambda h, a: schedules.set_schedule(h, a, PROJECT, "quality_check", {"weekly": "mon", "at": "06:00"}),
        by_hand=f"schedule set quality_check --project {PROJECT} --weekly mon --at 06:00"),
    Act("core.schedule.schedules.pause", "pause_schedule", "schedule", lambda h, a: schedules.pause(h, a, 1), scheduled,
        "schedule pause 1"),
    Act("core.schedule.schedules.resume", "resume_schedule", "schedule", lambda h, a: schedules.resume(h, a, 1), scheduled,
        "schedule resume 1"),
    Act("core.schedule.schedules.remove", "remove_schedule", "schedule", lambda h, a: schedules.remove(h, a, 1), scheduled,
        "schedule remove 1"),
    Act("core.schedule.slots.run_now", "run_schedule", "schedule", lambda h, a: slots.run_now(h, a, 1), scheduled, "schedule run 1"),
    Act("core.backup.make_backup", "make_backup", "backup", lambda h, a: backup.make_backup(h, a, h.reports / "b.tar"),
        by_hand="backup {out}"),
    Act("core.agent.agent_requests.approve", "approve_agent_request", "approve_retraining",
        lambda h, a: agent_requests.approve(h, a, 1, reason="good"), asked_by_the_agent, "agent approve 1 --reason good"),
    Act("core.agent.agent_requests.reject", "reject_agent_request", "approve_retraining",
        lambda h, a: agent_requests.reject(h, a, 1, reason="bad"), asked_by_the_agent, "agent reject 1 --reason bad"),
    Act("core.agent.control.pause", "pause_agent", "pause_agent", lambda h, a: control.pause(h, a, reason="quiet"),
        by_hand="agent pause --reason quiet"),
    Act("core.agent.control.resume", "resume_agent", "pause_agent", lambda h, a: control.resume(h, a, reason="on"), paused,
        "agent resume --reason on"),
    Act("core.agent.control.set_dry_run", "set_agent_dry_run", "pause_agent", lambda h, a: control.set_dry_run(h, a, True, reason="look"),
        by_hand="agent dry-run on --reason look"),
    Act("core.agent.control.set_hourly_limit", "set_agent_limit", "pause_agent",
        lambda h, a: control.set_hourly_limit(h, a, 5, reason="less"), by_hand="agent limit 5 --reason less"),
    Act("core.notify.channels.switch_channel", "switch_channel", "manage_channels",
        lambda h, a: channels.switch_channel(h, a, "slack", False, reason="loud"), by_hand="notify switch slack off --reason loud"),
    Act("core.notify.channels.choose", "choose_recipients", "manage_channels",
        lambda h, a: channels.choose(h, a, "mail", "deployed", ["devops"]), by_hand="notify choose mail deployed devops"),
    Act("core.notify.channels.show_secret", "show_channel_secret", "manage_channels", lambda h, a: channels.show_secret(h, a),
        by_hand="notify secret"),
    Act("core.notify.outbox.try_channel", "test_channel", "manage_channels",
        lambda h, a: outbox.try_channel(h, a, "slack", connections=Connections()), by_hand="notify test slack"),
    Act("core.notify.outbox.redeliver", "redeliver", "manage_channels", lambda h, a: outbox.redeliver(h, a, 1),
        lambda h: outbox.deliver(h, 1, now=utc_now(), connections=Connections()), "notify redeliver 1"),
    Act("core.approvals.withdraw", "withdraw_request", "request_release", lambda h, a: approvals.withdraw(h, a, 2),
        by_hand="withdraw 2"),
)  # fmt: skip

# Acts without a choice of role: at the door, about oneself, or inside a job whose start was the act that asks for the role.
OWN = {
    "core.accounts.open_session", "core.accounts.sign_out", "core.accounts.change_password", "core.accounts.use_reset_code", "core.training.job.run",
    "core.retraining.retraining.finish", "core.retraining.steps.archive", "core.scoring.source._write_back",
    "core.restore._settle",  # in the restored installation
    "core.agent.execute._note", "core.agent.execute._file", "core.agent.follow_up._tell_effect", "core.agent.follow_up._close",  # the agent's
    "core.projects.proposals.change_on_warrant",  # the agent's, on an approved request: see test_agent_requests
}  # fmt: skip
# Functions that open a write without being an act: what time decides, the clock's and the workers' own rows, the prediction log.
WRITES = {
    "core.accounts": {"sign_in", "first_start_code", "_count_try"},
    "core.clock": {"_check_due", "note_tick"},
    "core.monitoring.checks": {"watch"},
    "core.jobs.jobs": {"note_dead", "note_exit"},
    "core.keys": {"_touch"},
    "core.monitoring.observations": {"post"},
    "core.jobs.worker": {"_run", "_beat"},
    "core.jobs.supervisor": {"stop", "_start_next"},
    "core.drift.job": {"run"},
    "core.drift.checks": {"store_measured"},
    "core.scoring.log": {"append"},
    "core.retraining.retraining": {"claim", "note_step"},
    "core.retraining.steps": {"register", "request"},  # which version and request a retraining came to; the acts are their own
    "core.scoring.journal": {"_write"},
    "core.scoring.compact": {"_pack"},
    "core.scoring.profiles": {"rebuild"},
    "core.scoring.labels": {"_keep"},  # inside the act, or for an order that was one
    "core.orders": {"beat"},
    "core.erasure": {"_carry_out"},  # of an order that was an act
    "core.scoring.removal": {"erase_rows", "purge_before"},  # called by acts
    "core.retention": {"_carry_out", "rewrite_due"},  # by rules and orders that were acts
    "core.schedule.slots": {"_begin_again", "_claim", "_put_clock_right", "_beating"},
    "core.agent.execute": {"_settle_state"},
    "core.notify.events": {"tell"},
    "core.notify.outbox": {"_claim", "_end", "_forget_old"},
    "core.mirror.notes": {"_write"},  # what a server was told of what is kept here; nothing of ours changes
    "core.mirror.mirror": {"run_now"},
    "core.acts": {"perform", "unattended"},
}  # fmt: skip
# Changes that no signed-in person makes; each leaves an audit event in its transaction.
UNATTENDED = {
    "core.orders.end", "core.retention.enforce", "core.retention.finish_purges", "core.schedule.slots._finish", "core.reports.make.make_unattended",
    "core.identities.sign_in", "core.accounts.create_first_admin", "core.accounts.add_first_account", "core.accounts.add_demo_accounts",
    "core.approvals.note_expired", "core.monitoring.alerts.raise_alert", "core.monitoring.alerts.settle",
    "core.projects.proposals.note_expired", "core.monitoring.webhooks._write",
    "core.retraining.retraining.fail", "core.retraining.retraining._resume",
    "core.agent.account.ensure", "core.agent.opening.take_alerts", "core.agent.agent_requests.note_expired", "core.agent.execute._note",
    "core.agent.execute._note_held", "core.agent.follow_up._diagnose_again", "core.agent.follow_up.escalate", "core.agent.carry_out._note",
}  # fmt: skip
# One private function behind several entries of the table.
BEHIND = {
    "core.agent.agent_requests._decide": {"core.agent.agent_requests.approve", "core.agent.agent_requests.reject"},
    "core.agent.control._change": {
        "core.agent.control.pause", "core.agent.control.resume", "core.agent.control.set_dry_run", "core.agent.control.set_hourly_limit",
    },
    "core.schedule.schedules._change": {
        "core.schedule.schedules.pause", "core.schedule.schedules.resume", "core.schedule.schedules.remove",
    },
    "core.accounts._set_active": {"core.accounts.close_account", "core.accounts.reopen_account"},
    "core.monitoring.alerts._change": {"core.monitoring.alerts.acknowledge", "core.monitoring.alerts.resolve"},
    "core.approvals._decide": {"core.approvals.approve", "core.approvals.reject"},
    "core.scoring.labels._feed": {"core.scoring.labels.feed_labels", "core.scoring.labels.feed_label_rows"},
    "core.scoring.labels._feed_in_parts": {"core.scoring.labels.feed_labels", "core.scoring.labels.feed_label_rows"},
}


def _another_table(home: Home) -> bytes:
    content = versions.data_path(home, versions.get_version(home, PROJECT)).read_bytes()
    return content[: content.rindex(b"\n", 0, len(content) - 1) + 1]


def state(home: Home) -> dict[str, Any]:
    """Everything that an act may change: all rows but the audit's, and all files but databases, their journals and the logs."""
    seen: dict[str, Any] = {}
    for path in (home.db, home.predictions_db):
        with closing(sqlite3.connect(path)) as db:
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                if not table.startswith(("audit", "sqlite_")):
                    rows = sorted(map(repr, db.execute(f"SELECT * FROM {table}").fetchall()))
                    seen[f"{path.name}:{table}"] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    for folder in (home.root, home.models):
        for path in folder.rglob("*"):
            told = path.name == "audit.head" or home.logs in path.parents  # a refusal is written down in both
            if path.is_file() and ".db" not in path.name and not told:
                seen[str(path)] = path.stat().st_size
    return seen


def forbidden(act: Act) -> list[str]:
    return [name for name, role in PEOPLE.items() if not roles.may(role, act.permission)]


def allowed(act: Act) -> list[str]:
    return [name for name, role in PEOPLE.items() if roles.may(role, act.permission)]


@pytest.mark.parametrize("act", ACTS, ids=lambda a: a.entry.removeprefix("core."))
def test_every_act_is_refused_to_exactly_those_roles_that_may_not(act, home):
    act.prepare(home)
    before, asked = state(home), act.permission.replace("_", " ")
    for name in forbidden(act):
        with pytest.raises(Refused, match=f"^The role {roles.ROLE_TITLES[PEOPLE[name]]} may not {asked}; who may: "):
            act.call(home, Actor(name))
        event = audit.search(home, limit=1)[0][0]
        seen = (event["actor"], event["role"], event["action"], event["outcome"])
        assert seen == (name, PEOPLE[name], act.action, "refused")
        assert "may not" in event["error"]
    assert state(home) == before
    done, refusals = [], []
    for name in allowed(act):
        try:
            act.call(home, Actor(name))
            done.append(name)
        except GreenlightError as error:
            refusals.append(str(error))
    assert not any("The role" in sentence for sentence in refusals), refusals
    assert done or act.entry.endswith("create_with_data"), "nobody could do it: the case proves nothing"
    assert audit.verify(home).intact


NOBODIES = ("nobody", "closed_one", "", "x" * 300, "sci\x00entist", "scientist' --")


@pytest.mark.parametrize("place", range(len(ACTS)), ids=lambda i: ACTS[i].entry.removeprefix("core."))
def test_no_act_is_for_somebody_without_an_active_account(place, home):
    act, name = ACTS[place], NOBODIES[place % len(NOBODIES)]
    accounts.add_account(home, ADMIN, "closed_one", "devops")
    accounts.close_account(home, ADMIN, "closed_one")
    act.prepare(home)
    before = state(home)
    with pytest.raises(Refused, match="no active account"):
        act.call(home, Actor(name))
    assert state(home) == before
    event = audit.search(home, limit=1)[0][0]
    assert (event["actor"], event["action"], event["outcome"]) == (name, act.action, "refused")


@pytest.mark.parametrize("act", [a for a in ACTS if a.by_hand], ids=lambda a: a.by_hand.replace("{", "").replace("}", ""))
def test_the_command_line_refuses_the_same_roles_with_exit_1_and_one_line(act, home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    monkeypatch.delenv("GREENLIGHT_AS", raising=False)
    act.prepare(home)
    (tmp_path / "labels.csv").write_bytes(prediction_label(home))
    (tmp_path / "table.csv").write_bytes(TABLE)
    (tmp_path / "ids.txt").write_text("\n".join(first_prediction(home)))
    files_of = {"out": "out", "table": "table.csv", "labels": "labels.csv", "ids": "ids.txt"}
    words = act.by_hand.format(**{name: tmp_path / file for name, file in files_of.items()}).split()
    before = state(home)
    for name in forbidden(act):
        assert main([*words, "--as", name]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert printed.err.startswith(f"Error: The role {roles.ROLE_TITLES[PEOPLE[name]]} may not ")
        event = audit.search(home, limit=1)[0][0]
        seen = (event["actor"], event["action"], event["outcome"], event["via"], bool(event["os_user"]))
        assert seen == (name, act.action, "refused", "cli", True)
    assert main(words) == 2  # nobody acts without a name
    assert "--as" in capsys.readouterr().err
    assert state(home) == before
    assert not (tmp_path / "out").exists()


def test_predicting_is_for_every_person_and_for_nobody_else(home, tmp_path):
    table = tmp_path / "in.csv"
    table.write_bytes(TABLE)
    before = len(log.read(home, PROJECT))
    for name in ("robot", "nobody", ""):
        with pytest.raises(Refused):
            predict.predict_rows(home, Actor(name), PROJECT, [{}], source="test")
        with pytest.raises(Refused):
            files.predict_file(home, Actor(name), PROJECT, table, tmp_path / "out.csv", source="test")
    assert len(log.read(home, PROJECT)) == before
    assert not (tmp_path / "out.csv").exists()
    for name in ("scientist", "director", "devops", "developer", "admin"):
        assert files.predict_file(home, Actor(name), PROJECT, table, tmp_path / "out.csv", source="test").rows == 1
    assert len(log.read(home, PROJECT)) == before + 5


def functions_calling(name: str) -> set[str]:
    """Dotted names of the outermost functions (methods without their class) of core that call ``name``."""
    found = set()
    for path in sorted((ROOT / "core").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tops = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
        tops += [m for n in tree.body if isinstance(n, ast.ClassDef) for m in n.body if isinstance(m, ast.FunctionDef)]
        for function in tops:
            for node in ast.walk(function):
                called = getattr(node, "func", None)
                if isinstance(node, ast.Call) and name in (getattr(called, "attr", None), getattr(called, "id", None)):
                    found.add(f"{module}.{function.name}")
    return found


def test_a_new_act_without_a_row_in_this_table_fails_here():
    entries = {a.entry for a in ACTS}
    acting = functions_calling("perform")
    covered = entries | OWN | {name for name, behind in BEHIND.items() if behind <= entries}
    assert acting - covered == set()
    assert {e for e in entries if e not in acting} == {
        "core.accounts.close_account", "core.accounts.reopen_account", "core.approvals.approve", "core.approvals.reject",
        "core.monitoring.alerts.acknowledge", "core.monitoring.alerts.resolve",
        "core.agent.agent_requests.approve", "core.agent.agent_requests.reject",
        "core.agent.control.pause", "core.agent.control.resume", "core.agent.control.set_dry_run", "core.agent.control.set_hourly_limit",
        "core.schedule.schedules.pause", "core.schedule.schedules.resume", "core.schedule.schedules.remove",
        "core.scoring.labels.feed_labels", "core.scoring.labels.feed_label_rows",
        "core.projects.creation.create_with_data", "core.audit_export.export_audit_file",
    }  # fmt: skip


def test_nothing_in_core_writes_to_a_database_outside_of_an_act_but_what_is_listed_here():
    listed = {f"{module}.{name}" for module, names in WRITES.items() for name in names}
    acting = functions_calling("perform")
    assert functions_calling("writing") - acting - listed == set()
    assert functions_calling("unattended") == UNATTENDED
