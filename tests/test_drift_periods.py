"""Drift of logged periods from hourly counts: what is summed, what is left out, what is sampled, what the clock keeps."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from core.acts import Actor
from core.drift import checks, periods, sample
from core.drift.bins import bins_from_json, bins_to_json, count, profile_from_json, profile_to_json
from core.drift.periods import Period
from core.errors import BadInput, Refused
from core.jobs import jobs, worker
from core.scoring import labels, log, profiles
from core.scoring.predict import predict_rows
from storage import predictions as log_store
from storage import versions as versions_store
from storage.connection import reading, writing

PROJECT = "heart_disease"
SCIENTIST = Actor("scientist")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hungary(home):
    return pd.read_csv(home.root / "samples" / PROJECT / "heart_hungary.csv").drop(columns="num")


def log_rows(home, frame, at):
    return predict_rows(home, SCIENTIST, PROJECT, frame.to_dict("records"), source="test", now=at)


def fill_log(home, project, *, rows, hours, end=NOON):
    """Counts of many predictions, as hourly profiles and rollups, without the rows themselves."""
    version = versions_store.find_live(reading(home.db), project)
    counter = profiles.counter_of(home, version["id"], version["sha256"])
    reference = profile_from_json(versions_store.find_profile(reading(home.db), version["id"])[1])
    flat = np.concatenate([np.array(v) for v in [*(reference.counts[c.name] for c in counter.bins.columns), reference.prediction]])
    each = rows // hours
    counts = flat * each // reference.rows
    with writing(home.predictions_db) as db:
        for back in range(hours):
            hour = (end - back * HOUR).strftime("%Y-%m-%dT%H")
            n = each + (rows - each * hours if back == 0 else 0)
            log_store.add_hour_profile(
                db, project=project, version=version["version"], hour=hour, bins_id=counter.bins_id, rows=n, counts=counts
            )
            log_store.add_label_counts(db, [(project, version["version"], hour, "1", n, 0, 0)])


def add_version(home, name, *, bins=None):
    """Another version on the same files; with other bins if they are given."""
    live = versions_store.find_live(reading(home.db), PROJECT)
    kept = versions_store.find_profile(reading(home.db), live["id"])
    with writing(home.db) as db:
        columns = [r[1] for r in db.conn.execute("PRAGMA table_info(versions)") if r[1] != "id"]
        values = ", ".join({"version": "?", "stage": "'validation'", "sha256": "?"}.get(c, c) for c in columns)
        cursor = db.conn.execute(f"INSERT INTO versions({', '.join(columns)}) SELECT {values} FROM versions WHERE id = ?", (name, name, live["id"]))
        made = bins or bins_from_json(kept[0])
        versions_store.insert_profile(db, cursor.lastrowid, bins_to_json(made), kept[1])
    return made


def test_a_period_measured_from_counts_is_what_its_rows_give(trained_home):
    frame = hungary(trained_home)
    answers = log_rows(trained_home, frame[:150], NOON)
    more = log_rows(trained_home, frame[150:], NOON + 30 * HOUR)
    found = checks.measure(trained_home, PROJECT, NOON, NOON + 31 * HOUR)
    version = periods.find_version(trained_home, PROJECT)
    kept = versions_store.find_profile(reading(trained_home.db), version["id"])
    predicted = pd.concat([answers.outputs, more.outputs])["prediction"].to_numpy()
    from core.drift.compute import compare
    from core.projects.limits import get_limits

    bins = bins_from_json(kept[0])
    thresholds = get_limits(trained_home, PROJECT).thresholds
    assert found.result == compare(profile_from_json(kept[1]), count(bins, frame, predicted), bins=bins, thresholds=thresholds)
    assert (found.current["rows"], found.current["versions"], found.current["note"]) == (294, {"1.0.0": 294}, "")
    assert found.reference["label"] == "training data, dataset 1"
    first = checks.measure(trained_home, PROJECT, NOON, NOON + HOUR)
    assert first.result.current_rows == 150


def test_a_period_that_begins_inside_an_hour_counts_the_whole_hour_and_says_so(trained_home):
    log_rows(trained_home, hungary(trained_home)[:40], NOON + timedelta(minutes=10))
    found = checks.measure(trained_home, PROJECT, NOON + timedelta(minutes=30))
    assert found.result.current_rows == 40
    assert found.current["note"] == "Counted in whole hours (UTC): from 2026-03-02 12:00."
    assert isinstance(checks.measure(trained_home, PROJECT, NOON + HOUR), checks.Unmeasured)


def test_predictions_counted_with_other_bins_are_left_out_and_named(trained_home):
    log_rows(trained_home, hungary(trained_home)[:40], NOON)
    live = versions_store.find_live(reading(trained_home.db), PROJECT)
    bins = bins_from_json(versions_store.find_profile(reading(trained_home.db), live["id"])[0])
    other = type(bins)(bins.columns[:3], bins.prediction)
    add_version(trained_home, "2.0.0", bins=other)
    with writing(trained_home.predictions_db) as db:
        size = sum(c.size for c in other.columns) + other.prediction.size
        log_store.add_hour_profile(
            db, project=PROJECT, version="2.0.0", hour="2026-03-02T13", bins_id=other.bins_id, rows=7, counts=np.zeros(size, dtype=np.int64)
        )
        log_store.add_label_counts(db, [(PROJECT, "2.0.0", "2026-03-02T13", "1", 7, 0, 0)])
    found = checks.measure(trained_home, PROJECT)
    assert (found.current["versions"], found.current["left_out"]) == ({"1.0.0": 40}, {"2.0.0": 7})
    assert found.current["note"] == (
        "40 of 47 predictions are compared, those of version 1.0.0; left out are those of version 2.0.0, which were not counted "
        "with the same bins."
    )
    later = checks.measure(trained_home, PROJECT, NOON + HOUR)
    assert later.reason.startswith("All predictions of this period are those of version 2.0.0, counted with other bins than version 1.0.0")


def test_versions_with_the_same_bins_are_summed_and_one_can_be_chosen(trained_home):
    log_rows(trained_home, hungary(trained_home)[:40], NOON)
    bins = add_version(trained_home, "1.1.0")
    counts = np.ones(sum(c.size for c in bins.columns) + bins.prediction.size, dtype=np.int64)
    with writing(trained_home.predictions_db) as db:
        log_store.add_hour_profile(db, project=PROJECT, version="1.1.0", hour="2026-03-02T13", bins_id=bins.bins_id, rows=35, counts=counts)
        log_store.add_label_counts(db, [(PROJECT, "1.1.0", "2026-03-02T13", "1", 35, 0, 0)])
    assert checks.measure(trained_home, PROJECT).current["versions"] == {"1.0.0": 40, "1.1.0": 35}
    assert checks.measure(trained_home, PROJECT, version="1.1.0").result.current_rows == 35
    done = checks.run_check(trained_home, SCIENTIST, PROJECT, current=Period(version="1.1.0"), evidently=False)
    assert checks.get_check(trained_home, done["id"]).current["rows"] == 35


def test_predictions_that_were_never_counted_are_told_and_cured_by_a_recount(trained_home):
    log_rows(trained_home, hungary(trained_home)[:40], NOON)
    with writing(trained_home.predictions_db) as db:
        db.conn.execute("DELETE FROM hour_profiles")
    with pytest.raises(BadInput, match=r"^40 predictions of version 1\.0\.0 are in the log of this period but were never counted"):
        checks.run_check(trained_home, SCIENTIST, PROJECT, current=Period(), evidently=False)
    asked = checks.recount(trained_home, SCIENTIST, PROJECT, owner="cli")
    with pytest.raises(Refused, match="being counted already"):
        checks.recount(trained_home, SCIENTIST, PROJECT)
    assert worker.run(trained_home, asked["job"]) == 0
    outcome = jobs.get_job(trained_home, asked["job"]).outcome
    assert outcome["versions"] == [{"version": "1.0.0", "hours": 1, "unequal": 1}]
    assert outcome["sentence"].startswith("The counts differed from the log in 1 of 1 hours (1 of version 1.0.0)")
    assert checks.measure(trained_home, PROJECT).result.current_rows == 40
    again = checks.recount(trained_home, SCIENTIST, PROJECT, owner="cli")
    worker.run(trained_home, again["job"])
    assert jobs.get_job(trained_home, again["job"]).outcome["sentence"] == (
        "The counts were equal to the log in all 1 hours; nothing had to be changed."
    )


def test_five_million_logged_rows_are_measured_in_less_than_a_tenth_of_a_second(trained_home):
    fill_log(trained_home, PROJECT, rows=5_000_000, hours=90 * 24)
    found = checks.measure(trained_home, PROJECT)
    assert (found.current["rows"], found.alert.level) == (5_000_000, "none")
    times = []
    for _ in range(7):
        began = time.perf_counter()
        checks.measure(trained_home, PROJECT)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.1, times


def test_predictions_missing_from_the_counts_of_a_version_are_told(trained_home):
    log_rows(trained_home, hungary(trained_home)[:40], NOON)
    with writing(trained_home.predictions_db) as db:
        log_store.add_label_counts(db, [(PROJECT, "1.0.0", "2026-03-02T11", "1", 5, 0, 0)])
    found = checks.measure(trained_home, PROJECT)
    assert found.current["note"] == "5 predictions of version 1.0.0 are not in the counts: they were erased since, or never counted."
    assert checks.measure(trained_home, PROJECT, version="7.0.0").reason == (
        "Project heart_disease has no version '7.0.0'; choose one that it has."
    )


def test_the_clock_keeps_a_check_when_the_verdict_changes_or_a_day_went_by(trained_home):
    cleveland = pd.read_csv(trained_home.root / "samples" / PROJECT / "heart_cleveland.csv").drop(columns="num")
    log_rows(trained_home, cleveland, NOON)

    def keep(now, since):
        return checks.store_measured(trained_home, checks.measure(trained_home, PROJECT, since, now), now=now)

    assert keep(NOON + HOUR, NOON) == 1
    assert keep(NOON + 2 * HOUR, NOON) is None
    assert keep(NOON + 25 * HOUR, NOON) == 2
    log_rows(trained_home, hungary(trained_home), NOON + 26 * HOUR)
    assert keep(NOON + 27 * HOUR, NOON + 26 * HOUR) == 3
    kept = [(c["by"], c["band"], c["alert"]["level"]) for c in checks.list_checks(trained_home, PROJECT)]
    assert kept == [("clock", "warning", "high"), ("clock", "ok", "none"), ("clock", "ok", "none")]
    assert keep(NOON + 27.5 * HOUR, NOON) is None  # milder, but not yet for an hour
    assert keep(NOON + 28 * HOUR, NOON) == 4


def test_what_is_unknown_is_not_kept_by_the_clock(trained_home):
    log_rows(trained_home, hungary(trained_home)[:10], NOON)
    found = checks.measure(trained_home, PROJECT)
    assert (found.result.status, found.alert.level) == ("unknown", "unknown")
    assert checks.store_measured(trained_home, found, now=NOON) is None


def test_quality_of_a_period_comes_from_the_labels_that_came_back(trained_home):
    frame = hungary(trained_home)[:60]
    answers = log_rows(trained_home, frame, NOON)
    true = ["1" if k % 2 else "0" for k in range(60)]
    rows = [{"prediction_id": i, "label": t} for i, t in zip(answers.outputs["prediction_id"], true, strict=True)]
    labels.feed_label_rows(trained_home, SCIENTIST, PROJECT, rows, source="test", now=NOON + HOUR)
    done = checks.run_check(trained_home, SCIENTIST, PROJECT, current=Period(NOON), evidently=False)
    quality = checks.get_check(trained_home, done["id"]).quality
    said = answers.outputs["prediction"].to_numpy()
    right = [p == t for p, t in zip(said, true, strict=True)]
    assert (quality["rows"], quality["version"], quality["now"]["baseline_accuracy"]) == (60, "1.0.0", 0.5)
    assert quality["now"]["accuracy"] == pytest.approx(np.mean(right))
    assert quality["now"]["recall_by_class"] == {"0": pytest.approx(np.mean(right[::2])), "1": pytest.approx(np.mean(right[1::2]))}


def test_another_reference_is_counted_with_the_bins_of_the_version(trained_home):
    log_rows(trained_home, hungary(trained_home), NOON)
    csv = hungary(trained_home).to_csv(index=False).encode()
    same = checks.Upload(csv, "hungary.csv")
    done = checks.run_check(trained_home, SCIENTIST, PROJECT, current=Period(), reference=same, evidently=False)
    check = checks.get_check(trained_home, done["id"])
    assert (check.overall, check.reference["label"], check.reference["rows"]) == (0.0, "file hungary.csv", 294)


def test_a_sample_is_all_rows_where_they_are_few_and_as_many_as_asked_where_they_are_not(trained_home):
    frame = hungary(trained_home)
    for k in range(6):
        log_rows(trained_home, frame, NOON + k * HOUR)
    for k in range(30):
        log_rows(trained_home, frame[k : k + 1], NOON + timedelta(minutes=k))
    everything = sample.draw_logged(trained_home, PROJECT, Period(), ["1.0.0"], rows=5_000)
    assert sorted(everything["prediction_id"]) == sorted(log.read(trained_home, PROJECT)["prediction_id"])
    drawn = sample.draw_logged(trained_home, PROJECT, Period(), ["1.0.0"], rows=400)
    assert 250 <= len(drawn) <= 500
    assert drawn["prediction_id"].is_unique
    assert drawn.equals(sample.draw_logged(trained_home, PROJECT, Period(), ["1.0.0"], rows=400))
    hour = sample.draw_logged(trained_home, PROJECT, Period(NOON + HOUR, NOON + 2 * HOUR), ["1.0.0"], rows=5_000)
    assert len(hour) == 294
    assert sample.draw_logged(trained_home, PROJECT, Period(), ["9.9.9"], rows=400).empty


def test_a_profile_kept_at_registration_is_the_count_of_the_training_data(trained_home):
    version = periods.find_version(trained_home, PROJECT)
    kept = versions_store.find_profile(reading(trained_home.db), version["id"])
    table = pd.read_csv(trained_home.root / "samples" / PROJECT / "heart_cleveland.csv").drop(columns="num")
    made = count(bins_from_json(kept[0]), table)
    assert made.counts == profile_from_json(kept[1]).counts
    assert profile_to_json(profile_from_json(kept[1])) == kept[1]


def test_the_full_report_of_a_period_is_made_of_a_sample_that_the_worker_draws(trained_home):
    frame = hungary(trained_home)
    answers = log_rows(trained_home, frame, NOON)
    rows = [{"prediction_id": i, "label": str(k % 2)} for k, i in enumerate(answers.outputs["prediction_id"])]
    labels.feed_label_rows(trained_home, SCIENTIST, PROJECT, rows, source="test", now=NOON + HOUR)
    made = checks.run_check(trained_home, SCIENTIST, PROJECT, current=Period(NOON), owner="cli")
    assert not checks.report_folder(trained_home, made["id"]).exists()  # nothing is drawn while a person waits
    job = worker.wait_for(trained_home, made["job"], worker.start_process(trained_home, made["job"]))
    assert job.state == "done", job.error
    check = checks.get_check(trained_home, made["id"])
    assert (check.evidently["current_rows"], check.evidently["reference_rows"], check.evidently["sampled"]) == (294, 303, False)
    assert check.evidently["quality"]["accuracy"] == pytest.approx(check.quality["now"]["accuracy"])
