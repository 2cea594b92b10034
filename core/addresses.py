"""Which host names, origins, paths and peers are believed: the same rules at the console's door and at the API's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from core.accounts import is_loopback

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
LONGEST_PATH = 1000
LONGEST_SEGMENT = 200
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_UNSAFE_RAW = re.compile(rb"%(2f|5c|25|00)|\\", re.IGNORECASE)
_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")


@lru_cache(maxsize=4096)
def knows_host(host: str, hosts: frozenset[str]) -> bool:
    """Whether a Host header names this installation, so that a foreign page cannot reach it through a name of its own."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return bool(name) and (name in hosts or str(name).startswith("127."))


def is_unsafe_path(path: str, raw: bytes) -> bool:
    """Whether a path has a part that is no plain name: a step up, an encoded separator, a control character."""
    return bool(_UNSAFE_RAW.search(raw) or UNSAFE.search(path)) or "//" in path or ".." in path.split("/")


def is_too_long(path: str) -> bool:
    return len(path) > LONGEST_PATH or any(len(part) > LONGEST_SEGMENT for part in path.split("/"))


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Compare Origin with Host; programs that are no browsers send no Origin, and bring no cookie by themselves."""
    origin = headers.get("origin")
    if origin is not None:
        scheme, _, netloc = origin.partition("://")
        return scheme in ("http", "https") and netloc.lower() == headers.get("host", "").lower()
    return headers.get("sec-fetch-site") in (None, "same-origin", "none")


def is_this_machine(peer: str, headers: Mapping[str, str]) -> bool:
    """Whether a request was made on this machine. What a proxy on it hands on was made elsewhere."""
    return is_loopback(peer) and not any(name in headers for name in _FORWARDED)


def believed(peer: str, headers: Mapping[str, str]) -> str:
    """The peer's address, or "" where a proxy on this machine stands between: what it says of others is not believed."""
    return "" if is_loopback(peer) and not is_this_machine(peer, headers) else peer
