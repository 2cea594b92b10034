"""The Channels tab of Settings, and where people are mailed, through the real frame."""

from datetime import UTC, datetime

import pytest

from core import accounts, audit, roles
from core.acts import Actor
from core.notify import channels, events, outbox
from core.notify.connections import Connections
from tests.receivers import reply, web_server

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ADMIN = Actor("admin")


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch):
    for name in ("SMTP_HOST", "SLACK_URL", "WEBHOOK_URL", "ALLOW_PRIVATE_TARGETS"):
        monkeypatch.delenv(f"GREENLIGHT_{name}", raising=False)


@pytest.fixture
def web(monkeypatch):
    with web_server() as seen:
        monkeypatch.setenv("GREENLIGHT_WEBHOOK_URL", f"http://127.0.0.1:{seen.port}/planted-7719")
        monkeypatch.setenv("GREENLIGHT_ALLOW_PRIVATE_TARGETS", f"127.0.0.1:{seen.port}")
        yield seen


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption] + [s.value for s in test.success]).replace("\\", "")


def button(test, label, key=""):
    return next(b for b in test.button if b.label == label and key in (b.key or ""))


def table(test, column):
    return next(d.value for d in test.dataframe if column in d.value.columns)


def open_tab(home, open_page, name="admin"):
    return open_page(home, "settings", name, tab="channels")


def test_channels_that_are_not_configured_say_what_is_missing(demo_home, open_page):
    shown = texts(open_tab(demo_home, open_page))
    for name in ("SMTP_HOST", "SLACK_URL", "WEBHOOK_URL"):
        assert f"Not configured: GREENLIGHT_{name} is not set." in shown
    assert "No message was made yet." in shown
    assert shown.count("Last 30 days: no message.") == 3


def test_a_test_is_sent_at_a_click_and_stands_in_the_log(demo_home, open_page, web):
    test = open_tab(demo_home, open_page)
    assert f"Ready], to 127.0.0.1:{web.port}" in texts(test)
    button(test, "Send a test", "test-webhook").click().run()
    assert "The test was sent by Webhook; look whether it arrived." in texts(test)
    assert [p[1]["X-Greenlight-Event"] for p in web.posts] == ["test"]
    row = table(test, "Tries").iloc[0]
    assert (row["State"], row["Message"], row["By"], row["Tries"], row["Why not"]) == ("● Sent", "This is a test", "Webhook", 1, "–")
    assert "Last 30 days: 1 sent." in texts(test)
    assert "planted-7719" not in str(test)
    web.answer = lambda handler: reply(handler, 503)
    button(test, "Send a test", "test-webhook").click().run()
    assert f"The test by Webhook failed: 127.0.0.1:{web.port} answered 503." in test.error[0].value.replace("\\", "")
    web.answer = lambda handler: reply(handler, 200)
    button(test, "Send a test", "test-webhook").click().run()
    assert "The test was sent by Webhook" in texts(test)  # each click is another test
    assert len(web.posts) == 3


def test_a_configured_channel_whose_messages_do_not_arrive_is_not_called_ready(demo_home, open_page, web):
    web.answer = lambda handler: reply(handler, 503)
    test = open_tab(demo_home, open_page)
    button(test, "Send a test", "test-webhook").click().run()
    where = f"127.0.0.1:{web.port}"
    assert f"**Not getting through** to {where}: {where} answered 503." in texts(test)
    assert "Ready], to" not in texts(test)
    web.answer = lambda handler: reply(handler, 200)
    button(test, "Send a test", "test-webhook").click().run()
    assert f"Ready], to {where}" in texts(test)
    assert "Not getting through" not in texts(test)


def test_a_test_by_mail_needs_an_address_of_ones_own(demo_home, open_page, monkeypatch):
    monkeypatch.setenv("GREENLIGHT_SMTP_HOST", "mail.example")
    monkeypatch.setenv("GREENLIGHT_SMTP_FROM", "greenlight@example.org")
    test = open_tab(demo_home, open_page)
    button(test, "Send a test", "test-mail").click().run()
    assert "admin has no e-mail address" in test.error[0].value.replace("\\", "")


def test_who_hears_of_an_event_is_changed_as_an_act(demo_home, open_page):
    test = open_tab(demo_home, open_page)
    shown = table(test, "Event").set_index("Event")
    assert shown.loc["A version went live", "E-mail"] == "Data scientist, DRH manager, DevOps"
    assert shown.loc["A version went live", "Slack"] == "yes"
    next(s for s in test.selectbox if s.label == "Event").set_value("deployed").run()
    next(m for m in test.multiselect if m.label == "Roles").set_value([roles.DEVELOPER])
    button(test, "Save").click().run()
    assert table(test, "Event").set_index("Event").loc["A version went live", "E-mail"] == "Developer"
    next(s for s in test.selectbox if s.label == "By").set_value("slack").run()
    next(c for c in test.checkbox if c.label == "Tell it").uncheck()
    button(test, "Save").click().run()
    assert table(test, "Event").set_index("Event").loc["A version went live", "Slack"] == "–"
    assert [c.wants["deployed"] for c in channels.list_channels(demo_home, Connections())][:2] == [{roles.DEVELOPER}, frozenset()]
    assert [e["actor"] for e in audit.search(demo_home, action="choose_recipients")[0]] == ["admin", "admin"]


def test_a_channel_is_switched_off_with_a_reason_and_on_again(demo_home, open_page):
    test = open_tab(demo_home, open_page)
    form = next(b for b in test.button if b.label == "Switch off" and "slack" in b.proto.form_id)
    next(t for t in test.text_area if "slack" in t.key).input("Too loud")
    form.click().run()
    assert "Slack: on before, off now." in texts(test)
    assert channels.list_channels(demo_home, Connections())[1].active is False
    assert audit.search(demo_home, action="switch_channel")[0][0]["reason"] == "Too loud"
    assert any(b.label == "Switch on" for b in test.button)


def test_what_failed_is_sent_again_at_a_click(demo_home, open_page, web):
    events.tell(demo_home, "deployed", project="heart_disease", subject="version 1.1.0", now=NOW)
    outbox.send_due(demo_home, now=NOW, connections=Connections())
    test = open_tab(demo_home, open_page)
    state = next(g for g in test.button_group if g.key == "delivery-state")
    state.set_value("skipped").run()
    assert set(table(test, "Tries")["State"]) == {"– Skipped"}
    number = next(d.id for d in outbox.list_deliveries(demo_home, channel="webhook"))
    next(s for s in test.selectbox if s.label == "Send again").set_value(number).run()
    button(test, "Send again").click().run()
    assert f"Delivery {number}: skipped before, waiting now" in texts(test)
    assert outbox.get_delivery(demo_home, number).state == "queued"


def test_the_secret_of_the_webhook_is_shown_once_and_audited(demo_home, open_page):
    test = open_tab(demo_home, open_page)
    button(test, "Show its secret").click().run()
    assert test.code[0].value == channels.show_secret(demo_home, ADMIN)
    assert audit.search(demo_home, action="show_channel_secret")[1] == 2


@pytest.mark.parametrize("name", ["scientist", "director", "devops", "developer"])
def test_channels_are_for_the_administrator_alone_and_others_are_told_whom_to_ask(demo_home, open_page, name):
    test = open_tab(demo_home, open_page, name)
    assert "Looking after channels is for Administrator" in test.info[0].value
    assert "Ask admin (Administrator)." in texts(test)
    assert not any(b.label in ("Send a test", "Save", "Send again") for b in test.button)


def test_names_are_shown_as_text_in_the_log_of_deliveries(demo_home, open_page):
    nasty = "<script>alert(1)</script> [click](https://evil.example) :red[x]"
    events.tell(demo_home, "job_failed", project="heart_disease", subject=nasty, facts={"Error": nasty}, now=NOW)
    outbox.send_due(demo_home, now=NOW, connections=Connections())
    test = open_tab(demo_home, open_page)
    assert not test.exception
    assert table(test, "Tries")["About"].iloc[0] == nasty  # a cell of a table is text
    assert nasty not in "\n".join(m.value for m in test.markdown)


def test_people_say_themselves_where_they_are_mailed(demo_home, open_page):
    test = open_page(demo_home, "settings", "director", tab="account")
    next(t for t in test.text_input if t.label == "E-mail address").input("dora@example.org")
    button(test, "Save").click().run()
    assert accounts.find_account(demo_home, "director").email == "dora@example.org"
    assert "You are mailed at d…@example.org." in texts(test)
    next(t for t in test.text_input if t.label == "E-mail address").input("nonsense")
    button(test, "Save").click().run()
    assert "no e-mail address" in test.error[0].value.replace("\\", "")
    assert accounts.find_account(demo_home, "director").email == "dora@example.org"


def test_an_administrator_says_where_somebody_is_mailed(demo_home, open_page):
    test = open_page(demo_home, "settings", "admin", tab="accounts")
    next(s for s in test.selectbox if s.label == "Account").set_value("devops").run()
    next(s for s in test.selectbox if s.label == "What to do").set_value("email").run()
    next(t for t in test.text_input if t.label == "E-mail address").input("olaf@example.org").run()
    test.text_area[0].input("New colleague")
    next(b for b in test.button if b.proto.form_id.startswith("change-devops")).click().run()
    assert accounts.find_account(demo_home, "devops").email == "olaf@example.org"
    shown = table(test, "Role").set_index("Account")
    assert (shown.loc["devops", "E-mail"], shown.loc["scientist", "E-mail"]) == ("olaf@example.org", "none")
