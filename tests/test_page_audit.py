"""The Audit page through the real frame: the chain's verdict, search, one event, and the export as an act."""

import json
import sqlite3

import pytest

from core import accounts, audit
from core.acts import Actor
from core.audit_export import export_audit
from core.errors import NotFound, Refused

ADMIN = Actor("admin")


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def button(test, label):
    return next(b for b in test.button if b.label == label)


def box(test, label):
    return next(s for s in test.selectbox if s.label == label)


def events(test):
    return next(d.value for d in test.dataframe if "Outcome" in d.value.columns)


def test_the_chain_is_unknown_until_it_was_verified_on_this_visit(trained_home, open_page):
    test = open_page(trained_home, "audit")
    assert "The chain was not verified on this visit" in texts(test)
    button(test, "Verify the chain").click().run()
    verdict = audit.verify(trained_home)
    assert verdict.intact
    assert f"All {verdict.count} events are unchanged and none is missing" in texts(test)
    assert f"{verdict.count} events, head {verdict.head[:16]}" in texts(test)


def test_a_changed_event_is_named(trained_home, open_page):
    seq = audit.search(trained_home, action="request_release")[0][0]["seq"]
    # as somebody would who has the file: past the triggers
    with sqlite3.connect(trained_home.db) as connection:
        connection.execute("DROP TRIGGER audit_refuses_update")
        connection.execute("UPDATE audit SET body = replace(body, 'First model', 'Last model') WHERE seq = ?", (seq,))
    connection.close()
    changed = audit.verify(trained_home).row
    test = open_page(trained_home, "audit")
    button(test, "Verify the chain").click().run()
    assert changed == seq
    assert f":red[:material/error: Act] Event {seq} was changed after it was written" in texts(test)


def test_filters_narrow_the_table_to_what_the_rows_hold(trained_home, open_page):
    with pytest.raises(Refused):
        accounts.add_account(trained_home, Actor("developer"), "eve", "admin")
    test = open_page(trained_home, "audit")
    assert len(events(test)) == audit.search(trained_home)[1]
    box(test, "Outcome").set_value("refused").run()
    shown = events(test)
    assert list(shown["What"]) == ["add account"]
    assert list(shown["Who"]) == ["developer"]
    assert "may not manage accounts" in shown["Reason or refusal"].iloc[0]
    box(test, "Who").set_value("devops").run()
    assert "No event matches these filters" in texts(test)


def test_words_are_searched_and_odd_ones_find_nothing_instead_of_breaking(trained_home, open_page):
    test = open_page(trained_home, "audit")
    test.text_input[0].input("First model").run()
    assert set(events(test)["What"]) >= {"request release"}
    test.text_input[0].input('"(* zebra\x00').run()
    assert not test.exception
    assert not test.error
    assert "No event matches" in texts(test)


def test_fifty_events_a_page_newest_first(trained_home, open_page):
    for number in range(60):
        accounts.revoke_sessions(trained_home, ADMIN, "admin", reason=f"number {number}")
    total = audit.search(trained_home)[1]
    test = open_page(trained_home, "audit")
    assert list(events(test)["Event"]) == list(range(total, total - 50, -1))
    test.session_state["audit-page"] = 2
    test.run()
    assert list(events(test)["Event"]) == list(range(total - 50, 0, -1))


def test_a_link_opens_an_event_with_before_and_after(trained_home, open_page):
    deployed = audit.search(trained_home, action="deploy")[0][0]
    test = open_page(trained_home, "audit", event=str(deployed["seq"]))
    assert [json.loads(c.value) for c in test.code] == [{"live": None}, {"live": "1.0.0"}]
    assert "approved by director" in texts(test)
    fields = next(d.value for d in test.dataframe if "Field" in d.value.columns).set_index("Field")["Value"]
    assert fields["hash"] == deployed["hash"]
    button(test, "Everything of this correlation id").click().run()
    story = audit.search(trained_home, correlation_id=deployed["correlation_id"])[0]
    assert [e["action"] for e in story] == ["deploy", "approve_release", "request_release"]
    assert list(events(test)["Event"]) == [e["seq"] for e in story]
    button(test, "Close").click().run()
    assert not test.code


@pytest.mark.parametrize("wanted", ["99999", "x", "0", "9" * 30])
def test_a_link_to_no_event_says_so_and_the_table_stays(trained_home, open_page, wanted):
    test = open_page(trained_home, "audit", event=wanted)
    assert "There is no audit event" in test.error[0].value
    assert len(events(test)) > 0


def test_the_export_holds_every_event_with_its_own_last(trained_home):
    before = audit.search(trained_home)[1]
    lines = [json.loads(line) for line in export_audit(trained_home, Actor("director")).decode().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, before + 2))
    last = lines[-1]["event"]
    assert (last["action"], last["actor"], last["after"]["events"]) == ("export_audit", "director", before)
    assert last["after"]["head"] == lines[-2]["hash"]


def test_the_export_is_offered_to_those_who_may_and_refused_to_the_others(trained_home, open_page):
    def offered(name):
        return [d.proto.label for d in open_page(trained_home, "audit", name).get("download_button")]

    assert offered("director") == ["Export all events (JSONL)"]
    assert offered("developer") == []
    with pytest.raises(Refused, match="may not export audit"):
        export_audit(trained_home, Actor("developer"))
    assert audit.search(trained_home, action="export_audit", outcome="refused")[1] == 1


def test_an_event_is_found_by_its_number_or_not_at_all(trained_home):
    assert audit.get_event(trained_home, 1)["seq"] == 1
    with pytest.raises(NotFound, match="no audit event 4711"):
        audit.get_event(trained_home, 4711)
