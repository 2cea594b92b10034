"""Orders: acts whose work lies in the prediction log, a database of its own that no transaction spans together with the audit.

The order is written in the act's own transaction, so that a process that is killed at any moment leaves it behind; then the work
is done, and its end is audited under the order's correlation id. Who finds an order that nobody works on any more either does the
work again (it must then have the same effect once) or says truthfully that it was interrupted.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from core import acts
from core.acts import Tx
from core.errors import Refused
from core.home import Home
from core.times import stamp
from storage import accounts as settings_store
from storage import audit as audit_store
from storage import orders as store
from storage.connection import reading, writing


@dataclass(frozen=True)
class Order:
    """What was ordered and is not done yet.

    Attributes
    ----------
    key : str
        The request key of the act; "" without one.
    beat : str
        When somebody last worked on it.
    facts : dict
        What is needed to do it or to tell of it; plain data.
    """

    id: str
    kind: str
    project: str
    actor: str
    via: str
    subject: str
    at: str
    beat: str
    correlation_id: str
    key: str
    facts: dict[str, Any]


def place(tx: Tx, kind: str, project: str, subject: str, *, key: str | None, facts: dict[str, Any]) -> Order:
    """Write an order down in the transaction of the act that gives it."""
    order = Order(
        secrets.token_hex(8), kind, project, tx.actor.name, tx.actor.via, subject, tx.at, tx.at, tx.correlation_id, key or "", facts
    )
    store.insert_order(tx.db, asdict(order))
    return order


def list_orders(home: Home, kind: str) -> list[Order]:
    """Orders of one kind that are not done, oldest first."""
    return [Order(**row) for row in store.list_orders(reading(home.db), kind)]


def find_order(home: Home, order_id: str) -> Order | None:
    row = store.find_order(reading(home.db), order_id)
    return None if row is None else Order(**row)


def beat(home: Home, order: Order, *, now: datetime) -> None:
    """Say that somebody still works on it.

    Raises
    ------
    Refused
        The order was ended by somebody else, because it had seemed abandoned.
    """
    with writing(home.db) as db:
        if not store.set_beat(db, order.id, stamp(now)):
            raise Refused(f"{order.subject} took so long that it was noted as interrupted; do it again.")


def end(
    home: Home, order: Order, action: str, *, now: datetime, result: dict[str, Any] | None, after: Any, error: str = "", before_age: str = "",
    settings: dict[str, str] | None = None,
) -> bool:  # fmt: skip
    """Take an order off the list and audit how it ended; False if somebody else did.

    Parameters
    ----------
    result : dict, optional
        What a second click of the act gets from now on; with None the act may be done again under the same request key.
    error : str
        Why it failed; "" if it was done.
    before_age : str
        Only if nobody has worked on it since this moment.
    settings : dict, optional
        Settings of the installation that are set along with it.
    """
    with acts.unattended(home, now) as (db, note):
        if not store.remove_order(db, order.id, before=before_age):
            return False
        for name, content in (settings or {}).items():
            settings_store.set_setting(db, name, content)
        if order.key:
            audit_store.set_result(db, order.key, None if result is None else json.dumps(result))
        note(
            actor=order.actor, via=order.via, trigger="person", action=action, project=order.project, subject=order.subject, after=after,
            outcome="failed" if error else "done", error=error, correlation_id=order.correlation_id,
        )  # fmt: skip
    return True
