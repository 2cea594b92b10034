"""Hourly profiles: counted with the rows, summed for any period, and always equal to a count of the log."""

import random
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from core.acts import Actor
from core.drift.bins import Bins, ColumnBins, bins_from_json, count, make_bins
from core.errors import NotFound
from core.scoring import compact, log, profiles
from core.scoring.files import predict_file
from core.scoring.payload import make_table
from core.scoring.predict import predict_rows
from core.scoring.scorer import load_scorer
from storage import predictions as store
from storage import versions as versions_store
from storage.connection import reading, writing
from tests.test_log import EARLY, NOW, PROJECT, large_group, small_group
from tests.test_predict import DATA, ROW

BINS = Bins(
    (
        ColumnBins("age", "number", edges=(40.0, 60.0)),
        ColumnBins("sex", "category", values=("F", "M")),
        ColumnBins("empty", "number", reason="The reference holds no value of empty."),
    ),
    ColumnBins("prediction", "category", values=("0", "1")),
)
AGES = [40.0, 40.1, 60.0, 61.0, None, float("nan"), float("inf"), -1e300]
SEXES = ["F", "M", "m", "", None, float("nan"), "True", "F"]
ANSWERS = ["0", "1", "1", "1", "0", "0", "2", "1"]
# up to 40, up to 60, above, missing | F, M, other, missing | any, missing | 0, 1, other, missing
EXPECTED = [2, 2, 1, 3, 2, 1, 3, 2, 0, 8, 3, 4, 1, 0]


def test_a_few_rows_and_many_rows_fall_into_the_same_bins():
    counter = profiles.make_counter(BINS)
    few = counter.count_rows([AGES, SEXES, [None] * 8, ANSWERS])
    assert few.counts.tolist() == EXPECTED
    columns = {
        "age": np.array(AGES, dtype=float), "sex": np.array(SEXES, dtype=object), "empty": np.full(8, np.nan),
        "out:prediction": np.array(ANSWERS, dtype=object), "beside": np.arange(8.0),
    }  # fmt: skip
    many = counter.count_table(make_table(columns))
    assert many.counts.tolist() == EXPECTED
    assert profiles.to_profile(BINS, 8, many.counts) == count(BINS, pd.DataFrame({k: columns[k] for k in ("age", "sex", "empty")}), ANSWERS)


def test_a_column_that_a_payload_lacks_counts_nothing():
    counter = profiles.make_counter(BINS)
    assert counter.count_table(make_table({"sex": np.array(["F"], dtype=object)})).counts.tolist() == [0] * 4 + [1, 0, 0, 0] + [0] * 6


def test_text_in_a_number_column_and_numbers_in_a_category_are_counted_as_the_bins_were_made():
    table = {"age": np.array(["41", "x", None], dtype=object), "sex": np.array([1.0, 2.5, np.nan])}
    bins = Bins((ColumnBins("age", "number", edges=(40.0,)), ColumnBins("sex", "category", values=("1", "2.5"))))
    assert profiles.make_counter(bins).count_table(make_table(table)).counts.tolist() == [0, 1, 2, 1, 1, 0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_random_tables_are_counted_as_pandas_counts_them(seed, built_trained):
    from core.home import open_home
    from core.projects.projects import get_definition

    definition = get_definition(open_home(built_trained), PROJECT)
    rng = np.random.default_rng(seed)

    def frame(rows):
        columns = {}
        for c in definition.features:
            if c.kind == "number":
                values = np.round(rng.normal(50, 20, rows), int(rng.integers(0, 3)))
                values[rng.random(rows) < 0.1] = np.nan
                columns[c.name] = pd.Series(values)
            else:
                columns[c.name] = pd.Series(rng.choice([*c.allowed, "purple", None], rows), dtype=object)
        return pd.DataFrame(columns), rng.choice(["0", "1"], rows)

    bins = make_bins(*_swap(frame(500), definition))
    current, answers = frame(300)
    flat = profiles.make_counter(bins).count_table(make_table({**current, "out:prediction": answers.astype(object)}))
    assert profiles.to_profile(bins, 300, flat.counts) == count(bins, current, answers)


def _swap(made, definition):
    features, predictions = made
    return features, definition, predictions


def test_predictions_of_a_file_and_of_single_rows_are_counted_as_they_are_logged(trained_home, tmp_path):
    now = NOW
    predict_file(trained_home, Actor("developer"), PROJECT, DATA / "heart_hungary.csv", tmp_path / "o.csv", source="t", now=now)
    for n in range(5):
        predict_rows(trained_home, Actor("developer"), PROJECT, [{**ROW, "age": 30 + n}], source="t", now=now + timedelta(hours=n))
    bins, profile = profiles.sum_hours(trained_home, PROJECT)
    logged = log.read(trained_home, PROJECT)
    assert profile == count(bins, logged, logged["out:prediction"])
    assert profiles.compare(trained_home, PROJECT, "1.0.0") == []
    assert profiles.bins_of(trained_home, PROJECT, "1.0.0") == bins
    one_hour = profiles.sum_hours(trained_home, PROJECT, since=now + timedelta(hours=2), until=now + timedelta(hours=3))
    assert one_hour[1].rows == 1
    assert profiles.sum_hours(trained_home, PROJECT, since=now + timedelta(hours=9)) is None
    assert profiles.sum_hours(trained_home, PROJECT, version="9.9.9") is None


def test_a_period_that_touches_an_hour_counts_all_of_it_and_says_so(trained_home):
    scorer = load_scorer(trained_home, PROJECT)
    for minute in (5, 55):
        log.append(trained_home, small_group(trained_home, scorer, f"m{minute}", at=EARLY.replace(minute=minute)))
    since, until = EARLY.replace(minute=30), EARLY.replace(minute=31)
    assert profiles.sum_hours(trained_home, PROJECT, since=since, until=until)[1].rows == 2
    assert profiles.covered_hours(since, until) == "Counted in whole hours (UTC): from 2026-03-01 10:00 to 2026-03-01 11:00."
    whole = EARLY.replace(minute=0)
    assert profiles.covered_hours(whole, whole + timedelta(hours=1)) == ""
    assert profiles.sum_hours(trained_home, PROJECT, since=whole + timedelta(hours=1), until=whole + timedelta(hours=2)) is None
    assert profiles.sum_hours(trained_home, PROJECT, since=whole - timedelta(hours=1), until=whole) is None


def test_versions_with_equal_bins_are_summed_and_others_left_out(trained_home):
    scorer = load_scorer(trained_home, PROJECT)
    group = small_group(trained_home, scorer, "a")
    log.append(trained_home, group)
    from dataclasses import replace

    log.append(trained_home, replace(group, uid="b", version="0.9.0"))
    other = profiles.Counts("other bins", group.profile.counts)
    log.append(trained_home, replace(group, uid="c", version="0.8.0", profile=other))
    assert profiles.sum_hours(trained_home, PROJECT)[1].rows == 2
    assert profiles.sum_hours(trained_home, PROJECT, version="1.0.0")[1].rows == 1


def test_a_rebuild_after_anything_equals_what_was_counted_as_rows_came(trained_home):
    scorer = load_scorer(trained_home, PROJECT)
    rng = random.Random(5)
    ids = []
    for n in range(60):
        at = EARLY + timedelta(minutes=rng.randrange(600))
        make = large_group if rng.random() < 0.2 else small_group
        group = make(trained_home, scorer, f"g{n}", ages=[rng.choice([None, 30.0, 55.5, 80.0]) for _ in range(rng.randrange(1, 40))], at=at)
        log.append(trained_home, group)
        ids += log.prediction_ids(group.uid, group.rows)
    compact.compact(trained_home, now=EARLY + timedelta(days=3))
    log.erase_rows(trained_home, PROJECT, rng.sample(ids, 50))
    log.append(trained_home, small_group(trained_home, scorer, "last", at=EARLY + timedelta(minutes=601)))
    log.erase_rows(trained_home, PROJECT, ["last-1", "g0-1"])
    kept = profiles.sum_hours(trained_home, PROJECT)[1]
    assert kept.rows == len(log.read(trained_home, PROJECT))
    assert profiles.compare(trained_home, PROJECT, "1.0.0") == []
    with writing(trained_home.predictions_db) as db:
        db.conn.execute("UPDATE hour_profiles SET rows = rows + 1 WHERE hour LIKE '%T12'")
        db.conn.execute("DELETE FROM hour_profiles WHERE hour LIKE '%T13'")
    assert profiles.compare(trained_home, PROJECT, "1.0.0") == ["2026-03-01T12", "2026-03-01T13"]
    assert profiles.rebuild(trained_home, PROJECT, "1.0.0") == 11
    assert profiles.compare(trained_home, PROJECT, "1.0.0") == []
    assert profiles.sum_hours(trained_home, PROJECT)[1] == kept


def test_rows_that_come_during_a_rebuild_are_counted(trained_home, monkeypatch):
    scorer = load_scorer(trained_home, PROJECT)
    log.append(trained_home, small_group(trained_home, scorer, "a"))
    log.append(trained_home, small_group(trained_home, scorer, "b", at=EARLY + timedelta(hours=1)))
    real = profiles.count_log

    def slow(*args, **kwargs):
        found = real(*args, **kwargs)
        if not kwargs:
            log.append(trained_home, small_group(trained_home, scorer, "c", ages=[20.0, 30.0], at=EARLY + timedelta(hours=1)))
        return found

    monkeypatch.setattr(profiles, "count_log", slow)
    assert profiles.rebuild(trained_home, PROJECT, "1.0.0") == 2
    monkeypatch.undo()
    assert profiles.compare(trained_home, PROJECT, "1.0.0") == []
    assert profiles.sum_hours(trained_home, PROJECT)[1].rows == 4


def test_a_version_without_a_reference_is_logged_without_profiles(trained_home):
    with writing(trained_home.db) as db:
        db.conn.execute("DELETE FROM profiles")
    scorer = load_scorer(trained_home, PROJECT)
    for n, make in enumerate((small_group, large_group)):
        group = make(trained_home, scorer, f"g{n}", ages=[50.0])
        assert group.profile is None
        log.append(trained_home, group)
    assert profiles.bins_of(trained_home, PROJECT, "1.0.0") is None
    assert profiles.sum_hours(trained_home, PROJECT) is None
    assert log.erase_rows(trained_home, PROJECT, ["g0-1"])["rows"] == 1
    with pytest.raises(NotFound, match="with a reference profile"):
        profiles.rebuild(trained_home, PROJECT, "1.0.0")


def test_the_bins_of_the_stored_reference_are_those_that_count(trained_home):
    row = versions_store.find_version(reading(trained_home.db), PROJECT, "1.0.0")
    stored = bins_from_json(versions_store.find_profile(reading(trained_home.db), row["id"])[0])
    scorer = load_scorer(trained_home, PROJECT)
    log.append(trained_home, small_group(trained_home, scorer, "a"))
    assert len(store.list_hour_profiles(reading(trained_home.predictions_db), PROJECT, stored.bins_id)) == 1
