"""Where messages may go: an address is looked up once, checked, and connected to itself.

A name may answer with another address the second time it is asked, so what was checked is what is connected to. Addresses of
private, loopback, link-local and other networks that are not the internet are refused, in whatever spelling they come, unless
the installation names the target.
"""

from __future__ import annotations

import ipaddress
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from core.errors import BadInput, GreenlightError, Refused

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an IPv4 address in its last 32 bits
_UNICAST_6 = ipaddress.ip_network("2000::/3")  # all of IPv6 that was ever given out
# special ones that the library counts as public: protocol assignments, relays of 6to4
_SPECIAL_4 = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("192.88.99.0/24"))

Target = tuple[str, int]


class Unreachable(GreenlightError):
    """Nobody answered at an address, or not in time; it may be otherwise later."""


def read_targets(text: str) -> frozenset[Target]:
    """``host:port, [::1]:port`` as pairs.

    Raises
    ------
    BadInput
        Something between the commas is no host with a port.
    """
    found = set()
    for part in (p.strip().lower() for p in text.split(",")):
        if not part:
            continue
        host, sign, port = part.rpartition(":")
        if not (sign and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise BadInput(f"GREENLIGHT_ALLOW_PRIVATE_TARGETS names {part[:60]!r}; write host:port, and commas between them.")
        found.add((host.strip("[]"), int(port)))
    return frozenset(found)


def why_not_public(address: str) -> str:
    """Empty if an address belongs to the public internet; else the words that say what it is.

    Addresses that carry an IPv4 address inside them (mapped, 6to4, Teredo, NAT64) are judged by that one too.
    """
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return "no address"
    inner: list[Any] = []
    if isinstance(ip, ipaddress.IPv6Address):
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if ip.ipv4_mapped is not None:
            return why_not_public(str(ip.ipv4_mapped))
    for name, what in (
        ("is_unspecified", "no host's address"), ("is_loopback", "this machine"), ("is_link_local", "the local link"),
        ("is_multicast", "a multicast group"),
    ):  # fmt: skip
        if getattr(ip, name):
            return what
    beyond = ip not in _UNICAST_6 and ip not in _NAT64 if ip.version == 6 else any(ip in special for special in _SPECIAL_4)
    if beyond or not ip.is_global:
        return "a private or reserved network"
    return next((why for one in inner if one is not None and (why := why_not_public(str(one)))), "")


Lookup = Callable[..., list[Any]]


def look_up(host: str, port: int, *, allowed: frozenset[Target], deadline: float, resolve: Lookup = socket.getaddrinfo) -> list[Any]:
    """Addresses of a host as socket.getaddrinfo gives them, all of them checked.

    Parameters
    ----------
    deadline : float
        On the scale of time.monotonic.

    Raises
    ------
    Refused
        One of them is not public, and the installation does not allow the target by name.
    Unreachable
        The name is not known, or no answer came in time.
    """
    answers: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(resolve(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    # the system's own look-up knows no time limit, so it is left behind when ours is over
    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        found = answers.get(timeout=max(0.01, deadline - time.monotonic()))
    except queue.Empty:
        raise Unreachable(f"{host} was not looked up in time; check the name server.") from None
    if isinstance(found, Exception) or not found:
        raise Unreachable(f"The name {host} is not known; check its spelling and the name server.")
    if (host.lower(), port) not in allowed:
        for *_, where in found:
            if why := why_not_public(where[0]):
                raise Refused(
                    f"{host}:{port} leads to {where[0]}, which is {why}; messages go to the public internet, or to what "
                    "GREENLIGHT_ALLOW_PRIVATE_TARGETS names."
                )
    return found


def connect(
    host: str, port: int, *, allowed: frozenset[Target], deadline: float, resolve: Lookup = socket.getaddrinfo
) -> socket.socket:
    """A connection to the first address of a host that answers; each was checked before.

    Raises
    ------
    Refused
        The target is not allowed.
    Unreachable
        Nobody answered in time.
    """
    last: OSError | None = None
    for family, kind, protocol, _, where in look_up(host, port, allowed=allowed, deadline=deadline, resolve=resolve):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        plug = socket.socket(family, kind, protocol)
        plug.settimeout(left)
        try:
            plug.connect(where)
        except OSError as error:
            plug.close()
            last = error
            continue
        return plug
    raise Unreachable(f"{host}:{port} does not answer ({(last and last.strerror) or 'in time'}); check that it runs and the way there.")


@contextmanager
def cut_off(plug: socket.socket, deadline: float) -> Iterator[threading.Event]:
    """Shut a connection down when the time is over, however slowly the other side drips; the event says that it was."""
    over = threading.Event()
    # the connection may be wrapped for TLS (a wrapped one cannot be doubled by itself); this one shuts down what is beneath
    twin = socket.socket(fileno=os.dup(plug.fileno()))

    def shut() -> None:
        over.set()
        with suppress(OSError):  # it was closed already
            twin.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), shut)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()
        timer.join(timeout=1)
        twin.close()
