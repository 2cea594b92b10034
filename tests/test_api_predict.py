"""The API's predict route, from a key to the logged answer."""

import pytest
from starlette.testclient import TestClient

from api.build import make_api
from core import keys
from core.acts import Actor
from core.projects.projects import get_definition
from core.scoring import log
from core.settings import Settings

BASE = "http://localhost"
PREDICT = "/api/v1/projects/heart_disease/predict"


def make_key(home, *scopes, **options):
    return keys.add_key(home, Actor("admin"), options.pop("name", "shop"), scopes or ("predict",), **options)["key"]


@pytest.fixture
def client(trained_home):
    with TestClient(make_api(trained_home, Settings()), base_url=BASE, client=("127.0.0.1", 50000)) as client:
        client.headers["X-API-Key"] = make_key(trained_home)
        yield client


@pytest.fixture
def row(trained_home):
    return dict(get_definition(trained_home, "heart_disease").known_cases[0].row)


def test_a_row_is_answered_in_the_form_of_the_contract_and_is_in_the_log(client, trained_home, row):
    answer = client.post(PREDICT, json={"rows": [row]})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["model_version"], body["logged"], answer.headers["x-request-id"]) == ("1.0.0", True, body["request_id"])
    (prediction,) = body["predictions"]
    assert set(prediction) == {"prediction_id", "prediction", "score", "confidence", "probabilities", "problems"}
    assert prediction["prediction"] == "0"
    assert prediction["problems"] == []
    assert prediction["confidence"] == prediction["probabilities"]["0"]
    assert prediction["score"] == pytest.approx(100 * prediction["probabilities"]["1"])
    logged = log.get_prediction(trained_home, "heart_disease", prediction["prediction_id"])
    assert (logged["age"], logged["out:prediction"], logged["version"]) == (37.0, "0", "1.0.0")
