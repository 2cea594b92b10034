"""What a project is joined to: kept with its history, refused with its reason, taken away again."""

import pytest

from core import audit
from core.acts import Actor
from core.errors import BadInput, NotFound
from core.projects import joins

SCIENTIST = Actor("scientist")
PROJECT = "heart_disease"


def test_the_newest_value_is_in_force_and_the_earlier_ones_are_kept(demo_home):
    home = demo_home
    assert joins.find_join(home, PROJECT, "expectations") is None
    joins.set_join(home, SCIENTIST, PROJECT, "expectations", {"name": "one"}, check=dict)
    joins.set_join(home, SCIENTIST, PROJECT, "expectations", {"name": "two"}, check=dict)
    assert joins.find_join(home, PROJECT, "expectations").value == {"name": "two"}
    assert joins.find_join(home, PROJECT, "database") is None
    assert [j.value["name"] for j in joins.list_joins(home, PROJECT, "expectations")] == ["two", "one"]


def test_a_join_that_was_taken_away_is_none_and_its_history_stays(demo_home):
    home = demo_home
    joins.set_join(home, SCIENTIST, PROJECT, "database", {"connection": "hr"}, check=dict)
    with pytest.raises(BadInput, match="A reason is needed: write in a sentence why the project leaves its database"):
        joins.set_join(home, SCIENTIST, PROJECT, "database", None, check=dict, reason=" ")
    assert joins.find_join(home, PROJECT, "database").value == {"connection": "hr"}
    joins.set_join(home, SCIENTIST, PROJECT, "database", None, check=dict, reason="the server is switched off")
    assert joins.find_join(home, PROJECT, "database") is None
    assert [j.value for j in joins.list_joins(home, PROJECT, "database")] == [None, {"connection": "hr"}]
    events, _ = audit.search(home, action="join")
    assert [(e["outcome"], e["reason"]) for e in events[:2]] == [("done", "the server is switched off"), ("refused", " ")]


def test_a_value_that_cannot_be_used_is_refused_and_the_attempt_is_audited(demo_home):
    home = demo_home

    def check(value):
        raise BadInput("The suite has no expectations; add one.")

    with pytest.raises(BadInput, match="has no expectations"):
        joins.set_join(home, SCIENTIST, PROJECT, "expectations", {}, check=check)
    assert joins.list_joins(home, PROJECT, "expectations") == []
    (event, *_), _ = audit.search(home, action="join")
    assert (event["outcome"], event["actor"]) == ("refused", "scientist")


def test_an_unknown_kind_and_an_unknown_project_are_named(demo_home):
    with pytest.raises(BadInput, match="not to 'moon'"):
        joins.set_join(demo_home, SCIENTIST, PROJECT, "moon", {}, check=dict)
    with pytest.raises(NotFound, match="nowhere"):
        joins.set_join(demo_home, SCIENTIST, "nowhere", "database", {}, check=dict)
