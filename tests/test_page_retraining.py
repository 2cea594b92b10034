"""The Retraining view of the Training page: is it due, the steps as they go, and what came of it."""

import pytest

from core.acts import Actor
from core.jobs import jobs
from core.notify import outbox
from core.reports.make import make_unattended
from core.retraining import retraining
from core.retraining.retraining import Retraining
from core.times import stamp, utc_now
from storage import retrainings as store
from storage.connection import writing

PROJECT = "heart_disease"
PER_CLASS = {"0": [100, 0.8, 0.7], "1": [90, 0.7, 0.75]}
RERUN = {"label": "Without the labelled predictions", "why": "If their labels are wrong.", "params": {"rows": "source"}}


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def view(open_page, home, account="scientist", **query):
    """Open the page by link on this view; without a number the switch is used."""
    test = open_page(home, "training", account, **query)
    return test if query else test.segmented_control(key="training-view").set_value("Retraining").run()


def button(test, label):
    return next(b for b in test.button if b.label == label)


def retrain(test, reason="The world moved."):
    test.text_area(key="retraining-start-heart_disease-reason").set_value(reason)
    return button(test, "Retrain now").click().run()


def ended(home, outcome="worse", **values) -> Retraining:
    """A retraining that went through its steps, as its job would have written it."""
    details = {
        "training": {"run": 1}, "evaluation": {"unseen": {"per_class": PER_CLASS}, "against": "version 1.0.0"},
        "judgement": {"outcome": outcome}, "request": {"findings": ["Class 1 lost: recall 0.70 against 0.75."], "reruns": [RERUN]},
    }  # fmt: skip
    steps = [
        {"name": n, "state": "done", "at": "2026-11-21T10:00:00.000Z", "sentence": f"{n} was <done>.", "detail": details.get(n, {})}
        for n in retraining.STEPS
    ]
    with writing(home.db) as db:
        number = store.insert_retraining(
            db,
            {
                "project": PROJECT, "trigger": "new_data", "reason": "100 labels *arrived*", "state": "done", "outcome": outcome,
                "params": {}, "steps": steps, "live_version": "1.0.0", "started_by": "scientist", "correlation_id": "cafe",
                "started_at": stamp(utc_now()), "finished_at": stamp(utc_now()), **values,
            },
        )  # fmt: skip
    return retraining.get(home, number)


def test_the_first_screen_says_whether_it_is_due_with_each_trigger_beside_its_threshold(trained_home, open_page):
    test = view(open_page, trained_home)
    assert not test.exception
    table = test.dataframe[0].value
    assert table["Trigger"].tolist() == ["Time since training", "New labelled rows", "Performance drop", "Drift"]
    assert table["State"].tolist() == ["● Not due", "● Not due", "✕ Unknown", "✕ Unknown"]
    assert table["Due from"].tolist() == ["30.0 days", "100 rows", "5.0%", "0.70"]
    assert table["Measured"].tolist()[1:] == ["0 rows", "unknown", "unknown"]
    assert "No retraining is due" in texts(test)
    assert "Nothing was retrained yet" in texts(test)


def test_the_button_needs_a_reason_and_starts_one_retraining(trained_home, open_page):
    test = view(open_page, trained_home)
    button(test, "Retrain now").click().run()
    assert "Write a reason" in test.error[0].value
    assert retraining.list_retrainings(trained_home) == []
    test = retrain(test)
    (found,) = retraining.list_retrainings(trained_home, PROJECT)
    assert (found.trigger, found.reason, found.started_by, found.state) == ("person", "The world moved.", "scientist", "open")
    assert test.success[0].value == "Retraining 1 is on its way; it goes on when you leave this page."
    assert test.query_params["retraining"] == "1"
    assert "**1. Fresh export**" in texts(test)
    assert "Waits for a free worker" in texts(test)
    assert not [b for b in test.button if b.label == "Retrain now"]  # one at a time


def test_the_one_under_way_shows_its_steps_and_can_be_cancelled(trained_home, open_page):
    made = retraining.start(trained_home, Actor("scientist"), PROJECT, reason="x")
    now = stamp(utc_now())
    with writing(trained_home.db) as db:
        db.conn.execute("UPDATE jobs SET state='running', started_at=?, heartbeat_at=?, done=2.5, total=8, note='training: dummy' WHERE id=?",
                        (now, now, made["job"]))  # fmt: skip
    retraining.note_step(trained_home, made["id"], "export", "done", at=utc_now(), sentence="Dataset version 2, 595 rows.")
    retraining.note_step(trained_home, made["id"], "validation", "running", at=utc_now())
    test = view(open_page, trained_home, retraining="1")
    assert r":green[:material/check_circle: Done] **1. Fresh export**: Dataset version 2, 595 rows\." in texts(test)
    assert "Running] **2. Validation**" in texts(test)
    assert "Waiting] **8. Handed to monitoring**" in texts(test)
    assert test.get("progress")[0].proto.value == 31
    button(test, "Cancel").click().run()
    assert jobs.get_job(trained_home, made["job"]).cancel_by == "scientist"


def test_one_that_was_worse_shows_why_which_class_lost_and_offers_a_rerun(trained_home, open_page):
    found = ended(trained_home, version="1.0.0")
    made = make_unattended(trained_home, "retraining", PROJECT, now=utc_now())
    test = view(open_page, trained_home, retraining=str(found.id))
    assert not test.exception
    (link,) = [e.proto for e in test.get("page_link") if e.proto.label == "Open the report"]
    assert link.page.endswith("reports")
    assert f"report={made['id']}" in link.query_string
    history = test.dataframe[1].value.iloc[0]
    assert (history["Retraining"], history["Outcome"], history["Because of"], history["Version"]) == (1, "✕ Worse", "new labels", "1.0.0")
    classes = test.dataframe[2].value
    assert classes.to_dict("list") == {
        "Class": ["0", "1"], "Rows": [100, 90], "Recall, candidate": [0.8, 0.7], "Recall, version 1.0.0": [0.7, 0.75],
    }  # fmt: skip
    assert "Class 1 lost" in texts(test)
    button(test, "Run again like this").click().run()
    newest = retraining.list_retrainings(trained_home, PROJECT)[0]
    assert newest.id == 2
    assert newest.params["rows"] == "source"
    assert newest.reason == "After retraining 1 (worse): without the labelled predictions"


def test_an_older_one_offers_no_rerun_and_is_found_by_its_link(trained_home, open_page):
    first, second = ended(trained_home), ended(trained_home, outcome="better")
    test = view(open_page, trained_home, retraining=str(first.id))
    assert f"**Retraining {first.id}**: ✕ Worse" in texts(test)
    assert not [b for b in test.button if b.label == "Run again like this"]
    test.selectbox(key="retraining-chosen").set_value(str(second.id)).run()
    assert test.query_params["retraining"] == str(second.id)
    assert f"**Retraining {second.id}**: ✓ Better" in texts(test)


def test_what_people_wrote_is_shown_as_text(trained_home, open_page):
    test = view(open_page, trained_home, retraining=str(ended(trained_home).id))
    assert r"100 labels \*arrived\*" in texts(test)
    assert r"export was \<done\>\." in texts(test)


def test_a_link_to_a_retraining_of_elsewhere_is_answered(trained_home, open_page):
    ended(trained_home)
    assert "has no retraining 99" in view(open_page, trained_home, retraining="99").error[0].value


@pytest.mark.parametrize("account", ["director", "developer"])
def test_who_may_not_train_sees_who_may(trained_home, open_page, account):
    test = open_page(trained_home, "training", account, retraining="1")
    assert "Training is for Data scientist and DevOps" in test.info[0].value


def test_steps_behind_a_failure_were_not_reached_and_do_not_wait(trained_home, open_page):
    made = retraining.start(trained_home, Actor("scientist"), PROJECT, reason="x")
    now = utc_now()
    retraining.note_step(trained_home, made["id"], "export", "running", at=now)
    retraining.fail(trained_home, made["id"], state="failed", sentence="The source is away.", now=now)
    test = view(open_page, trained_home, retraining=str(made["id"]))
    assert "Failed] **1. Fresh export**" in texts(test)
    assert texts(test).count("Not reached]") == 7
    assert "Waiting]" not in texts(test)
    assert "by scientist: x" in texts(test)


@pytest.mark.parametrize(("version", "link"), [(None, "/trends"), ("1.0.0", "/registry?version=1.0.0")])
def test_the_mail_about_its_end_leads_every_recipient_to_a_page_that_opens(trained_home, open_page, version, link):
    made = retraining.start(trained_home, Actor("scientist"), PROJECT, reason="x")
    with writing(trained_home.db) as db:
        store.update_retraining(db, made["id"], version=version)
    retraining.fail(trained_home, made["id"], state="failed", sentence="No rows.", now=utc_now())
    told = [d for d in outbox.list_deliveries(trained_home) if d.event == "retraining_finished" and d.channel == "mail"]
    assert {d.recipient for d in told} == {"scientist", "director", "devops"}
    assert {d.message["link"].replace(f"&project={PROJECT}", "").replace(f"?project={PROJECT}", "") for d in told} == {link}
    path, _, query = link[1:].partition("?")
    for delivery in told:
        test = open_page(trained_home, path, delivery.recipient, **dict([query.split("=")] if query else []))
        assert not test.info or "is for" not in test.info[0].value
        assert test.title


def test_before_the_first_training_there_is_nothing_to_retrain(demo_home, open_page):
    test = view(open_page, demo_home)
    assert "No version has been trained yet" in texts(test)
    assert not [b for b in test.button if b.label == "Retrain now"]
    assert [e.proto.label for e in test.get("page_link")] == ["Train the first version"]
