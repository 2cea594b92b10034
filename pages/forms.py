"""The forms at the door: sign in and out, the first start, passwords.

Plain HTML that works without JavaScript and loads nothing from elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from core import accounts, addresses, identities
from core.errors import BadInput, GreenlightError
from core.home import Home
from core.times import utc_now
from pages import contents, single_sign_on

COOKIE = "greenlight_session"
API_PAGE = "/api/docs"  # the one page of the API that a signed-in person reads

_LARGEST_FORM = 20_000
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    trim_blocks=True,
    lstrip_blocks=True,
)
_FORM_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def safe_next(value: str | None) -> str:
    """Return ``value`` if it is a path (and query) of this site; else the root."""
    if not value or not value.startswith("/") or value.startswith("//") or len(value) > addresses.LONGEST_PATH or addresses.UNSAFE.search(value):
        return "/"
    parts = urlsplit(value)
    known = parts.path in contents.known_paths() or parts.path == API_PAGE
    return value if known and not parts.scheme and not parts.netloc else "/"


def show(template: str, status: int, **values: Any) -> Response:
    """One of the pages in templates/, never kept by the browser."""
    page = _TEMPLATES.get_template(template).render(**values)
    return HTMLResponse(page, status, {"Content-Security-Policy": _FORM_POLICY, "Cache-Control": "no-store"})


def routes(
    home: Home, *, demo: bool = False, secure_cookies: bool = False, clock: Callable[[], datetime] | None = None,
    single: single_sign_on.SingleSignOn | None = None,
) -> list[Route]:
    """The routes that are open to everybody, and the password page for those who are signed in.

    Parameters
    ----------
    home : Home
    demo : bool
        Show one button for each demo account. Whether one may be used is decided in core.accounts.
    secure_cookies : bool
        Mark the cookie Secure even where the request looks like plain HTTP (behind a proxy that ends TLS).
    clock : callable
        Returns the present time in UTC.
    single : SingleSignOn, optional
        Off unless given and set up.
    """
    forms = Forms(home, demo, secure_cookies, clock or utc_now, single or single_sign_on.SingleSignOn())
    return [
        Route("/sign-in", forms.show_sign_in, methods=["GET"]),
        Route("/sign-in", forms.sign_in, methods=["POST"]),
        Route(single_sign_on.BEGIN, forms.begin_single, methods=["GET"]),
        Route(single_sign_on.EXCHANGE, forms.enter_by_identity, methods=["GET"]),
        Route("/sign-out", forms.show_sign_out, methods=["GET"]),
        Route("/sign-out", forms.sign_out, methods=["POST"]),
        Route("/first-start", forms.show_first_start, methods=["GET"]),
        Route("/first-start", forms.first_start, methods=["POST"]),
        Route("/reset", forms.show_reset, methods=["GET"]),
        Route("/reset", forms.reset, methods=["POST"]),
        Route("/password", forms.show_password, methods=["GET"]),
        Route("/password", forms.change_password, methods=["POST"]),
    ]


class Forms:
    """The handlers of :func:`routes`, which share the Home and the clock."""

    def __init__(self, home: Home, demo: bool, secure_cookies: bool, clock: Callable[[], datetime], single: single_sign_on.SingleSignOn) -> None:
        self.home, self.demo, self.secure_cookies, self.clock, self.single = home, demo, secure_cookies, clock, single

    async def show_sign_in(self, request: Request) -> Response:
        if await run_in_threadpool(accounts.needs_first_start, self.home):
            return RedirectResponse("/first-start", 303)
        failed = "failed" in request.query_params and self.single.is_on
        error = "The sign-in at your organisation did not succeed, so nobody was let in. Try again." if failed else None
        notice = "You are signed out." if "out" in request.query_params and COOKIE not in request.cookies else None
        wanted = safe_next(request.query_params.get("next"))
        return await self._sign_in_page(401 if failed else 200, next=wanted, error=error, notice=notice)

    async def sign_in(self, request: Request) -> Response:
        form = await _read_form(request)
        wanted, persona = safe_next(form.get("next")), form.get("persona")
        try:
            if persona:
                token = await run_in_threadpool(
                    accounts.sign_in_persona, self.home, persona, address=_address(request), demo_mode=self.demo, now=self.clock()
                )
            else:
                token = await run_in_threadpool(
                    accounts.sign_in, self.home, form.get("name", ""), form.get("password", ""),
                    address=_address(request), now=self.clock(),
                )  # fmt: skip
        except GreenlightError as error:
            status = await _status_of(error, 403 if persona else 401)
            page = await self._sign_in_page(status, next=wanted, name=form.get("name", ""), error=error)
            return _with_retry_after(page, error)
        await self._forget(request)
        return self._enter(request, wanted, token)

    async def begin_single(self, request: Request) -> Response:
        """Send the browser to the provider, and remember where it wanted to go."""
        if not self.single.is_on:
            return RedirectResponse("/sign-in", 303)
        answer = RedirectResponse(self.single.begin(), 303)
        wanted = safe_next(request.query_params.get("next"))
        answer.set_cookie(
            single_sign_on.NEXT_COOKIE, quote(wanted, safe="/"), max_age=600, path="/sign-in", httponly=True, samesite="lax",
            secure=self._is_secure(request),
        )  # fmt: skip
        return answer

    async def enter_by_identity(self, request: Request) -> Response:
        """Exchange what the provider said for a session of ours."""
        claims = self.single.read_claims(request.cookies) if self.single.is_on else None
        if claims is None or self.single.setup.rules is None:
            return RedirectResponse(single_sign_on.FAILED if self.single.is_on else "/sign-in", 303)
        try:
            token = await run_in_threadpool(
                identities.sign_in, self.home, claims, self.single.setup.rules, client_id=self.single.setup.client_id,
                address=_address(request), now=self.clock(),
            )  # fmt: skip
        except GreenlightError as error:
            return show("refused.html", 403, title="You cannot come in", sentence=str(error), back="/sign-in", label="Back to the sign-in")
        await self._forget(request)
        answer = self._enter(request, safe_next(unquote(request.cookies.get(single_sign_on.NEXT_COOKIE, ""))), token)
        answer.delete_cookie(single_sign_on.NEXT_COOKIE, path="/sign-in")
        return answer

    async def show_sign_out(self, request: Request) -> Response:
        return show("sign_out.html", 200)

    async def sign_out(self, request: Request) -> Response:
        await self._forget(request)
        away = self.single.is_on and single_sign_on.has_identity(request.cookies)
        # a page in between: browsers let no answer to a form lead to another site
        answer = show("signed_out.html", 200, end=single_sign_on.END) if away else RedirectResponse(single_sign_on.SIGNED_OUT, 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
        return answer

    async def show_first_start(self, request: Request) -> Response:
        if not await run_in_threadpool(accounts.needs_first_start, self.home):
            return RedirectResponse("/sign-in", 303)
        return show("first_start.html", 200)

    async def first_start(self, request: Request) -> Response:
        form = await _read_form(request)
        try:
            _check_repeated(form)
            token = await run_in_threadpool(
                accounts.create_first_admin, self.home, form.get("code", "").strip(), form.get("name", "").strip(),
                form.get("password", ""), address=_address(request), now=self.clock(),
            )  # fmt: skip
        except GreenlightError as error:
            page = show("first_start.html", await _status_of(error, 400), error=error, name=form.get("name", ""))
            return _with_retry_after(page, error)
        return self._enter(request, "/", token)

    async def show_reset(self, request: Request) -> Response:
        return show("reset.html", 200)

    async def reset(self, request: Request) -> Response:
        form = await _read_form(request)
        try:
            _check_repeated(form)
            await run_in_threadpool(
                accounts.use_reset_code, self.home, form.get("name", "").strip(), form.get("code", "").strip(),
                form.get("password", ""), address=_address(request), now=self.clock(),
            )  # fmt: skip
        except GreenlightError as error:
            page = show("reset.html", await _status_of(error, 400), error=error, name=form.get("name", ""))
            return _with_retry_after(page, error)
        return await self._sign_in_page(200, next="/", notice="Your new password is set. Sign in with it.")

    async def show_password(self, request: Request) -> Response:
        if await run_in_threadpool(identities.find_account_of, self.home, request.state.account.name):
            return show("refused.html", 200, title="No password here", sentence="You come in by single sign-on; your password is kept there.")
        return show("password.html", 200, name=request.state.account.name)

    async def change_password(self, request: Request) -> Response:
        form, account = await _read_form(request), request.state.account
        try:
            _check_repeated(form)
            await run_in_threadpool(
                accounts.change_password, self.home, accounts.Actor(account.name), form.get("old", ""),
                form.get("password", ""), now=self.clock(),
            )  # fmt: skip
        except GreenlightError as error:
            return show("password.html", await _status_of(error, 400), error=error, name=account.name)
        await self._forget(request)
        page = await self._sign_in_page(200, next="/", notice="Your password is changed. Sign in with the new one.")
        page.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
        return page

    async def _sign_in_page(self, status: int, **values: Any) -> Response:
        personas = await run_in_threadpool(self._list_personas) if self.demo else ()
        return show("sign_in.html", status, personas=personas, single=self.single.setup, begin=single_sign_on.BEGIN, **values)

    def _list_personas(self) -> list[tuple[str, str]]:
        present = {a.name: a for a in accounts.list_accounts(self.home) if a.demo and a.active}
        return [(name, present[name].role_title) for name, _ in accounts.DEMO_ACCOUNTS if name in present]

    def _enter(self, request: Request, where: str, token: str) -> Response:
        answer = RedirectResponse(where, 303)
        answer.set_cookie(COOKIE, token, path="/", httponly=True, samesite="lax", secure=self._is_secure(request))
        return answer

    def _is_secure(self, request: Request) -> bool:
        return self.secure_cookies or request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"

    async def _forget(self, request: Request) -> None:
        """End the session that the browser came with, so that no old cookie outlives a sign-in or a sign-out."""
        token = request.cookies.get(COOKIE)
        if token:
            await run_in_threadpool(accounts.sign_out, self.home, token, now=self.clock())


async def _read_form(request: Request) -> dict[str, str]:
    """The text fields of a small form; files and repeated fields are not expected and are dropped."""
    size = request.headers.get("content-length", "")
    if not size.isdigit() or int(size) > _LARGEST_FORM:
        return {}
    async with request.form(max_files=0, max_fields=20) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def _check_repeated(form: dict[str, str]) -> None:
    if form.get("password", "") != form.get("repeated", ""):
        raise BadInput("The two passwords differ; type the new one twice.")


def _address(request: Request) -> str:
    """Where the browser is. Behind a proxy on this machine: the last address, the one that the proxy itself added.

    Without that the whole world would look like loopback, which opens the demo's buttons. A header that comes
    from any other machine is not believed: a new one for every attempt would get round the limit of attempts.
    """
    peer = request.client.host if request.client else "unknown"
    if peer in addresses.LOOPBACK_HOSTS and ("x-forwarded-for" in request.headers or "forwarded" in request.headers):
        return "proxy:" + request.headers.get("x-forwarded-for", "unknown").split(",")[-1].strip()[:64]
    return peer


async def _status_of(error: GreenlightError, otherwise: int) -> int:
    """The HTTP status of a refused form. A wrong secret is answered slowly, without holding a thread meanwhile."""
    if isinstance(error, accounts.TooManyAttempts):
        return 429
    if isinstance(error, accounts.SignInRefused):
        await asyncio.sleep(error.delay)
        return 401
    return otherwise


def _with_retry_after(page: Response, error: GreenlightError) -> Response:
    if isinstance(error, accounts.TooManyAttempts):
        page.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return page
