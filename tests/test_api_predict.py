"""The API's predict route, from a key to the logged answer."""

import json
import sqlite3

import pytest

from api import body as api_body
from core import deployment
from core.acts import Actor
from core.monitoring import traffic
from core.projects.projects import get_definition
from core.scoring import journal, log
from core.scoring.predict import predict_rows
from core.times import utc_now
from tests.api_client import HEART, check_problem, make_client, make_key

PREDICT = HEART + "/predict"


@pytest.fixture
def client(trained_home):
    return make_client(trained_home, make_key(trained_home, "predict"))


@pytest.fixture
def row(trained_home):
    return dict(get_definition(trained_home, "heart_disease").known_cases[0].row)


def test_a_row_is_answered_in_the_form_of_the_contract_and_is_in_the_log(client, trained_home, row):
    answer = client.post(PREDICT, json={"rows": [row]})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["model_version"], body["logged"], answer.headers["x-request-id"]) == ("1.0.0", True, body["request_id"])
    assert answer.headers["x-model-version"] == "1.0.0"
    (prediction,) = body["predictions"]
    assert set(prediction) == {"prediction_id", "prediction", "score", "confidence", "probabilities", "problems"}
    assert prediction["prediction"] == "0"
    assert prediction["problems"] == []
    assert prediction["confidence"] == prediction["probabilities"]["0"]
    assert prediction["score"] == pytest.approx(100 * prediction["probabilities"]["1"])
    logged = log.get_prediction(trained_home, "heart_disease", prediction["prediction_id"])
    assert (logged["age"], logged["out:prediction"], logged["version"]) == (37.0, "0", "1.0.0")


def test_the_api_answers_what_the_form_answers(client, trained_home):
    rows = [dict(c.row) for c in get_definition(trained_home, "heart_disease").known_cases]
    over_http = [p["score"] for p in client.post(PREDICT, json={"rows": rows}).json()["predictions"]]
    by_form = predict_rows(trained_home, Actor("scientist"), "heart_disease", rows, source="form")
    assert over_http == list(by_form.outputs["score"])


def test_missing_unknown_and_implausible_values_are_predicted_and_listed(client, row):
    rows = [{**row, "thal": None}, {**row, "cp": "unheard of"}, {**row, "chol": 0}, {**row, "ca": 1.5}]
    problems = [p["problems"] for p in client.post(PREDICT, json={"rows": rows}).json()["predictions"]]
    assert problems == [
        ["thal is missing"], ["cp: 'unheard of' is not a known category"], ["chol 0 is outside 100..600"], ["ca 1.5 is not a whole number"],
    ]  # fmt: skip


def test_an_alias_and_a_boolean_are_understood(client, row):
    plain = client.post(PREDICT, json={"rows": [row]}).json()["predictions"][0]
    other = {k: v for k, v in row.items() if k != "chol"} | {"cholesterol": row["chol"], "fbs": False, "exang": False}
    told = client.post(PREDICT, json={"rows": [other]}).json()["predictions"][0]
    assert (told["score"], told["problems"]) == (plain["score"], [])


def test_a_thousand_rows_are_answered_and_one_more_is_refused(client, row):
    answer = client.post(PREDICT, json={"rows": [row] * 1000})
    assert len(answer.json()["predictions"]) == 1000
    assert len({p["prediction_id"] for p in answer.json()["predictions"]}) == 1000
    problem = check_problem(client.post(PREDICT, json={"rows": [row] * 1001}), 422)
    assert "at most 1000" in problem["detail"]


@pytest.mark.parametrize(
    ("change", "row_number", "column", "words"),
    [
        ({"age": "63"}, 1, "age", 'is not a number: "63"'),
        ({"age": True}, 1, "age", "is not a number: true"),
        ({"age": [63]}, 1, "age", "is not a number"),
        ({"sex": {"a": 1}}, 1, "sex", "is neither text nor a finite number"),
        ({"shoe_size": 43}, 1, "shoe_size", "is not known"),
        ({"prediction": "1"}, 1, "prediction", "is not known"),
        ({"sex": "x" * 10_001}, 1, "sex", "is too long"),
        ({"sex": 10**30}, 1, "sex", "has more digits than a JSON number keeps"),
    ],
)
def test_a_wrong_value_is_named_with_row_column_and_cure(client, trained_home, row, change, row_number, column, words):
    problem = check_problem(client.post(PREDICT, json={"rows": [{**row, **change}]}), 422)
    (error,) = problem["errors"]
    assert (error["row"], error["column"]) == (row_number, column)
    assert words in error["message"]
    assert error["cure"]
    assert log.count_today(trained_home, "heart_disease", now=utc_now()) == 0


def test_the_second_row_is_called_row_2_and_an_absent_column_is_named(client, row):
    broken = {k: v for k, v in row.items() if k != "thalch"}
    problem = check_problem(client.post(PREDICT, json={"rows": [row, broken]}), 422)
    assert problem["errors"] == [
        {"message": "is absent", "row": 2, "column": "thalch", "cure": "Send it; null where the value is unknown."}
    ]


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("", 400, "not JSON"),
        ("{", 400, "not JSON"),
        ('{"rows": [{}]} x', 400, "not JSON"),
        ('{"rows": "\\ud800"}', 400, "not JSON"),
        ("\xff", 400, "not JSON"),
        ("[" * 5000, 400, "not JSON"),
        ("[]", 422, "is not an object"),
        ("null", 422, "is not an object"),
        ("{}", 422, "'rows' is absent"),
        ('{"rows": []}', 422, "at least 1"),
        ('{"rows": {}}', 422, "is not a list"),
        ('{"rows": [1]}', 422, "Row 1 is not an object"),
        ('{"rows": [ROW], "extra": 1}', 422, "'extra' is not known"),
        ('{"rows": [ROW], "rows": [ROW]}', 400, "'rows' stands twice"),
        ('{"rows": [{"age": 1, AGES}]}', 400, "'age' stands twice"),
    ],
)
def test_a_body_that_cannot_be_understood_says_why(client, row, text, status, words):
    inside = json.dumps(row)
    text = text.replace("AGES", inside[1:-1]).replace("ROW", inside)
    answer = client.post(PREDICT, content=text.encode("latin-1"), headers={"Content-Type": "application/json"})
    assert words in check_problem(answer, status)["detail"]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 400])
def test_what_is_no_finite_number_is_refused(client, row, literal):
    text = json.dumps({"rows": [row]}).replace('"age": 37', f'"age": {literal}')
    problem = check_problem(client.post(PREDICT, content=text, headers={"Content-Type": "application/json"}), 422)
    assert "is not a finite number" in problem["detail"]


def test_the_largest_finite_number_is_predicted(client, row):
    (told,) = client.post(PREDICT, json={"rows": [{**row, "age": 1.7e308, "chol": -1.7e308}]}).json()["predictions"]
    assert len(told["problems"]) == 2
    assert 0 <= told["score"] <= 100


def test_a_name_with_a_colon_in_a_value_is_no_repeat(client, row):
    assert client.post(PREDICT, json={"rows": [{**row, "thal": 'a: "b": c'}]}).status_code == 200


def test_another_content_type_is_refused(client):
    for kind in ("text/csv", "application/x-www-form-urlencoded", ""):
        check_problem(client.post(PREDICT, content=b"{}", headers={"Content-Type": kind}), 415)
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    check_problem(client.post(PREDICT, content=b"{}", headers=packed), 415)


def test_a_body_above_two_megabytes_is_refused_with_and_without_its_length(client):
    large = b" " * (api_body.LARGEST + 1)
    check_problem(client.post(PREDICT, content=large, headers={"Content-Type": "application/json"}), 413)
    parts = (large[:1_000_000] for _ in range(3))
    check_problem(client.post(PREDICT, content=parts, headers={"Content-Type": "application/json"}), 413)


@pytest.mark.anyio
async def test_a_client_that_sends_too_slowly_is_told_so():
    import anyio
    from starlette.datastructures import Headers

    from api.problems import Problem

    async def receive():
        await anyio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    with pytest.raises(Problem) as told:
        await api_body.read_body(Headers({"Content-Type": "application/json"}), receive, seconds=0.1)
    assert told.value.status == 408


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_an_unknown_project_a_project_without_a_live_version_and_an_undeployed_one_are_not_found(client, trained_home, row):
    unknown = check_problem(client.post("/api/v1/projects/nowhere/predict", json={"rows": [row]}), 404)
    assert "heart_disease" in unknown["detail"]
    none = check_problem(client.post("/api/v1/projects/future_skills/predict", json={"rows": [row]}), 404)
    assert "no live version" in none["detail"]
    assert client.post(PREDICT, json={"rows": [row]}).status_code == 200
    deployment.undeploy(trained_home, Actor("devops"), "heart_disease")
    check_problem(client.post(PREDICT, json={"rows": [row]}), 404)


def test_what_cannot_be_logged_is_not_answered(client, trained_home, row, monkeypatch):
    assert client.post(PREDICT, json={"rows": [row]}).status_code == 200

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(journal.prediction_log, "write_groups", full)
    problem = check_problem(client.post(PREDICT, json={"rows": [row]}), 503)
    assert "could not be written to the log" in problem["detail"]
    assert "predictions" not in problem
    monkeypatch.undo()
    assert client.post(PREDICT, json={"rows": [row]}).status_code == 200


def test_each_request_is_recorded_with_its_stages(client, trained_home, row):
    answered = client.post(PREDICT, json={"rows": [row, row]}).headers["x-request-id"]
    refused = client.post(PREDICT, json={"rows": [{}]}).headers["x-request-id"]
    traffic.flush(trained_home)
    (kept,) = traffic.find_requests(trained_home, answered)
    assert (kept["project"], kept["route"], kept["door"], kept["status"], kept["rows"], kept["version"], kept["caller"]) == (
        "heart_disease", "predict", "api", 200, 2, "1.0.0", "shop",
    )  # fmt: skip
    stages = [kept[f"{name}_ms"] for name in ("validation", "preprocessing", "inference", "logging")]
    assert all(s is not None and s >= 0 for s in stages)
    assert sum(stages) <= kept["total_ms"]
    (kept,) = traffic.find_requests(trained_home, refused)
    assert (kept["status"], kept["rows"]) == (422, 0)


def test_a_bug_is_answered_with_its_request_id_and_nothing_of_itself(client, row, monkeypatch, caplog):
    from api import predict

    def broken(*_, **__):
        raise RuntimeError("SELECT secret FROM /etc/passwd")

    monkeypatch.setattr(predict.rows, "score_rows", broken)
    problem = check_problem(client.post(PREDICT, json={"rows": [row]}), 500)
    assert "secret" not in str(problem)
    (record,) = [r for r in caplog.records if r.name == "greenlight.api"]
    assert record.correlation_id == problem["request_id"]
    assert record.exc_info
