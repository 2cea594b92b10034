"""The door: one middleware, outermost, that denies by default."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import streamlit
from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import accounts, addresses
from core.home import Home
from core.times import utc_now
from pages import contents, single_sign_on
from pages.forms import API_PAGE, COOKIE, safe_next, show

OPEN_PATHS = frozenset({"/sign-in", "/sign-out", "/first-start", "/reset", single_sign_on.BEGIN, single_sign_on.EXCHANGE})
FORM_PATHS = frozenset({*OPEN_PATHS, "/password"})
PROBES = frozenset({"/healthz", "/readyz"})  # asked by address, under any name
API_PATHS = ("/api", "/metrics", *sorted(PROBES))  # for programs: the API's own door decides about them
# Parts of Streamlit that a person's browser never needs here: closed even to those who are signed in.
CLOSED_PATHS = ("/_stcore/metrics", "/_stcore/agent", "/_stcore/script-health-check", "/auth", "/oauth2callback")
STREAMLIT_PATHS = ("/_stcore", "/static", "/media", "/component")
STREAMLIT_FILES = frozenset({"/favicon.png", "/manifest.json", "/index.html"})

# Scripts and styles are Streamlit's own business; but nothing is fetched from, or sent to, any other site,
# so that a picture in somebody's note cannot tell who reads it.
_CONSOLE_POLICY = (
    "img-src 'self' data: blob:; connect-src 'self'; font-src 'self' data:; media-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


class Door:
    """Decide about every request and every WebSocket before anything else sees it.

    Parameters
    ----------
    app : ASGIApp
        The console.
    home : Home
    programs : ASGIApp
        The API, which has a door of its own: a key opens it, and a session only its documentation.
    hosts : set of str
        Host names, besides the loopback ones, that this installation answers to. Any other Host header
        is refused, so that a foreign page cannot reach it through a name of its own (DNS rebinding).
    clock : callable
        Returns the present time in UTC.
    proxies : tuple of network
        Reverse proxies whose word on the client's address is taken.
    single : SingleSignOn, optional
        While it is on, the three routes of Streamlit that it needs are open.
    secure_cookies : bool
        Also those routes' cookies are marked Secure where the request looks like plain HTTP.
    """

    def __init__(
        self, app: ASGIApp, home: Home, programs: ASGIApp, hosts: frozenset[str] = frozenset(),
        clock: Callable[[], datetime] | None = None, proxies: tuple[addresses.Network, ...] = (),
        single: single_sign_on.SingleSignOn | None = None, secure_cookies: bool = False,
    ) -> None:  # fmt: skip
        self.app, self.home, self.programs, self.hosts = app, home, programs, addresses.LOOPBACK_HOSTS | hosts
        self.clock, self.proxies = clock or utc_now, proxies
        self.single, self.secure_cookies = single, secure_cookies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = addresses.from_proxy(scope, self.proxies)
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, headers = scope["path"], Headers(scope=scope)
        send = _with_security_headers(send)
        refusal = self._check_request(scope, headers)
        if refusal is None and _is_below(path, API_PATHS):
            account = await self._find_account(scope)
            if path == API_PAGE and account is None and "text/html" in headers.get("accept", "") and "x-api-key" not in headers:
                await RedirectResponse(f"/sign-in?next={API_PAGE}", 303)(scope, receive, send)
                return
            scope.setdefault("state", {})["account"] = account
            await self.programs(scope, receive, send)
            return
        if refusal is None and path in single_sign_on.OPEN_PATHS and self._is_single_on(scope):
            assert self.single is not None
            secure = self.secure_cookies or scope["scheme"] == "https"
            await self.app(scope, receive, self.single.redirect_answers(scope, send, secure=secure))
            return
        if refusal is None and path not in OPEN_PATHS:
            account = await self._find_account(scope)
            scope.setdefault("state", {})["account"] = account
            refusal = _check_session(scope, account)
        if refusal is None and path in contents.known_paths():
            send = _with_preload(send)
        await (refusal or self.app)(scope, receive, send)

    def _is_single_on(self, scope: Scope) -> bool:
        return self.single is not None and scope["method"] == "GET" and self.single.is_on

    def _check_request(self, scope: Scope, headers: Headers) -> Response | None:
        path, raw = scope["path"], scope.get("raw_path") or b""
        if path in PROBES:
            return None
        if not addresses.knows_host(headers.get("host", ""), self.hosts):
            return _refuse(scope, 400, "This address is not one of this installation's: add its name to GREENLIGHT_HOSTS.")
        if addresses.is_unsafe_path(path, raw):
            return _refuse(scope, 400, "This path cannot be read: it has a part that is not a plain name.")
        if addresses.is_too_long(path):
            return _refuse(scope, 404, "There is nothing here under so long a name.")
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and not addresses.is_same_origin(headers):
            return _refuse(scope, 403, "This request came from another site; open Greenlight itself and try again.")
        return None

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        allowed = (
            addresses.knows_host(headers.get("host", ""), self.hosts)
            and addresses.is_same_origin(headers)
            and not addresses.is_unsafe_path(scope["path"], b"")
        )
        if not allowed or await self._find_account(scope) is None:
            # A close before the handshake is accepted reaches the client as HTTP 403.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, self._watch(scope, receive), send)

    def _watch(self, scope: Scope, receive: Receive) -> Receive:
        """Once the session is over, let nothing through but a bare rerun: the frame then shows the way to sign in.

        Without this a callback or a fragment would still run once, before or without the frame's own check.
        """

        async def receive_watched() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and await self._find_account(scope) is None:
                return {"type": "websocket.receive", "bytes": _bare_rerun()}
            return message

        return receive_watched

    async def _find_account(self, scope: Scope) -> accounts.Account | None:
        token = HTTPConnection(scope).cookies.get(COOKIE)
        if not token:
            return None
        return await to_thread.run_sync(lambda: accounts.find_session(self.home, token, now=self.clock()))


def _check_session(scope: Scope, account: accounts.Account | None) -> Response | None:
    path = scope["path"]
    if _is_below(path, CLOSED_PATHS):
        return _refuse(scope, 404 if account else 401, "There is nothing here.")
    if account is None:
        if scope["method"] in ("GET", "HEAD") and not _is_below(path, STREAMLIT_PATHS) and path not in STREAMLIT_FILES:
            query = scope.get("query_string", b"").decode("latin-1")
            wanted = safe_next(path + (f"?{query}" if query else ""))
            return RedirectResponse("/sign-in" if wanted == "/" else f"/sign-in?next={quote(wanted, safe='')}", 303)
        return _refuse(scope, 401, "Sign in first.")
    if path == contents.DEFAULT_PATH:
        # Streamlit serves its first page at the root only, and says "Page not found" over it anywhere else.
        query = scope.get("query_string", b"").decode("latin-1")
        return RedirectResponse("/" + (f"?{query}" if query else ""), 303)
    known = path in contents.known_paths() or path in FORM_PATHS or path in STREAMLIT_FILES or _is_below(path, STREAMLIT_PATHS)
    # The front end looks for its server below a deep link too (/data/_stcore/health); it must hear a plain no.
    return None if known else _refuse(scope, 404, "There is no page here.")


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)


def _with_security_headers(send: Send) -> Send:
    async def send_secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            # Not "no-referrer": with it browsers send "Origin: null", and the check of forms would refuse them all.
            headers["Referrer-Policy"] = "same-origin"
            headers["X-Frame-Options"] = "SAMEORIGIN"
            headers.setdefault("Content-Security-Policy", _CONSOLE_POLICY)
        await send(message)

    return send_secured


def _with_preload(send: Send) -> Send:
    """Let the browser fetch and compile the largest script that Home needs from the first moment on.

    The front end itself asks for it only when a chart arrives: measured, Home was complete a second later.
    """

    async def send_hinted(message: Message) -> None:
        if message["type"] == "http.response.start" and _preloaded():
            MutableHeaders(scope=message).append("Link", _preloaded())
        await send(message)

    return send_hinted


@lru_cache(maxsize=1)
def _preloaded() -> str:
    """The Link header that names the front end's part for charts; "" if this release calls it otherwise."""
    names = sorted(f.name for f in (Path(streamlit.__file__).parent / "static" / "static" / "js").glob("PlotlyChart.*.js"))
    return ", ".join(f"</static/js/{name}>; rel=modulepreload" for name in names)


def _refuse(scope: Scope, status: int, sentence: str) -> Response:
    """problem+json for programs, a small page for people."""
    titles = {400: "Bad request", 401: "Not signed in", 403: "Refused", 404: "Not found"}
    if _is_below(scope["path"], API_PATHS):
        body = {"type": "about:blank", "title": titles[status], "status": status, "detail": sentence}
        return Response(json.dumps(body), status, media_type="application/problem+json")
    if status == 401:
        return PlainTextResponse(sentence, status)
    return show("refused.html", status, title=titles[status], sentence=sentence)


def _bare_rerun() -> bytes:
    from streamlit.proto.BackMsg_pb2 import BackMsg

    message = BackMsg()
    message.rerun_script.SetInParent()
    return message.SerializeToString()
