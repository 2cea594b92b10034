"""Passwords, one-time codes and session tokens: made, hashed and compared.

Passwords are argon2id (argon2-cffi's defaults, the low-memory profile of RFC 9106). Codes and tokens are random, so
their sha256 is enough to keep.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from core.errors import BadInput

_DECOY: list[str] = []


def hash_password(password: str) -> str:
    return str(_hasher().hash(password))


def check_password(password: str) -> str:
    """Return the password if it is long enough to be one (NIST SP 800-63B: length, no composition rules)."""
    if len(password) < 12:
        raise BadInput("A password needs at least 12 characters; a short sentence is a good one.")
    if len(password) > 256:
        raise BadInput("A password has at most 256 characters.")
    return password


def fits_password(password_hash: str | None, password: str) -> bool:
    """Whether the password is the hashed one; for an unknown account (None) it takes the same time to say no."""
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher = _hasher()
    if not _DECOY:
        _DECOY.append(hasher.hash(secrets.token_hex(16)))
    try:
        hasher.verify(password_hash or _DECOY[0], password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def make_token() -> str:
    """A session token: 32 random bytes."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def make_code() -> str:
    """A one-time code that a person can read out: 79 random bits, without look-alikes."""
    alphabet = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(4))


def hash_code(code: str) -> str:
    """Of the code however it was typed: case, spaces and dashes do not count."""
    return hash_token(code.strip().upper().replace("-", "").replace(" ", ""))


def fits_code(code_hash: str | None, code: str) -> bool:
    """Whether the code is the hashed one, compared in constant time."""
    return code_hash is not None and hmac.compare_digest(code_hash, hash_code(code))


def _hasher() -> Any:
    from argon2 import PasswordHasher

    return PasswordHasher()
