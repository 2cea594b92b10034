"""Which host names, origins, paths and peers are believed: the same rules at the console's door and at the API's."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from core.accounts import is_loopback
from core.errors import BadInput

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
LONGEST_PATH = 1000
LONGEST_SEGMENT = 200
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_UNSAFE_RAW = re.compile(rb"%(2f|5c|25|00)|\\", re.IGNORECASE)
_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")
_TOLD_BY_PROXY = frozenset({*(name.encode() for name in _FORWARDED), b"x-forwarded-proto"})
UNKNOWN = "unknown"
WIDEST = {4: 8, 6: 16}  # a wider network is no proxy, it is everybody


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


def read_proxies(text: str) -> tuple[Network, ...]:
    """The proxies of GREENLIGHT_PROXIES: addresses or networks such as 10.0.0.0/24, separated by commas.

    Raises
    ------
    BadInput
        One is no address, or a network so wide that it would name everybody.
    """
    found = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        try:
            network = ipaddress.ip_network(part, strict=False)
        except ValueError as error:
            raise BadInput(f"GREENLIGHT_PROXIES names {part[:60]!r}, which is no address; give an address or a network like 10.0.0.0/24.") from error
        if network.prefixlen < WIDEST[network.version]:
            raise BadInput(f"GREENLIGHT_PROXIES names {part[:60]!r}, which is nearly everybody; name the proxy's own address.")
        found.append(network)
    return tuple(found)


def from_proxy(scope: MutableMapping[str, Any], proxies: tuple[Network, ...]) -> MutableMapping[str, Any]:
    """The scope as it would be without the proxy in between; unchanged unless the peer is one of ``proxies``.

    The client is the last address of X-Forwarded-For that is not a named proxy itself: what stands before it was written by the
    client, who may write anything. Without the header the client is unknown: then it is neither this machine nor on any list.

    The server in front of us (uvicorn) believes proxies on this machine by itself, named or not; no real peer has the port 0
    that it then writes. Such a client is looked up again by our rule, and is unknown where no proxy on this machine was named.
    """
    peer, port = scope.get("client") or (UNKNOWN, 1)
    taken_over = port == 0 and any(name == b"x-forwarded-for" for name, _ in scope["headers"])
    if not _is_among("127.0.0.1" if taken_over else peer, proxies):
        return {**scope, "client": (UNKNOWN, 0)} if taken_over else scope
    told = [(name, value.decode("latin-1")) for name, value in scope["headers"] if name in _TOLD_BY_PROXY]
    hops = [hop.strip() for name, value in told if name == b"x-forwarded-for" for hop in value.split(",")]
    client = next((a for a in (_read_hop(hop) for hop in reversed(hops)) if not _is_among(a, proxies)), UNKNOWN)
    if is_loopback(client):  # somebody on the proxy's machine, or what a client wrote into a header that is only handed on
        client = UNKNOWN
    schemes = [part.strip().lower() for name, value in told if name == b"x-forwarded-proto" for part in value.split(",")]
    secure = schemes[-1:] == ["https"]
    scheme = {"http": "https", "ws": "wss"}.get(scope["scheme"], scope["scheme"]) if secure else scope["scheme"]
    headers = [(name, value) for name, value in scope["headers"] if name not in _TOLD_BY_PROXY]
    return {**scope, "client": (client, 0), "scheme": scheme, "headers": headers}


def _is_among(address: str, networks: Iterable[Network]) -> bool:
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip.version == network.version and ip in network for network in networks)


def _read_hop(text: str) -> str:
    """One entry of X-Forwarded-For, with or without a port, as an address; "unknown" for anything else."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0] if text.count(":") == 1 else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return UNKNOWN
