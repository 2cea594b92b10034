"""A small real OpenID Connect provider on loopback: discovery, keys, authorization with a page to choose who one is, tokens, sign-out."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.browser import find_port

CLIENT, SECRET = "greenlight", "a secret between the two"


class Provider:
    """People by their subject; ``spoil`` says what is wrong with the next tokens."""

    def __init__(self, port: int) -> None:
        from joserfc.jwk import RSAKey

        self.issuer = f"http://127.0.0.1:{port}"
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.foreign = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.people: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.spoil = ""
        self.ended: list[dict[str, str]] = []

    def discover(self, request: Request) -> Response:
        return JSONResponse({
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks", "end_session_endpoint": f"{self.issuer}/end", "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        })  # fmt: skip

    def show_keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        links = []
        for subject in self.people:
            code = secrets.token_urlsafe(16)
            self.codes[code] = {**asked, "sub": subject}
            where = f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
            links.append(f'<p><a id="{escape(subject)}" href="{escape(where)}">{escape(subject)}</a></p>')
        no = f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': asked['state']})}"
        return HTMLResponse(f'<h1>Who are you?</h1>{"".join(links)}<a id="no" href="{escape(no)}">Nobody</a>')

    async def give_token(self, request: Request) -> Response:
        from joserfc import jwt

        form = await request.form()
        given = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        asked = self.codes.pop(str(form["code"]), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest()).rstrip(b"=").decode()
        # the two are form-encoded before they are put together (RFC 6749, 2.3.1); a blank is then a plus
        if asked is None or given.replace("+", " ").replace("%20", " ") != f"{CLIENT}:{SECRET}" or challenge != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": asked["sub"], "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            **self.people[asked["sub"]],
        }  # fmt: skip
        wrong = {"nonce": {"nonce": "another"}, "issuer": {"iss": "http://elsewhere.example"}, "audience": {"aud": "another"},
                 "age": {"iat": now - 4000, "exp": now - 3000}}  # fmt: skip
        key = self.foreign if self.spoil == "signature" else self.key
        token = jwt.encode({"alg": "RS256", "kid": "one"}, {**claims, **wrong.get(self.spoil, {})}, key)
        return JSONResponse({"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 300, "id_token": token})

    def end(self, request: Request) -> Response:
        self.ended.append(dict(request.query_params))
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], 302)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[
            Route("/.well-known/openid-configuration", self.discover), Route("/jwks", self.show_keys),
            Route("/authorize", self.authorize), Route("/token", self.give_token, methods=["POST"]), Route("/end", self.end),
        ])  # fmt: skip

    def secrets_file(self, console: str) -> str:
        """What .streamlit/secrets.toml of a console holds."""
        return (
            f'[auth]\nredirect_uri = "{console}/oauth2callback"\ncookie_secret = "{secrets.token_hex(32)}"\nclient_id = "{CLIENT}"\n'
            f'client_secret = "{SECRET}"\nserver_metadata_url = "{self.issuer}/.well-known/openid-configuration"\n'
        )


@contextmanager
def provide() -> Iterator[Provider]:
    """Run a provider in a thread of this process."""
    port = find_port()
    provider = Provider(port)
    server = uvicorn.Server(uvicorn.Config(provider.app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join(10)
