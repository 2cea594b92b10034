"""Slack's incoming webhook, and the signed webhook for any other system: one POST to a checked address.

No redirect is followed, no proxy is asked, five seconds are the end of it, and of the answer no more than a little is read.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
import time
from datetime import datetime
from typing import Any

from core.errors import BadInput, Refused
from core.home import Home
from core.monitoring.webhooks import sign
from core.notify import addresses
from core.notify.connections import Connections
from core.notify.messages import Message
from core.notify.outcome import Failed

SECONDS = 5.0
_MOST_READ = 10_000  # bytes of an answer
_LATER = frozenset({408, 425, 429})  # of the 4xx, those that may be answered otherwise later


def make_secret(home: Home) -> str:
    """The secret with which outgoing messages are signed; another than the one for incoming alerts."""
    return hmac.digest(home.secret_key(), b"notification webhook", hashlib.sha256).hex()


def write_signed(message: Message, secret: str, *, now: datetime) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the signed message; the signature covers its time, a full stop and the body."""
    body = json.dumps(
        {
            "id": message.id, "event": message.event, "title": message.words.title, "project": message.project,
            "subject": message.subject, "facts": message.facts, "link": message.link, "at": message.at,
            "correlation_id": message.correlation_id, "audit": {"count": message.audit_count, "head": message.audit_head},
        },
        ensure_ascii=False,
    ).encode()  # fmt: skip
    timestamp = str(int(now.timestamp()))
    return body, {
        "Content-Type": "application/json", "X-Greenlight-Delivery": str(message.id), "X-Greenlight-Event": message.event,
        "X-Greenlight-Timestamp": timestamp, "X-Greenlight-Signature": sign(secret, timestamp, body),
    }  # fmt: skip


def write_slack(message: Message) -> tuple[bytes, dict[str, str]]:
    """Body and headers for Slack; as plain text, so that no name in it calls anybody or makes a link."""
    lines = [message.words.lead, *(f"{label}: {value}" for label, value in message.facts.items()), message.words.next]
    if message.link:
        lines.append(f"Console: {message.link}")
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "plain_text", "text": message.line[:2900], "emoji": False}},
        {"type": "section", "text": {"type": "plain_text", "text": "\n".join(lines)[:2900], "emoji": False}},
        {"type": "context", "elements": [{"type": "plain_text", "text": message.footer[:1900], "emoji": False}]},
    ]
    text = message.line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return json.dumps({"text": text, "blocks": blocks}, ensure_ascii=False).encode(), {"Content-Type": "application/json"}


def post(connections: Connections, url: str, body: bytes, headers: dict[str, str], *, seconds: float = SECONDS) -> int:
    """Send one message; returns the status, which is 2xx.

    Raises
    ------
    Failed
        The address is not allowed, nobody answers in time, the answer is a redirect or an error.
    """
    deadline = time.monotonic() + seconds
    try:
        host, port, path, secure = connections.split(url)
    except BadInput as error:
        raise Failed(f"The address {error}") from None
    try:
        plug = addresses.connect(host, port, allowed=connections.allowed, deadline=deadline)
    except (addresses.Unreachable, Refused) as error:
        raise Failed(str(error), again=isinstance(error, addresses.Unreachable), whole=True) from None
    line: http.client.HTTPConnection | None = None
    late = f"{host}:{port} did not answer within {seconds:g} seconds."
    try:
        with addresses.cut_off(plug, deadline) as over:
            if secure:
                plug = connections.tls.wrap_socket(plug, server_hostname=host)
            line = http.client.HTTPConnection(host, port)
            line.auto_open = 0  # it must never look the name up and connect by itself
            line.default_port = 443 if secure else 80
            line.sock = plug
            line.request("POST", path, body, {"User-Agent": "Greenlight", "Connection": "close", **headers})
            answer = line.getresponse()
            answer.read(_MOST_READ)
            status = answer.status
    except ssl.SSLCertVerificationError as error:
        why = f"The certificate of {host} is not believed ({error.verify_message}); see GREENLIGHT_CA_FILE."
        raise Failed(why, again=True, whole=True) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = late if time.monotonic() >= deadline else f"{host}:{port} broke off ({type(error).__name__})."
        raise Failed(why, again=True, whole=True) from None
    finally:
        if line is not None:
            line.close()
        plug.close()
    if over.is_set():  # what came before the end looks whole, but is not
        raise Failed(late, again=True, whole=True)
    if 200 <= status < 300:
        return status
    if 300 <= status < 400:
        raise Failed(f"{host}:{port} answered with a redirect ({status}), which is not followed; correct the address.")
    raise Failed(f"{host}:{port} answered {status}.", again=status >= 500 or status in _LATER)
