"""Monitoring through the real frame: the cards say what the rows say, unknown is a word, and an alert is acknowledged once."""

import re
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from core import agent, audit
from core.acts import Actor
from core.monitoring import alerts, checks, observations, quality, stats, traffic
from core.monitoring.traffic import Request
from core.scoring import labels, predict
from core.times import utc_now
from pages import monitoring
from tests.agent_cases import drifted
from tests.browser import CHROMIUM, FLAGS, Person, serve, until

HEART = "heart_disease"
SCIENTIST = Actor("scientist")


def texts(test):
    found = [m.value for m in test.markdown] + [c.value for c in test.caption] + [s.value for s in test.success]
    return "\n".join(found).replace("\\", "")


def metrics(test):
    return {m.label: m for m in test.metric}


def button(test, label):
    return next(b for b in test.button if b.label == label)


def ask(ms, *, minutes_ago=1.0, status=200, rows=1, **stages):
    at = utc_now() - timedelta(minutes=minutes_ago)
    return Request("r", at, HEART, "predict", "api", status, rows, "1.0.0", "program", ms, stages)


def record(home, *requests):
    for request in requests:
        traffic.record(home, request)
    traffic.flush(home)


@pytest.fixture
def labelled(trained_home):
    """Sixty patients of Hungary, of both kinds, were predicted by form, and every true answer came back."""
    frame = pd.read_csv(trained_home.root / "samples" / HEART / "heart_hungary.csv").sample(60, random_state=1)
    answer = predict.predict_rows(trained_home, SCIENTIST, HEART, frame.to_dict("records"), source="test")
    text = answer.outputs.assign(label=(frame["num"] > 0).astype(int).to_numpy())[["prediction_id", "label"]].to_csv(index=False)
    labels.feed_labels(trained_home, SCIENTIST, HEART, text.encode(), file_name="labels.csv")
    traffic.flush(trained_home)
    return trained_home


def test_where_nothing_was_asked_the_page_says_unknown_and_not_zero(trained_home, open_page):
    test = open_page(trained_home, "monitoring")
    assert not test.exception
    shown = {label: m.value for label, m in metrics(test).items()}
    assert shown == {
        "Accuracy": "unknown", "F1": "unknown", "AUC": "unknown", "Latency, p95": "unknown", "Error rate": "unknown",
        "Requests": "none", "Predictions today": "0",
    }  # fmt: skip
    assert "Nothing was asked in the last hour" in texts(test)
    assert "No label has come back for a prediction of the last hour" in texts(test)
    assert "No alert is open" in texts(test)
    assert not test.get("plotly_chart")


def test_the_cards_say_what_the_window_says_and_how_it_changed(trained_home, open_page):
    record(trained_home, *[ask(4.0, inference=1.0)] * 30, ask(8.0, status=500), ask(2.0, status=422, rows=0))
    record(trained_home, *[ask(2.0, minutes_ago=70)] * 20)
    shown = metrics(open_page(trained_home, "monitoring"))
    assert float(shown["Latency, p95"].value.removesuffix(" ms")) == pytest.approx(4, rel=0.01)
    change, _, before = shown["Latency, p95"].delta.partition(" against ")
    assert (change, float(before.removesuffix(" ms"))) == ("+100%", pytest.approx(2, rel=0.01))
    assert shown["Error rate"].value == "3.1%"
    assert shown["Error rate"].delta == "+3.1 points against 0.0%"
    assert shown["Requests"].delta.startswith("+6")  # 32 against 20, of an hour that is not quite over
    said = texts(open_page(trained_home, "monitoring"))
    assert "1 of 32 failed; 1 refused as wrong" in said
    assert "32 requests, 31 predictions" in said
    assert "at or above 2%" in said


def test_quality_stands_with_interval_baseline_and_rows(labelled, open_page):
    test = open_page(labelled, "monitoring")
    now = utc_now()
    whole = quality.over_time(labelled, HEART, since=now - timedelta(hours=1), until=now, step="month").whole
    accuracy = whole.metrics["accuracy"]
    assert metrics(test)["Accuracy"].value == f"{accuracy.value:.2f}"
    said = texts(test)
    assert f"95 %: {accuracy.low:.2f} to {accuracy.high:.2f}; baseline {accuracy.baseline:.2f}; 60 labelled." in said
    assert metrics(test)["AUC"].value == f"{whole.metrics['auc'].value:.2f}"


def test_a_longer_window_is_chosen_by_click_and_by_link(trained_home, open_page):
    record(trained_home, ask(5.0, minutes_ago=300))
    test = open_page(trained_home, "monitoring")
    assert metrics(test)["Latency, p95"].value == "unknown"
    test.button_group[0].set_value("24 h").run()
    assert metrics(test)["Latency, p95"].value == "5 ms"
    assert test.query_params["window"] in ("1440", ["1440"])
    assert metrics(open_page(trained_home, "monitoring", window="10080"))["Latency, p95"].value == "5 ms"
    assert metrics(open_page(trained_home, "monitoring", window="<script>"))["Latency, p95"].value == "unknown"


def test_the_charts_are_drawn_and_say_in_words_what_they_show(labelled, open_page):
    record(labelled, ask(3.0, inference=1.0, validation=0.2), ask(4.0, status=503))
    test = open_page(labelled, "monitoring")
    assert not test.exception
    assert len(test.get("plotly_chart")) == 5  # requests, failures, durations, stages, and the matrix


def test_a_cell_of_the_matrix_lists_its_predictions(labelled, open_page):
    test = open_page(labelled, "monitoring")
    now = utc_now()
    found = quality.confusion(labelled, HEART, now - timedelta(hours=1), now)
    cell = next(s for s in test.selectbox if s.label == "Predictions that were")
    worst = max((0, 1), (1, 0), key=lambda c: found.matrix[c[0]][c[1]])
    assert cell.value == f"{worst[0]},{worst[1]}"  # the most frequent mistake first
    cell.set_value("1,1").run()
    assert not test.exception
    rows = next(d.value for d in test.dataframe if "Labelled by" in d.value.columns)
    assert len(rows) == min(found.matrix[1][1], 100)
    listed = quality.list_cell(labelled, HEART, label="1", predicted="1", since=now - timedelta(hours=1), until=now)
    assert list(rows["Prediction"]) == [r["prediction_id"] for r in listed]


def test_posted_metrics_stand_beside_ours(trained_home, open_page):
    observations.post(trained_home, "devops", HEART, [("embedding_latency_ms", v, None) for v in (10, 20, 30)])
    test = open_page(trained_home, "monitoring")
    row = next(d.value for d in test.dataframe if "Metric" in d.value.columns).iloc[0]
    assert (row["Metric"], row["Values"], row["Mean"], row["Last"]) == ("embedding_latency_ms", 3, 20.0, 30.0)
    assert not test.exception


def test_an_alert_is_acknowledged_by_one_click_and_written_down(trained_home, open_page):
    alert = alerts.raise_alert(
        trained_home, HEART, "latency", severity="critical", sentence="p95 is 6 s.", value=6000, threshold=5000, unit="ms", now=utc_now()
    )
    test = open_page(trained_home, "monitoring", "devops")
    assert "p95 is 6 s." in texts(test)
    assert "6 000 ms · limit 5 000 ms" in texts(test).replace("\u202f", " ")
    button(test, "Acknowledge").click().run()
    assert not test.exception
    assert alerts.get_alert(trained_home, alert.id).state == "acknowledged"
    assert audit.search(trained_home, action="acknowledge_alert")[1] == 1
    assert "is now acknowledged by you" in texts(test)
    assert "acknowledged by devops" in texts(test)
    assert "Acknowledge" not in [b.label for b in test.button]


def test_resolving_asks_for_a_reason_and_moves_the_alert_to_those_that_are_over(trained_home, open_page):
    alert = alerts.raise_alert(trained_home, HEART, "drift", "chol", severity="warning", sentence="chol drifts.", now=utc_now())
    test = open_page(trained_home, "monitoring", "scientist")
    button(test, "Resolve").click().run()
    assert alerts.get_alert(trained_home, alert.id).state == "active"
    next(a for a in test.text_area if a.label == "Reason").set_value("the lab changed its unit back")
    button(test, "Resolve").click().run()
    assert alerts.get_alert(trained_home, alert.id).state == "resolved"
    assert "No alert is open" in texts(test)
    assert list(next(d.value for d in test.dataframe if "Resolved" in d.value.columns)["By"]) == ["scientist"]


def test_an_alert_leads_to_its_incident_and_one_that_a_link_asks_for_is_shown_though_it_is_over(trained_home, open_page):
    drifted(trained_home, now=utc_now())
    agent.turn(trained_home, now=utc_now())
    test = open_page(trained_home, "monitoring", "scientist")
    assert "Incident 1" in [e.proto.label for e in test.get("page_link")]
    alerts.resolve(trained_home, SCIENTIST, 1, reason="seen to")
    assert "resolved by scientist" not in texts(open_page(trained_home, "monitoring", "scientist"))
    again = open_page(trained_home, "monitoring", "scientist", alert="1")
    assert "resolved by scientist" in texts(again)
    assert not {"Acknowledge", "Resolve"} & {b.label for b in again.button}
    assert [int(n) for n in next(d.value for d in again.dataframe if "Resolved" in d.value.columns)["Incident"]] == [1]
    other = open_page(trained_home, "monitoring", "scientist", project="future_skills", alert="1")
    assert "Alert 1 is one of project heart_disease" in texts(other)


def test_an_alert_that_is_not_measured_any_more_says_since_when(trained_home, open_page):
    record(trained_home, *[ask(6000.0, minutes_ago=200) for _ in range(30)])
    checks.watch(trained_home, HEART, now=utc_now() - timedelta(minutes=199))
    checks.watch(trained_home, HEART, now=utc_now())
    shown = texts(open_page(trained_home, "monitoring", "devops"))
    assert "Not measured now. No requests since " in shown
    assert "stays open until a check finds it well or a person resolves it" in shown


def test_who_may_not_acknowledge_sees_the_alert_and_who_may(trained_home, open_page):
    alerts.raise_alert(trained_home, HEART, "latency", severity="warning", sentence="Slow.", now=utc_now())
    test = open_page(trained_home, "monitoring", "director")
    assert "Slow." in texts(test)
    assert "Acknowledge" not in [b.label for b in test.button]
    assert "Alerts are acknowledged by Data scientist or DevOps" in texts(test)


def test_the_health_line_names_what_is_ill(trained_home, open_page):
    assert "parts are well" in texts(open_page(trained_home, "monitoring"))
    assert "not known: scheduler" in texts(open_page(trained_home, "monitoring"))


def test_every_check_is_listed_with_its_last_answer_the_unknown_ones_too(labelled, open_page):
    assert "The clock has checked nothing yet" in texts(open_page(labelled, "monitoring"))
    found = checks.watch(labelled, HEART, now=utc_now())
    test = open_page(labelled, "monitoring")
    shown = next(d.value for d in test.dataframe if "Looked at" in d.value.columns)
    assert len(shown) == len(found)
    assert sorted(shown["Found"]) == sorted(f.sentence for f in found)
    assert list(shown["State"].unique()) == [s for s in ("◆ Act", "▲ Look", "✕ Unknown", "● OK") if s in set(shown["State"])]


def test_windows_of_other_projects_do_not_mix(trained_home, open_page):
    record(trained_home, replace(ask(3.0), project="future_skills"))
    test = open_page(trained_home, "monitoring")
    assert metrics(test)["Requests"].value == "none"
    assert stats.window(trained_home, None, 60, now=utc_now()).requests == 1


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_in_a_browser_the_cards_renew_themselves_and_a_click_on_the_matrix_opens_it(labelled, tmp_path):
    now = utc_now()  # the console's own checks raise alerts too, and settle none of this kind
    alert = alerts.raise_alert(labelled, HEART, "webhook", severity="warning", sentence="A program calls for help.", now=now)
    found = quality.confusion(labelled, HEART, now - timedelta(hours=1), now)
    with serve(labelled.root, tmp_path / "console.log") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        who = Person(browser, address, "devops", tmp_path)
        who.sign_in()
        who.open("monitoring", "Monitoring", project=HEART, alert=alert.id)
        who.see("1 requests, 60 predictions")
        who.see_picture(re.compile("requests in the last hour"))
        record(labelled, ask(3.0, rows=5))
        who.see("2 requests, 65 predictions")  # nobody did anything: the cards look again by themselves
        who.see_picture(re.compile("Confusion matrix of 60"))
        chart = who.part("chart-outcomes")
        chart.scroll_into_view_if_needed()
        box = chart.locator(".nsewdrag").first.bounding_box()
        who.page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.75)  # truly 1, answered 1
        cell = quality.list_cell(labelled, HEART, label="1", predicted="1", since=now - timedelta(hours=1), until=now)
        ids = {row["prediction_id"] for row in cell}
        assert len(ids) == found.matrix[1][1] > 0
        until(lambda: {row["Prediction"] for row in who.table("Prediction", "Score")} <= ids, "the cell's predictions are listed")
        who.part(f"alert-{alert.id}").get_by_role("button", name="Acknowledge").click()
        who.see("is now acknowledged by you")
        assert alerts.get_alert(labelled, alert.id).acknowledged_by == "devops"
        assert who.complaints == []
        browser.close()
    assert "Traceback" not in (tmp_path / "console.log").read_text()


@pytest.mark.parametrize(("per_second", "said"), [(2.5, "2.5/s"), (0.5, "30/min"), (1 / 600, "6/h"), (2 / 604_800, "0.29/day")])
def test_a_rate_is_said_in_the_unit_in_which_it_can_be_pictured(per_second, said):
    assert monitoring._rate(per_second) == said


def test_an_alert_on_a_drift_score_repeats_no_unit(trained_home, open_page):
    drifted(trained_home, 0.89, now=utc_now())
    said = texts(open_page(trained_home, "monitoring"))
    assert "0.89 · limit 0.50 · since" in said


@pytest.mark.parametrize("name", ["monitoring", "trends"])
def test_where_nothing_was_ever_live_one_sentence_says_so_and_how_it_comes(demo_home, open_page, name):
    test = open_page(demo_home, name, "director")
    assert not test.exception
    assert "Nothing was ever live in this project" in texts(test)
    assert "trained, registered, approved and deployed" in texts(test)
    assert not test.metric
    assert [e.proto.label for e in test.get("page_link")] == ["Go to Registry"]
