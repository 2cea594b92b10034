"""Home through the real frame: the verdict, the four cards, what waits, and honest gaps."""

import pandas as pd

from core import approvals, deployment
from core.acts import Actor
from core.drift import checks
from core.drift.checks import Period
from core.home import open_home
from core.registry import versions
from core.scoring import labels, predict
from pages import charts_home

HEART = "heart_disease"
SCIENTIST = Actor("scientist")


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def metrics(test):
    return {m.label: m.value for m in test.metric}


def predict_hungary(home, rows):
    table = pd.read_csv(home.root / "samples" / HEART / "heart_hungary.csv").head(rows)
    answer = predict.predict_rows(home, SCIENTIST, HEART, table.to_dict("records"), source="test")
    truth = (table["num"] > 0).astype(int).to_numpy()
    text = answer.outputs.assign(label=truth)[["prediction_id", "label"]].to_csv(index=False)
    labels.feed_labels(home, SCIENTIST, HEART, text.encode(), file_name="labels.csv")
    return answer.outputs, truth.astype(str)


def test_an_installation_without_a_project_says_how_to_begin(tmp_path, open_page):
    from core import accounts

    home = open_home(tmp_path / "empty")
    accounts.add_demo_accounts(home)
    test = open_page(home, "home", project="")
    assert "There is no project yet" in texts(test)
    assert not test.metric


def test_nothing_live_shows_words_and_not_zeros(demo_home, open_page):
    test = open_page(demo_home, "home")
    assert metrics(test) == {"Live version": "none", "Accuracy": "unknown", "Predictions today": "0", "Drift": "unknown"}
    said = texts(test)
    assert said.count("Nothing is live, so nothing answers") == 3  # a line for each of the three projects
    assert "Nothing is live, so there is nothing to be right about" in said
    assert "The clock has not looked yet" in said
    assert not test.exception


def test_the_cards_show_what_the_rows_say(trained_home, open_page):
    outputs, truth = predict_hungary(trained_home, 290)
    checks.run_check(trained_home, SCIENTIST, HEART, current=Period(), evidently=False)
    test = open_page(trained_home, "home")
    live = deployment.find_live(trained_home, HEART)
    accuracy = f"{live.summary['holdout']['accuracy']:.2f}"
    assert metrics(test) == {"Live version": "1.0.0", "Accuracy": accuracy, "Predictions today": "290", "Drift": "0.69"}
    baseline = live.summary["baseline"]["holdout"]["accuracy"]
    accuracy = next(m for m in test.metric if m.label == "Accuracy")
    assert accuracy.delta == f"{live.summary['holdout']['accuracy'] - baseline:+.2f} over baseline {baseline:.2f}"
    right = (outputs["prediction"].to_numpy() == truth).mean()
    assert f"was right in **{right:.0%}** of 290 labelled predictions" in texts(test)
    assert ":red[:material/error: Act] **Heart disease**: Column ca has drifted" in texts(test)


def test_a_request_waits_for_the_director_and_not_for_the_developer(trained_home, open_page):
    forest = next(c for c in versions.runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    versions.register(trained_home, SCIENTIST, forest.id)
    approvals.request_release(trained_home, SCIENTIST, HEART, "1.1.0", reason="A forest")
    assert "scientist asks to release version 1\\.1\\.0" in texts(open_page(trained_home, "home", "director"))
    developer = texts(open_page(trained_home, "home", "developer"))
    assert "Nothing waits for you." in developer
    assert "asks to release" not in developer
    mine = texts(open_page(trained_home, "home", "scientist"))
    assert "Your request for version 1\\.1\\.0 of Heart disease waits for a decision" in mine


def test_a_role_is_not_sent_to_a_page_that_is_closed_to_it(trained_home, open_page):
    predict_hungary(trained_home, 40)
    checks.run_check(trained_home, SCIENTIST, HEART, current=Period(), evidently=False)

    def links(name):
        return [e.proto.label for e in open_page(trained_home, "home", name).get("page_link")]

    assert "Open the check" in links("scientist")
    assert "Open the check" not in links("director")


def test_every_verdict_that_is_not_well_leads_to_a_page_that_the_role_may_open(trained_home, open_page):
    predict_hungary(trained_home, 40)

    def pages(name):
        found = open_page(trained_home, "home", name).get("page_link")
        return [e.proto.page for e in found if e.proto.label == "Look into it"]

    scientist, director = pages("scientist"), pages("director")
    assert len(scientist) == len(director) == 3
    assert [a for a, b in zip(scientist, director, strict=True) if a != b] == ["drift"]
    assert director[scientist.index("drift")] == "monitoring"


def test_accuracy_by_day_keeps_gaps_and_names_its_lines():
    days = [
        {"day": "2026-11-01", "rows": 4, "accuracy": 0.75, "low": 0.3, "high": 0.95},
        {"day": "2026-11-09", "rows": 10, "accuracy": 0.5, "low": 0.24, "high": 0.76},
    ]
    figure = charts_home.accuracy_by_day(days, baseline=0.6, floor=0.7)
    assert figure.data[0].x == ("2026-11-01", "2026-11-09")
    assert [a.text for a in figure.layout.annotations] == ["baseline 60%", "floor 70%"]
    assert [round(v, 2) for v in figure.data[0].error_y.arrayminus] == [0.45, 0.26]
    assert not charts_home.accuracy_by_day(days, baseline=None, floor=None).layout.annotations


def test_classes_stand_in_their_order_with_count_and_share():
    bar = charts_home.answers_by_class({"LOW": 10, "MEDIUM": 0, "<b>": 30}, {"LOW": "low need"}).data[0]
    assert bar.y == ("low need", "MEDIUM", "&lt;b&gt;")
    assert bar.text == ("10 (25%)", "0 (0%)", "30 (75%)")


def test_open_alerts_of_every_project_stand_on_home_with_a_link(demo_home, open_page):
    from core.monitoring import alerts
    from core.times import utc_now

    now = utc_now()
    alerts.raise_alert(demo_home, "future_skills", "errors", severity="warning", sentence="3 of 50 <failed>.", now=now)
    alerts.raise_alert(demo_home, "heart_disease", "latency", severity="critical", sentence="Slow.", now=now)
    test = open_page(demo_home, "home", "director")
    assert "Alerts (2)" in [s.value for s in test.header]
    lines = [m.value for m in test.markdown if "Errors" in m.value or "Latency" in m.value]
    assert any(r"3 of 50 \<failed\>\." in line for line in lines)
    assert any(line.startswith(":red[:material/error: Act]") and "Latency" in line for line in lines)


def test_no_alert_means_no_list_of_alerts(demo_home, open_page):
    assert not any(s.value.startswith("Alerts") for s in open_page(demo_home, "home", "director").header)
