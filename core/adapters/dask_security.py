"""Whether Dask's own settings let this machine speak to a scheduler, asked before anybody is contacted."""

from __future__ import annotations

import re

from core.errors import Refused

SETTINGS = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..._TLS__CLIENT__CERT and ..._TLS__CLIENT__KEY"
_NOT_TRUSTED = re.compile("certificate|unknown ca", re.IGNORECASE)


def check_security(address: str) -> None:
    """Raise where the address and the certificates of Dask's settings do not go together.

    Raises
    ------
    Refused
        ``tls://`` without certificates, or with files that cannot be read; ``tcp://`` where Dask's settings want encryption.
    """
    from distributed.security import Security

    secure = address.startswith("tls://")
    try:
        found = Security().get_connection_args("client")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        if not secure:
            return
        raise Refused(
            f"A certificate in Dask's settings cannot be read ({type(error).__name__}); check {SETTINGS} (docs/scaling.md)."
        ) from None
    if secure and found.get("ssl_context") is None:
        raise Refused(f"{address} is spoken to over TLS, and Dask's settings name no certificates: set {SETTINGS} (docs/scaling.md).")
    if not secure and found.get("require_encryption"):
        raise Refused(f"Dask's settings want encryption, and GREENLIGHT_DASK is {address}; write tls:// and the scheduler's secure port.")


def is_about_trust(error: BaseException) -> bool:
    """Whether a connection failed because one side does not know the other's certificate."""
    return _NOT_TRUSTED.search(str(error)) is not None
