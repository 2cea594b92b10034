"""Retrainings through real jobs: eight steps, better and not, failures that leave the live version alone, interruptions."""

import json
import os
import random
import signal
import time
from contextlib import suppress
from datetime import timedelta

import numpy as np
import pytest

from core import agent, approvals, audit, deployment
from core.acts import Actor
from core.agent import account, agent_requests
from core.cli.app import main
from core.datasets import source
from core.datasets import versions as datasets
from core.errors import BadInput, NotFound, Refused
from core.jobs import jobs, worker
from core.projects import samples
from core.projects.projects import get_definition
from core.registry import versions
from core.reports import make, reports
from core.retraining import evaluate, export, retraining
from core.scoring import files, labels
from core.times import utc_now
from storage import jobs as jobs_store
from storage.connection import reading, writing
from tests.agent_cases import asked_to_retrain
from tests.conftest import copy_home

PROJECT = "heart_disease"
SCIENTIST, DEVOPS = Actor("scientist"), Actor("devops")
NAMES = list(retraining.STEPS)


def answered(home, name="heart_hungary.csv", rule=None):
    """Predictions of another hospital come back with labels by a rule of their own: in that world sex and age decide."""
    import pandas as pd

    out = home.root / "out.csv"
    files.predict_file(home, DEVOPS, PROJECT, home.root / "samples" / PROJECT / name, out, source="test")
    scored = pd.read_csv(out)
    ill = ((scored["age"] - 48) / 8 + (scored["sex"] == "Male") * 3 - 2 > 0).astype(int) if rule is None else rule(scored)
    table = scored[["prediction_id"]].assign(label=ill)
    labels.feed_labels(home, SCIENTIST, PROJECT, table.to_csv(index=False).encode(), file_name="labels.csv")
    return scored


def run(home, **asked):
    """Retrain in a worker process, as the command line does."""
    made = retraining.start(home, SCIENTIST, PROJECT, reason="The world moved.", owner="cli", **asked)
    job = worker.wait_for(home, made["job"], worker.start_process(home, made["job"]))
    return job, retraining.get(home, made["id"])


@pytest.fixture(scope="module")
def built_better(built_trained, tmp_path_factory):
    """A retraining on the labelled rows of a world that changed."""
    home = copy_home(built_trained, tmp_path_factory.mktemp("better") / "home")
    answered(home)
    job, found = run(home, params={"rows": "labelled"})
    assert found.state == "done", job.error
    return home.root


@pytest.fixture
def better(built_better, tmp_path):
    return copy_home(built_better, tmp_path / "home")


# ---- better ----


def test_a_better_candidate_goes_through_eight_steps_to_a_release_request(better):
    found = retraining.get(better, 1)
    assert [(s.name, s.state) for s in found.steps] == [(name, "done") for name in NAMES]
    assert (found.outcome, found.version, found.live_version, found.request_id) == ("better", "1.1.0", "1.0.0", 2)
    request = approvals.get_request(better, 2)
    assert (request.state, request.version, request.requested_by, request.trained_by) == ("pending", "1.1.0", "scientist", "scientist")
    assert request.reason.startswith("Retraining 1 (person: The world moved). Better than version 1.0.0: F1 ")
    assert request.evidence["live"]["version"] == "1.0.0"
    assert deployment.find_live(better, PROJECT).version == "1.0.0"  # nothing goes live by it
    assert versions.read_metadata(better, versions.get_version(better, PROJECT, "1.1.0"))["version"] == "1.1.0"


def test_the_interval_that_decided_stands_in_the_step_and_lies_above_zero(better):
    detail = retraining.get(better, 1).find_step("evaluation").detail
    unseen = detail["unseen"]
    assert unseen["low"] > 0
    assert unseen["difference"] == pytest.approx(unseen["new"] - unseen["old"])
    assert unseen["rows"] > detail["held_out"]["rows"] >= 30
    assert detail["new_rows"] == retraining.get(better, 1).find_step("export").detail["rows"]
    assert sum(rows for rows, _, _ in unseen["per_class"].values()) == unseen["rows"]


def test_one_correlation_id_leads_through_the_whole_story(better):
    found = retraining.get(better, 1)
    events = audit.search(better, correlation_id=found.correlation_id, limit=50)[0]
    done = [e["action"] for e in reversed(events) if e["outcome"] == "done"]
    assert done == ["start_retraining", "add_dataset", "train", "register", "request_release", "finish_retraining", "make_report"]
    assert {e["actor"] for e in events} == {"scientist", "clock"}  # reports that nobody asks for are made by themselves
    assert jobs.get_job(better, found.job_id).correlation_id == found.correlation_id


def test_the_report_says_what_was_done_and_how_the_classes_compare(better):
    text = (better.reports / "retraining_1.md").read_text()
    assert "| Fresh export | done |" in text
    assert "| Class | Rows | Recall, candidate | Recall, live |" in text
    assert "Request 2 for version 1.1.0 waits" in text


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        ("better", ("Class by class", "Request 2 for version 1.1.0 waits")),
        ("spoiled", ("Why it was not better", "May be tried next", "Without the labelled predictions")),
    ],
)
def test_the_report_is_made_at_once_and_found_from_the_retraining_however_it_ended(ended, says, request):
    home = request.getfixturevalue(ended)
    (made,) = reports.list_reports(home, PROJECT, kind="retraining")
    assert retraining.get(home, 1).report_id == made.id
    page = reports.read_report(home, made.id).decode()
    assert [words for words in says if words not in page] == []
    assert made.made_at >= retraining.get(home, 1).finished_at
    due = make.write_due(home, now=utc_now() + timedelta(minutes=1))
    assert [n for n in due if reports.get_report(home, n).kind == "retraining"] == []  # the clock makes no second one


def test_how_it_ended_is_told_in_the_same_transaction(better):
    with writing(better.db) as db:
        rows = [dict(r) for r in db.conn.execute("SELECT * FROM deliveries WHERE event = 'retraining_finished'")]
    assert {r["project"] for r in rows} == {PROJECT}
    assert all("retraining 1: better" in r["message"] for r in rows)


def test_settings_are_those_of_the_live_versions_run(better):
    from core.training import runs

    first, second = runs.get_run(better, 1).settings, runs.get_run(better, 2).settings
    assert {k: first[k] for k in ("candidates", "folds", "holdout", "seed")} == {k: second[k] for k in ("candidates", "folds", "holdout", "seed")}


def test_rows_that_either_was_fitted_on_are_not_judged_on(trained_home):
    """Another candidate of the live version's own run: only the hold-out is new to both, and nothing is new to the live one."""
    found = evaluate.evaluate_candidate(trained_home, PROJECT, run_id=1, candidate="random_forest", threshold=None, now=utc_now())
    assert (found.unseen.rows, found.held_out.rows, found.new_rows) == (61, 61, 0)
    assert (found.live, found.recent, found.reason) == ("1.0.0", None, "")
    same = evaluate.evaluate_candidate(trained_home, PROJECT, run_id=1, candidate="logistic_regression", threshold=None, now=utc_now())
    live = versions.get_version(trained_home, PROJECT, "1.0.0").summary["name"]
    if live == "logistic_regression":
        assert (same.unseen.difference, same.unseen.low, same.unseen.high) == (0.0, 0.0, 0.0)


def test_without_a_live_version_it_is_compared_with_doing_nothing(trained_home):
    deployment.undeploy(trained_home, DEVOPS, PROJECT)
    found = evaluate.evaluate_candidate(trained_home, PROJECT, run_id=1, candidate="logistic_regression", threshold=None, now=utc_now())
    assert (found.live, found.unseen.rows, found.held_out.rows) == (None, 303, 61)
    assert found.against.endswith("(nothing is live)")
    assert found.unseen.low > 0


# ---- not better ----


def test_nothing_new_is_unclear_and_the_candidate_is_archived_with_its_reason(trained_home):
    job, found = run(trained_home)
    assert (job.state, found.state, found.outcome, found.request_id) == ("done", "done", "unclear", None)
    assert found.find_step("export").detail["dataset"] == 1  # the same bytes are the same dataset version
    version = versions.get_version(trained_home, PROJECT, found.version)
    assert version.version == "1.0.1"  # the same data and settings again
    assert (version.stage, version.stage_reason[:25]) == ("archived", "retraining 1: unclear. No")
    detail = found.find_step("request").detail
    assert detail["findings"][0].startswith("The data is that of version 1.0.0")
    assert [one["label"] for one in detail["reruns"]] == ["Other candidates"]
    assert approvals.list_requests(trained_home, project=PROJECT, states=("pending",)) == []
    assert deployment.find_live(trained_home, PROJECT).version == "1.0.0"


@pytest.fixture(scope="module")
def built_spoiled(built_trained, tmp_path_factory):
    """A retraining by command on labels that are no better than a coin."""
    home = copy_home(built_trained, tmp_path_factory.mktemp("spoiled") / "home")
    answered(home, rule=lambda scored: np.random.default_rng(7).integers(0, 2, len(scored)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GREENLIGHT_HOME", str(home.root))
        patch.delenv("GREENLIGHT_MODELS", raising=False)
        assert main(["retrain", PROJECT, "--reason", "Labels came back.", "--as", "scientist"]) == 0
    return home.root


@pytest.fixture
def spoiled(built_spoiled, tmp_path):
    return copy_home(built_spoiled, tmp_path / "home")


def test_spoiled_labels_are_suspected_and_a_rerun_without_them_is_offered_first(spoiled):
    found = retraining.get(spoiled, 1)
    assert found.outcome in ("worse", "unclear")
    assert found.request_id is None
    detail = found.find_step("request").detail
    assert detail["findings"][0].startswith("The new rows do not follow the rule that the others do: ")
    assert detail["reruns"][0]["params"] == {"rows": "source"}
    assert deployment.find_live(spoiled, PROJECT).version == "1.0.0"
    for version in versions.list_versions(spoiled, PROJECT):
        assert version.stage == ("production" if version.version == "1.0.0" else "archived")


def test_the_commands_list_what_came_of_it(spoiled, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(spoiled.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    assert main(["retrainings", PROJECT, "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["retrainings"]
    found = retraining.get(spoiled, 1)
    assert (listed["id"], listed["outcome"], listed["version"], listed["sentence"]) == (1, found.outcome, found.version, found.sentence)
    assert [s["state"] for s in listed["steps"]] == [s.state for s in found.steps]
    assert main(["retrainings", "future_skills"]) == 0
    assert capsys.readouterr().out == "Nothing was retrained yet.\n"


# ---- failures ----


def test_too_few_rows_stop_at_the_second_step_and_say_so(trained_home):
    scored = answered(trained_home)
    spare = scored["prediction_id"].iloc[40:].tolist()
    with writing(trained_home.predictions_db) as db:
        db.conn.execute(f"UPDATE labels SET superseded = 1 WHERE prediction_id IN ({', '.join('?' * len(spare))})", spare)
    job, found = run(trained_home, params={"rows": "labelled"})
    assert (job.state, found.state, found.outcome) == ("failed", "failed", "failed")
    assert [s.state for s in found.steps] == ["done", "failed", *["waiting"] * 6]
    assert job.error.startswith("Step 2 of 8 (validation) failed: Dataset 2 of heart_disease cannot be trained on: ")
    assert job.error.endswith("Version 1.0.0 stays live, untouched.")
    assert deployment.find_live(trained_home, PROJECT).version == "1.0.0"
    event = audit.search(trained_home, action="finish_retraining")[0][0]
    assert (event["outcome"], event["subject"], event["correlation_id"]) == ("failed", "retraining 1", found.correlation_id)


def test_a_broken_source_is_named_and_not_trained_on(trained_home):
    answered(trained_home, "heart_switzerland.csv")
    job, found = run(trained_home)
    assert found.find_step("export").state == "failed"
    assert "their source looks broken" in job.error
    assert "chol" in job.error
    assert len(datasets.list_datasets(trained_home, PROJECT)) == 1


# ---- who, and one at a time ----


def test_one_at_a_time_and_the_other_is_told_which(trained_home):
    first = retraining.start(trained_home, SCIENTIST, PROJECT, reason="once")
    with pytest.raises(Refused, match=rf"Retraining {first['id']} of heart_disease is under way \(job {first['job']}\)"):
        retraining.start(trained_home, DEVOPS, PROJECT, reason="twice")


def test_a_second_click_starts_nothing(trained_home):
    first = retraining.start(trained_home, SCIENTIST, PROJECT, reason="once", key="k")
    assert retraining.start(trained_home, SCIENTIST, PROJECT, reason="once", key="k") == first


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"reason": " "}, "A reason is needed"), ({"trigger": "moon"}, "'moon' is none of them"),
        ({"params": {"speed": 9}}, "no parameter 'speed'"), ({"params": {"rows": "best"}}, "'best' is none of them"),
        ({"params": {"candidates": [["wizard", {}]]}}, "wizard"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_in_a_sentence(trained_home, asked, words):
    with pytest.raises((BadInput, NotFound), match=words):
        retraining.start(trained_home, SCIENTIST, PROJECT, **{"reason": "x", **asked})
    assert retraining.list_retrainings(trained_home) == []


def test_a_person_who_may_not_train_and_an_agent_without_an_approval_start_nothing(trained_home):
    account.ensure(trained_home, utc_now())
    with pytest.raises(Refused, match="may not train"):
        retraining.start(trained_home, Actor("director"), PROJECT, reason="x")
    with pytest.raises(Refused, match="No request 0 of the agent"):
        retraining.start(trained_home, Actor("agent"), PROJECT, trigger="agent", reason="x")
    with pytest.raises(Refused, match="may not file request"):
        retraining.start(trained_home, SCIENTIST, PROJECT, trigger="agent", reason="x")  # nobody passes for the agent
    assert retraining.list_retrainings(trained_home) == []


def test_the_agents_retraining_stands_on_one_approval_and_belongs_to_its_incident(trained_home):
    incident = asked_to_retrain(trained_home, now=utc_now())
    agent_requests.approve(trained_home, Actor("director"), 1, reason="Try it.", now=utc_now())
    agent.turn(trained_home, now=utc_now())
    (found,) = retraining.list_retrainings(trained_home, PROJECT)
    assert (found.trigger, found.started_by, found.correlation_id) == ("agent", "agent", incident.correlation_id)
    event = audit.search(trained_home, action="start_retraining")[0][0]
    assert (event["actor"], event["trigger"], event["approver"]) == ("agent", "alert", "director")
    jobs.cancel(trained_home, SCIENTIST, found.job_id)
    with pytest.raises(Refused, match="is used"):
        retraining.start(trained_home, Actor("agent"), PROJECT, trigger="agent", reason="again", approval=found.params["approval"])


def test_the_agent_may_have_a_version_trained_and_requested_by_a_retraining_and_not_otherwise(trained_home):
    """It is an errand: the same acts that its role forbids are done for the open retraining, and its name stands on them."""
    answered(trained_home)
    account.ensure(trained_home, utc_now())
    made = retraining.start(trained_home, SCIENTIST, PROJECT, reason="x", params={"rows": "labelled"}, owner="cli")
    with writing(trained_home.db) as db:
        db.conn.execute("UPDATE retrainings SET started_by = 'agent', trigger = 'agent' WHERE id = ?", (made["id"],))
        db.conn.execute("UPDATE jobs SET created_by = 'agent' WHERE id = ?", (made["job"],))
    job = worker.wait_for(trained_home, made["job"], worker.start_process(trained_home, made["job"]))
    found = retraining.get(trained_home, made["id"])
    assert (job.state, found.outcome) == ("done", "better"), job.error
    request = approvals.get_request(trained_home, found.request_id)
    assert (request.requested_by, request.trained_by) == ("agent", "agent")
    done = [e for e in audit.search(trained_home, correlation_id=found.correlation_id)[0] if e["actor"] == "agent"]
    assert {(e["action"], e["trigger"]) for e in done} == {
        (a, "alert") for a in ("add_dataset", "train", "register", "request_release", "finish_retraining")
    }
    with pytest.raises(Refused, match="may not register"):
        versions.register(trained_home, Actor("agent"), 1)


def test_what_a_retraining_does_ends_with_it(better):
    """The starter's name opens nothing once the retraining has ended, nor for another project, nor for another person."""
    for actor in (Actor("scientist", errand=1), Actor("director", errand=1), Actor("scientist", errand=99)):
        with pytest.raises(Refused, match="has ended or is another's"):
            approvals.request_release(better, actor, PROJECT, "1.1.0", reason="x")
    with pytest.raises(Refused, match="may not deploy"):
        deployment.deploy(better, Actor("scientist", errand=1), PROJECT, "1.1.0")


# ---- the fresh export ----


def make_export(home, rows="all", project=PROJECT):
    folder = home.work / "export"
    folder.mkdir(exist_ok=True)
    return export.export(home, SCIENTIST, get_definition(home, project), rows=rows, folder=folder, today=utc_now().date())


def test_labelled_predictions_are_put_below_the_table_and_impossible_ones_left_out(trained_home):
    answered(trained_home)
    made = make_export(trained_home)
    assert (made.rows, made.labelled, made.kept, made.known, made.impossible) == (595, 294, 292, 0, {"chol": 2})
    lines = made.content.decode().splitlines()
    assert len(lines) == 596
    assert lines[0].split(",")[-1] == "num"
    assert {line.rsplit(",", 1)[1] for line in lines[304:]} <= {"0", "1", "2", "3", "4"}  # in the words of the table


def test_a_case_that_stands_in_the_table_with_the_same_answer_is_not_counted_twice(trained_home):
    import pandas as pd

    table = trained_home.root / "again.csv"
    base = pd.read_csv(trained_home.root / "samples" / PROJECT / "heart_cleveland.csv").head(50)
    base.to_csv(table, index=False)
    out = trained_home.root / "out.csv"
    files.predict_file(trained_home, DEVOPS, PROJECT, table, out, source="test")
    fed = pd.read_csv(out)[["prediction_id", "num"]].rename(columns={"num": "label"}).to_csv(index=False).encode()
    labels.feed_labels(trained_home, SCIENTIST, PROJECT, fed, file_name="labels.csv")
    made = make_export(trained_home)
    assert (made.rows, made.labelled, made.kept, made.known) == (303, 50, 0, 50)


def test_the_labelled_predictions_alone_or_left_out_as_asked(trained_home):
    answered(trained_home)
    assert make_export(trained_home, "labelled").rows == 292
    assert make_export(trained_home, "source").rows == 303


def test_an_hr_database_is_exported_anew_as_of_its_last_day(demo_home):
    made = make_export(demo_home, project="future_skills")
    first = datasets.get_version(demo_home, "future_skills")
    assert (made.base, made.rows, made.provenance) == (f"{first.rows:,} of the HR database up to 2026-06-30", first.rows, first.label_provenance)
    assert source.find_origin(demo_home, get_definition(demo_home, PROJECT)) is None
    assert source.find_origin(demo_home, get_definition(demo_home, "future_skills")).file.name == samples.HR_DATABASE


def test_what_a_retraining_made_is_never_taken_for_the_source(better):
    assert datasets.get_version(better, PROJECT).source.startswith(export.MADE_BY)
    made = make_export(better)
    assert made.base == "303 of heart_cleveland.csv"


# ---- interruptions ----


def kill_worker(home, job_id, process, after):
    """Let the worker go for a while, then kill it and all it started; what the supervisor would note is noted."""
    time.sleep(after)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    jobs.note_exit(home, job_id, process.wait())


def wait_for_step(home, number, name, seconds=60):
    end = time.monotonic() + seconds
    while retraining.get(home, number).find_step(name).state == "waiting" and time.monotonic() < end:
        time.sleep(0.05)


def test_an_interrupted_retraining_goes_on_after_the_last_step_that_was_done(trained_home):
    answered(trained_home)
    made = retraining.start(trained_home, SCIENTIST, PROJECT, reason="x", params={"rows": "labelled"})
    process = worker.start_process(trained_home, made["job"])
    wait_for_step(trained_home, made["id"], "training")
    kill_worker(trained_home, made["job"], process, 0.5)
    assert jobs.get_job(trained_home, made["job"]).state == "interrupted"
    assert retraining.get(trained_home, made["id"]).state == "open"
    (again,) = retraining.follow_up(trained_home, now=utc_now())
    assert retraining.follow_up(trained_home, now=utc_now()) == []  # it is on its way already
    job = worker.wait_for(trained_home, again, worker.start_process(trained_home, again))
    found = retraining.get(trained_home, made["id"])
    assert (job.state, job.rerun_of, found.state, found.job_id) == ("done", made["job"], "done", again)
    assert [s.state for s in found.steps] == ["done"] * 8
    assert [d.version for d in datasets.list_datasets(trained_home, PROJECT)] == [2, 1]
    assert [v.version for v in versions.list_versions(trained_home, PROJECT)] == ["1.1.0", "1.0.0"]


def test_after_three_interruptions_it_is_a_failure(trained_home):
    made = retraining.start(trained_home, SCIENTIST, PROJECT, reason="x")
    job = made["job"]
    for _ in range(retraining.ATTEMPTS):
        with writing(trained_home.db) as db:
            jobs_store.finish(db, job, state="interrupted", at="2026-11-21T00:00:00.000Z", error="The worker was killed.")
        followed = retraining.follow_up(trained_home, now=utc_now())
        job = followed[0] if followed else None
    assert job is None
    found = retraining.get(trained_home, made["id"])
    assert (found.state, found.outcome) == ("failed", "failed")
    assert "It was tried 3 times" in audit.search(trained_home, action="finish_retraining")[0][0]["error"]
    retraining.start(trained_home, SCIENTIST, PROJECT, reason="another one is free to begin")


def test_a_retraining_that_is_cancelled_in_the_queue_ends_as_cancelled(trained_home):
    made = retraining.start(trained_home, SCIENTIST, PROJECT, reason="x")
    jobs.cancel(trained_home, SCIENTIST, made["job"])
    retraining.follow_up(trained_home, now=utc_now())
    found = retraining.get(trained_home, made["id"])
    assert (found.state, found.outcome) == ("cancelled", None)


def follow_up_truthfully(home, left, tries):
    """What was left open is taken up by another job, as often as is allowed, and then called failed; the number of that job."""
    followed = retraining.follow_up(home, now=utc_now())
    if tries < retraining.ATTEMPTS:
        assert [jobs.get_job(home, n).rerun_of for n in followed] == [left.job_id]
        assert retraining.get(home, left.id).job_id == followed[0]
        return followed[0]
    assert followed == []
    assert retraining.get(home, left.id).state == "failed"
    return None


def kill_often(home, times, seed):
    """kill -9 at random moments of random steps: the live version is intact, every row is truthful, and nothing that was done is done again."""
    rng = random.Random(seed)
    answered(home)
    tries, done, gone_on = {}, {}, 0
    for _ in range(times):
        left, job = retraining.find_open(home, PROJECT), None
        if left is not None:
            job = follow_up_truthfully(home, left, tries[left.id])
        if job is None:
            job = retraining.start(home, SCIENTIST, PROJECT, reason="again", params={"rows": "labelled"})["job"]
        number = retraining.find_of_job(home, job).id
        tries[number] = tries.get(number, 0) + 1
        process = worker.start_process(home, job)
        wait_for_step(home, number, rng.choice(NAMES))
        kill_worker(home, job, process, rng.uniform(0.0, 1.0))
        assert deployment.find_live(home, PROJECT).version == "1.0.0"
        assert jobs.get_job(home, job).state in ("interrupted", "done")
        found = retraining.find_of_job(home, job)
        assert (found.state == "open") == (jobs.get_job(home, job).state == "interrupted")
        before, ended = done.get(number, {}), {s.name: s.at for s in found.steps if s.state in ("done", "skipped")}
        assert before.items() <= ended.items()  # what was done before the kill was not done again after it
        gone_on += bool(before)
        done[number] = ended
        known = [v.version for v in versions.list_versions(home, PROJECT)]
        assert len(known) == len(set(known))
        for version in versions.list_versions(home, PROJECT):  # what is registered has all its files
            assert versions.read_metadata(home, version)["version"] == version.version
    assert gone_on > 0  # else nothing of the above was about going on
    left = retraining.find_open(home, PROJECT)
    if left is not None and tries[left.id] < retraining.ATTEMPTS:
        job = follow_up_truthfully(home, left, tries[left.id])
        assert worker.wait_for(home, job, worker.start_process(home, job)).state == "done"
        assert retraining.get(home, left.id).state == "done"
        assert done[left.id].items() <= {s.name: s.at for s in retraining.get(home, left.id).steps}.items()
    verdict = audit.verify(home)
    assert verdict.intact, verdict.sentence


def test_kill_9_at_random_moments_leaves_the_live_version_and_the_truth(trained_home):
    kill_often(trained_home, 5, seed=1)


@pytest.mark.soak
def test_kill_9_fifty_times(trained_home):
    kill_often(trained_home, 50, seed=2)


def test_the_prediction_is_answered_by_the_live_version_all_along(better):
    assert reading(better.db) is not None
    out = better.root / "after.csv"
    summary = files.predict_file(better, DEVOPS, PROJECT, better.root / "samples" / PROJECT / "heart_hungary.csv", out, source="test")
    assert summary.version == "1.0.0"


def test_a_class_that_is_no_longer_allowed_is_left_out_of_a_retraining(trained_home):
    from types import SimpleNamespace

    from core.projects import proposals
    from core.retraining import steps

    name = "class:sklearn.ensemble.ExtraTreesClassifier"
    with writing(trained_home.db) as db:  # as if the live version's run had tried it
        settings = json.loads(next(db.query("SELECT settings FROM runs WHERE id = 1"))["settings"])
        settings["candidates"].append([name, {}])
        db.conn.execute("UPDATE runs SET settings = ? WHERE id = 1", (json.dumps(settings),))
    assert next(reading(trained_home.db).query("SELECT count(*) AS n FROM runs"))["n"] == 1
    errand = SimpleNamespace(
        home=trained_home, project="heart_disease", found=SimpleNamespace(params={}), definition=lambda: get_definition(trained_home, "heart_disease")
    )
    kept = [n for n, _ in steps._settings(errand)[0]["candidates"]]
    assert kept
    assert name not in kept
    proposals.propose(trained_home, Actor("scientist"), "heart_disease", {f"estimator:{name[6:]}": 1}, reason="It is good")
    proposals.decide(trained_home, Actor("director"), 1, "approved", reason="Agreed")
    assert [n for n, _ in steps._settings(errand)[0]["candidates"]] == [*kept, name]
