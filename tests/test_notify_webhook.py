"""Slack and the signed webhook against a real receiver on loopback."""

import json
import socket
import threading
import time
from datetime import UTC, datetime

import pytest

from core.monitoring.webhooks import sign
from core.notify import webhook
from core.notify.connections import Connections
from core.notify.messages import Message, find_words
from core.notify.outcome import Failed
from tests.receivers import drip, make_authority, reply, web_server

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HEAD = "ab" * 32
NASTY = "<!channel> <https://evil.example|click> *bold* & {{7*7}}"


def message(**changes):
    values = {
        "id": 7, "event": "request_filed", "project": "heart_disease", "words": find_words("request_filed"), "subject": "request 17",
        "facts": {"Reason": NASTY}, "link": "https://gl.example/approvals?request=17", "at": "2026-11-21T12:00:00.000Z",
        "correlation_id": "c0ffee", "audit_count": 42, "audit_head": HEAD,
    }  # fmt: skip
    return Message(**{**values, **changes})


def connected(seen, path="/hook", *, scheme="http", ca_file="", host="127.0.0.1"):
    url = f"{scheme}://{host}:{seen.port}{path}"
    return Connections(webhook_url=url, ca_file=ca_file, allowed=frozenset({(host, seen.port)})), url


def test_the_receiver_can_check_who_sent_it_and_that_nothing_was_changed():
    with web_server() as seen:
        own, url = connected(seen, "/in?team=1")
        assert webhook.post(own, url, *webhook.write_signed(message(), "secret", now=NOW)) == 200
    ((path, headers, body),) = seen.posts
    assert path == "/in?team=1"
    assert headers["X-Greenlight-Signature"] == sign("secret", headers["X-Greenlight-Timestamp"], body)
    assert headers["X-Greenlight-Signature"] != sign("secret", headers["X-Greenlight-Timestamp"], body.replace(b"17", b"18"))
    assert (headers["X-Greenlight-Delivery"], headers["X-Greenlight-Timestamp"]) == ("7", str(int(NOW.timestamp())))
    said = json.loads(body)
    assert said["facts"] == {"Reason": NASTY}
    assert said["audit"] == {"count": 42, "head": HEAD}


def test_slack_is_told_in_plain_text_so_that_no_name_calls_anybody():
    body, headers = webhook.write_slack(message(subject=NASTY))
    said = json.loads(body)
    texts = [b["text"] for b in said["blocks"] if "text" in b] + said["blocks"][-1]["elements"]
    assert {t["type"] for t in texts} == {"plain_text"}
    assert NASTY in texts[0]["text"]
    assert "<!channel>" not in said["text"]
    assert "&lt;!channel&gt;" in said["text"]
    assert HEAD in texts[-1]["text"]
    assert headers == {"Content-Type": "application/json"}


def test_a_redirect_is_not_followed():
    with web_server() as inner, web_server() as seen:
        seen.answer = lambda handler: reply(handler, 302, Location=f"http://127.0.0.1:{inner.port}/")
        own, url = connected(seen)
        with pytest.raises(Failed, match=r"redirect \(302\), which is not followed") as failure:
            webhook.post(own, url, b"{}", {})
        assert inner.posts == []
        assert not failure.value.again


@pytest.mark.parametrize(("status", "again"), [(400, False), (404, False), (410, False), (408, True), (429, True), (500, True), (503, True)])
def test_what_may_be_answered_otherwise_later_is_told_from_what_will_not(status, again):
    with web_server() as seen:
        seen.answer = lambda handler: reply(handler, status)
        own, url = connected(seen)
        with pytest.raises(Failed, match=f"answered {status}") as failure:
            webhook.post(own, url, b"{}", {})
        assert failure.value.again is again


def test_an_answer_that_drips_for_ever_ends_with_the_time_limit():
    with web_server() as seen:
        seen.answer = drip
        own, url = connected(seen)
        begun = time.monotonic()
        with pytest.raises(Failed, match=r"did not answer within 0\.5 seconds") as failure:
            webhook.post(own, url, b"{}", {}, seconds=0.5)
        assert time.monotonic() - begun < 2
        assert failure.value.again


def test_a_receiver_that_takes_the_connection_and_says_nothing_ends_with_the_time_limit():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        own = Connections(allowed=frozenset({("127.0.0.1", port)}))
        begun = time.monotonic()
        with pytest.raises(Failed, match="did not answer"):
            webhook.post(own, f"http://127.0.0.1:{port}/", b"{}", {}, seconds=0.5)
        assert time.monotonic() - begun < 2


def test_of_a_large_answer_only_a_little_is_read():
    left_alone = threading.Event()

    def answer(handler):
        try:
            reply(handler, 200, b"x" * 50_000_000)
        except OSError:
            left_alone.set()

    with web_server() as seen:
        seen.answer = answer
        own, url = connected(seen)
        assert webhook.post(own, url, b"{}", {}) == 200
        assert left_alone.wait(5)


def test_the_certificate_is_checked_and_an_own_authority_can_be_named(tmp_path):
    authority = make_authority(tmp_path)
    with web_server(authority) as seen:
        own, url = connected(seen, scheme="https", host="localhost", ca_file=authority.file)
        assert webhook.post(own, url, b"{}", {}) == 200
        stranger, _ = connected(seen, scheme="https", host="localhost")
        with pytest.raises(Failed, match="certificate of localhost is not believed"):
            webhook.post(stranger, url, b"{}", {})
        assert len(seen.posts) == 1


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch):
    with web_server() as proxy, web_server() as seen:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        own, url = connected(seen)
        webhook.post(own, url, b"{}", {})
        assert (len(seen.posts), len(proxy.posts)) == (1, 0)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/hook", "by https alone"),
        ("ftp://example.com/", "no web address"),
        ("file:///etc/passwd", "no web address"),
        ("https://user:word@example.com/", "name or a password"),
        ("https://exa mple.com/", "no web address"),
        ("https://example.com/\r\nX-Evil: 1", "no web address"),
        ("https://example.com:99999/", "no web address"),
        ("https:///path", "no web address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_being_repeated(url, why):
    own = Connections(webhook_url=url, slack_url=url)
    with pytest.raises(Failed, match=why) as failure:
        webhook.post(own, url, b"{}", {})
    assert url not in str(failure.value)
    assert why in own.why_not("webhook")
    assert own.where("webhook") == ""


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://[::ffff:7f00:1]/", "https://2130706433/", "https://0x7f.1/",
     "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://0177.0.0.1/", "https://127.1:8443/"],
)  # fmt: skip
def test_inner_addresses_are_refused_and_not_tried_again(url):
    with pytest.raises(Failed, match="messages go to the public internet") as failure:
        webhook.post(Connections(), url, b"{}", {})
    assert not failure.value.again
