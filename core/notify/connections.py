"""Where the channels lead, as the environment says: whoever keeps a secret also says where it goes.

So an administrator of the console can switch channels and choose who hears of what, but can send the mail server's password
nowhere else. Addresses of Slack hold a secret themselves; nothing of this is stored or shown.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import BadInput
from core.notify.addresses import Target, read_targets
from core.notify.events import MAIL, SLACK, WEBHOOK
from core.settings import Settings

SECURITIES = ("starttls", "tls")


@dataclass(frozen=True)
class Connections:
    """How messages leave this installation; an empty host or address means that the channel is not configured.

    Attributes
    ----------
    smtp_security : str
        starttls (plain first, then TLS before anything is said; usually port 587) or tls (from the start; usually 465).
    smtp_from : str
        The address that mails come from.
    slack_url, webhook_url : str
    ca_file : str
        Further certificate authorities that are believed (PEM).
    allowed : frozenset of (host, port)
        Targets that may lie in a private network.
    console_url : str
        Where people open the console; the links in messages begin with it.
    """

    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: str = "starttls"
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_from: str = ""
    slack_url: str = field(default="", repr=False)
    webhook_url: str = field(default="", repr=False)
    ca_file: str = ""
    allowed: frozenset[Target] = frozenset()
    console_url: str = ""

    def why_not(self, channel: str) -> str:
        """Empty if a channel can be used; else what is missing or wrong, in one sentence."""
        if channel == MAIL:
            return self._why_no_mail()
        name, url = {SLACK: ("GREENLIGHT_SLACK_URL", self.slack_url), WEBHOOK: ("GREENLIGHT_WEBHOOK_URL", self.webhook_url)}[channel]
        if not url:
            return f"Not configured: {name} is not set."
        try:
            self.split(url)
        except BadInput as error:
            return f"Not usable: {name} {error}"
        return ""

    def _why_no_mail(self) -> str:
        if not self.smtp_host:
            return "Not configured: GREENLIGHT_SMTP_HOST is not set."
        if not self.smtp_from:
            return "Not configured: GREENLIGHT_SMTP_FROM is not set."
        if self.smtp_security not in SECURITIES:
            return "Not usable: GREENLIGHT_SMTP_SECURITY is starttls or tls; mail is not sent in the clear."
        return ""

    def where(self, channel: str) -> str:
        """The server of a channel, without what is secret; empty if it cannot be used."""
        if self.why_not(channel):
            return ""
        if channel == MAIL:
            return f"{self.smtp_host}:{self.smtp_port}"
        host, port, _, _ = self.split(self.slack_url if channel == SLACK else self.webhook_url)
        return f"{host}:{port}"

    def split(self, url: str) -> tuple[str, int, str, bool]:
        """Host, port, path with query, and whether TLS is used.

        Raises
        ------
        BadInput
            No https address (http is taken for allowed private targets alone), or one with a name and a password in it. The
            message does not repeat the address, which may hold a secret.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port, parts = "", None, urlsplit("")
        secure = parts.scheme == "https"
        port = port or (443 if secure else 80)
        if not host or parts.scheme not in ("http", "https") or any(not 33 <= ord(c) < 127 for c in url):
            raise BadInput("is no web address; it begins with https:// and holds no spaces.")
        if parts.username is not None or parts.password is not None:
            raise BadInput("holds a name or a password before the host; take them out.")
        if not secure and (host, port) not in self.allowed:
            raise BadInput("begins with http://; messages go out by https alone.")
        path = parts.path or "/"
        return host, port, f"{path}?{parts.query}" if parts.query else path, secure

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Certificates are checked, always."""
        context = ssl.create_default_context()
        if self.ca_file:
            if not Path(self.ca_file).is_file():
                raise BadInput(f"GREENLIGHT_CA_FILE names {self.ca_file}, which is no file; correct it.")
            context.load_verify_locations(self.ca_file)
        return context

    def link(self, path: str) -> str:
        """A path of the console as a whole address, where it is known."""
        return f"{self.console_url.rstrip('/')}{path}" if self.console_url and path else path


def read_connections(settings: Settings | None = None) -> Connections:
    """What the environment (and .env) says now."""
    known = settings or Settings.from_environment()
    return Connections(
        smtp_host=known.smtp_host.strip(), smtp_port=known.smtp_port, smtp_security=known.smtp_security.strip().lower(),
        smtp_user=known.smtp_user, smtp_password=known.smtp_password.get_secret_value(), smtp_from=known.smtp_from.strip(),
        slack_url=known.slack_url.get_secret_value().strip(), webhook_url=known.webhook_url.get_secret_value().strip(),
        ca_file=known.ca_file.strip(), allowed=read_targets(known.allow_private_targets), console_url=known.url.strip(),
    )  # fmt: skip
