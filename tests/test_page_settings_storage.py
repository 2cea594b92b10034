"""Settings, Storage: what is kept how long, and what an administrator deletes, each after its typed confirmation."""

import pytest

from core import audit, erasure, retention
from core.acts import Actor
from core.datasets import versions as datasets
from core.scoring import log
from core.scoring.predict import predict_rows
from tests.test_retention import HEART, ROW, SCIENTIST, rules


@pytest.fixture
def storage(open_page):
    def open_tab(home, account="admin", action=None, **query):
        test = open_page(home, "settings", account, tab="storage", **query)
        if action:
            test.session_state["storage-action"] = action
            test.run()
        return test

    return open_tab


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def field(test, start):
    return next(w for w in [*test.text_input, *test.text_area] if (w.key or "").startswith(start) and not w.key.endswith(("-typed", "-reason")))


def send(test, form, typed, reason="the law", button="Set"):
    """Fill the confirmation form whose key begins with ``form`` and press its button."""
    next(w for w in test.text_area if w.key.startswith(form) and w.key.endswith("-reason")).set_value(reason)
    next(w for w in test.text_input if w.key.startswith(form) and w.key.endswith("-typed")).set_value(typed)
    next(b for b in test.button if b.label == button).click()
    return test.run()


def test_everybody_sees_how_long_things_are_kept_and_only_an_administrator_changes_it(demo_home, storage):
    for name in ("scientist", "director", "devops", "developer"):
        test = storage(demo_home, name)
        assert list(test.dataframe[1].value["Kept"]) == ["for ever", "for ever", "for ever"]
        assert "At least 180 days are advised" in texts(test)
        assert "decided by an administrator" in texts(test)
        assert not [b for b in test.button if "Erase" in b.label or "Delete" in b.label]
        assert "Change or delete" not in [h.value for h in test.header]


def test_a_rule_is_set_after_it_was_said_what_goes(trained_home, storage):
    predict_rows(trained_home, SCIENTIST, HEART, [ROW], source="test")
    test = storage(trained_home, action="keep")
    test.number_input(key="keep-days").set_value(30).run()
    assert "Fewer than the 180 days that are advised" in texts(test)
    assert "Nothing is older now" in texts(test)
    send(test, "keep-", "heart")
    assert "type heart\\_disease exactly" in test.error[0].value
    assert rules(trained_home)["predictions"] is None
    send(test, "keep-", HEART)
    assert not test.exception
    assert rules(trained_home)["predictions"] == 30
    assert "for 30 days" in list(test.dataframe[1].value["Kept"])


def test_predictions_are_deleted(trained_home, storage):
    predict_rows(trained_home, SCIENTIST, HEART, [ROW] * 3, source="test")
    test = storage(trained_home, action="predictions")
    assert "3 predictions of heart\\_disease go" in texts(test)
    send(test, "purge-heart", HEART, button="Delete predictions")
    assert not test.exception
    assert log.read(trained_home, HEART).empty
    assert "There is no such prediction" in texts(test)


def test_a_dataset_in_use_is_refused_and_one_that_is_not_is_deleted(trained_home, storage):
    test = storage(trained_home, action="dataset")
    assert "Trained from it: 1\\.0\\.0 \\(live\\)" in texts(test)
    send(test, "purge-dataset", HEART, button="Delete rows")
    assert "can be purged once they are archived" in test.error[0].value
    test = storage(trained_home, action="dataset", project="future_skills")
    send(test, "purge-dataset", "future_skills", button="Delete rows")
    assert not test.exception
    assert list(datasets.find_purged(trained_home, "future_skills"))
    assert "There is no dataset version with rows" in texts(test)


def test_a_person_is_looked_for_and_erased_by_ids_and_the_page_keeps_nothing(trained_home, storage):
    ids = list(predict_rows(trained_home, SCIENTIST, HEART, [ROW] * 2, source="test").outputs["prediction_id"])
    test = storage(trained_home, action="erase")
    field(test, "erase-ids").set_value(ids[0]).run()
    assert "labels of 1 predictions are blanked" in texts(test)
    send(test, "erase-", HEART, button="Erase")
    assert not test.exception
    assert list(log.read(trained_home, HEART)["prediction_id"]) == [ids[1]]
    assert field(test, "erase-ids").value == ""
    event = audit.search(trained_home, action="erase_person")[0][0]
    assert event["after"]["person"] == erasure.name_person(trained_home, HEART, ids[0])


def test_a_person_of_whom_nothing_is_kept_is_not_asked_to_be_confirmed(demo_home, storage):
    test = storage(demo_home, action="erase", project="future_skills")
    field(test, "erase-key").set_value("nobody at all").run()
    assert "Nothing of this person is kept here" in texts(test)
    assert not [b for b in test.button if b.label == "Erase"]
    assert audit.search(demo_home, action="erase_person")[0] == []


def test_the_number_of_rules_is_the_number_of_kinds(demo_home):
    assert {r.kind for r in retention.list_rules(demo_home, HEART)} == set(retention.KINDS)


def test_the_data_page_says_that_the_rows_were_deleted_and_shows_their_report_still(demo_home, open_page):
    retention.purge_dataset(demo_home, Actor("admin"), HEART, 1, confirm=HEART, reason="old")
    test = open_page(demo_home, "data", dataset="1")
    test.session_state["data-tabs"] = "Rows"
    test.run()
    assert not test.exception
    assert not test.error
    assert "was purged by admin" in test.info[0].value
