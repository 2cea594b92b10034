"""E-mail: composed of text and HTML, sent by SMTP with TLS to a server whose address was checked."""

from __future__ import annotations

import hashlib
import re
import smtplib
import socket
import ssl
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from types import TracebackType
from typing import Any

from core.errors import Refused
from core.notify import addresses
from core.notify.connections import Connections
from core.notify.mailbox import check_address
from core.notify.messages import Message, render
from core.notify.outcome import Failed

SECONDS = 10.0  # for the conversation with the server; each message has as long again


def write_mail(message: Message, *, sender: str, recipient: str, now: datetime, attached: tuple[str, bytes] | None = None) -> EmailMessage:
    """A mail that any program can show: text, HTML with nothing to load, and one PDF if there is one."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address("Greenlight", addr_spec=check_address(sender))
    mail["To"] = check_address(recipient)
    mail["Subject"] = " ".join("".join(c if c.isprintable() else " " for c in message.line).split())
    mail["Date"] = now
    once = hashlib.sha256(f"{message.id} {message.at} {message.correlation_id}".encode()).hexdigest()[:16]
    mail["Message-ID"] = f"<greenlight-{message.id}-{once}@{sender.rpartition('@')[2]}>"  # the same if it is sent twice
    mail["Auto-Submitted"] = "auto-generated"
    if message.correlation_id:
        mail["X-Greenlight-Correlation-Id"] = re.sub(r"[^\w.:-]", "", message.correlation_id, flags=re.ASCII)[:64]
    mail.set_content(render(message, "mail.txt"))
    mail.add_alternative(render(message, "mail.html"), subtype="html")
    if attached is not None:
        mail.add_attachment(attached[1], maintype="application", subtype="pdf", filename=attached[0])
    return mail


class Mailer:
    """One conversation with the mail server, opened at the first mail and used for those after it.

    Use it in a ``with`` block; it is not for several threads.
    """

    def __init__(self, connections: Connections, *, seconds: float = SECONDS) -> None:
        self.connections, self.seconds = connections, seconds
        self._server: smtplib.SMTP | None = None

    def __enter__(self) -> Mailer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._server is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._server.quit()
            with suppress(OSError):
                self._server.close()
            self._server = None

    def send(self, mail: EmailMessage) -> None:
        """Hand one mail to the server.

        Raises
        ------
        Failed
            It was not taken; ``again`` says whether it may be later.
        """
        deadline = time.monotonic() + self.seconds
        try:
            with ExitStack() as stack:
                server = self._server or self._open(deadline)
                self._server = server
                stack.enter_context(addresses.cut_off(_socket_of(server), deadline))
                refused = server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()))
            self.close()
            raise Failed(f"The mail server refused the recipient ({code} {_say(words)}).", again=400 <= code < 500) from None
        except smtplib.SMTPAuthenticationError as error:
            self.close()
            raise Failed(f"The mail server refused the name or the password ({error.smtp_code}).", again=True, whole=True) from None
        except smtplib.SMTPResponseException as error:
            self.close()
            said = f"{error.smtp_code} {_say(error.smtp_error)}"
            raise Failed(f"The mail server refused the mail ({said}).", again=400 <= error.smtp_code < 500) from None
        except ssl.SSLCertVerificationError as error:
            self.close()
            why = f"The mail server's certificate is not believed ({error.verify_message}); see GREENLIGHT_CA_FILE."
            raise Failed(why, again=True, whole=True) from None
        except smtplib.SMTPNotSupportedError:
            self.close()
            why = "The mail server offers no STARTTLS (or no sign-in after it); mail is not sent in the clear."
            raise Failed(why, again=True, whole=True) from None
        except (addresses.Unreachable, Refused) as error:
            self.close()
            raise Failed(str(error), again=isinstance(error, addresses.Unreachable), whole=True) from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self.close()
            raise Failed(f"The mail server ended the conversation ({type(error).__name__}).", again=True, whole=True) from None
        if refused:
            raise Failed("The mail server refused the recipient.")

    def _open(self, deadline: float) -> smtplib.SMTP:
        own = self.connections
        plug = addresses.connect(own.smtp_host, own.smtp_port, allowed=own.allowed, deadline=deadline)
        server: smtplib.SMTP | None = None
        try:
            with addresses.cut_off(plug, deadline):
                server = _Checked(plug, own, timeout=self.seconds)
                if own.smtp_security != "tls":
                    server.starttls(context=own.tls)
                if own.smtp_user:
                    server.login(own.smtp_user, own.smtp_password)
        except BaseException:
            (server or plug).close()
            raise
        return server


class _Checked(smtplib.SMTP):
    """Speaks on a connection that was made to a checked address, and looks nothing up itself."""

    def __init__(self, plug: socket.socket, connections: Connections, *, timeout: float) -> None:
        self._plug, self._connections = plug, connections
        name = connections.smtp_from.rpartition("@")[2] or "greenlight"
        super().__init__(connections.smtp_host, connections.smtp_port, local_hostname=name, timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:  # called by smtplib
        if self._connections.smtp_security == "tls":
            self._plug = self._connections.tls.wrap_socket(self._plug, server_hostname=host)
        self._plug.settimeout(timeout)
        return self._plug


def _socket_of(server: smtplib.SMTP) -> socket.socket:
    if server.sock is None:
        raise smtplib.SMTPServerDisconnected("closed")
    return server.sock


def _say(words: Any) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:120]
