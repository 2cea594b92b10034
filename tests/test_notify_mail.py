"""Mail, handed to a real server by SMTP with TLS."""

import email
import email.policy
from datetime import UTC, datetime

import pytest

from core.errors import BadInput
from core.notify.connections import Connections
from core.notify.mail import Mailer, write_mail
from core.notify.mailbox import check_address, mask
from core.notify.messages import find_words
from core.notify.outcome import Failed
from tests.receivers import PASSWORD, USER, mail_server, make_authority
from tests.test_notify_webhook import HEAD, message

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SENDER = "greenlight@example.org"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"))


def connected(server, authority=None, **more):
    values = {
        "smtp_host": "localhost", "smtp_port": server.port, "smtp_user": USER, "smtp_password": PASSWORD, "smtp_from": SENDER,
        "ca_file": authority.file if authority else "", "allowed": frozenset({("localhost", server.port)}), **more,
    }  # fmt: skip
    return Connections(**values)


def a_mail(**changes):
    return write_mail(message(**changes), sender=SENDER, recipient="dora@example.org", now=NOW)


def read(content):
    return email.message_from_bytes(content, policy=email.policy.default)


@pytest.mark.parametrize("tls", [False, True], ids=["starttls", "tls"])
def test_a_mail_arrives_with_text_html_and_the_head_of_the_audit(authority, tls):
    with mail_server(authority, tls=tls) as server, Mailer(connected(server, authority, smtp_security="tls" if tls else "starttls")) as mailer:
        mailer.send(a_mail())
        mailer.send(a_mail())
    assert server.signed_in == [USER]  # one conversation for both
    sender, recipients, content = server.mails[0]
    assert (sender, recipients) == (SENDER, ["dora@example.org"])
    mail = read(content)
    assert mail["Subject"] == "[Greenlight] heart_disease: A decision is wanted (request 17)"
    assert mail["To"] == "dora@example.org"
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    for part in (text, html):
        assert f"head {HEAD}" in part
        assert "https://gl.example/approvals?request=17" in part
        assert "{{7*7}}" in part
    assert "Reason: <!channel>" in text
    assert "<!channel>" not in html
    assert "&lt;!channel&gt;" in html
    assert "http" not in html.replace("https://gl.example/", "").replace("https://evil.example", "")  # nothing is loaded


def test_a_report_goes_along_as_pdf(authority):
    mail = write_mail(message(), sender=SENDER, recipient="dora@example.org", now=NOW, attached=("report_3.pdf", b"%PDF-1.7 x"))
    with mail_server(authority) as server, Mailer(connected(server, authority)) as mailer:
        mailer.send(mail)
    (part,) = read(server.mails[0][2]).iter_attachments()
    assert (part.get_filename(), part.get_content_type(), part.get_content()) == ("report_3.pdf", "application/pdf", b"%PDF-1.7 x")


@pytest.mark.parametrize("name", ["project\r\nBcc: evil@example.org", "a\nb", "x\x00y", "tab\there", "\u2028line", "‮drow", "é" * 300])
def test_nothing_in_a_name_becomes_a_header(authority, name):
    mail = a_mail(project=name, subject=name)
    with mail_server(authority) as server, Mailer(connected(server, authority)) as mailer:
        mailer.send(mail)
    (_, recipients, content), *_ = server.mails
    assert recipients == ["dora@example.org"]
    seen = read(content)
    assert set(seen.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Greenlight-Correlation-Id", "MIME-Version", "Content-Type",
    }  # fmt: skip
    assert "\n" not in seen["Subject"]


def test_an_address_with_a_line_break_cannot_be_written_to():
    for wrong in ("a@example.org\nBcc: b@example.org", "a@example.org\r", "a b@example.org", "a@b", "@example.org", "a@@example.org",
                  "a@example..org", ".a@example.org", "a..b@example.org", "", "a" * 65 + "@example.org", "a@" + "b" * 250 + ".org",
                  "Dora <dora@example.org>", "a@example.org,b@example.org", "dörte@example.org", "a@-example.org"):  # fmt: skip
        with pytest.raises(BadInput, match="is no e-mail address"):
            check_address(wrong)
        with pytest.raises(BadInput):
            write_mail(message(), sender=SENDER, recipient=wrong, now=NOW)
    assert check_address(" dora.o'neil+hr@mail.example.org ") == "dora.o'neil+hr@mail.example.org"
    assert [mask(a) for a in ("dora@example.org", "")] == ["d…@example.org", "none"]


def test_a_server_without_tls_gets_neither_the_password_nor_the_mail():
    with mail_server(None, auth=False) as server, Mailer(connected(server)) as mailer, pytest.raises(Failed, match="no STARTTLS") as failure:
        mailer.send(a_mail())
    assert failure.value.whole
    assert server.mails == []


@pytest.mark.parametrize("tls", [False, True], ids=["starttls", "tls"])
def test_a_server_whose_certificate_is_not_believed_gets_neither_the_password_nor_the_mail(authority, tls):
    security = "tls" if tls else "starttls"
    with mail_server(authority, tls=tls) as server:
        with Mailer(connected(server, smtp_security=security)) as mailer, pytest.raises(Failed, match="certificate is not believed"):
            mailer.send(a_mail())
        assert (server.mails, server.signed_in) == ([], [])
    with mail_server(authority, tls=tls, names=("other.example",)) as server:
        with Mailer(connected(server, authority, smtp_security=security)) as mailer, pytest.raises(Failed, match="certificate is not believed"):
            mailer.send(a_mail())
        assert (server.mails, server.signed_in) == ([], [])


def test_a_wrong_password_is_said_without_being_repeated(authority):
    with mail_server(authority) as server:
        wrong = connected(server, authority, smtp_password="planted-wrong-4471")
        with Mailer(wrong) as mailer, pytest.raises(Failed, match="refused the name or the password") as failure:
            mailer.send(a_mail())
    assert "4471" not in str(failure.value)
    assert failure.value.again
    assert failure.value.whole


@pytest.mark.parametrize(("said", "again"), [("550 no such user here", False), ("451 later please", True)])
def test_a_refused_recipient_keeps_no_other_mail_from_going(authority, said, again):
    with mail_server(authority) as server, Mailer(connected(server, authority)) as mailer:
        server.rcpt = said
        with pytest.raises(Failed, match=f"refused the recipient \\({said}\\)") as failure:
            mailer.send(a_mail())
        assert (failure.value.again, failure.value.whole) == (again, False)
        server.rcpt = "250 known"
        mailer.send(a_mail())
    assert len(server.mails) == 1


@pytest.mark.parametrize(("said", "again"), [("554 it is spam", False), ("452 disk full", True)])
def test_a_refused_mail_says_what_the_server_said(authority, said, again):
    with mail_server(authority) as server, Mailer(connected(server, authority)) as mailer:
        server.answer = said
        with pytest.raises(Failed, match=said) as failure:
            mailer.send(a_mail())
    assert failure.value.again is again


def test_a_mail_server_in_a_private_network_needs_the_allowance(authority):
    with mail_server(authority) as server:
        inner = connected(server, authority, allowed=frozenset())
        with Mailer(inner) as mailer, pytest.raises(Failed, match="GREENLIGHT_ALLOW_PRIVATE_TARGETS"):
            mailer.send(a_mail())
    assert server.signed_in == []


def test_a_dead_mail_server_is_said_to_be_tried_again(authority):
    with mail_server(authority) as server:
        own = connected(server, authority)
    with Mailer(own) as mailer, pytest.raises(Failed, match="does not answer") as failure:
        mailer.send(a_mail())
    assert failure.value.again
    assert failure.value.whole


def test_what_is_missing_is_named():
    assert Connections().why_not("mail") == "Not configured: GREENLIGHT_SMTP_HOST is not set."
    assert Connections(smtp_host="mail.example").why_not("mail") == "Not configured: GREENLIGHT_SMTP_FROM is not set."
    plain = Connections(smtp_host="mail.example", smtp_from=SENDER, smtp_security="none")
    assert "not sent in the clear" in plain.why_not("mail")
    assert Connections(smtp_host="mail.example", smtp_from=SENDER).why_not("mail") == ""
    assert Connections().why_not("slack") == "Not configured: GREENLIGHT_SLACK_URL is not set."


def test_every_event_has_words_and_no_words_are_left_over():
    from core.notify.events import EVENTS
    from core.notify.messages import _read_words

    assert set(_read_words()) == {*EVENTS, "test"}
    assert all(find_words(e).title and find_words(e).lead.endswith(".") and find_words(e).next.endswith(".") for e in EVENTS)
