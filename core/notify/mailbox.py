"""E-mail addresses of people: what can be one, and how one is shown where it need not be read."""

from __future__ import annotations

import re

from core.errors import BadInput

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+")


def check_address(text: str) -> str:
    """``text`` without spaces around it, if it can be an e-mail address.

    Raises
    ------
    BadInput
        It cannot: also where it holds a line break, by which a header could be smuggled in.
    """
    address = text.strip(" ")
    local = address.rpartition("@")[0]
    if len(address) > 254 or not _ADDRESS.fullmatch(address) or local.startswith(".") or local.endswith(".") or ".." in local:
        raise BadInput(f"{address[:60]!r} is no e-mail address; write one like name@example.com.")
    return address


def mask(address: str) -> str:
    """``d…@example.com``: enough to see in the audit that it changed, and whereto, without keeping it there for ever."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}" if address else "none"
