"""What becomes of messages: sent, tried again, failed, skipped, sent anew; by real servers on loopback."""

import email
import email.policy
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import accounts, audit, clock, logs
from core.acts import Actor
from core.cli.app import main
from core.errors import NotFound, Refused
from core.monitoring import alerts
from core.monitoring.health import check_health
from core.notify import channels, events, outbox
from core.notify.connections import Connections, read_connections
from core.reports.make import make_report, send_report
from core.reports.reports import read_report
from storage.connection import reading, writing
from tests.receivers import PASSWORD, USER, mail_server, make_authority, reply, web_server
from tests.test_security_secrets import places_of

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ADMIN = Actor("admin")
NOTHING = Connections()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"))


def connected(mail=None, web=None, authority=None):
    return Connections(
        smtp_host="localhost" if mail else "", smtp_port=mail.port if mail else 587, smtp_user=USER, smtp_password=PASSWORD,
        smtp_from="greenlight@example.org", slack_url=f"http://127.0.0.1:{web.port}/slack/planted-slack-8812" if web else "",
        webhook_url=f"http://127.0.0.1:{web.port}/hook?token=planted-hook-8812" if web else "",
        ca_file=authority.file if authority else "",
        allowed=frozenset({*([("localhost", mail.port)] if mail else []), *([("127.0.0.1", web.port)] if web else [])}),
        console_url="https://gl.example",
    )  # fmt: skip


def tell(home, event="deployed", **more):
    return events.tell(home, event, project="heart_disease", subject="version 1.1.0", link="/registry", correlation_id="c0ffee", now=NOW, **more)


def only(home, channel):
    """Nothing but this channel hears of anything."""
    for name in {"slack", "webhook", "mail"} - {channel}:
        channels.switch_channel(home, ADMIN, name, False, reason="test", now=NOW)


def states(home):
    return {(d.channel, d.recipient): (d.state, d.attempts) for d in outbox.list_deliveries(home)}


def after(**time):
    return NOW + timedelta(**time)


def test_one_event_reaches_everybody_who_wants_it_by_every_channel(demo_home, authority):
    for name in ("scientist", "director"):
        accounts.set_email(demo_home, Actor(name), name, f"{name}@example.org", now=NOW)
    tell(demo_home)
    with mail_server(authority) as mail, web_server() as web:
        own = connected(mail, web, authority)
        done = outbox.send_due(demo_home, now=NOW, connections=own)
        assert outbox.send_due(demo_home, now=NOW, connections=own) == []  # nothing twice
    assert len(done) == 5
    assert states(demo_home) == {
        ("mail", "devops"): ("skipped", 1), ("mail", "director"): ("sent", 1), ("mail", "scientist"): ("sent", 1),
        ("slack", ""): ("sent", 1), ("webhook", ""): ("sent", 1),
    }  # fmt: skip
    assert [m[1] for m in mail.mails] == [["director@example.org"], ["scientist@example.org"]]
    assert [p[0].split("/")[1][:4] for p in web.posts] == ["slac", "hook"]
    said = json.loads(web.posts[1][2])
    assert (said["link"], said["correlation_id"]) == ("https://gl.example/registry?project=heart_disease", "c0ffee")
    count, head = said["audit"].values()
    assert audit.get_event(demo_home, count)["hash"] == head
    skipped = next(d for d in done if d.recipient == "devops")
    assert skipped.error == "devops has no e-mail address; it is set under Settings."


def test_channels_that_are_not_configured_are_skipped_and_counted(demo_home):
    tell(demo_home)
    done = outbox.send_due(demo_home, now=NOW, connections=NOTHING)
    assert {(d.channel, d.state, d.error) for d in done} == {
        ("mail", "skipped", "Not configured: GREENLIGHT_SMTP_HOST is not set."),
        ("slack", "skipped", "Not configured: GREENLIGHT_SLACK_URL is not set."),
        ("webhook", "skipped", "Not configured: GREENLIGHT_WEBHOOK_URL is not set."),
    }
    assert outbox.count_states(demo_home, now=NOW) == {"mail": {"skipped": 3}, "slack": {"skipped": 1}, "webhook": {"skipped": 1}}


def test_a_message_is_tried_after_1_5_30_and_120_minutes_and_has_then_failed(demo_home):
    only(demo_home, "webhook")
    (number,) = tell(demo_home)
    moment, waited = NOW, []
    with web_server() as web:
        web.answer = lambda handler: reply(handler, 503)
        own = connected(web=web)
        for tries in range(1, 6):
            assert outbox.send_due(demo_home, now=moment - timedelta(seconds=1), connections=own) == []
            (found,) = outbox.send_due(demo_home, now=moment, connections=own)
            assert (found.attempts, found.error) == (tries, f"127.0.0.1:{web.port} answered 503.")
            if found.state == "queued":
                fresh = datetime.fromisoformat(found.next_at)
                waited.append((fresh - moment).total_seconds() / 60)
                moment = fresh
        assert waited == [1, 5, 30, 120]
        assert (found.state, found.next_at) == ("failed", None)
        assert outbox.send_due(demo_home, now=after(days=30), connections=own) == []
        assert len(web.posts) == 5
        assert {p[1]["X-Greenlight-Delivery"] for p in web.posts} == {str(number)}

        web.answer = lambda handler: reply(handler, 200)
        result = outbox.redeliver(demo_home, ADMIN, number, reason="It is up again", key="again", now=after(days=30))
        assert result == outbox.redeliver(demo_home, ADMIN, number, key="again", now=after(days=30))
        (found,) = outbox.send_due(demo_home, now=after(days=30), connections=own)
        assert (found.state, found.attempts, found.error) == ("sent", 1, "")
    with pytest.raises(Refused, match="was sent already"):
        outbox.redeliver(demo_home, ADMIN, number, now=after(days=31))
    with pytest.raises(NotFound):
        outbox.redeliver(demo_home, ADMIN, 999, now=after(days=31))
    event = audit.search(demo_home, action="redeliver", outcome="done")[0][0]
    assert (event["before"], event["after"], event["reason"]) == ({"state": "failed"}, {"state": "queued"}, "It is up again")


def test_what_will_not_go_better_later_is_not_tried_again(demo_home):
    only(demo_home, "webhook")
    tell(demo_home)
    with web_server() as web:
        web.answer = lambda handler: reply(handler, 404)
        (found,) = outbox.send_due(demo_home, now=NOW, connections=connected(web=web))
    assert (found.state, found.attempts) == ("failed", 1)


def test_a_dead_channel_costs_one_try_a_turn_and_keeps_no_other_from_sending(demo_home):
    with web_server() as web:
        dead = web.port
    for _ in range(4):
        tell(demo_home)
    with web_server() as web:
        own = connected(web=web)
        own = Connections(slack_url=f"http://127.0.0.1:{dead}/", webhook_url=own.webhook_url, allowed=own.allowed | {("127.0.0.1", dead)})
        done = outbox.send_due(demo_home, now=NOW, connections=own)
    by_channel = {c: [(d.state, d.attempts) for d in done if d.channel == c] for c in ("slack", "webhook")}
    assert by_channel == {"slack": [("queued", 1), *[("queued", 0)] * 3], "webhook": [("sent", 1)] * 4}
    assert {d.next_at for d in done if d.channel == "slack"} == {"2026-11-21T12:01:00.000Z"}


def test_a_turn_ends_when_its_time_is_over_and_the_next_goes_on(demo_home):
    only(demo_home, "webhook")
    for _ in range(3):
        tell(demo_home)
    ticks = iter(range(0, 1000, 10))
    with web_server() as web:
        own = connected(web=web)
        assert len(outbox.send_due(demo_home, now=NOW, connections=own, seconds=15, stopwatch=lambda: next(ticks))) == 1
        assert len(outbox.send_due(demo_home, now=NOW, connections=own)) == 2


def test_two_senders_at_once_send_each_message_once(demo_home):
    only(demo_home, "webhook")
    for _ in range(20):
        tell(demo_home)
    with web_server() as web:
        own = connected(web=web)
        threads = [threading.Thread(target=outbox.send_due, args=(demo_home,), kwargs={"now": NOW, "connections": own}) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        ids = [p[1]["X-Greenlight-Delivery"] for p in web.posts]
    assert len(ids) == len(set(ids)) == 20


def test_a_sender_that_was_killed_leaves_its_message_to_be_sent(demo_home):
    only(demo_home, "webhook")
    (number,) = tell(demo_home)
    program = (
        "import os, sys\nfrom datetime import datetime\nfrom core.home import open_home\nfrom core.notify import outbox\n"
        "from core.notify.connections import Connections\n"
        "outbox._send = lambda *a: os.kill(os.getpid(), 9)\n"
        "outbox.send_due(open_home(sys.argv[1]), now=datetime.fromisoformat(sys.argv[2]),"
        " connections=Connections(webhook_url='https://example.com/'))\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(demo_home.root), NOW.isoformat()], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -9
    assert outbox.get_delivery(demo_home, number).state == "sending"
    with web_server() as web:
        own = connected(web=web)
        assert outbox.send_due(demo_home, now=after(minutes=1), connections=own) == []  # it may still be at it
        (found,) = outbox.send_due(demo_home, now=after(minutes=2), connections=own)
    assert (found.state, found.attempts, len(web.posts)) == ("sent", 2, 1)


def test_what_was_queued_while_the_clock_was_ahead_is_sent_when_it_is_right_again(demo_home):
    only(demo_home, "webhook")
    events.tell(demo_home, "deployed", project="heart_disease", subject="version 1.1.0", now=after(days=300))
    tell(demo_home)
    with web_server() as web:
        sent = outbox.send_due(demo_home, now=NOW, connections=connected(web=web))
    assert [d.state for d in sent] == ["sent", "sent"]


def test_a_flood_is_held_back_but_never_a_request(demo_home):
    only(demo_home, "webhook")
    for number in range(25):
        alerts.raise_alert(demo_home, "heart_disease", "latency", f"part {number}", severity="critical", sentence="Slow.", now=NOW)
    for _ in range(25):
        tell(demo_home, "request_filed")
    with web_server() as web:
        own = connected(web=web)
        outbox.send_due(demo_home, now=NOW, connections=own)
        sent = [p[1]["X-Greenlight-Event"] for p in web.posts]
        assert (sent.count("alert_opened"), sent.count("request_filed")) == (20, 25)
        held = outbox.list_deliveries(demo_home, states=("skipped",))
        assert len(held) == 5
        assert held[0].error.startswith("Held back: 20 messages of this kind")


def test_one_bad_message_keeps_no_other_from_going(demo_home, monkeypatch):
    only(demo_home, "webhook")
    first, second = tell(demo_home) + tell(demo_home)
    with writing(demo_home.db) as db:
        db.execute("UPDATE deliveries SET event = 'gone' WHERE id = ?", (first,))
    with web_server() as web:
        outbox.send_due(demo_home, now=NOW, connections=connected(web=web))
    assert [outbox.get_delivery(demo_home, n).state for n in (first, second)] == ["failed", "sent"]
    assert "KeyError" in outbox.get_delivery(demo_home, first).error


def test_a_test_goes_to_whoever_asks_and_says_what_became_of_it(demo_home, authority):
    accounts.set_email(demo_home, ADMIN, "admin", "admin@example.org", now=NOW)
    with mail_server(authority) as mail, web_server() as web:
        own = connected(mail, web, authority)
        found = outbox.try_channel(demo_home, ADMIN, "mail", connections=own, key="t", now=NOW)
        assert (found.state, found.recipient) == ("sent", "admin")
        assert outbox.try_channel(demo_home, ADMIN, "mail", connections=own, key="t", now=NOW).id == found.id
        assert [m[1] for m in mail.mails] == [["admin@example.org"]]
        web.answer = lambda handler: reply(handler, 503)
        assert outbox.try_channel(demo_home, ADMIN, "slack", connections=own, now=NOW).state == "failed"  # not tried again
    assert outbox.try_channel(demo_home, ADMIN, "webhook", connections=NOTHING, now=NOW).state == "skipped"


def test_no_secret_of_a_channel_is_kept_or_shown(demo_home, authority, monkeypatch, capsys):
    handler = logs.keep_logs(demo_home)
    try:
        with mail_server(authority) as mail, web_server() as web:
            own = connected(mail, web, authority)
            accounts.set_email(demo_home, ADMIN, "admin", "admin@example.org", now=NOW)
            for answer in (200, 302, 404, 503):
                web.answer = lambda handler, answer=answer: reply(handler, answer, Location="/elsewhere")
                for name in ("mail", "slack", "webhook"):
                    outbox.try_channel(demo_home, ADMIN, name, connections=own, now=NOW)
            environment = {
                "HOME": demo_home.root, "SMTP_HOST": "localhost", "SMTP_PORT": mail.port, "SMTP_USER": USER, "SMTP_PASSWORD": PASSWORD,
                "SMTP_FROM": "g@example.org", "SLACK_URL": own.slack_url, "WEBHOOK_URL": own.webhook_url,
                "ALLOW_PRIVATE_TARGETS": f"localhost:{mail.port},127.0.0.1:{web.port}",
            }  # fmt: skip
            for name, value in environment.items():
                monkeypatch.setenv(f"GREENLIGHT_{name}", str(value))
            assert main(["notify", "test", "slack", "--as", "admin"]) == 1
            assert main(["notify", "test", "mail", "--as", "admin"]) == 1  # its certificate is not believed here
            assert main(["notify", "channels", "--json"]) == 0
            assert main(["notify", "list", "--json"]) == 0
        printed = "".join(capsys.readouterr())
        assert f"127.0.0.1:{web.port}" in printed
        shown = printed + repr(own) + str(own) + repr(read_connections()) + str(channels.list_channels(demo_home, own))
        for secret in (PASSWORD, "planted-slack-8812", "planted-hook-8812"):
            assert secret not in shown
            assert places_of(demo_home, secret) == []
    finally:
        handler.close()


def test_the_clock_sends_by_what_the_environment_says(demo_home, authority, monkeypatch):
    accounts.set_email(demo_home, Actor("director"), "director", "director@example.org", now=NOW)
    tell(demo_home, permission="approve_release")
    with mail_server(authority) as mail:
        for name, value in {
            "SMTP_HOST": "localhost", "SMTP_PORT": mail.port, "SMTP_USER": USER, "SMTP_PASSWORD": PASSWORD, "SMTP_FROM": "g@example.org",
            "CA_FILE": authority.file, "ALLOW_PRIVATE_TARGETS": f"localhost:{mail.port}",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"GREENLIGHT_{name}", str(value))
        assert clock.turn(demo_home, now=NOW, steps=clock.SENDING) == []
    assert [m[1] for m in mail.mails] == [["director@example.org"]]


def test_a_report_is_mailed_with_its_pdf(trained_home, authority):
    made = make_report(trained_home, Actor("director"), "weekly", "heart_disease", now=datetime.now(UTC))
    send_report(trained_home, Actor("director"), made["id"], now=datetime.now(UTC))
    accounts.set_email(trained_home, Actor("director"), "director", "director@example.org", now=NOW)
    with mail_server(authority) as mail:
        outbox.send_due(trained_home, now=datetime.now(UTC), connections=connected(mail, None, authority))
    assert [d.state for d in outbox.list_deliveries(trained_home, event="report_made", channel="mail") if d.recipient == "director"] == ["sent"]
    found = [p for m in mail.mails for p in email.message_from_bytes(m[2], policy=email.policy.default).iter_attachments()]
    assert [p.get_filename() for p in found] == [f"report_{made['id']}.pdf"]
    assert found[0].get_content() == read_report(trained_home, made["id"], "pdf")


def test_health_says_when_messages_fail_or_are_not_sent(demo_home):
    def state(now):
        return next((h.state, h.reason) for h in check_health(demo_home, now=now) if h.name == "messages")

    only(demo_home, "webhook")
    assert state(NOW)[0] == "ok"
    (number,) = tell(demo_home)
    assert state(after(minutes=15))[0] == "ok"
    assert state(after(minutes=16)) == ("warning", "1 should have been sent 15 minutes ago; the clock sends them, it runs with the console.")
    with web_server() as web:
        web.answer = lambda handler: reply(handler, 404)
        outbox.send_due(demo_home, now=NOW, connections=connected(web=web))
    assert outbox.get_delivery(demo_home, number).state == "failed"
    assert state(after(hours=24)) == ("warning", "1 of the last 24 hours could not be delivered; Settings, Channels says why.")
    assert state(after(hours=25))[0] == "ok"


def test_old_messages_go_and_those_that_wait_stay(demo_home):
    tell(demo_home)
    outbox.send_due(demo_home, now=NOW, connections=NOTHING)
    with writing(demo_home.db) as db:
        db.execute("UPDATE deliveries SET state = 'queued', next_at = '2028-01-01T00:00:00.000Z' WHERE channel = 'slack'")
    outbox.send_due(demo_home, now=after(days=181), connections=NOTHING)
    assert [d.channel for d in outbox.list_deliveries(demo_home)] == ["slack"]


def test_the_outbox_is_searched_by_an_index(demo_home):
    plan = reading(demo_home.db).execute(
        "EXPLAIN QUERY PLAN SELECT id FROM deliveries WHERE state IN ('queued','sending') AND (next_at <= 'x' OR next_at > 'y') "
        "ORDER BY next_at, id"
    ).fetchall()
    assert "deliveries_by_state" in str([tuple(r) for r in plan])


def test_by_hand_a_message_is_listed_sent_again_and_sent(demo_home, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    only(demo_home, "webhook")
    (number,) = tell(demo_home)
    assert main(["notify", "send"]) == 0
    assert main(["notify", "redeliver", str(number), "--as", "scientist"]) == 1
    assert main(["notify", "redeliver", str(number), "--as", "admin"]) == 0
    with web_server() as web:
        monkeypatch.setenv("GREENLIGHT_WEBHOOK_URL", f"http://127.0.0.1:{web.port}/")
        monkeypatch.setenv("GREENLIGHT_ALLOW_PRIVATE_TARGETS", f"127.0.0.1:{web.port}")
        capsys.readouterr()
        assert main(["notify", "send", "--json"]) == 0
        assert [d["state"] for d in json.loads(capsys.readouterr().out)["deliveries"]] == ["sent"]
    assert main(["notify", "choose", "mail", "deployed", "devops", "--as", "admin"]) == 0
    assert main(["notify", "choose", "slack", "deployed", "no", "--as", "admin"]) == 0
    assert main(["notify", "choose", "slack", "deployed", "perhaps", "--as", "admin"]) == 2
    assert main(["notify", "switch", "mail", "off", "--as", "admin"]) == 1  # it is off
    assert main(["notify", "secret", "--as", "admin"]) == 0
    assert main(["user", "email", "devops", "olaf@example.org", "--as", "devops"]) == 0
    assert "o…@example.org" in capsys.readouterr().out
