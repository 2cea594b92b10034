"""Gates and thresholds on Settings and Approvals through the real frame: proposed, decided, in force, and shown with their source."""

import re
from dataclasses import asdict
from datetime import timedelta

import pytest

from core.acts import Actor
from core.measured import say_measured
from core.monitoring.findings import Finding
from core.projects import joins, limits, proposals
from core.times import stamp, utc_now
from storage.alerts import insert_watch
from storage.connection import writing

HEART = "heart_disease"
SCIENTIST = Actor("scientist")
FLOOR = "Accuracy in use"


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption] + [s.value for s in test.success])


def button(test, label):
    return next(b for b in test.button if b.label == label)


def changes(test):
    return [{name: text.replace("\\", "") for name, text in row.items()} for row in test.table[0].value.to_dict("records")]


def values(test):
    rows = [r for t in test.table if "Source" in t.value.columns for r in t.value.to_dict("records")]
    return {r["What"].replace("\\", ""): {name: text.replace("\\", "") for name, text in r.items()} for r in rows}


def propose(test, reason="We learned more", **wanted):
    test.multiselect[0].set_value(list(wanted)).run()
    for name, value in wanted.items():
        next(n for n in test.number_input if n.label.startswith(limits.SETTINGS[name].title)).set_value(value)
    test.text_area[0].input(reason)
    return button(test, "Ask for approval").click().run()


def ask(home, **changes):
    return proposals.propose(home, SCIENTIST, HEART, changes, reason="*We* learned", now=utc_now())["id"]


def test_a_change_is_proposed_decided_and_shown_with_its_source(demo_home, open_page):
    test = propose(open_page(demo_home, "settings", "scientist", tab="thresholds"), accuracy_floor=0.8)
    assert "Settings request 1 waits for a DRH manager; nothing has changed yet" in texts(test)
    assert values(test)[FLOOR]["Value"] == "at least 0.7"
    page = open_page(demo_home, "approvals", "director")
    assert page.tabs[0].label == "Waiting (1)"
    assert changes(page) == [{"What": FLOOR, "Before": "at least 0.7", "After": "at least 0.8"}]
    page.text_area[0].input("Agreed")
    button(page, "Approve").click().run()
    assert "Settings request 1: **pending** before, **approved** now. The new values hold from now on." in texts(page)
    assert limits.get_limits(demo_home, HEART).thresholds.accuracy_floor == 0.8
    after = open_page(demo_home, "settings", "developer", tab="thresholds")
    row = values(after)[FLOOR]
    assert row["Value"] == "at least 0.8"
    assert re.fullmatch(r"request 1, approved by director on .* UTC; without it: at least 0.7", row["Source"])
    # what differs stands in full view and comes first; the rest is folded away
    assert after.header[0].value == "Changed by approved requests"
    assert [r.replace("\\", "") for r in after.table[0].value["What"]] == [FLOOR]
    assert "one value was changed by approved requests" in texts(after)


def test_a_search_finds_values_of_every_group_or_says_that_there_is_none(demo_home, open_page):
    test = open_page(demo_home, "settings", "developer", tab="thresholds")
    assert "Over it, nothing was changed by a request" in texts(test)
    folded = [e.label for e in test.expander]
    assert "Drift, accuracy, retraining: 6 values" in folded
    assert "Costs of a mistake: 2 values" in folded
    next(t for t in test.text_input if t.label == "Find a value").set_value("RETRAINING due").run()
    assert test.table[0].value["Group"].tolist() == ["Drift, accuracy, retraining"] * 2
    assert list(values(test)) == ["A retraining is due after"]
    next(t for t in test.text_input if t.label == "Find a value").set_value("nothing of *that* name").run()
    assert not test.table
    assert "No value has “nothing of *that* name”" in texts(test).replace("\\", "")


def test_several_values_and_a_gate_that_asks_for_nothing_are_one_request(demo_home, open_page):
    test = open_page(demo_home, "settings", "devops", tab="thresholds")
    test.multiselect[0].set_value(["production", "retrain_days"]).run()
    next(n for n in test.number_input if n.label.startswith("A retraining")).set_value(14)
    test.checkbox[0].check()
    test.text_area[0].input("Too strict")
    button(test, "Ask for approval").click().run()
    assert proposals.get_request(demo_home, 1).changes == {
        "production": {"from": 0.8, "to": None}, "retrain_days": {"from": 30, "to": 14},
    }  # fmt: skip


def test_a_link_for_one_setting_puts_its_form_first(demo_home, open_page):
    test = open_page(demo_home, "settings", "scientist", tab="thresholds", propose="write_back")
    assert test.multiselect[0].value == ["write_back"]
    assert test.header[0].value == "Propose a change"
    assert next(s for s in test.selectbox if s.label == limits.SETTINGS["write_back"].title).value == 1
    plain = open_page(demo_home, "settings", "scientist", tab="thresholds")
    assert plain.multiselect[0].value == []
    assert plain.header[-1].value == "Propose a change"
    assert not open_page(demo_home, "settings", "scientist", tab="thresholds", propose="no_such").exception


def test_who_decides_on_writing_back_reads_where_to(demo_home, open_page):
    ask(demo_home, write_back=1)
    assert "The project names no table to write to yet" in texts(open_page(demo_home, "approvals", "director"))
    write = {"connection": "hr_write", "table": "t2"}
    joins.set_join(demo_home, SCIENTIST, HEART, "database", {"connection": "hr", "shape": "table", "table": "t", "write": write}, check=dict)
    said = texts(open_page(demo_home, "approvals", "director")).replace("\\", "")
    assert "They go to table t2 of the database that this installation calls hr_write: for each prediction one row" in said
    assert "Nothing was scored from the project's source yet" in said
    assert "If it is approved: from the next scoring of the source on, predictions are written there." in said.replace("**", "")
    assert "If it is rejected: everything stays as it is, and scientist is told with your reason." in said.replace("**", "")


def test_who_decides_on_a_plan_reads_what_falls_away_and_how_often_it_would_count(demo_home, open_page):
    name = "plan:data_drift/any/high"
    proposals.propose(demo_home, SCIENTIST, HEART, {name: "log, scale"}, reason="We look ourselves", now=utc_now())
    said = texts(open_page(demo_home, "approvals", "director")).replace("\\", "")
    gone = "tell people; collect diagnostics; validate data; make a report; retrain (asks first)"
    assert f"No longer in it: {gone}. New in it: raise the workers' limit." in said
    assert "0 such incidents in the last 30 days." in said


def test_an_impossible_value_is_refused_in_a_sentence_and_nothing_is_asked(demo_home, open_page):
    test = propose(open_page(demo_home, "settings", "scientist", tab="thresholds"), drift_warning=0.9)
    assert "must stay below “Drift score: drift”" in test.error[0].value.replace("\\", "")
    assert proposals.list_requests(demo_home) == []


@pytest.mark.parametrize("name", ["director", "developer", "admin"])
def test_who_may_not_propose_reads_who_may(demo_home, open_page, name):
    test = open_page(demo_home, "settings", name, tab="thresholds")
    assert not test.multiselect
    assert "Proposing a change is for Data scientist and DevOps" in test.info[0].value


def test_a_waiting_request_is_on_home_and_in_the_badge_of_who_decides(demo_home, open_page):
    ask(demo_home, accuracy_floor=0.8)
    home = texts(open_page(demo_home, "home", "director")).replace("\\", "")
    assert "scientist asks to change a value of Heart disease, “Accuracy in use”." in home
    assert "Nothing waits for you" not in home
    mine = texts(open_page(demo_home, "home", "scientist")).replace("\\", "")
    assert "Your request to change a value of Heart disease, “Accuracy in use” waits for a decision." in mine


def test_a_link_opens_one_request_whatever_its_state(demo_home, open_page):
    number = ask(demo_home, accuracy_floor=0.8)
    proposals.decide(demo_home, Actor("director"), number, "rejected", reason="Not <now>")
    test = open_page(demo_home, "approvals", "developer", settings=str(number))
    assert "**director** rejected it" in texts(test)
    assert r"“Not \<now\>”" in texts(test)
    assert not any(b.label == "Approve" for b in test.button)
    wrong = open_page(demo_home, "approvals", "developer", settings="../1")
    assert "is no request" in wrong.warning[0].value


def test_a_change_of_the_agents_policy_is_shown_and_decided_like_any_other(demo_home, open_page):
    ask(demo_home, agent_high=0.9)
    page = open_page(demo_home, "approvals", "director")
    assert not page.error
    assert "nothing risky runs without an approved request" in texts(page)
    page.text_area[0].input("Agreed")
    button(page, "Approve").click().run()
    assert limits.get_limits(demo_home, HEART).agent.agent_high == 0.9


def test_who_asked_may_withdraw_and_does_not_decide(demo_home, open_page):
    number = ask(demo_home, accuracy_floor=0.8)
    test = open_page(demo_home, "approvals", "scientist")
    assert not any(b.label == "Approve" for b in test.button)
    button(test, "Withdraw").click().run()
    assert proposals.get_request(demo_home, number).state == "withdrawn"
    assert test.tabs[2].label == "Decided and expired (1)"


def test_an_expired_request_is_among_those_that_are_over(demo_home, open_page):
    proposals.propose(demo_home, SCIENTIST, HEART, {"drift": 0.8}, reason="Old", now=utc_now() - timedelta(hours=25))
    test = open_page(demo_home, "approvals", "director")
    assert [t.label for t in test.tabs] == ["Waiting (0)", "To deploy (0)", "Decided and expired (1)"]
    assert next(d.value for d in test.dataframe if "Outcome" in d.value.columns)["Outcome"].tolist() == ["– Expired"]


def test_who_decides_a_gate_reads_where_the_live_version_stands(trained_home, open_page):
    ask(trained_home, production=0.9)
    from core import deployment

    mean = deployment.find_live(trained_home, HEART).summary["cv"]["f1"]["mean"]
    test = open_page(trained_home, "approvals", "director")
    said = f"The live version 1.0.0 reached {mean:.3f} in cross-validation. That breaks the limit only after the change."
    assert said in texts(test).replace("\\", "")
    assert changes(test) == [{"What": "For production: mean F1 in cross-validation", "Before": "at least 0.8", "After": "at least 0.9"}]


def test_who_decides_a_threshold_reads_what_was_measured_last_and_on_which_side_it_is(demo_home):
    findings = [
        Finding("drift", "Drift", "warning", "Column age has drifted (0.60).", value=0.6),
        Finding("accuracy", "Accuracy in use", "ok", "95% were right.", value=0.95),
        Finding("latency", "Time to answer", "unknown", "3 requests in 60 minutes; 20 are needed to say."),
    ]
    now = utc_now()
    answer = {"findings": [asdict(f) for f in findings]}
    with writing(demo_home.db) as db:
        insert_watch(db, project=HEART, kind="drift", at=stamp(now), next_at=stamp(now), answer=answer)
    changes = {
        "drift": {"from": 0.7, "to": 0.5}, "drift_warning": {"from": 0.5, "to": 0.65}, "accuracy_floor": {"from": 0.7, "to": 0.8},
        "latency_warning_ms": {"from": 2000, "to": 1000}, "zscore": {"from": 3, "to": 4},
    }  # fmt: skip
    assert say_measured(demo_home, HEART, changes, now=now) == {
        "drift": "Column age has drifted (0.60). That breaks the limit only after the change.",
        "drift_warning": "Column age has drifted (0.60). That breaks the limit only before the change.",
        "accuracy_floor": "95% were right. That keeps the limit before and after the change.",
        "latency_warning_ms": "3 requests in 60 minutes; 20 are needed to say.",
    }
