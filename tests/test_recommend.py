"""Recommendations: from a typed query to ranked items of the catalogue, in core and over HTTP."""

import shutil
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score

from core import approvals, deployment
from core.acts import Actor
from core.datasets.versions import get_version as get_dataset
from core.errors import BadInput, Refused
from core.home import open_home
from core.jobs import worker
from core.monitoring import quality
from core.projects.definition import Catalogue, from_dict, to_json
from core.projects.projects import get_definition
from core.registry import versions
from core.scoring import files, labels, log, recommend
from core.times import utc_now
from core.training import runs
from samples.recipe_ranking import generator
from tests.api_client import HEART, check_problem, make_client, make_key
from tests.conftest import chosen_candidate, copy_home

RECIPES = "recipe_ranking"
RECOMMEND = f"/api/v1/projects/{RECIPES}/recommend"
QUERY = "quick vegetarian lentil soup with spinach"


@pytest.fixture(scope="module")
def built_ranking(tmp_path_factory, built_demo):
    """The demo with recipe_ranking trained (ridge, a small forest) and live."""
    root = tmp_path_factory.mktemp("ranking") / "home"
    home = copy_home(built_demo, root)
    candidates = [("dummy", {}), ("random_forest", {"n_estimators": 20})]
    job = runs.start_training(home, Actor("scientist"), RECIPES, candidates=candidates, owner="cli")
    done = worker.wait_for(home, job["id"], worker.start_process(home, job["id"]))
    assert done.state == "done", done.error
    versions.register(home, Actor("scientist"), chosen_candidate(home, done.outcome["run"]).id)
    request = approvals.request_release(home, Actor("scientist"), RECIPES, "1.0.0", reason="First model")
    approvals.approve(home, Actor("director"), request["id"], reason="Good enough", despite_gates=True)
    deployment.deploy(home, Actor("devops"), RECIPES, "1.0.0")
    return root


@pytest.fixture
def ranking_home(built_ranking, tmp_path):
    root = tmp_path / "home"
    shutil.copytree(built_ranking, root, ignore=shutil.ignore_patterns("*-shm"))
    return open_home(root)


@pytest.fixture
def client(ranking_home):
    return make_client(ranking_home, make_key(ranking_home, "predict"))


@pytest.fixture
def definition(ranking_home):
    return get_definition(ranking_home, RECIPES)


@pytest.fixture
def index(ranking_home, definition):
    return recommend.make_index(ranking_home, definition, get_dataset(ranking_home, RECIPES))


def test_each_item_of_the_data_is_in_the_catalogue_once(index, ranking_home):
    made = generator.make_ranking()
    assert sorted(index.items) == sorted(set(made["recipe_id"]))
    place = index.items.index("r131")
    row = made[made["recipe_id"] == "r131"].iloc[-1]
    assert index.texts[place] == {"title": row["title"]}
    assert (index.rows[place]["minutes"], index.rows[place]["cuisine"]) == (row["minutes"], row["cuisine"])


def test_an_item_is_closest_to_its_own_title(index):
    lengths = np.linalg.norm(index.vectors, axis=1)
    np.testing.assert_allclose(lengths, 1.0)
    for place in (0, 50, 150):
        vector, known = recommend.embed(index, index.texts[place]["title"])
        closeness = index.vectors @ vector
        assert known >= 5
        assert closeness[place] == pytest.approx(closeness.max())


def test_the_similarity_is_that_of_the_training_data(definition):
    for query, title in [(QUERY, "Indian lentil soup with spinach and mint"), ("cod", "beef pie"), ("with and", "tart"), ("A b", "a B")]:
        assert recommend.similarity(query, title, definition.catalogue) == generator.similarity(query, title)
    assert recommend.similarity("lentil soup", "lentil stew with", definition.catalogue) == 0.5


def test_what_the_query_asks_for_becomes_a_feature(ranking_home, definition):
    found = recommend.find_candidates(ranking_home, definition, "1.0.0", QUERY, 5)
    assert len(found.found) == 5
    assert {(c.row["quick_asked"], c.row["vegetarian_asked"]) for c in found.found} == {("True", "True")}
    plain = recommend.find_candidates(ranking_home, definition, "1.0.0", "cod pie", 5)
    assert {(c.row["quick_asked"], c.row["vegetarian_asked"]) for c in plain.found} == {("False", "False")}
    assert [c.closeness for c in plain.found] == sorted((c.closeness for c in plain.found), reverse=True)
    assert set(plain.stages) == {"catalogue", "embedding", "retrieval"}


def test_a_query_without_words_and_one_without_known_words(ranking_home, definition):
    with pytest.raises(BadInput, match="no word that counts"):
        recommend.find_candidates(ranking_home, definition, "1.0.0", "with  and", 5)
    assert recommend.find_candidates(ranking_home, definition, "1.0.0", "zzz qqq", 5).known_words == 0


def test_a_translation_is_an_installed_name_and_is_timed(ranking_home, definition, monkeypatch):
    named = replace(definition, catalogue=replace(definition.catalogue, translation="german"))
    with pytest.raises(Refused, match="'german' is not installed"):
        recommend.find_candidates(ranking_home, named, "1.0.0", "Linsensuppe", 5)

    class Hook:
        def load(self):
            return lambda text: text.replace("Linsensuppe", "lentil soup")

    monkeypatch.setattr(recommend.metadata, "entry_points", lambda group, name: [Hook()] if name == "german" else [])
    found = recommend.find_candidates(ranking_home, named, "1.0.0", "Linsensuppe", 5)
    assert (found.translated, found.known_words) == ("lentil soup", 2)
    assert "translation" in found.stages


def test_a_definition_without_a_catalogue_keeps_its_hash_and_a_wrong_one_is_refused(definition):
    without = replace(definition, catalogue=None)
    assert '"catalogue":' not in to_json(without)
    data = {"name": "a", "title": "A", "task": "ranking", "target": "t", "group": "g", "metric": "ndcg", "columns": [{"name": "x"}]}
    for catalogue in ({"item": "y", "text": ["x"]}, {"item": "x", "text": []}, {"item": "x", "text": ["x"], "asked": {"z": "word"}}):
        with pytest.raises(BadInput):
            from_dict({**data, "catalogue": catalogue})
    assert from_dict({**data, "catalogue": {"item": "x", "text": ["x"]}}).catalogue == Catalogue("x", ("x",))


def test_the_best_items_are_answered_in_order_and_all_that_was_scored_is_logged(client, ranking_home):
    answer = client.post(RECOMMEND, json={"query": QUERY, "k": 3})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["query"], body["translated"], body["looked_at"], body["logged"]) == (QUERY, None, 50, True)
    assert [i["rank"] for i in body["items"]] == [1, 2, 3]
    scores = [i["score"] for i in body["items"]]
    assert scores == sorted(scores, reverse=True)
    assert "lentil" in body["items"][0]["text"]["title"].lower()
    assert {"embedding", "retrieval", "inference", "logging"} <= set(body["stages_ms"])
    logged = log.read(ranking_home, RECIPES)
    assert len(logged) == 50
    assert logged["out:score"].max() == scores[0]
    kept = log.get_prediction(ranking_home, RECIPES, body["items"][0]["prediction_id"])
    assert kept["out:score"] == scores[0]


def test_given_rows_are_ranked(client):
    good = {
        "similarity": 0.9, "quick_asked": "False", "vegetarian_asked": "False", "cuisine": "Thai", "course": "main", "difficulty": "easy",
        "vegetarian": "False", "minutes": 30, "ingredient_count": 8, "calories": 500, "rating": 4.8, "rating_count": 90,
    }  # fmt: skip
    body = client.post(RECOMMEND, json={"items": [{**good, "similarity": 0.0, "rating": 1.2}, good]}).json()
    assert [i["row"] for i in body["items"]] == [2, 1]
    assert body["items"][0]["score"] > body["items"][1]["score"]


@pytest.mark.parametrize(
    "body", [{}, {"query": "x", "items": []}, {"query": ""}, {"query": 3}, {"query": "x", "k": 0}, {"query": "x", "k": 101}, {"items": [{}]}]
)
def test_what_cannot_be_ranked_is_refused(client, body):
    check_problem(client.post(RECOMMEND, json=body), 422)


def test_the_log_holds_the_query_so_that_labels_are_judged_by_it(client, ranking_home, tmp_path):
    made = generator.make_ranking()
    rows = made[made["query_id"].isin(made["query_id"].unique()[:2])]
    table = tmp_path / "in.csv"
    rows.drop(columns="relevance").to_csv(table, index=False)
    result = files.predict_file(ranking_home, Actor("developer"), RECIPES, table, tmp_path / "out.csv", source="in.csv")
    by_file = log.read(ranking_home, RECIPES).set_index("prediction_id")
    assert by_file["query_id"].value_counts().to_dict() == rows["query_id"].value_counts().to_dict()
    assert result.rows == len(rows)

    row = {c.name: by_file.iloc[0][c.name] for c in get_definition(ranking_home, RECIPES).features}
    asked = client.post(f"/api/v1/projects/{RECIPES}/predict", json={"rows": [{**row, "query_id": "q1"}, {**row, "query_id": None}]}).json()
    ids = [p["prediction_id"] for p in asked["predictions"]]
    assert [log.get_prediction(ranking_home, RECIPES, i)["query_id"] for i in ids[:1]] == ["q1"]
    assert pd.isna(log.get_prediction(ranking_home, RECIPES, ids[1])["query_id"])
    found = client.post(RECOMMEND, json={"query": QUERY, "k": 2}).json()
    for item in found["items"]:  # what was ranked together is a query of its own
        assert log.get_prediction(ranking_home, RECIPES, item["prediction_id"])["query_id"] == found["request_id"]

    fed = [{"prediction_id": i, "label": grade} for i, grade in zip(by_file.index, rows["relevance"], strict=True)]
    labels.feed_label_rows(ranking_home, Actor("scientist"), RECIPES, fed, source="api")
    now = utc_now()
    ndcg = quality.over_time(ranking_home, RECIPES, since=now - timedelta(hours=1), until=now + timedelta(hours=1)).whole.metrics["ndcg"]
    assert ndcg.reason == ""
    by_file["grade"] = rows["relevance"].to_numpy()
    by_query = [ndcg_score([g["grade"]], [g["out:score"]]) for _, g in by_file.groupby("query_id")]
    assert (len(by_query), ndcg.value) == (2, pytest.approx(np.mean(by_query)))

    log.erase_rows(ranking_home, RECIPES, [by_file.index[0], ids[0]])
    left = log.read(ranking_home, RECIPES)
    assert (by_file.index[0] in set(left["prediction_id"]), "q1" in set(left["query_id"])) == (False, False)


def test_only_a_ranking_project_recommends(client):
    problem = check_problem(client.post(HEART + "/recommend", json={"query": "x"}), 409)
    assert "Use predict" in problem["detail"]
