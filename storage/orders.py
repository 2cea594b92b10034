"""Orders that are not done yet: one row each, gone when its end is audited."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database


def insert_order(db: Database, order: dict[str, Any]) -> None:
    """Keep an order; ``order`` holds every column, its facts as plain data."""
    row = {**order, "facts": json.dumps(order["facts"], sort_keys=True, ensure_ascii=False)}
    db.conn.execute(f"INSERT INTO orders({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))  # noqa: S608 - our own names


def find_order(db: Database, order_id: str) -> dict[str, Any] | None:
    rows = list(db.query("SELECT * FROM orders WHERE id = ?", (order_id,)))
    return _read(rows[0]) if rows else None


def list_orders(db: Database, kind: str) -> list[dict[str, Any]]:
    """Every order of a kind, oldest first."""
    return [_read(r) for r in db.query("SELECT * FROM orders WHERE kind = ? ORDER BY at, id", (kind,))]


def set_beat(db: Database, order_id: str, beat: str) -> bool:
    """Note when it was last worked on; False if it is there no more."""
    return bool(db.conn.execute("UPDATE orders SET beat = ? WHERE id = ?", (beat, order_id)).rowcount)


def remove_order(db: Database, order_id: str, *, before: str = "") -> bool:
    """Take it away, with ``before`` only if nobody has worked on it since; False if nothing was taken away."""
    cursor = db.conn.execute("DELETE FROM orders WHERE id = ? AND (? = '' OR beat < ?)", (order_id, before, before))
    return bool(cursor.rowcount)


def _read(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "facts": json.loads(row["facts"])}
