"""The log's payloads: a group reads the same from Parquet, JSON or a block; rows can be erased, old ones purged."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import NotFound
from core.scoring import batches, compact, log, profiles
from core.scoring.payload import blank, read_payload, to_frame
from core.scoring.scorer import load_scorer
from storage import labels as labels_store
from storage import predictions as store
from storage.connection import close_all, reading, writing
from tests.conftest import copy_home

PROJECT = "heart_disease"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EARLY = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)


def features_of(scorer):
    """A value for each feature: what the model knows, what it does not, nothing, and extremes."""
    values = {}
    for column in scorer.definition.features:
        if column.kind == "number":
            values[column.name] = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=False), st.sampled_from([0.0, 63.0]))
        else:
            values[column.name] = st.one_of(st.none(), st.sampled_from([*column.allowed, "purple", "é, \"x\"", ""]))
    return st.fixed_dictionaries(values)


OUTPUTS = st.fixed_dictionaries(
    {
        "prediction": st.sampled_from(["0", "1"]), "score": st.floats(0, 100), "confidence": st.floats(0, 1),
        "problems": st.sampled_from(["", "chol is missing"]), "probability:0": st.floats(0, 1),
        "probability:1": st.sampled_from([0.0, 0.39999, 0.4, 0.5, 0.6, 0.60001]),
    }
)  # fmt: skip
ABOUT = {"uid": "u", "request_id": "r", "at": EARLY, "caller": "c", "source": "s", "latency_ms": 1.0, "stages": {"inference": 0.1}}


def as_frame(rows, definition):
    kinds = {c.name: float if c.kind == "number" else object for c in definition.features}
    return pd.DataFrame({name: pd.Series([r[name] for r in rows], dtype=kind) for name, kind in kinds.items()})


def one_row(scorer, age=50.0, **out):
    row = {c.name: (age if c.kind == "number" else c.allowed[0]) for c in scorer.definition.features}
    answer = {"prediction": "1", "score": 80.0, "confidence": 0.8, "problems": "", "probability:0": 0.2, "probability:1": 0.8}
    return row, answer | out


def small_group(home, scorer, uid, *, ages=(50.0,), at=EARLY, keys=None):
    rows, outputs = zip(*(one_row(scorer, age) for age in ages), strict=True)
    return log.make_small_group(home, scorer, list(rows), list(outputs), **(ABOUT | {"uid": uid, "at": at}), keys=keys)


def large_group(home, scorer, uid, *, ages, at=EARLY, keys=None):
    rows, outputs = zip(*(one_row(scorer, age) for age in ages), strict=True)
    features = as_frame(list(rows), scorer.definition)
    return log.make_group(home, scorer, features, pd.DataFrame(list(outputs)), **(ABOUT | {"uid": uid, "at": at}), keys=keys)


@pytest.fixture(scope="module")
def shared(built_trained, tmp_path_factory):
    return copy_home(built_trained, tmp_path_factory.mktemp("log") / "home")


def test_a_few_rows_and_many_rows_are_logged_alike(shared):
    scorer = load_scorer(shared, PROJECT)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(features_of(scorer), OUTPUTS), min_size=1, max_size=6))
    def check(pairs):
        rows, outputs = [r for r, _ in pairs], [o for _, o in pairs]
        small = log.make_small_group(shared, scorer, rows, outputs, **ABOUT)
        answers = pd.DataFrame(outputs, columns=list(one_row(scorer)[1]))
        large = log.make_group(shared, scorer, as_frame(rows, scorer.definition), answers, **ABOUT)
        assert (small.payload[:1], large.payload[:4]) == (b"{", b"PAR1")
        pd.testing.assert_frame_equal(to_frame(read_payload(small.payload)), to_frame(read_payload(large.payload)))
        assert small.labels == large.labels
        assert small.profile.counts.tolist() == large.profile.counts.tolist()
        assert replace(small, payload=b"", profile=None) == replace(large, payload=b"", profile=None)

    check()


def test_unsure_rows_are_those_next_to_even_odds(shared):
    scorer = load_scorer(shared, PROJECT)
    rows, outputs = zip(*(one_row(scorer, **{"probability:1": p}) for p in (0.39, 0.4, 0.5, 0.6, 0.61)), strict=True)
    outputs[0]["problems"] = "chol is missing"
    assert log.make_small_group(shared, scorer, list(rows), list(outputs), **ABOUT).labels == {"1": (5, 1, 3)}


def test_half_a_surrogate_pair_does_not_stop_the_log(shared):
    scorer = load_scorer(shared, PROJECT)
    row, out = one_row(scorer)
    row["thal"] = "\ud800x"
    small = log.make_small_group(shared, scorer, [row], [out], **ABOUT, keys=["\udfffk"])
    large = log.make_group(shared, scorer, as_frame([row], scorer.definition), pd.DataFrame([out]), **ABOUT)
    assert to_frame(read_payload(small.payload))["thal"][0] == to_frame(read_payload(large.payload))["thal"][0] == "?x"
    assert small.keys == ["?k"]


@pytest.fixture
def filled(trained_home):
    """Small groups of two hours, a large one between them, and one of today."""
    scorer = load_scorer(trained_home, PROJECT)
    groups = [small_group(trained_home, scorer, f"s{n}", ages=[40.0 + n, 41.0 + n], at=EARLY + timedelta(seconds=n)) for n in range(6)]
    groups.append(large_group(trained_home, scorer, "big", ages=[30.0] * 1_200, at=EARLY + timedelta(seconds=2, milliseconds=500)))
    groups += [small_group(trained_home, scorer, f"t{n}", ages=[60.0], at=EARLY + timedelta(hours=2, seconds=n), keys=[f"k{n}"]) for n in range(3)]
    groups.append(small_group(trained_home, scorer, "now", at=NOW))
    for group in groups:
        log.append(trained_home, group)
    return trained_home


def everything(home, tmp_path):
    """All that reading can show."""
    rows = log.read(home, PROJECT)
    ids = [i for i in rows["prediction_id"] if not i.startswith("big")] + ["big-7"]
    singles = {i: json.dumps(log.get_prediction(home, PROJECT, i), default=str) for i in ids}
    groups = {g["uid"]: log.read_group(home, PROJECT, g["uid"]).to_json() for g in log.list_groups(home, PROJECT)}
    log.export_jsonl(home, PROJECT, tmp_path / "out.jsonl")
    return rows, singles, groups, (tmp_path / "out.jsonl").read_text()


def same(a, b):
    pd.testing.assert_frame_equal(a[0], b[0])
    assert a[1:] == b[1:]


def test_rows_are_read_oldest_first_wherever_they_lie(filled):
    rows = log.read(filled, PROJECT)
    assert rows["prediction_id"].tolist()[:7] == ["s0-1", "s0-2", "s1-1", "s1-2", "s2-1", "s2-2", "big-1"]
    assert rows["prediction_id"].tolist()[-4:] == ["t0-1", "t1-1", "t2-1", "now-1"]
    assert rows["age"].tolist()[:3] == [40.0, 41.0, 41.0]
    assert set(rows["at"][:2]) == {"2026-03-01T10:15:00.000Z"}
    assert len(log.read(filled, PROJECT, since=EARLY + timedelta(hours=1), until=EARLY + timedelta(hours=3))) == 3


def test_packing_changes_nothing_that_can_be_read(filled, tmp_path, monkeypatch):
    before = everything(filled, tmp_path)
    assert compact.compact(filled, now=NOW) == 0  # nine groups of yesterday are not worth a block yet
    assert compact.compact(filled, now=NOW + timedelta(days=1)) == 10
    same(before, everything(filled, tmp_path))
    db = reading(filled.predictions_db)
    assert db.conn.execute("SELECT count(*), sum(rows) FROM blocks").fetchone()[:] == (1, 16)
    assert db.conn.execute("SELECT count(*) FROM groups WHERE block IS NOT NULL AND length(payload) = 0").fetchone()[0] == 10
    assert compact.compact(filled, now=NOW + timedelta(days=1)) == 0
    assert profiles.compare(filled, PROJECT, "1.0.0") == []


def test_a_block_holds_rows_of_the_same_columns_only(filled, tmp_path, monkeypatch):
    scorer = load_scorer(filled, PROJECT)
    before = everything(filled, tmp_path)
    monkeypatch.setattr(compact, "WORTH_GROUPS", 1)
    monkeypatch.setattr(compact, "BLOCK_ROWS", 4)
    row, out = one_row(scorer)
    del out["probability:0"]
    few = log.make_group(filled, scorer, as_frame([row], scorer.definition), pd.DataFrame([out]), **(ABOUT | {"uid": "odd"}))
    log.append(filled, few)
    shown = log.read_group(filled, PROJECT, "odd")
    assert "out:probability:0" not in shown
    assert compact.compact(filled, now=NOW) == 10
    pd.testing.assert_frame_equal(log.read_group(filled, PROJECT, "odd"), shown)
    frames = {uid: log.read_group(filled, PROJECT, uid).to_json() for uid in before[2]}
    assert frames == before[2]


@pytest.mark.parametrize("step", ["insert_block", "move_to_block", "after"])
def test_packing_that_is_cut_short_leaves_either_the_groups_or_their_block(filled, tmp_path, monkeypatch, step):
    before = everything(filled, tmp_path)

    class Killed(BaseException):
        pass

    def die(*args, **kwargs):
        raise Killed

    if step != "after":
        monkeypatch.setattr(compact.store, step, die)
        with pytest.raises(Killed):
            compact.compact(filled, now=NOW + timedelta(days=1))
        monkeypatch.undo()
    same(before, everything(filled, tmp_path))
    assert compact.compact(filled, now=NOW + timedelta(days=1)) == 10
    close_all()
    same(before, everything(filled, tmp_path))


def test_rows_erased_while_they_are_packed_stay_erased(filled, monkeypatch):
    real = compact._read_together

    def erase_meanwhile(groups):
        monkeypatch.setattr(compact, "_read_together", real)
        log.erase_rows(filled, PROJECT, ["s1-2"])
        return real(groups)

    monkeypatch.setattr(compact, "_read_together", erase_meanwhile)
    assert compact.compact(filled, now=NOW + timedelta(days=1)) == 0
    assert compact.compact(filled, now=NOW + timedelta(days=1)) == 10
    assert log.read_group(filled, PROJECT, "s1")["age"].tolist() == [41.0]


def test_erased_rows_are_gone_and_the_others_keep_their_ids(filled, tmp_path):
    rows = log.read(filled, PROJECT)
    gone = ["s0-1", "s2-2", "big-3", "t1-1"]
    kept = rows[~rows["prediction_id"].isin(gone)].reset_index(drop=True)
    for packed in (False, True):
        if packed:
            compact.compact(filled, now=NOW + timedelta(days=1))
            kept = kept[kept["prediction_id"] != "s4-1"].reset_index(drop=True)
            gone.append("s4-1")
        done = log.erase_rows(filled, PROJECT, gone)
        assert (done["rows"], done["before"]) == ((1, 4) if packed else (4, 0))
        pd.testing.assert_frame_equal(log.read(filled, PROJECT), kept)
        assert log.export_jsonl(filled, PROJECT, tmp_path / "o.jsonl") == len(kept)
        assert profiles.compare(filled, PROJECT, "1.0.0") == []
        for prediction_id in gone:
            with pytest.raises(NotFound, match="erased"):
                log.get_prediction(filled, PROJECT, prediction_id)
        assert log.get_prediction(filled, PROJECT, "s0-2")["age"] == 41.0
        assert log.read_group(filled, PROJECT, "t1").empty
    assert log.find_by_key(filled, PROJECT, "k1") == []
    assert log.find_by_key(filled, PROJECT, "k2") == ["t2-1"]
    assert log.count_between(filled, PROJECT, EARLY) == 1216  # that there were answers stays known


def test_no_stored_byte_of_an_erased_row_is_left_in_its_payload(filled):
    scorer = load_scorer(filled, PROJECT)
    row, out = one_row(scorer)
    named = [dict(row, thal=f"patient {n} of the ward") for n in range(3)]
    log.append(filled, log.make_small_group(filled, scorer, named, [out] * 3, **(ABOUT | {"uid": "j"})))
    log.append(filled, log.make_group(filled, scorer, as_frame(named, scorer.definition), pd.DataFrame([out] * 3), **(ABOUT | {"uid": "p"})))
    log.erase_rows(filled, PROJECT, ["j-2", "p-2"])
    for uid in ("j", "p"):
        payload = store.find_group(reading(filled.predictions_db), uid)["payload"]
        assert b"patient 1 of" not in payload
        assert read_payload(payload)["thal"].to_pylist() == ["patient 0 of the ward", None, "patient 2 of the ward"]
        assert read_payload(blank(payload, [0, 2])).to_pylist() == [dict.fromkeys(read_payload(payload).column_names)] * 3


def test_an_erased_row_lies_nowhere_in_the_file_wherever_it_was_before(filled):
    scorer = load_scorer(filled, PROJECT)
    row, out = one_row(scorer)
    named = [dict(row, thal=f"patient {n} of the ward") for n in range(30)]
    for n, at in ((0, EARLY), (1, EARLY + timedelta(hours=24))):
        keys = [f"case {n} {k} of the ward" for k in range(30)]
        log.append(filled, log.make_small_group(filled, scorer, named, [out] * 30, **(ABOUT | {"uid": f"j{n}", "at": at}), keys=keys))
    compact.compact(filled, now=EARLY + timedelta(hours=24.5))  # the first lies in a block now, the second in its group
    log.erase_rows(filled, PROJECT, ["j0-3", "j1-3"])
    reading(filled.predictions_db).conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = filled.predictions_db.read_bytes()
    assert b"patient 1 of the ward" in stored
    for gone in (b"patient 2 of the ward", b"case 0 2 of the ward", b"case 1 2 of the ward"):
        assert gone not in stored


def test_an_unknown_id_erases_nothing(filled):
    before = log.read(filled, PROJECT)
    for wrong in ("s0-3", "s0-0", "nobody-1", "s0", ""):
        with pytest.raises(NotFound, match="nothing was erased"):
            log.erase_rows(filled, PROJECT, ["s0-1", wrong])
    with pytest.raises(NotFound):
        log.erase_rows(filled, "future_skills", ["s0-1"])
    pd.testing.assert_frame_equal(log.read(filled, PROJECT), before)


@pytest.mark.parametrize("packed", [False, True])
def test_a_purge_takes_rows_and_labels_and_leaves_the_hourly_counts(filled, packed, monkeypatch):
    if packed:
        compact.compact(filled, now=NOW + timedelta(days=1))
    monkeypatch.setattr("core.scoring.removal.PURGE_GROUPS", 2)
    rows = log.read(filled, PROJECT)
    label = {"project": PROJECT, "label": "1", "predicted": "1", "score": 80.0, "version": "1.0.0", "labelled_at": "2026-03-03", "by": "x"}
    label |= {"source": "y", "superseded": 0, "probabilities": None, "query": None, "counted": 1}
    with writing(filled.predictions_db) as db:
        labels_store.insert_labels(
            db,
            [
                {**label, "prediction_id": "s0-1", "predicted_at": "2026-03-01T10:15:00.000Z"},
                {**label, "prediction_id": "now-1", "predicted_at": "2026-03-02T09:00:00.000Z"},
            ],
        )
    summed = profiles.sum_hours(filled, PROJECT)[1]
    cut = EARLY + timedelta(hours=2, seconds=1)
    assert log.purge_before(filled, PROJECT, cut) == {"groups": 8, "rows": 1213, "labels": 1}
    left = log.read(filled, PROJECT)
    pd.testing.assert_frame_equal(left, rows[-3:].reset_index(drop=True))
    assert log.count_between(filled, PROJECT, EARLY) == 1216
    assert profiles.sum_hours(filled, PROJECT)[1] == summed
    assert log.find_by_key(filled, PROJECT, "k0") == []
    assert log.find_by_key(filled, PROJECT, "k1") == ["t1-1"]
    # an hour that is gone, wholly or in part, keeps what was counted when its rows came
    assert profiles.rebuild(filled, PROJECT, "1.0.0") == 1
    assert profiles.sum_hours(filled, PROJECT)[1] == summed
    db = reading(filled.predictions_db)
    assert db.conn.execute("SELECT sum(rows) FROM label_counts").fetchone()[0] == 2
    assert db.conn.execute("SELECT count(*) FROM labels").fetchone()[0] == 1
    assert log.purge_before(filled, PROJECT, NOW + timedelta(days=1)) == {"groups": 3, "rows": 3, "labels": 1}
    assert db.conn.execute("SELECT count(*) FROM blocks").fetchone()[0] == 0


def test_pages_of_groups_are_read_without_a_gap(filled, tmp_path, monkeypatch):
    before = everything(filled, tmp_path)
    monkeypatch.setattr(batches, "PAGE_GROUPS", 3)
    monkeypatch.setattr(batches, "PAGE_ROWS", 5)
    same(before, everything(filled, tmp_path))
    assert len(list(log.iterate(filled, PROJECT))) > 4
