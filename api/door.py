"""The API's own door: no route opens without a key that is good for it, unless it is declared open."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.body import read_body
from api.problems import Problem, answer_problem, to_problem
from api.visit import Visit
from core import addresses, keys, logs
from core.errors import GreenlightError
from core.home import Home
from core.limits import Limiter
from core.monitoring import traffic
from core.settings import PER_ADDRESS

LOG = logging.getLogger("greenlight.api")

OPEN = "open"  # anybody: says nothing but whether the service is there
DOCS = "docs"  # any valid key, or a person who is signed in to the console
SIGNED = "signed"  # no key: the body carries a signature that the route itself checks
MACHINE = "machine"  # from this machine without a key, from elsewhere with the scope "read"
DECLARABLE = frozenset({OPEN, DOCS, SIGNED, MACHINE, *keys.SCOPES})
SIGNED_PER_MINUTE = 600
_UNRECORDED = frozenset({OPEN, MACHINE})
_UNLESS_GIVEN = (
    (b"cache-control", b"no-store"), (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One route: what it asks of the caller, and whether it reads a body.

    Attributes
    ----------
    direct : callable or None
        Answers without the framework around it: predictions are asked for thousands of times a second.
    """

    route: Route
    scope: str
    name: str
    reads_body: bool
    direct: Callable[[Request], Awaitable[Response]] | None = None


class Door:
    """Decide about every request before anything else sees it, and record how it was answered.

    Parameters
    ----------
    app : ASGIApp
        The routes behind the door.
    entries : list of Entry
        Every route with what it asks for; what is not among them does not exist.
    hosts : set of str
        Host names, besides the loopback ones, that this installation answers to.
    proxies : tuple of network
        Reverse proxies whose word on the client's address is taken.
    per_address : int
        Requests per minute from one address.
    """

    def __init__(
        self, app: ASGIApp, home: Home, entries: list[Entry], hosts: frozenset[str], clock: Callable[[], datetime],
        proxies: tuple[addresses.Network, ...] = (), per_address: int = PER_ADDRESS,
    ) -> None:  # fmt: skip
        self.app, self.home, self.entries, self.clock, self.proxies = app, home, entries, clock, proxies
        self.hosts = addresses.LOOPBACK_HOSTS | hosts
        self.limiter = Limiter(home, per_address=per_address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self.app(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = addresses.from_proxy(scope, self.proxies)
        if scope["method"] == "HEAD":  # as GET; the server leaves the body out
            scope = {**scope, "method": "GET"}
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}  # the first counts
        peer = scope["client"][0] if scope.get("client") else "unknown"
        state = scope.setdefault("state", {})
        visit = state["visit"] = Visit(self.home, self.clock(), peer)
        status = 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = [*message["headers"], (b"x-request-id", visit.request_id.encode()), (b"x-content-type-options", b"nosniff")]
                names = {name for name, _ in given}
                given += [header for header in _UNLESS_GIVEN if header[0] not in names]
                message = {**message, "headers": given}
            await send(message)

        entry: Entry | None = None
        try:
            entry, child = self._find(scope)
            response = await self._serve({**scope, **child}, receive, send_marked, headers, visit, entry)
        except Problem as problem:
            response = answer_problem(problem, visit.request_id)
        except GreenlightError as error:
            response = answer_problem(to_problem(error), visit.request_id)
        except Exception:  # the boundary of the API: the trace goes into the log file, never into an answer
            LOG.exception("a request failed", extra={"correlation_id": visit.request_id, "user": visit.caller, "project": visit.project})
            response = answer_problem(failure(), visit.request_id)
        if response is not None:
            await response(scope, receive, send_marked)
        if entry is None or entry.scope not in _UNRECORDED:
            self._record(visit, status)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str], visit: Visit, entry: Entry | None
    ) -> Response | None:
        self._check_request(scope, headers)
        self._let_in(scope, headers, visit, entry)
        if entry is None:
            raise self._nothing_here(scope)
        with logs.bound(correlation_id=visit.request_id, user=visit.caller):
            return await self._hand_on(scope, receive, send, headers, visit, entry)

    async def _hand_on(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str], visit: Visit, entry: Entry
    ) -> Response | None:
        if entry.reads_body:
            visit.body = await read_body(headers, receive)
        if entry.direct is not None:
            return await entry.direct(Request(scope, receive))
        began = False

        async def send_noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        except Exception:
            if not began:
                raise
            # the framework answered with a problem already, then handed the exception on for the log
            LOG.exception("a request failed", extra={"correlation_id": visit.request_id, "user": visit.caller, "project": visit.project})
        return None

    def _check_request(self, scope: Scope, headers: Mapping[str, str]) -> None:
        path = scope["path"]
        if path not in PROBES and not addresses.knows_host(headers.get("host", ""), self.hosts):
            raise Problem(400, "This address is not one of this installation's: add its name to GREENLIGHT_HOSTS.")
        if addresses.is_unsafe_path(path, scope.get("raw_path") or b""):
            raise Problem(400, "This path cannot be read: it has a part that is not a plain name.")
        if addresses.is_too_long(path):
            raise Problem(404, "There is nothing here under so long a name.")
        reads = scope["method"] == "GET" and "origin" not in headers  # a link from elsewhere may lead to the documentation
        if not reads and not addresses.is_same_origin(headers):
            raise Problem(403, "This request came from a page of another site; programs send no Origin header.")

    def _find(self, scope: Scope) -> tuple[Entry | None, dict[str, Any]]:
        for entry in self.entries:
            match, child = entry.route.matches(scope)
            if match is Match.FULL:
                return entry, dict(child)
        return None, {}

    def _let_in(self, scope: Scope, headers: Mapping[str, str], visit: Visit, entry: Entry | None) -> None:
        needed = visit.scope = entry.scope if entry is not None else DOCS
        if entry is not None:
            visit.route = entry.name
        if needed == OPEN:
            return
        secret = _read_secret(headers)
        if needed == SIGNED and secret and "x-greenlight-signature" not in headers:
            visit.scope = "observe"
            self._check_key(secret, headers, visit, "observe")  # for those who can send a key and cannot sign, like Alertmanager
            return
        if needed == SIGNED:
            wait = self.limiter.check(f"signed {visit.address}", SIGNED_PER_MINUTE, now=visit.at)
            _slow_down(wait, "Too many signed messages from one address")
            return
        if not secret:
            if needed == MACHINE and addresses.is_this_machine(visit.address, headers):
                return
            account = scope["state"].get("account")  # put there by the console's door, from a session's cookie
            if needed == DOCS and account is not None:
                visit.caller = account.name
                return
        self._check_key(secret, headers, visit, "read" if needed == MACHINE else needed)

    def _check_key(self, secret: str, headers: Mapping[str, str], visit: Visit, needed: str) -> None:
        key = keys.find_key(self.home, secret, now=visit.at) if secret else None
        if key is None:
            _slow_down(self.limiter.check_wrong_key(visit.address, now=visit.at), "Too many attempts without a valid key")
            what = "is not valid (unknown, expired or revoked)" if secret else "is missing"
            raise Problem(
                401, f"The key {what}: send a valid one in the header X-API-Key (or as Authorization: Bearer); an administrator makes it.",
                headers={"WWW-Authenticate": 'ApiKey realm="Greenlight"'},
            )
        if not key.allows_address(addresses.believed(visit.address, headers)):
            raise Problem(403, "This key may not be used from this address; ask an administrator to add it to the key's list.")
        visit.key, visit.caller = key, key.account
        if needed != DOCS and needed not in key.scopes:
            raise Problem(403, f"This key is not good for {needed!r}, only for {', '.join(key.scopes)}; ask an administrator for another.")
        held = self.limiter.check_call(key, visit.address, now=visit.at)
        if held is not None:
            _slow_down(*held)
        keys.note_use(self.home, key, now=visit.at)

    def _nothing_here(self, scope: Scope) -> Problem:
        methods = sorted({m for e in self.entries if e.route.matches(scope)[0] is Match.PARTIAL for m in e.route.methods or ()})
        if methods:
            return Problem(405, f"{scope['method'][:20]} is not possible here; use {' or '.join(methods)}.", headers={"Allow": ", ".join(methods)})
        return Problem(404, "There is nothing here; GET /api/docs lists what there is.")

    def _record(self, visit: Visit, status: int) -> None:
        total = 1000 * (time.perf_counter() - visit.began)
        traffic.record(
            self.home,
            traffic.Request(
                visit.request_id, visit.at, visit.project, visit.route, "api", status, visit.rows if status < 400 else 0,
                visit.version, visit.caller, total, visit.stages,
            ),
        )


PROBES = frozenset({"/healthz", "/readyz"})  # asked by address, under any name


def _read_secret(headers: Mapping[str, str]) -> str:
    """The key as our own header carries it, or as a bearer token: what Prometheus and Alertmanager can be told to send."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key", "") or (token.strip() if kind.lower() == "bearer" else "")


def _slow_down(wait: float | None, what: str) -> None:
    if wait is not None:
        seconds = max(1, math.ceil(wait))
        raise Problem(429, f"{what}; try again in {seconds} seconds.", headers={"Retry-After": str(seconds)})


def failure() -> Problem:
    return Problem(500, "Something failed here. Tell the request id to the people who run this installation; their log has the reason.")


def check_declared(route: Route, scope: str) -> str:
    """The scope of a route, or an error at start: what nobody declared opens for nobody."""
    if scope not in DECLARABLE:
        raise ValueError(f"route {route.path} declares no scope that there is: {scope!r}")
    return scope

