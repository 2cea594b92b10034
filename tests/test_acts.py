"""An act: checked, done and audited in one transaction, once per request key."""

import multiprocessing
import threading

import pytest

from core import audit
from core.acts import Actor, Done, perform
from core.errors import BadInput, Refused
from core.home import Home, open_home
from storage import accounts as accounts_store
from storage.connection import reading, writing


@pytest.fixture
def home(tmp_path):
    home = open_home(tmp_path / "var")
    with writing(home.db) as db:
        for name, role in (("ann", "data_scientist"), ("dan", "devops")):
            accounts_store.insert_account(db, name=name, role=role, password_hash=None, demo=False, at="2026-01-01", by="test")
        db.conn.execute("INSERT INTO settings VALUES ('counter', '0')")
    return home


def count_up(tx):
    seen = int(accounts_store.find_setting(tx.db, "counter") or 0)
    accounts_store.set_setting(tx.db, "counter", str(seen + 1))
    return Done({"counter": seen + 1}, before=seen, after=seen + 1, subject="counter")


def counter(home):
    return int(accounts_store.find_setting(reading(home.db), "counter"))


def test_a_done_act_leaves_who_what_when_why_before_and_after(home):
    assert perform(home, Actor("ann", via="cli", os_user="root"), "train", count_up, project="p", reason="because") == {"counter": 1}
    event = audit.search(home)[0][0]
    assert {k: event[k] for k in ("actor", "role", "via", "os_user", "action", "project", "reason", "outcome", "before", "after")} == {
        "actor": "ann", "role": "data_scientist", "via": "cli", "os_user": "root", "action": "train", "project": "p",
        "reason": "because", "outcome": "done", "before": 0, "after": 1,
    }  # fmt: skip


def test_a_forbidden_act_does_nothing_and_is_audited(home):
    with pytest.raises(Refused, match="may not deploy; who may: DevOps"):
        perform(home, Actor("ann"), "deploy", count_up)
    assert counter(home) == 0
    event = audit.search(home)[0][0]
    assert (event["outcome"], event["action"], event["actor"]) == ("refused", "deploy", "ann")


@pytest.mark.parametrize("name", ["nobody", "", "ann; --"])
def test_an_unknown_account_may_nothing(home, name):
    with pytest.raises(Refused, match="no active account"):
        perform(home, Actor(name), "train", count_up)
    assert counter(home) == 0


def test_a_closed_account_may_nothing(home):
    with writing(home.db) as db:
        accounts_store.update_account(db, "ann", active=0)
    with pytest.raises(Refused, match="no active account"):
        perform(home, Actor("ann"), "train", count_up)


def test_work_that_fails_is_rolled_back_and_audited_as_failed(home):
    def work(tx):
        count_up(tx)
        raise ZeroDivisionError("half way")

    with pytest.raises(ZeroDivisionError):
        perform(home, Actor("ann"), "train", work)
    assert counter(home) == 0
    event = audit.search(home)[0][0]
    assert (event["outcome"], event["error"]) == ("failed", "ZeroDivisionError: half way")


def test_work_that_refuses_is_rolled_back_and_audited_with_its_sentence(home):
    def work(tx):
        count_up(tx)
        raise BadInput("The file is empty.")

    with pytest.raises(BadInput):
        perform(home, Actor("ann"), "train", work)
    assert counter(home) == 0
    assert audit.search(home)[0][0]["error"] == "The file is empty."


def test_the_same_request_key_has_one_effect_and_one_answer(home):
    first = perform(home, Actor("ann"), "train", count_up, key="k1")
    assert perform(home, Actor("ann"), "train", count_up, key="k1") == first
    assert counter(home) == 1
    assert audit.search(home)[1] == 1


def test_a_request_key_of_somebody_else_is_refused(home):
    perform(home, Actor("ann"), "train", count_up, key="k1")
    with pytest.raises(Refused, match="request key"):
        perform(home, Actor("dan"), "train", count_up, key="k1")


def test_double_clicks_in_parallel_have_one_effect(home):
    for pair in range(25):
        answers = []

        def click(key=f"pair{pair}", answers=answers):
            answers.append(perform(home, Actor("ann"), "train", count_up, key=key))

        threads = [threading.Thread(target=click) for _ in range(2)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert answers[0] == answers[1]
    assert counter(home) == 25


def _many_acts(root, models, times):
    home = Home(root, models)
    for _ in range(times):
        perform(home, Actor("ann"), "train", count_up)


def test_eight_threads_and_two_processes_write_at_once_without_a_lock_error(home):
    errors = []

    def run():
        try:
            _many_acts(home.root, home.models, 15)
        except Exception as error:
            errors.append(error)

    processes = [multiprocessing.get_context("spawn").Process(target=_many_acts, args=(home.root, home.models, 40)) for _ in range(2)]
    threads = [threading.Thread(target=run) for _ in range(8)]
    [w.start() for w in (*processes, *threads)]
    [w.join() for w in (*threads, *processes)]
    assert errors == []
    assert [p.exitcode for p in processes] == [0, 0]
    assert counter(home) == 8 * 15 + 2 * 40
    verdict = audit.verify(home)
    assert (verdict.intact, verdict.count) == (True, 200)
