"""A mail server and a web server on loopback that keep what they are sent, and a certificate authority that both are under."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

USER, PASSWORD = "greenlight", "planted-mail-password-4471"


@dataclass
class Authority:
    """``file`` is what GREENLIGHT_CA_FILE names; ``server()`` a context with a certificate for localhost."""

    file: str
    _ca: trustme.CA

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
        return context


def make_authority(folder: Path) -> Authority:
    ca = trustme.CA()
    path = folder / "authority.pem"
    ca.cert_pem.write_to_path(str(path))
    return Authority(str(path), ca)


@dataclass
class MailServer:
    """What arrived: (sender, recipients, bytes); who signed in, once a connection; the replies to a mail and to a recipient."""

    port: int = 0
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    signed_in: list[str] = field(default_factory=list)
    answer: str = "250 taken"
    rcpt: str = "250 known"


def find_free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        return int(plug.getsockname()[1])


@contextmanager
def mail_server(authority: Authority | None, *, tls: bool = False, auth: bool = True, names: tuple[str, ...] = ()) -> Iterator[MailServer]:
    """A real SMTP server; with STARTTLS, or TLS from the start, or (no authority) neither."""
    kept = MailServer()

    class Handler:
        async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
            if kept.rcpt.startswith("250"):
                envelope.rcpt_tos.append(address)
            return kept.rcpt

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            assert authority is None or session.ssl is not None or tls
            if kept.answer.startswith("250"):
                kept.mails.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
            return kept.answer

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        kept.signed_in.append(data.login.decode())
        return AuthResult(success=good, handled=False)

    options: dict[str, Any] = {"authenticator": check, "auth_require_tls": not tls} if auth else {}
    if authority is not None and not tls:
        options |= {"tls_context": authority.server(*names), "require_starttls": True}
    kept.port = find_free_port()
    from_the_start = authority.server(*names) if authority is not None and tls else None
    controller = Controller(Handler(), hostname="127.0.0.1", port=kept.port, ssl_context=from_the_start, **options)
    controller.start()
    try:
        yield kept
    finally:
        controller.stop(no_assert=True)


@dataclass
class WebServer:
    """What arrived: (path, headers, body); ``answer`` replaces how it is answered."""

    port: int = 0
    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: reply(handler, 200)


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"ok", **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Never finish, but never fall silent either."""
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(200):
            handler.wfile.write(b"X-Slow: 1\r\n")
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        return


@contextmanager
def web_server(authority: Authority | None = None) -> Iterator[WebServer]:
    kept = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.posts.append((self.path, dict(self.headers), body))
            kept.answer(self)

        def do_GET(self) -> None:
            kept.posts.append((f"GET {self.path}", dict(self.headers), b""))
            reply(self, 200)

        def log_message(self, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if authority is not None:
        server.socket = authority.server().wrap_socket(server.socket, server_side=True)
    kept.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
