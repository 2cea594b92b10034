"""Single sign-on by Streamlit's own OpenID Connect: its routes verify, ours exchange what they found for our session.

Streamlit keeps a verified identity in a signed cookie for 30 days and would let that be the sign-in. Here it is worth one
session: it is exchanged right after the provider's answer, once, within minutes. After that only the session counts, which can
be ended, expires, and ends when the account is closed; the cookie serves to sign out at the provider as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Scope, Send

from core import identities
from core.adapters.optional import LIBRARIES, is_installed
from core.errors import BadInput

BEGIN, EXCHANGE, END = "/sign-in/single", "/sign-in/identity", "/auth/logout"
FAILED, SIGNED_OUT = "/sign-in?failed=1", "/sign-in?out=1"
CALLBACK = "/oauth2callback"
OPEN_PATHS = frozenset({"/auth/login", END, CALLBACK})  # Streamlit's, and only while single sign-on is set up
SHORTEST_SECRET = 32  # characters; it signs who somebody is
NEXT_COOKIE = "greenlight_next"


@dataclass(frozen=True)
class Setup:
    """What the secrets say.

    Attributes
    ----------
    problem : str
        Why it does not work though it was begun, for a person; "" where it works or was not begun.
    """

    provider: str = ""
    client_id: str = ""
    rules: identities.Rules | None = None
    problem: str = ""


class SingleSignOn:
    """What the sign-in page, the door and the routes ask; the secrets are read at the first question.

    Parameters
    ----------
    claim, roles : str
        GREENLIGHT_OIDC_CLAIM and GREENLIGHT_OIDC_ROLES.
    """

    def __init__(self, claim: str = "groups", roles: str = "") -> None:
        self._claim, self._roles = claim, roles

    @cached_property
    def setup(self) -> Setup:
        from streamlit.errors import StreamlitAuthError

        section = _read_section()
        if section is None:
            return Setup()
        if not is_installed("authlib"):
            library = LIBRARIES["authlib"]
            return Setup(problem=f"{library.title} is not installed, and {library.purpose} needs it: {library.install}.")
        from streamlit.auth_util import validate_auth_credentials

        parts = [name for name, value in section.items() if isinstance(value, Mapping) and "client_id" in value]
        provider = "default" if "client_id" in section or not parts else parts[0]
        try:
            validate_auth_credentials(provider)
            rules = identities.read_rules(self._claim, self._roles)
        except (StreamlitAuthError, BadInput) as error:
            return Setup(problem=" ".join(str(error).split()))
        if len(str(section["cookie_secret"])) < SHORTEST_SECRET:
            return Setup(problem=f"the cookie_secret is too short: whoever guesses it is anybody; use {SHORTEST_SECRET} characters or more.")
        client = section if provider == "default" else section[provider]
        return Setup(provider, str(client["client_id"]), rules)

    @property
    def is_on(self) -> bool:
        return bool(self.setup.provider)

    def begin(self) -> str:
        """Where the browser goes to be sent to the provider; signed by Streamlit, good for minutes."""
        from urllib.parse import quote

        from streamlit.auth_util import encode_provider_token

        return f"/auth/login?provider={quote(encode_provider_token(self.setup.provider), safe='')}"

    def read_claims(self, cookies: Mapping[str, str]) -> dict[str, Any] | None:
        """The claims that Streamlit verified and signed for this browser; None where there are none, or others signed them."""
        from streamlit.auth_util import get_cookie_with_chunks
        from streamlit.web.server.server_util import get_cookie_secret
        from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
        from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

        def read_one(name: str) -> bytes | None:
            value = cookies.get(name)
            return None if value is None else decode_signed_value(get_cookie_secret(), name, value)

        found = get_cookie_with_chunks(read_one, USER_COOKIE_NAME)
        if not found:
            return None
        claims = json.loads(found)
        known = isinstance(claims, dict) and claims.get("is_logged_in") is True and claims.get("provider") == self.setup.provider
        return claims if known else None

    def redirect_answers(self, scope: Scope, send: Send, *, secure: bool) -> Send:
        """Lead the browser from Streamlit's routes to ours, and keep their cookies off plain HTTP where ours are.

        What they refuse or fail at, such as a provider that is away, becomes our sign-in page, which says so.
        """
        failed = False

        async def send_redirected(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start" and message["status"] >= 400:
                failed = True
                message = {**message, "status": 303, "headers": [(b"location", FAILED.encode()), (b"content-length", b"0")]}
            elif failed:
                message = {**message, "body": b""}
            elif message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                cookies = headers.getlist("set-cookie")
                if secure and cookies:
                    del headers["set-cookie"]
                    for cookie in cookies:
                        headers.append("set-cookie", cookie if "; secure" in cookie.lower() else f"{cookie}; Secure")
                if headers.get("location") == "/":
                    headers["location"] = _next_step(scope, cookies)
            await send(message)

        return send_redirected


def has_identity(cookies: Mapping[str, str]) -> bool:
    """Whether the browser came in by a provider, where it may want to be signed out as well."""
    return bool(cookies.get("_streamlit_user"))


def _next_step(scope: Scope, cookies: list[str]) -> str:
    if scope["path"] == CALLBACK:
        if any(c.startswith("_streamlit_user=") and not c.startswith(('_streamlit_user="";', "_streamlit_user=;")) for c in cookies):
            return EXCHANGE
        return FAILED if b"state=" in scope.get("query_string", b"") else SIGNED_OUT
    return SIGNED_OUT if scope["path"] == END else FAILED


def _read_section() -> Mapping[str, Any] | None:
    """[auth] of Streamlit's secrets."""
    from streamlit.runtime.secrets import secrets_singleton

    if not secrets_singleton.load_if_toml_exists():
        return None
    section = secrets_singleton.get("auth")
    return section if isinstance(section, Mapping) and section else None
