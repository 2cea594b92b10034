"""The tracking server's address, with and without what is secret in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from core.settings import Settings

_ANY_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_NAMED_SECRET = re.compile("pass|pwd|secret|token|key", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """Where the mirror goes.

    Attributes
    ----------
    uri : str
        What MLflow is given; for http(s) without name and password, which go by the environment of the worker alone.
    shown : str
        Without any secret: what people see, and under which name it is kept what the server has been given.
    user, password : str
        From the http(s) address; empty where it holds none.
    secrets : tuple of str
        Every spelling of what must never be written anywhere.
    """

    uri: str = field(repr=False)
    shown: str
    user: str = ""
    password: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """``text`` without credentials, whoever put them there."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return _ANY_CREDENTIALS.sub("***", text)


def find_address(settings: Settings) -> Address | None:
    """The server that the environment names; None where nothing is to be mirrored."""
    uri = settings.mlflow_tracking_uri.get_secret_value().strip()
    return read_address(uri) if uri else None


def read_address(uri: str) -> Address:
    """Take an address apart; what cannot be read as one is left as it is, for MLflow to judge."""
    try:
        parts = urlsplit(uri)
        user, password = parts.username or "", parts.password or ""
    except ValueError:  # such as an unclosed bracket
        return Address(uri, _ANY_CREDENTIALS.sub("***", uri), secrets=())
    host = parts.netloc.rpartition("@")[2]
    bare = urlunsplit((parts.scheme, host, parts.path, "", "")).rstrip("/") if parts.netloc else uri.partition("?")[0]
    named = {value for name, value in parse_qsl(parts.query) if _NAMED_SECRET.search(name)}
    spellings = {password, unquote(password), parts.query, *named, f"{user}:{password}" if password else ""}
    secrets = tuple(sorted((s for s in spellings if len(s) > 2), key=len, reverse=True))
    if parts.scheme in ("http", "https"):
        return Address(bare, bare, unquote(user), unquote(password), secrets)
    return Address(uri, bare, secrets=secrets)
