"""The API's other routes: labels, schema, models, retraining, metrics, observations, alerts, and their description."""

import json
import re
from datetime import timedelta

import pytest

from core import agent, deployment
from core.acts import Actor
from core.audit import search
from core.errors import Refused
from core.monitoring import alerts, checks, traffic, webhooks
from core.projects.projects import get_definition
from core.retraining import retraining, triggers
from core.scoring import labels
from core.times import stamp
from tests.api_client import ELSEWHERE, HEART, Clock, check_problem, make_client, make_key

FEEDBACK = HEART + "/feedback"
CHECK = HEART + "/retrain/check"
ALERTS = "/api/v1/alerts"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(trained_home, clock):
    return make_client(trained_home, make_key(trained_home), clock=clock)


def predict(client, project="heart_disease"):
    row = get_definition(client.app.home, project).known_cases[0].row
    return client.post(f"/api/v1/projects/{project}/predict", json={"rows": [dict(row)]}).json()["predictions"][0]


# Labels


def test_labels_come_back_are_corrected_and_say_what_could_not_be_kept(client, trained_home):
    made = predict(client)["prediction_id"]
    rows = [{"prediction_id": made, "label": 1}, {"prediction_id": "0" * 24 + "-1", "label": 0}, {"prediction_id": made, "label": "?"}]
    fed = client.post(FEEDBACK, json={"rows": rows}).json()
    assert (fed["new"], fed["unknown"], fed["unreadable"]) == (1, 1, 1)
    assert [p["row"] for p in fed["problems"]] == [2, 3]
    assert client.post(FEEDBACK, json={"rows": [{"prediction_id": made, "num": 0}]}).json()["corrected"] == 1
    assert labels.labels_by_prediction(trained_home, "heart_disease") == {made: "0"}
    (event, *_), _ = search(trained_home, action="feed_labels")
    assert (event["actor"], event["role"], event["via"], event["outcome"]) == ("shop", "program", "api", "done")


def test_a_key_with_more_digits_than_a_number_keeps_is_text_or_refused(client):
    path = "/api/v1/projects/future_skills/feedback"
    said = check_problem(client.post(path, json={"rows": [{"role_skill": 12345678901234567891, "label": "LOW"}]}), 422)
    assert said["errors"][0] == {
        "message": "has more digits than a JSON number keeps: 12345678901234567891", "row": 1, "column": "role_skill",
        "cure": "Send it as text, in quotes.",
    }  # fmt: skip
    for key in ("12345678901234567891", 2**53, -(2**53)):
        assert client.post(path, json={"rows": [{"role_skill": key, "label": "LOW"}]}).json()["unknown"] == 1


def test_the_same_idempotency_key_and_body_feeds_once(client):
    made = predict(client)["prediction_id"]
    headers = {"Idempotency-Key": "5f1c"}
    body = {"rows": [{"prediction_id": made, "label": 1}]}
    assert client.post(FEEDBACK, json=body, headers=headers).json()["new"] == 1
    assert client.post(FEEDBACK, json=body, headers=headers).json()["new"] == 1
    assert client.post(FEEDBACK, json=body).json()["same"] == 1
    other = client.post(FEEDBACK, json={"rows": [{"prediction_id": made, "label": 0}]}, headers=headers).json()
    assert other["corrected"] == 1
    check_problem(client.post(FEEDBACK, json=body, headers={"Idempotency-Key": "x" * 201}), 422)


@pytest.mark.parametrize("rows", [[{"label": 1}], [{"prediction_id": "a-1"}], [{"prediction_id": "a-1", "label": 1, "extra": 1}],
                                  [{"prediction_id": "a-1", "label": 1, "num": 0}], []])  # fmt: skip
def test_labels_without_what_they_need_are_refused(client, rows):
    check_problem(client.post(FEEDBACK, json={"rows": rows}), 422)


# Schema and models


def test_the_schema_and_the_template_have_the_real_columns(client):
    found = client.get(HEART + "/schema").json()
    assert (found["task"], found["target"], found["classes"], found["model_version"]) == ("binary", "num", ["0", "1"], "1.0.0")
    age = found["columns"][0]
    assert (age["name"], age["kind"], age["required"], age["low"], age["high"], age["unit"]) == ("age", "number", True, 0, 120, "years")
    assert client.post(HEART + "/predict", json={"rows": [found["example"]]}).status_code == 200
    table = client.get(HEART + "/template.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.splitlines()[0].split(",") == [c["name"] for c in found["columns"]]
    assert found["group"] is None
    assert client.get("/api/v1/projects/future_skills/schema").json()["model_version"] is None
    ranking = client.get("/api/v1/projects/recipe_ranking/schema").json()
    assert ranking["group"] == "query_id"
    assert [(c["role"], c["kind"], c["required"]) for c in ranking["columns"] if c["name"] == "query_id"] == [("group", "category", False)]


def test_models_are_listed_by_project_and_stage(client, trained_home):
    (model,) = client.get("/api/v1/models").json()["models"]
    assert (model["project"], model["version"], model["stage"]) == ("heart_disease", "1.0.0", "production")
    assert client.get("/api/v1/models?project=heart_disease&stage=production").json()["models"] == [model]
    assert client.get("/api/v1/models?stage=archived").json() == {"models": []}
    check_problem(client.get("/api/v1/models?stage=alive"), 422)
    check_problem(client.get("/api/v1/models?project=nowhere"), 404)
    live = client.get("/api/v1/models/heart_disease/production").json()
    assert (live["version"], live["deployed_by"]) == ("1.0.0", "devops")
    assert live["metrics"] == model["metrics"]
    deployment.undeploy(trained_home, Actor("devops"), "heart_disease")
    check_problem(client.get("/api/v1/models/heart_disease/production"), 404)
    assert client.get("/api/v1/models?stage=archived").json()["models"][0]["version"] == "1.0.0"


# Retraining


def test_a_dry_run_only_looks_and_a_check_is_written_down(client, trained_home, clock):
    looked = client.post(CHECK + "?dry_run=true").json()
    assert (looked["due"], looked["written"], looked["retraining"]) == (False, False, None)
    assert [t["name"] for t in looked["triggers"]] == ["time since training", "new labelled rows", "performance drop", "drift"]
    assert triggers.find_last_check(trained_home, "heart_disease") is None
    clock.now += timedelta(days=31)
    found = client.post(CHECK).json()
    assert (found["due"], found["written"], found["retraining"]) == (True, True, 1)
    assert found["started"] == f"Retraining 1 was started as job {found['job']}."
    (begun,) = retraining.list_retrainings(trained_home)
    assert (begun.trigger, begun.started_by, begun.job_id, begun.reason) == ("schedule", "shop", found["job"], found["sentence"])
    again = client.post(CHECK).json()
    assert (again["retraining"], again["started"][:42]) == (None, "Nothing was started: Retraining 1 of heart")
    kept = triggers.find_last_check(trained_home, "heart_disease")
    assert (kept.at, kept.due, kept.sentence) == (stamp(clock.now), True, found["sentence"])
    (event, *_), _ = search(trained_home, action="check_retraining")
    assert (event["actor"], event["via"]) == ("shop", "api")
    assert check_problem(client.post(CHECK + "?dry_run=perhaps"), 422)["detail"] == (
        "Parameter 'dry_run' is neither true nor false: \"perhaps\". Send true or false."
    )
    assert "?dry_run=true" in check_problem(client.post(CHECK, json={"dry_run": True}), 422)["detail"]  # it would have started one


def test_what_is_not_due_by_time_or_labels_is_started_by_no_program(client, trained_home, clock):
    found = client.post(CHECK).json()
    assert (found["retraining"], found["started"]) == (None, "Nothing was started: no trigger fired.")
    with pytest.raises(Refused, match="No retraining of heart_disease is due by time or by new labels"):
        retraining.start(trained_home, Actor("shop"), "heart_disease", trigger="new_data", reason="x", now=clock.now)
    with pytest.raises(Refused, match="may not train"):
        retraining.start(trained_home, Actor("shop"), "heart_disease", trigger="person", reason="x", now=clock.now)
    assert retraining.list_retrainings(trained_home) == []


# Metrics, health, observations


def test_metrics_count_what_was_asked_in_the_window(client, trained_home, clock):
    for _ in range(3):
        predict(client)
    traffic.flush(trained_home)
    found = client.get("/api/v1/metrics?window_minutes=5&project=heart_disease").json()
    assert (found["requests"], found["rows"], found["errors"], found["error_rate"]) == (3, 3, 0, 0.0)
    assert found["predictions_today"] == 3
    assert found["api_latency_ms"]["n"] == 3
    assert set(found["stages_ms"]) == {"validation", "preprocessing", "inference", "logging"}
    assert found["before"]["requests"] == 0
    assert found["before"]["error_rate"] is None
    for wrong in ("0", "-1", "many", "1e9"):
        check_problem(client.get(f"/api/v1/metrics?window_minutes={wrong}"), 422)


def test_health_says_of_each_part_what_is_known(client):
    found = client.get("/api/v1/health").json()
    parts = {(p["name"], p["project"]): p["state"] for p in found["parts"]}
    assert parts[("database", "")] == "ok"
    assert found["state"] in ("ok", "unknown", "warning", "failed")


def test_posted_observations_stand_beside_the_metrics_and_are_scraped(client, clock):
    values = [{"name": "embedding_latency_ms", "value": 12.5}, {"name": "embedding_latency_ms", "value": 7, "at": stamp(clock.now)}]
    body = {"project": "heart_disease", "observations": values}
    assert client.post("/api/v1/observations", json=body).json()["kept"] == 2
    (found,) = client.get("/api/v1/metrics?project=heart_disease").json()["observations"]
    assert (found["name"], found["n"], found["mean"]) == ("embedding_latency_ms", 2, 9.75)
    scraped = client.get("/metrics")
    assert scraped.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "embedding_latency_ms" in scraped.text


@pytest.mark.parametrize(
    "change",
    [
        {"value": "12"}, {"value": None}, {"name": "Upper"}, {"name": ""}, {"at": "yesterday"}, {"at": "2026-01-01T00:00:00"},
        {"at": "2001-01-01T00:00:00Z"}, {"at": "0001-01-01T00:00:00+14:00"}, {"at": "9999-12-31T23:59:59-14:00"}, {"more": 1},
    ],
)  # fmt: skip
def test_an_observation_that_cannot_be_is_refused(client, change):
    one = {"name": "num_recipes", "value": 3, **change}
    said = check_problem(client.post("/api/v1/observations", json={"project": "heart_disease", "observations": [one]}), 422)["detail"]
    assert re.search(r"\. (Send|Begin|Write|Leave)|; check the sender's clock", said), said
    assert "null" not in said  # nothing here may be missing


# Alerts


def send(client, home, body, clock, *, at=None, secret=None, spoil=False):
    content = json.dumps(body).encode()
    timestamp = str(int((at or clock.now).timestamp()))
    signature = webhooks.sign(secret or webhooks.make_secret(home), timestamp, content)
    headers = {"Content-Type": "application/json", "X-Greenlight-Timestamp": timestamp, "X-Greenlight-Signature": signature}
    return client.post(ALERTS, content=content + b" " * spoil, headers=headers)


def test_a_signed_alert_is_taken_once(trained_home, clock):
    client = make_client(trained_home, clock=clock, client=ELSEWHERE)
    body = {"project": "heart_disease", "subject": "Disk of the feature store", "sentence": "95 % full.", "severity": "critical", "id": "a1"}
    answer = send(client, trained_home, body, clock)
    assert answer.status_code == 202
    (alert,) = alerts.list_open(trained_home)
    assert (alert.kind, alert.subject, alert.severity, alert.sentence) == ("external", "Disk of the feature store", "critical", "95 % full.")
    check_problem(send(client, trained_home, body, clock), 409)
    for blank in ({"subject": " "}, {"sentence": ""}):
        check_problem(send(client, trained_home, {**body, **blank}, clock), 422)
    clock.now += timedelta(seconds=10)
    check_problem(send(client, trained_home, body, clock), 409)  # signed anew, but under the same id
    assert send(client, trained_home, {**body, "id": "a2", "status": "resolved"}, clock).json()["alerts"][0]["state"] == "resolved"
    assert alerts.list_open(trained_home) == []


def test_an_alert_that_is_not_rightly_signed_is_refused(trained_home, clock):
    client = make_client(trained_home, make_key(trained_home), clock=clock)
    body = {"project": "heart_disease", "subject": "x", "sentence": "y"}
    check_problem(client.post(ALERTS, json=body), 401)
    check_problem(send(client, trained_home, body, clock, spoil=True), 401)
    check_problem(send(client, trained_home, body, clock, secret="wrong"), 401)
    check_problem(send(client, trained_home, body, clock, at=clock.now - timedelta(seconds=301)), 401)
    check_problem(send(client, trained_home, body, clock, at=clock.now + timedelta(seconds=301)), 401)
    assert alerts.list_alerts(trained_home) == []
    assert send(client, trained_home, body, clock, at=clock.now - timedelta(seconds=299)).status_code == 202


def test_alertmanager_is_understood(trained_home, clock):
    client = make_client(trained_home, clock=clock)
    firing = {
        "version": "4", "status": "firing", "receiver": "greenlight",
        "alerts": [
            {
                "status": "firing", "fingerprint": "c0ffee", "startsAt": "2026-11-21T12:00:00Z",
                "labels": {"alertname": "HighLatency", "project": "heart_disease", "severity": "page"},
                "annotations": {"summary": "p99 above 2 s <script>"},
            }
        ],
    }  # fmt: skip
    assert send(client, trained_home, firing, clock).status_code == 202
    (alert,) = alerts.list_open(trained_home)
    assert (alert.subject, alert.severity, alert.sentence) == ("HighLatency", "critical", "p99 above 2 s <script>")
    firing["alerts"][0]["labels"]["alertname"] = " \t"
    assert "label 'alertname'" in check_problem(send(client, trained_home, firing, clock), 422)["detail"]
    del firing["alerts"][0]["labels"]["project"]
    assert "label 'project'" in check_problem(send(client, trained_home, firing, clock), 422)["detail"]
    check_problem(send(client, trained_home, {"project": "nowhere", "subject": "x", "sentence": "y"}, clock), 404)


def test_alerts_are_listed_by_project_and_state(client, trained_home, clock):
    raised = alerts.raise_alert(trained_home, "heart_disease", "latency", severity="warning", sentence="Slow.", value=2500.0, now=clock.now)
    (found,) = client.get(ALERTS).json()["alerts"]
    assert (found["id"], found["kind"], found["value"], found["state"]) == (raised.id, "latency", 2500.0, "active")
    assert (found["incident"], found["incident_link"], found["unmeasured"]) == (None, None, None)
    agent.turn(trained_home, now=clock.now)
    (found,) = client.get(ALERTS).json()["alerts"]
    assert (found["incident"], found["incident_link"]) == (1, "/agent?incident=1")
    checks.watch(trained_home, "heart_disease", now=clock.now + timedelta(hours=1))
    assert "0 requests in 60 minutes" in client.get(ALERTS).json()["alerts"][0]["unmeasured"]
    assert client.get(ALERTS + "?state=resolved").json() == {"alerts": []}
    assert client.get(ALERTS + "?project=future_skills").json() == {"alerts": []}
    narrow = make_client(trained_home, make_key(trained_home, projects=("future_skills",)))
    assert narrow.get(ALERTS).json() == {"alerts": []}
    check_problem(client.get(ALERTS + "?state=asleep"), 422)


def test_only_an_administrator_sees_the_secret_and_that_is_audited(trained_home):
    from core.errors import Refused

    assert webhooks.show_secret(trained_home, Actor("admin")) == webhooks.make_secret(trained_home)
    with pytest.raises(Refused):
        webhooks.show_secret(trained_home, Actor("scientist"))
    events, _ = search(trained_home, action="show_webhook_secret")
    assert [e["outcome"] for e in events] == ["refused", "done"]
    assert webhooks.make_secret(trained_home) not in json.dumps(events)


# The description


def test_the_description_shows_the_real_columns_and_its_examples_work(client):
    document = client.get("/api/openapi.json").json()
    operation = document["paths"][HEART + "/predict"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    rows = document["components"]["schemas"]["predict_heart_disease"]["properties"]["rows"]
    row = document["components"]["schemas"][rows["items"]["$ref"].rsplit("/", 1)[1]]
    assert list(row["properties"]) == row["required"]
    assert row["properties"]["trestbps"]["description"] == (
        "Resting blood pressure at admission; in mm Hg; plausible from 80 to 220; also called resting_bp."
    )
    assert row["additionalProperties"] is False
    assert client.post(HEART + "/predict", json=content["example"]).status_code == 200
    assert "/api/v1/projects/heart_disease/recommend" not in document["paths"]
    assert "/api/v1/projects/recipe_ranking/recommend" in document["paths"]
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"


def test_the_page_loads_nothing_from_elsewhere_and_shows_columns_and_a_command(client):
    page = client.get("/api/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for outside in ("http://cdn", "https://", "<script", "<link", "src="):
        assert outside not in page.text
    assert "Resting blood pressure at admission" in page.text
    assert "curl -s -X POST http://localhost/api/v1/projects/heart_disease/predict" in page.text
