"""Trends through the real frame: what the curves are made of, gaps that stay gaps, links to any period, honest empty states."""

import json
from datetime import timedelta

import pytest

from core import deployment
from core.drift import checks
from core.home import open_home
from core.monitoring import alerts, quality, trends
from core.monitoring.estimates import Metric
from core.scoring import labels
from core.scoring.predict import predict_rows
from core.times import parse, stamp, utc_now
from pages import charts_trends
from storage.connection import writing
from tests.test_labels import PROJECT, ROW, SCIENTIST, make_project, write_group

NOW = utc_now()


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def traces(test, name):
    """The traces of the chart with a key such as ``trend-f1``."""
    (chart,) = [c for c in test.get("plotly_chart") if name in c.proto.id]
    return json.loads(chart.proto.spec)["data"]


def fill(home, days=(3, 2, 0), rows=4, right=3):
    """Predictions on a few days, of which ``right`` of ``rows`` turn out right."""
    for day in days:
        at = NOW - timedelta(days=day)
        table = predict_rows(home, SCIENTIST, PROJECT, [ROW] * rows, source="test", now=at).outputs
        fed = [
            {"prediction_id": i, "label": int(p) if n < right else 1 - int(p)}
            for n, (i, p) in enumerate(zip(table["prediction_id"], table["prediction"], strict=True))
        ]
        labels.feed_label_rows(home, SCIENTIST, PROJECT, fed, source="test", now=at + timedelta(minutes=1))


def test_an_installation_without_predictions_says_how_to_begin(demo_home, open_page):
    test = open_page(demo_home, "trends")
    assert "Nothing was ever live in this project, so there is no trend yet" in texts(test)
    assert not test.get("plotly_chart")
    assert not test.exception


def test_predictions_without_labels_show_volume_and_say_where_labels_are_fed(trained_home, open_page):
    predict_rows(trained_home, SCIENTIST, PROJECT, [ROW] * 5, source="test")
    test = open_page(trained_home, "trends")
    said = texts(test)
    assert "whether it got better is not known" in said
    assert said.count("No label came back for the predictions of this period") == 3  # the answer, and both curves
    assert "**5** in the last 30 days; 0% of the rows had a problem" in said
    assert "no day of this period has 30 predictions of one version" in said
    assert [e.proto.label for e in test.get("page_link")] == ["Feed labels", "Feed labels"]
    assert not test.exception


def test_a_director_is_not_sent_to_feed_labels(trained_home, open_page):
    predict_rows(trained_home, SCIENTIST, PROJECT, [ROW], source="test")
    test = open_page(trained_home, "trends", "director")
    assert not test.get("page_link")
    assert not test.exception


def test_the_curves_show_what_the_rows_say(trained_home, open_page):
    fill(trained_home)
    test = open_page(trained_home, "trends")
    assert "**75%** (95 %: 47% to 91%) on 12 labels; without a model 75%" in texts(test)
    assert "against the training of version 1\\.0\\.0" in texts(test)
    curve = next(t for t in traces(test, "trend-accuracy") if t["name"] == "Accuracy")
    assert [v for v in curve["y"] if v is not None] == [0.75, 0.75, 0.75]
    assert len(curve["y"]) == 31  # every day of the period, also those without labels
    bars = next(t for t in traces(test, "trend-volume") if t["type"] == "bar")
    assert bars["y"] == [4, 4, 4]
    (versions,) = [d.value for d in test.dataframe if "Labels" in d.value]
    assert list(versions[["Version", "Labels"]].iloc[0]) == ["1.0.0", 12]


def test_what_happened_is_marked_and_listed(trained_home, open_page):
    fill(trained_home, days=(0,))
    alerts.raise_alert(
        trained_home, PROJECT, "missing_values", "ca", severity="warning", sentence="ca is missing in 99 % of rows.", now=utc_now()
    )
    test = open_page(trained_home, "trends")
    events = next(d.value for d in test.dataframe if "What" in d.value)
    assert list(events["What"]) == ["Alert", "Went live", "Training"]
    assert events["In words"].iloc[0] == "ca is missing in 99 % of rows."
    marks = traces(test, "trend-f1")[-1]
    assert sorted(marks["marker"]["symbol"]) == ["circle-open", "diamond", "triangle-up"]
    assert any("Version 1.0.0 went live, deployed by devops" in words for words in marks["customdata"])


def test_a_drift_check_and_the_hourly_profiles_stand_in_one_chart(trained_home, open_page):
    fill(trained_home, days=(1,), rows=40)
    checks.run_check(trained_home, SCIENTIST, PROJECT, current=checks.Period(), evidently=False, now=NOW)
    points = trends.drift_over_time(trained_home, PROJECT, since=NOW - timedelta(days=30), until=NOW, step="day")
    check = checks.get_check(trained_home, 1)
    assert [(p.version, p.rows) for p in points] == [("1.0.0", 40)]
    assert points[0].overall == pytest.approx(check.overall)  # the same rows against the same training data
    names = [t["name"] for t in traces(open_page(trained_home, "trends"), "trend-drift")[:2]]
    assert names == ["Version 1.0.0", "Checks made"]


@pytest.mark.parametrize(
    ("query", "step"), [({"days": "7"}, "day"), ({"days": "365"}, "week"), ({"from": "2026-11-20", "to": "2026-11-20"}, "hour")]
)
def test_a_link_names_the_period(trained_home, open_page, query, step):
    at = parse("2026-11-20T12:00:00.000Z")
    predict_rows(trained_home, SCIENTIST, PROJECT, [ROW], source="test", now=at)
    test = open_page(trained_home, "trends", **query)
    assert f"One point is one {step} (UTC)" in texts(test)
    assert not test.warning


@pytest.mark.parametrize(
    "query",
    [
        {"days": "31"}, {"days": "x"}, {"days": "9" * 400}, {"days": "٣٠"}, {"from": "2026-11-21", "to": "2026-11-01"},
        {"from": "yesterday", "to": "2026-11-01"}, {"from": "0001-01-01", "to": "9999-12-31"}, {"from": "2026-11-01"},
    ],
)  # fmt: skip
def test_a_link_to_no_period_says_so_and_shows_30_days(trained_home, open_page, query):
    predict_rows(trained_home, SCIENTIST, PROJECT, [ROW], source="test")
    test = open_page(trained_home, "trends", **query)
    assert "so these are the last 30 days" in test.warning[0].value
    assert "in the last 30 days" in texts(test)
    assert not test.exception


def test_choosing_a_period_changes_the_link(trained_home, open_page):
    predict_rows(trained_home, SCIENTIST, PROJECT, [ROW], source="test")
    test = open_page(trained_home, "trends")
    test.button_group[0].set_value("7 days").run()
    assert test.query_params["days"] in ("7", ["7"])
    assert "in the last 7 days" in texts(test)


@pytest.mark.parametrize(("task", "shown"), [("regression", ["trend-mae", "trend-r2"]), ("ranking", ["trend-mae"])])
def test_numbers_and_rankings_have_their_own_curves(tmp_path, open_page, task, shown):
    home = open_home(tmp_path / "home")
    make_project(home, task)
    rows = [{"x": 1.0, "out:prediction": v, "out:score": v} for v in (1.0, 2.0, 6.0)]
    at = stamp(NOW - timedelta(days=2))
    write_group(home, "a" * 24, at, rows)
    with writing(home.predictions_db) as db:
        db.conn.execute("INSERT INTO rollups(project, version, hour, label, rows, problem_rows) VALUES ('cases','1.0.0',?,'',3,1)", (at[:13],))
    fed = [{"prediction_id": "a" * 24 + f"-{n}", "y": n} for n in (1, 2, 3)]
    labels.feed_label_rows(home, SCIENTIST, "cases", fed, source="api")
    test = open_page(home, "trends", project="cases")
    assert not test.exception
    keys = [c.proto.id for c in test.get("plotly_chart")]
    assert [name for name in ("trend-ndcg", "trend-mae", "trend-r2") if any(name in k for k in keys)] == shown
    assert "**1** (95 %: 0 to 2.96) on 3 labels; without a model 0.667" in texts(test)
    assert ("the log does not hold the query of these predictions" in texts(test)) is (task == "ranking")
    assert "there is nothing before to compare them with" in texts(test)


# core


def test_better_or_worse_is_said_against_the_period_before(trained_home):
    fill(trained_home, days=(4, 3), rows=60, right=55)
    fill(trained_home, days=(1, 0), rows=60, right=20)
    found = quality.over_time(trained_home, PROJECT, since=NOW - timedelta(days=2), until=NOW + timedelta(minutes=1))
    said = trends.answer(trained_home, found)
    assert said.level == "look"
    assert said.sentence.startswith("Worse than chance explains: Accuracy 0.333 after 0.917")
    assert said.sentence.endswith("on 120 labelled predictions, against the period before (120 labels).")


def test_a_rollback_and_a_taking_down_are_told_apart(trained_home):
    devops = SCIENTIST.__class__("devops")
    deployment.undeploy(trained_home, devops, PROJECT, now=NOW + timedelta(hours=1))
    events = trends.list_events(trained_home, PROJECT, since=NOW - timedelta(days=1), until=NOW + timedelta(days=1))
    assert [e.kind for e in events] == ["training", "live", "ended"]
    assert events[-1].sentence == "devops took version 1.0.0 down; nothing was live then."


@pytest.mark.parametrize(("days", "step"), [(1, "hour"), (2, "hour"), (3, "day"), (95, "day"), (96, "week"), (500, "month")])
def test_the_step_follows_the_length(days, step):
    assert trends.choose_step(NOW - timedelta(days=days), NOW) == step


def test_steps_cover_a_period_from_its_first_to_its_last_hour():
    since, until = parse("2026-10-30T15:20:00.000Z"), parse("2026-11-02T00:00:00.000Z")
    assert [s[:10] for s in trends.list_steps(since, until, "day")] == ["2026-10-30", "2026-10-31", "2026-11-01"]
    assert [s[:10] for s in trends.list_steps(since, until, "week")] == ["2026-10-26"]
    assert [s[:10] for s in trends.list_steps(since, until, "month")] == ["2026-10-01", "2026-11-01"]
    hours = trends.list_steps(since, since + timedelta(hours=1), "hour")
    assert [s[11:13] for s in hours] == ["15", "16"]


# figures


def point(day, value, low=None, high=None, version="1.0.0"):
    return quality.Point(f"2026-11-{day:02d}T00:00:00.000Z", version, 10, {"f1": Metric(value, low, high, 0.4)})


STEPS = [f"2026-11-{d:02d}T00:00:00.000Z" for d in range(1, 8)]


def test_a_gap_breaks_the_line_and_the_band():
    drawn = charts_trends.quality_curve(
        [point(1, 0.5, 0.4, 0.6), point(2, 0.6, 0.5, 0.7), point(5, 0.7, 0.6, 0.8)], "f1", "F1", step="day", steps=STEPS, events=[]
    )
    bands = [t for t in drawn.data if t.name == "95 %"]
    assert [len(b.x) for b in bands] == [4, 2]  # two neighbours as a shape, the single step as a bar
    line = next(t for t in drawn.data if t.name == "F1")
    assert list(line.y) == [0.5, 0.6, None, None, 0.7, None, None]


def test_words_from_outside_are_text_in_every_hover():
    wicked = "<img src=x>"
    event = trends.Event(STEPS[1], "alert", wicked, f"{wicked} failed", ("monitoring", "alert", "1"))
    drift = trends.DriftPoint(STEPS[0], wicked, 50, 0.5, "warning", f"{wicked} 0.9")
    check = {"id": 1, "at": STEPS[2], "by": wicked, "overall": 0.4, "current": {"label": wicked, "rows": 3}}
    volume = trends.VolumePoint(STEPS[0], wicked, 5, 1)
    drawn = [
        charts_trends.quality_curve([point(1, 0.5, version=wicked)], "f1", "F1", step="day", steps=STEPS, events=[event]),
        charts_trends.drift_curve([drift], [check], step="day", steps=STEPS, events=[event], warning=0.5, drift=0.7),
        charts_trends.volume_bars([volume], step="day", steps=STEPS, events=[event]),
    ]
    assert all(wicked not in figure.to_json().replace("\\u003c", "<") for figure in drawn)
    assert all("&lt;img" in figure.to_json() for figure in drawn)


def test_alerts_of_one_day_share_a_mark_that_names_them():
    events = [trends.Event(f"2026-11-02T0{n}:00:00.000Z", "alert", name, "…", ("monitoring", "alert", "1")) for n, name in enumerate("abc")]
    marks = charts_trends.volume_bars([], step="day", steps=STEPS, events=events).data[-1]
    assert len(marks.x) == 1
    assert "3 of them" in marks.customdata[0]
    assert "a, b, c." in marks.customdata[0]


def test_the_period_ends_where_it_is_told():
    figure = charts_trends.volume_bars([], step="day", steps=STEPS, events=[])
    assert [stamp(m) for m in figure.layout.xaxis.range] == ["2026-11-01T00:00:00.000Z", "2026-11-08T00:00:00.000Z"]


def test_retrainings_are_marked_with_what_came_of_them(trained_home):
    from core.acts import Actor
    from core.monitoring import trends
    from core.retraining import retraining
    from core.times import utc_now

    began = utc_now()
    made = retraining.start(trained_home, Actor("scientist"), "heart_disease", reason="new year")
    events = trends.list_events(trained_home, "heart_disease", since=began, until=began + timedelta(minutes=5))
    found = [e for e in events if e.kind == "retraining"]
    assert [(e.name, e.link) for e in found] == [(f"retraining {made['id']}", ("training", "retraining", str(made["id"])))]
    assert found[0].sentence.startswith("Started by scientist (person). ")
