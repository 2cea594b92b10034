"""Labels that come back: by id, by key, as rows or as a table; late, corrected, wrong; and what the log's own counts say."""

import random
from datetime import timedelta

import pytest

from core import audit
from core.acts import Actor
from core.cli.app import main
from core.errors import BadInput, Refused
from core.home import open_home
from core.monitoring import quality
from core.projects import projects
from core.projects.definition import from_dict
from core.scoring import accuracy, answers, labels, removal
from core.scoring.compact import compact
from core.scoring.predict import predict_rows
from core.times import parse, stamp, utc_now
from storage import labels as store
from storage.connection import reading, writing

PROJECT = "heart_disease"
SCIENTIST, DEVOPS = Actor("scientist"), Actor("devops")
ROW = {
    "age": 63, "sex": "Male", "cp": "asymptomatic", "trestbps": 145, "chol": 233, "fbs": "True", "restecg": "normal", "thalch": 150,
    "exang": "False", "oldpeak": 2.3, "slope": "flat", "ca": 0, "thal": "normal",
}  # fmt: skip


def predict(home, rows=3, **kwargs):
    return list(predict_rows(home, SCIENTIST, PROJECT, [ROW] * rows, source="test", **kwargs).outputs["prediction_id"])


def feed(home, rows, who=SCIENTIST, **kwargs):
    return labels.feed_label_rows(home, who, PROJECT, rows, source="api", **kwargs)


def counted(home):
    """What the hourly counts hold: (label, predicted) -> rows."""
    rows = store.count_outcomes(reading(home.predictions_db), PROJECT, since="", until="9999")
    found = {}
    for _, _, label, predicted, n in rows:
        found[label, predicted] = found.get((label, predicted), 0) + n
    return found


def test_rows_are_kept_and_the_others_are_counted_and_named(trained_home):
    ids = predict(trained_home)
    done = feed(
        trained_home,
        [
            {"prediction_id": ids[0], "label": 1},
            {"prediction_id": ids[1], "num": "3"},  # the target's own name and value: above 0 is positive
            {"prediction_id": "no-1", "label": 0},
            {"prediction_id": ids[2], "label": "maybe"},
            {"prediction_id": ids[2], "label": None},
        ],
    )
    assert {k: done[k] for k in labels.COUNTS} == {"new": 2, "corrected": 0, "same": 0, "unknown": 1, "unreadable": 1, "empty": 1}
    assert done["problems"] == [
        {"row": 3, "value": "no-1", "problem": "'no-1' belongs to no logged prediction."},
        {"row": 4, "value": "maybe", "problem": "'maybe' is no value of num."},
    ]
    assert labels.labels_by_prediction(trained_home, PROJECT) == {ids[0]: "1", ids[1]: "1"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no label in the request"),
        ([{"label": 1}], "Row 1 does not say which prediction"),
        ([{"prediction_id": "x-1", "label": 1}, {"prediction_id": "x-1"}], "Row 2 has no label; add it under label or num"),
    ],
)
def test_rows_without_an_id_or_a_label_are_refused_by_number(trained_home, rows, words):
    with pytest.raises(BadInput, match=words):
        feed(trained_home, rows)


def test_a_corrected_label_keeps_who_said_what_when(trained_home):
    now = utc_now()
    (one,) = predict(trained_home, 1)
    feed(trained_home, [{"prediction_id": one, "label": 1}], now=now)
    late = now + timedelta(days=9)
    done = feed(trained_home, [{"prediction_id": one, "label": 0}], DEVOPS, now=late)
    assert (done["new"], done["corrected"]) == (0, 1)
    history = labels.find_history(trained_home, PROJECT, one)
    assert [(h["label"], h["by"], h["labelled_at"], h["superseded"]) for h in history] == [
        ("1", "scientist", stamp(now), 1), ("0", "devops", stamp(late), 0),
    ]  # fmt: skip
    assert sum(counted(trained_home).values()) == 1
    assert {label for label, _ in counted(trained_home)} == {"0"}


def test_the_last_row_for_a_prediction_wins_and_the_earlier_stays_as_history(trained_home):
    (one,) = predict(trained_home, 1)
    done = feed(trained_home, [{"prediction_id": one, "label": v} for v in (1, 0, 0, 1)])
    assert {k: done[k] for k in ("new", "corrected", "same")} == {"new": 1, "corrected": 2, "same": 1}
    assert [(h["label"], h["superseded"]) for h in labels.find_history(trained_home, PROJECT, one)] == [("1", 1), ("0", 1), ("1", 0)]
    assert sum(counted(trained_home).values()) == 1


def test_the_same_request_key_feeds_once(trained_home):
    ids = predict(trained_home, 1)
    first = feed(trained_home, [{"prediction_id": ids[0], "label": 1}], key="k1")
    assert feed(trained_home, [{"prediction_id": ids[0], "label": 0}], key="k1") == first
    assert labels.labels_by_prediction(trained_home, PROJECT) == {ids[0]: "1"}


def test_a_large_table_is_fed_in_parts_that_are_one_act(trained_home, monkeypatch):
    monkeypatch.setattr(labels, "AT_ONCE", 10)
    ids = predict(trained_home, 30)
    rows = [{"prediction_id": i, "label": 1} for i in ids] + [{"prediction_id": ids[0], "label": 0}, {"prediction_id": ids[1], "label": 1}]
    done = feed(trained_home, rows, key="k1")
    assert {k: done[k] for k in ("new", "corrected", "same", "unknown")} == {"new": 30, "corrected": 1, "same": 1, "unknown": 0}
    assert feed(trained_home, rows, key="k1") == done
    assert labels.labels_by_prediction(trained_home, PROJECT) == {**dict.fromkeys(ids, "1"), ids[0]: "0"}
    assert sum(counted(trained_home).values()) == 30
    history = labels.find_history(trained_home, PROJECT, ids[0])
    assert [(h["label"], h["superseded"]) for h in history] == [("1", 1), ("0", 0)]
    (begun,), (ended,) = (audit.search(trained_home, action=action)[0] for action in ("feed_labels", "labels_fed"))
    assert (begun["after"], ended["after"]["new"], ended["outcome"]) == ({"labels": 32, "begun": True}, 30, "done")
    assert begun["correlation_id"] == ended["correlation_id"]


def test_a_large_table_that_stops_half_way_says_how_far_it_came_and_can_be_fed_again(trained_home, monkeypatch):
    monkeypatch.setattr(labels, "AT_ONCE", 10)
    ids = predict(trained_home, 30)
    rows = [{"prediction_id": i, "label": 1} for i in ids]
    keep, parts = labels._keep, []

    def fail_later(*values, **named):
        parts.append(values)
        if len(parts) > 1:
            raise OSError("disk full")
        keep(*values, **named)

    with monkeypatch.context() as patch:
        patch.setattr(labels, "_keep", fail_later)
        with pytest.raises(OSError, match="disk full"):
            feed(trained_home, rows, key="k1")
    (ended,) = audit.search(trained_home, action="labels_fed")[0]
    assert (ended["outcome"], ended["error"]) == (
        "failed", "10 of 30 labels were kept; feed the same table again: what is kept is not changed by that.",
    )  # fmt: skip
    again = feed(trained_home, rows, key="k1")
    assert (again["new"], again["same"]) == (20, 10)


def test_what_was_erased_while_its_label_was_on_its_way_takes_none(trained_home, monkeypatch):
    ids = predict(trained_home, 3)
    look = labels.find_answers

    def look_slowly(*values):
        found = look(*values)
        removal.erase_rows(trained_home, PROJECT, ids[:1])
        return found

    monkeypatch.setattr(labels, "find_answers", look_slowly)
    done = feed(trained_home, [{"prediction_id": i, "label": 1} for i in ids])
    assert (done["new"], done["unknown"]) == (2, 1)


def test_a_refused_feed_writes_nothing_but_its_audit_event(trained_home):
    ids = predict(trained_home, 1)
    with pytest.raises(Refused):
        feed(trained_home, [{"prediction_id": ids[0], "label": 1}], Actor("director"))
    assert labels.labels_by_prediction(trained_home, PROJECT) == {}
    assert counted(trained_home) == {}
    event = audit.search(trained_home, limit=1)[0][0]
    assert (event["actor"], event["action"], event["outcome"]) == ("director", "feed_labels", "refused")


@pytest.mark.parametrize(("value", "label"), [(True, "1"), (False, "0"), (1.0, "1"), ("0.0", "0"), (" 1 ", "1"), (4, "1")])
def test_a_binary_label_is_the_class_or_the_targets_own_value(trained_home, value, label):
    ids = predict(trained_home, 1)
    feed(trained_home, [{"prediction_id": ids[0], "label": value}])
    assert labels.labels_by_prediction(trained_home, PROJECT) == {ids[0]: label}


def test_a_template_that_is_mostly_empty_is_no_trouble(trained_home):
    ids = predict(trained_home)
    table = f"prediction_id,label\n{ids[0]},1\n{ids[1]},\n{ids[2]},\n".encode()
    done = labels.feed_labels(trained_home, SCIENTIST, PROJECT, table, file_name="labels.csv")
    assert (done["new"], done["unreadable"], done["empty"], done["problems"]) == (1, 0, 2, [])


def test_the_hourly_counts_follow_corrections_and_deletions(trained_home):
    ids = predict(trained_home, 4)
    predicted = next(iter(answers.find_answers(trained_home, projects.get_definition(trained_home, PROJECT), ids[:1]).values())).predicted
    feed(trained_home, [{"prediction_id": i, "label": 1} for i in ids])
    assert counted(trained_home) == {("1", predicted): 4}
    feed(trained_home, [{"prediction_id": ids[0], "label": 0}])
    assert counted(trained_home) == {("0", predicted): 1, ("1", predicted): 3}
    with writing(trained_home.predictions_db) as db:
        db.conn.execute("DELETE FROM labels WHERE prediction_id IN (?, ?)", (ids[0], ids[1]))
    assert counted(trained_home) == {("1", predicted): 2}


# by business key


def make_project(home, task="multiclass"):
    """A project with a key, and its log written by hand: no model is needed to feed labels."""
    from core import accounts

    accounts.add_demo_accounts(home)
    columns = [{"name": "case_no", "kind": "text", "role": "key"}, {"name": "x"}]
    made = {"name": "cases", "title": "Cases", "task": task, "target": "y", "columns": columns, "key": "case_no"}
    if task == "multiclass":
        made["classes"] = ("LOW", "MEDIUM", "HIGH")
    else:
        made["metric"] = "r2" if task == "regression" else "ndcg"
    if task == "ranking":
        made["group"] = "query"
    projects.create_project(home, SCIENTIST, from_dict(made))


def write_group(home, uid, at, rows, keys=(), version="1.0.0"):
    """One logged group of the project ``cases``: rows are dictionaries of payload columns."""
    import json

    names = list(rows[0])
    payload = {"columns": names, "numbers": [int(isinstance(v, float)) for v in rows[0].values()], "rows": [list(r.values()) for r in rows]}
    with writing(home.predictions_db) as db:
        db.conn.execute(
            """INSERT INTO groups(uid, project, version, request_id, at, rows, problem_rows, caller, source, payload)
               VALUES (?, 'cases', ?, 'r', ?, ?, 0, 'x', 'x', ?)""",
            (uid, version, at, len(rows), json.dumps(payload).encode()),
        )
        db.conn.executemany(
            "INSERT INTO case_keys VALUES ('cases', ?, ?)", [(k, f"{uid}-{n}") for n, k in enumerate(keys, 1) if k]
        )


def level(name, *shares):
    return {
        "x": 1.0, "out:prediction": name, "out:score": 50.0, "out:confidence": max(shares), "out:problems": "",
        "out:probability:LOW": shares[0], "out:probability:MEDIUM": shares[1], "out:probability:HIGH": shares[2],
    }  # fmt: skip


def test_a_label_by_key_belongs_to_the_newest_prediction_of_that_case(tmp_path):
    home = open_home(tmp_path / "home")
    make_project(home)
    sure = level("LOW", 0.9, 0.1, 0.0)
    write_group(home, "a" * 24, "2026-11-02T10:00:00.000Z", [sure, sure], ["7", "8"])
    write_group(home, "b" * 24, "2026-11-03T10:00:00.000Z", [sure, sure], ["8", "8"])
    write_group(home, "c" * 24, "2026-11-01T10:00:00.000Z", [sure], ["8"])
    done = labels.feed_labels(home, SCIENTIST, "cases", b"case_no,y\n7,LOW\n8,HIGH\n9,LOW\n", file_name="back.csv")
    assert (done["new"], done["unknown"]) == (2, 1)
    assert done["problems"] == [{"row": 3, "value": "9", "problem": "'9' belongs to no logged prediction."}]
    assert labels.labels_by_prediction(home, "cases") == {"a" * 24 + "-1": "LOW", "b" * 24 + "-2": "HIGH"}
    rows = labels.feed_label_rows(home, SCIENTIST, "cases", [{"case_no": 8, "label": "MEDIUM"}], source="api")
    assert rows["corrected"] == 1


def test_probabilities_are_kept_with_a_label_of_many_classes(tmp_path):
    home = open_home(tmp_path / "home")
    make_project(home)
    write_group(home, "a" * 24, "2026-11-02T10:00:00.000Z", [level("LOW", 0.5, 0.25, 0.25), level("HIGH", 0.0, 0.25, 0.75)])
    rows = [{"prediction_id": "a" * 24 + f"-{n}", "label": name} for n, name in ((1, "LOW"), (2, "HIGH"))]
    labels.feed_label_rows(home, SCIENTIST, "cases", rows, source="api")
    since, until = parse("2026-11-02T00:00:00.000Z"), parse("2026-11-03T00:00:00.000Z")
    found = quality.over_time(home, "cases", since=since, until=until).whole
    # LOW ranks its row first, HIGH its own; MEDIUM has no row, so it has no area
    assert (found.rows, found.metrics["auc"].value) == (2, 1.0)


def test_an_erased_row_takes_no_label(tmp_path):
    home = open_home(tmp_path / "home")
    make_project(home)
    gone = dict.fromkeys(level("LOW", 1.0, 0.0, 0.0))
    write_group(home, "a" * 24, "2026-11-02T10:00:00.000Z", [level("LOW", 1.0, 0.0, 0.0), gone])
    rows = [{"prediction_id": "a" * 24 + f"-{n}", "label": "LOW"} for n in (1, 2)]
    done = labels.feed_label_rows(home, SCIENTIST, "cases", rows, source="api")
    assert (done["new"], done["unknown"]) == (1, 1)


def test_numbers_come_back_as_numbers_and_are_not_counted_as_classes(tmp_path):
    home = open_home(tmp_path / "home")
    make_project(home, "regression")
    row = {"x": 1.0, "out:prediction": 2.5, "out:score": 2.5, "out:problems": ""}
    write_group(home, "a" * 24, "2026-11-02T10:00:00.000Z", [row] * 3)
    values = [3, "2,5", "inf"]
    rows = [{"prediction_id": "a" * 24 + f"-{n}", "label": v} for n, v in enumerate(values, 1)]
    done = labels.feed_label_rows(home, SCIENTIST, "cases", rows, source="api")
    assert labels.labels_by_prediction(home, "cases")["a" * 24 + "-1"] == "3.0"
    assert done["unreadable"] >= 1  # infinity is no label
    assert store.count_outcomes(reading(home.predictions_db), "cases", since="") == []


def test_rows_that_were_packed_into_a_block_take_their_own_labels(tmp_path):
    home = open_home(tmp_path / "home")
    make_project(home)
    names = ["LOW", "HIGH", "MEDIUM"]
    for n, name in enumerate(names):
        shares = [float(name == c) for c in ("LOW", "MEDIUM", "HIGH")]
        write_group(home, f"{n:024x}", f"2026-11-0{n + 1}T10:00:00.000Z", [level("LOW", 1.0, 0.0, 0.0), level(name, *shares)])
    assert compact(home, now=parse("2026-11-20T10:00:00.000Z")) == 3
    ids = [f"{n:024x}-2" for n in range(3)]
    found = answers.find_answers(home, projects.get_definition(home, "cases"), ids)
    assert [(found[i].predicted, found[i].at[:10]) for i in ids] == [
        ("LOW", "2026-11-01"), ("HIGH", "2026-11-02"), ("MEDIUM", "2026-11-03"),
    ]  # fmt: skip
    assert found[ids[1]].probabilities == (0.0, 0.0, 1.0)
    rows = [{"prediction_id": i, "label": name} for i, name in zip(ids, names, strict=True)]
    assert labels.feed_label_rows(home, SCIENTIST, "cases", rows, source="api")["new"] == 3
    assert accuracy.live_quality(home, "cases", now=parse("2026-11-20T10:00:00.000Z"))["accuracy"] == 1.0


def test_an_erased_prediction_counts_no_more_and_a_purged_one_still_does(trained_home):
    old, new = utc_now() - timedelta(days=200), utc_now()
    before = predict(trained_home, 2, now=old)
    after = predict(trained_home, 3, now=new)
    feed(trained_home, [{"prediction_id": i, "label": 1} for i in (*before, *after)])
    assert sum(counted(trained_home).values()) == 5
    removal.erase_rows(trained_home, PROJECT, after[:1])
    assert sum(counted(trained_home).values()) == 4
    removal.purge_before(trained_home, PROJECT, new - timedelta(days=180))
    assert sum(counted(trained_home).values()) == 4  # how good it was stays known
    assert set(labels.labels_by_prediction(trained_home, PROJECT)) == set(after[1:])


def test_the_hourly_counts_equal_a_count_of_the_labels_whatever_order_they_came_in(trained_home):
    rng = random.Random(7)
    now = utc_now()
    ids = [i for day in range(4) for i in predict(trained_home, 15, now=now - timedelta(days=day))]
    for _ in range(6):
        feed(trained_home, [{"prediction_id": i, "label": rng.randrange(2)} for i in rng.choices(ids, k=40)])
    with writing(trained_home.predictions_db) as db:
        recount = db.conn.execute(
            """SELECT substr(predicted_at, 1, 13), version, label, predicted, count(*) FROM labels
               WHERE superseded = 0 GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""
        ).fetchall()
    assert [tuple(r) for r in recount] == store.count_outcomes(reading(trained_home.predictions_db), PROJECT, since="")


def test_a_label_is_looked_up_by_its_index_and_not_by_reading_them_all(trained_home):
    seen = []
    db = reading(trained_home.predictions_db)
    db.conn.set_trace_callback(seen.append)
    store.find_current(db, PROJECT, ["x-1"])
    store.find_predictions_of_keys(db, PROJECT, ["7"])
    list(store.iterate_payloads(db, PROJECT, ["x"]))
    db.conn.set_trace_callback(None)
    plans = [" ".join(r["detail"] for r in db.conn.execute(f"EXPLAIN QUERY PLAN {sql}")) for sql in seen]
    assert len(plans) == 3
    assert "one_current_label (project=? AND prediction_id=?)" in plans[0]
    assert "PRIMARY KEY (project=? AND key=?)" in plans[1]
    assert all("(uid=?)" in plan for plan in plans[1:])


def test_the_command_names_the_rows_that_it_did_not_keep(trained_home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    (one,) = predict(trained_home, 1)
    (tmp_path / "labels.csv").write_text(f"prediction_id,label\n{one},1\nno-1,0\n")
    assert main(["feedback", PROJECT, str(tmp_path / "labels.csv"), "--as", "scientist"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Labels: 1 new, 0 corrected, 0 same, 1 unknown, 0 unreadable, 0 empty."
    assert printed[1] == "Row 2: 'no-1' belongs to no logged prediction."
    assert printed[2].startswith("Accuracy of the last 30 days on 1 labelled predictions: ")
