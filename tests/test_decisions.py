"""What all requests have in common: when they expire or lapse, and who may decide."""

from datetime import UTC, datetime, timedelta

import pytest

from core import decisions
from core.accounts import Account
from core.times import stamp

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def row(state, **more):
    return {"state": state, "expires_at": stamp(NOW), "decided_at": None, **more}


@pytest.mark.parametrize(
    ("kept", "seconds", "lapses", "state"),
    [
        (row("pending"), -1, True, "pending"),
        (row("pending"), 0, True, "expired"),
        (row("rejected"), 9, True, "rejected"),
        (row("approved", decided_at=stamp(NOW - timedelta(days=7))), -1, True, "approved"),
        (row("approved", decided_at=stamp(NOW - timedelta(days=7))), 0, True, "lapsed"),
        (row("approved", decided_at=stamp(NOW - timedelta(days=7))), 0, False, "approved"),
        (row("approved", decided_at=stamp(NOW), lapses_at=stamp(NOW)), 0, True, "lapsed"),
        (row("used", decided_at=stamp(NOW - timedelta(days=70))), 0, True, "used"),
    ],
)
def test_time_ends_what_nobody_decided_or_used(kept, seconds, lapses, state):
    assert decisions.state_at(kept, NOW + timedelta(seconds=seconds), lapses=lapses) == state


def test_what_is_looked_for_as_ended_is_stored_as_what_it_was():
    assert set(decisions.stored_as(("expired",))) == {"expired", "pending"}
    assert set(decisions.stored_as(("lapsed", "used"))) == {"lapsed", "approved", "used"}
    assert decisions.stored_as(()) == ()


@pytest.mark.parametrize(
    ("name", "role", "permission", "more", "why"),
    [
        ("director", "drh_manager", "approve_release", {}, ""),
        ("scientist", "data_scientist", "approve_retraining", {}, ""),
        ("devops", "devops", "approve_release", {}, "Deciding is for: DRH manager."),
        ("agent", "agent", "approve_retraining", {}, "Deciding is for: Data scientist, DRH manager."),
        ("director", "drh_manager", "approve_settings", {"requested_by": "director"}, "Nobody decides their own request; another DRH manager can."),
        ("director", "drh_manager", "approve_release", {"trained_by": "director"},
         "Whoever trained a version does not decide its release; another DRH manager can."),
        ("director", "drh_manager", "approve_release", {"state": "expired"}, "This request is expired already."),
    ],
)  # fmt: skip
def test_who_may_decide_is_one_sentence_for_every_kind_of_request(name, role, permission, more, why):
    asked = {"requested_by": "somebody", "state": "pending", **more}
    assert decisions.why_not_decide(Account(name, role), permission, **asked) == why
