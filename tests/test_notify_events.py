"""Which acts are told, to whom, and that a message comes and goes with its act."""

from datetime import UTC, datetime, timedelta

import pytest

from core import accounts, approvals, audit, deployment, roles
from core.acts import Actor
from core.errors import BadInput, Refused
from core.jobs import jobs, worker
from core.monitoring import alerts
from core.notify import channels, events, outbox
from core.projects import proposals
from core.registry import versions as registry
from core.training import runs
from storage import jobs as jobs_store
from storage.connection import writing

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SCIENTIST, DIRECTOR, DEVOPS, ADMIN = (Actor(n) for n in ("scientist", "director", "devops", "admin"))
HEART = "heart_disease"


def told(home, event, channel="mail"):
    """Recipients and messages of an event, oldest first."""
    return [(d.recipient, d) for d in reversed(outbox.list_deliveries(home, event=event, channel=channel))]


def names(home, event):
    return [name for name, _ in told(home, event)]


def request_second(home):
    forest = next(c for c in runs.list_candidates(home, 1) if c.name == "random_forest")
    registry.register(home, SCIENTIST, forest.id, version="1.1.0")
    return approvals.request_release(home, SCIENTIST, HEART, "1.1.0", reason="It knows more", now=NOW)["id"]


def test_a_release_is_told_from_the_request_to_the_rollback(trained_home):
    home = trained_home
    with writing(home.db) as db:
        db.execute("DELETE FROM deliveries")
    number = request_second(home)
    ((_, filed),) = told(home, "request_filed")
    assert (filed.recipient, filed.state, filed.project) == ("director", "queued", HEART)  # only who may decide
    assert filed.message["link"] == f"/approvals?request={number}&project={HEART}"
    assert (filed.message["facts"]["Asked for by"], filed.message["facts"]["Reason"]) == ("scientist", "It knows more")
    assert filed.message["facts"]["Waits until"] == "2026-11-22 12:00 UTC"
    event = audit.search(home, action="request_release")[0][0]
    assert filed.correlation_id == event["correlation_id"]

    approvals.approve(home, DIRECTOR, number, reason="Good", despite_gates=True, now=NOW)
    assert names(home, "request_decided") == ["devops", "scientist"]  # who deploys, and who asked
    deployment.deploy(home, DEVOPS, HEART, "1.1.0", now=NOW)
    assert names(home, "deployed") == ["devops", "director", "scientist"]
    assert told(home, "deployed")[0][1].message["facts"]["Live before"] == "1.0.0"
    assert [c for c, _ in ((d.channel, d) for d in outbox.list_deliveries(home, event="deployed"))] == [
        "webhook", "slack", "mail", "mail", "mail",
    ]  # fmt: skip
    deployment.rollback(home, DEVOPS, HEART, reason="Too slow", now=NOW)
    assert told(home, "rolled_back")[0][1].message["facts"]["Reason"] == "Too slow"
    deployment.undeploy(home, DEVOPS, HEART, now=NOW)
    assert names(home, "undeployed") == ["devops", "director", "scientist"]


def test_a_request_that_nobody_answered_is_told_to_who_asked_and_to_who_should_have_answered(trained_home):
    number = request_second(trained_home)
    change = proposals.propose(trained_home, SCIENTIST, HEART, {"accuracy_floor": 0.8}, reason="better", now=NOW)["id"]
    assert [d.subject for _, d in told(trained_home, "request_filed")][-1] == f"settings request {change}"
    approvals.note_expired(trained_home, now=NOW + timedelta(hours=25))
    proposals.note_expired(trained_home, now=NOW + timedelta(hours=25))
    found = told(trained_home, "request_expired")
    assert [(n, d.subject.split(":")[0]) for n, d in found] == [
        ("director", f"request {number}"), ("scientist", f"request {number}"),
        ("director", f"settings request {change} has expired"), ("scientist", f"settings request {change} has expired"),
    ]  # fmt: skip


def test_a_refused_act_is_told_to_nobody(trained_home):
    before = len(outbox.list_deliveries(trained_home))
    with pytest.raises(Refused):
        deployment.deploy(trained_home, SCIENTIST, HEART, "1.0.0", now=NOW)
    with pytest.raises(Refused):
        approvals.request_release(trained_home, SCIENTIST, HEART, "1.0.0", reason="again", now=NOW)
    assert len(outbox.list_deliveries(trained_home)) == before


def test_an_act_repeated_with_its_key_is_told_once(demo_home):
    for _ in range(2):
        accounts.change_role(demo_home, ADMIN, "developer", roles.DEVOPS, key="k1", now=NOW)
    assert names(demo_home, "role_changed") == ["admin", "director"]


def test_a_changed_role_is_told_to_every_admin_and_drh_manager_whatever_was_chosen(demo_home):
    accounts.add_account(demo_home, ADMIN, "eva", roles.DRH, now=NOW)
    accounts.add_account(demo_home, ADMIN, "gone", roles.ADMIN, now=NOW)
    accounts.close_account(demo_home, ADMIN, "gone", now=NOW)
    with pytest.raises(Refused, match="always told to Administrator, DRH manager"):
        channels.choose(demo_home, ADMIN, "mail", "role_changed", [roles.DEVOPS], now=NOW)
    channels.choose(demo_home, ADMIN, "mail", "role_changed", [roles.ADMIN, roles.DRH, roles.DEVOPS], now=NOW)
    accounts.change_role(demo_home, ADMIN, "developer", roles.SCIENTIST, reason="Moved", now=NOW)
    found = told(demo_home, "role_changed")
    assert [n for n, _ in found] == ["admin", "devops", "director", "eva"]
    assert found[0][1].message["facts"] == {"Before": "Developer", "Now": "Data scientist", "By": "admin", "Reason": "Moved"}


def test_a_stored_choice_never_takes_away_who_is_always_told():
    chosen = {"wants": {"role_changed": [], "deployed": [], "request_filed": ["devops"]}}
    assert events.who_wants("mail", "role_changed", chosen) == {roles.ADMIN, roles.DRH}
    assert events.who_wants("mail", "deployed", chosen) == frozenset()
    assert events.who_wants("mail", "request_filed", chosen) == {roles.DEVOPS}
    assert [events.who_wants("slack", e, {"wants": {"deployed": []}}) for e in ("deployed", "rolled_back")] == [frozenset(), {"slack"}]


def test_a_critical_alert_is_told_once_and_a_warning_when_it_turns_worse(demo_home):
    def alert(severity, kind="latency", **more):
        alerts.raise_alert(demo_home, HEART, kind, severity=severity, sentence="It is slow.", value=5100.0, threshold=5000.0, unit="ms",
                           now=NOW, **more)  # fmt: skip

    alert("warning")
    assert told(demo_home, "alert_opened") == []
    alert("critical")
    alert("critical")
    assert names(demo_home, "alert_opened") == ["devops", "scientist"]
    facts = told(demo_home, "alert_opened")[0][1].message["facts"]
    assert (facts["What"], facts["Measured"], facts["Limit"]) == ("It is slow.", "5100 ms", "5000 ms")
    alert("warning", "drift")
    assert names(demo_home, "drift_found") == ["devops", "scientist"]


def test_a_failed_training_is_told_but_not_a_file_that_could_not_be_scored(demo_home):
    job = runs.start_training(demo_home, SCIENTIST, HEART, candidates=[("dummy", {})], now=NOW)["id"]
    with writing(demo_home.db) as db:
        jobs_store.mark_running(db, job, pid=1, at="2026-11-21T11:00:00.000Z")
    assert jobs.note_dead(demo_home, now=NOW) == [job]
    assert names(demo_home, "job_failed") == ["devops", "scientist"]
    assert told(demo_home, "job_failed")[0][1].message["link"] == f"/training?job={job}&project={HEART}"
    with writing(demo_home.db) as db:
        jobs.tell_failed(db, {**jobs_store.find_job(db, job), "kind": "score"}, "bad file", now=NOW)
    assert len(told(demo_home, "job_failed")) == 2


def test_a_job_that_ends_by_an_error_is_told_by_its_worker(demo_home):
    job = runs.start_training(demo_home, SCIENTIST, HEART, candidates=[("dummy", {})], now=NOW)["id"]
    with writing(demo_home.db) as db:
        db.execute("UPDATE jobs SET params = json_set(params, '$.dataset_id', 999) WHERE id = ?", (job,))
    assert worker.run(demo_home, job) == 1
    assert names(demo_home, "job_failed") == ["devops", "scientist"]


def test_nothing_is_told_when_the_transaction_does_not_come_about(demo_home):
    def fail_after_telling():
        with writing(demo_home.db) as db:
            events.tell(db, "deployed", project=HEART, subject="version 1", now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_telling()
    assert outbox.list_deliveries(demo_home) == []


def test_roles_choose_what_they_hear_and_a_channel_that_is_off_hears_nothing(demo_home):
    channels.choose(demo_home, ADMIN, "mail", "deployed", [roles.DEVELOPER], now=NOW)
    channels.choose(demo_home, ADMIN, "slack", "deployed", False, now=NOW)
    channels.switch_channel(demo_home, ADMIN, "webhook", False, reason="Not ready", now=NOW)
    events.tell(demo_home, "deployed", project=HEART, subject="version 1", now=NOW)
    assert [(d.channel, d.recipient) for d in outbox.list_deliveries(demo_home)] == [("mail", "developer")]
    changed = audit.search(demo_home, action="choose_recipients")[0]
    assert [(e["before"], e["after"]) for e in reversed(changed)] == [
        ({"deployed": ["data_scientist", "devops", "drh_manager"]}, {"deployed": ["developer"]}), ({"deployed": ["slack"]}, {"deployed": []}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pigeon", "deployed", True), "no channel 'pigeon'"),
        (("mail", "birthday", ["devops"]), "no event 'birthday'"),
        (("mail", "deployed", ["boss"]), "'boss' is no role"),
        (("mail", "deployed", True), "Mail is sent to roles"),
        (("slack", "deployed", ["devops"]), "Mail is sent to roles"),
    ],
)
def test_a_choice_that_cannot_be_says_why(demo_home, arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        channels.choose(demo_home, ADMIN, *arguments, now=NOW)


def test_a_message_holds_text_on_one_line_and_links_to_the_console_alone(demo_home):
    nasty = "a\nb\r\x00\u202e" + "x" * 5000
    events.tell(demo_home, "deployed", project=HEART, subject=nasty, facts={nasty: nasty, "none": None}, link="/registry", now=NOW)
    message = outbox.list_deliveries(demo_home, channel="slack")[0].message
    texts = [message["subject"], *message["facts"], *message["facts"].values()]
    assert len(message["facts"]) == 1
    for text in texts:
        assert text.startswith("a b �")
        assert len(text) == 1000
        assert text.isprintable()
    assert message["link"] == "/registry?project=heart_disease"
    for link in ("https://evil.example", "//evil.example", "registry"):
        with pytest.raises(BadInput, match="path of the console"):
            events.tell(demo_home, "deployed", subject="x", link=link, now=NOW)
    with pytest.raises(BadInput, match="no event 'birthday'"):
        events.tell(demo_home, "birthday", subject="x", now=NOW)


def test_the_address_of_an_account_is_its_own_affair_or_an_administrators_and_is_masked_in_the_audit(demo_home):
    accounts.set_email(demo_home, DIRECTOR, "director", " dora@example.org ", now=NOW)
    accounts.set_email(demo_home, ADMIN, "devops", "olaf@example.org", reason="New", now=NOW)
    assert [accounts.find_account(demo_home, n).email for n in ("director", "devops", "developer")] == [
        "dora@example.org", "olaf@example.org", "",
    ]  # fmt: skip
    for who, whose in ((SCIENTIST, "director"), (DIRECTOR, "admin")):
        with pytest.raises(Refused, match="may not manage accounts"):
            accounts.set_email(demo_home, who, whose, "evil@example.org", now=NOW)
    accounts.set_email(demo_home, DIRECTOR, "director", "", now=NOW)
    assert accounts.find_account(demo_home, "director").email == ""
    found = [(e["before"], e["after"]) for e in audit.search(demo_home, action="set_email", outcome="done")[0]]
    assert found == [
        ({"email": "d…@example.org"}, {"email": "none"}), ({"email": "none"}, {"email": "o…@example.org"}),
        ({"email": "none"}, {"email": "d…@example.org"}),
    ]  # fmt: skip
    with pytest.raises(BadInput, match="no e-mail address"):
        accounts.set_email(demo_home, DIRECTOR, "director", "dora@example.org\nBcc: x@example.org", now=NOW)
