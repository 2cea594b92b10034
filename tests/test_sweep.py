"""A whole sweep on small tables, in this process and in worker processes, with workers that die and people who stop it."""

import json
import os
import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import BadInput, Cancelled
from core.projects.definition import from_dict
from core.training.executor import InlineExecutor, LocalExecutor, Outcome, WorkerLost, read_shared, write_shared
from core.training.results import load_sweep, to_dict
from core.training.sweep import run_sweep
from core.training.tasks import answer

QUICK = [("logistic_regression", {})]


def table(rows=120, seed=0):
    rng = np.random.default_rng(seed)
    features = pd.DataFrame({"x": rng.normal(size=rows), "noise": rng.normal(size=rows)})
    features["colour"] = rng.choice(np.array(["red", "blue"], dtype=object), rows).astype(object)
    features.loc[::9, "x"] = np.nan
    signal_ = features.x.fillna(0) + (features.colour == "red") + rng.normal(0, 0.3, rows)
    return features, signal_.to_numpy()


def definition(task, **more):
    columns = [{"name": "x"}, {"name": "noise"}, {"name": "colour", "kind": "category"}]
    extra = {
        "binary": {"classes": ["0", "1"], "positive": ">0"},
        "multiclass": {"classes": ["LOW", "MEDIUM", "HIGH"]},
        "regression": {"metric": "r2"},
        "ranking": {"metric": "ndcg", "group": "q"},
    }[task]
    return from_dict({"name": "t", "title": "T", "task": task, "target": "y", "columns": columns, **extra, **more})


def binary(rows=120):
    features, value = table(rows)
    return features, np.where(value > 0.5, "1", "0").astype(object), None, definition("binary")


def sweep(tmp_path, data=None, candidates=QUICK, executor=None, **more):
    features, target, group, d = data or binary()
    return run_sweep(
        features, target, group, d, candidates=candidates, executor=executor or InlineExecutor(), artifact_dir=tmp_path,
        **{"folds": 3, **more},
    )  # fmt: skip


def test_the_baseline_is_trained_although_nobody_asked(tmp_path):
    found = sweep(tmp_path)
    assert [r.name for r in found.results] == ["dummy", "logistic_regression"]
    assert found.results[0].baseline


def test_cross_validation_equals_plain_scikit_learn(tmp_path):
    from sklearn.metrics import f1_score
    from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

    from core.training.catalogue import get_candidate
    from core.training.pipeline import build_pipeline

    features, target, _, d = binary()
    labels = target.astype(int)
    found = sweep(tmp_path)
    train, test = train_test_split(np.arange(120), test_size=0.2, random_state=42, stratify=labels)
    train.sort()
    test.sort()
    pipeline = build_pipeline(get_candidate("logistic_regression"), {}, 42, d)
    folds = StratifiedKFold(3, shuffle=True, random_state=42)
    scores = cross_val_score(pipeline, features.iloc[train], labels[train], cv=folds, scoring="f1")
    result = found.result("logistic_regression")
    assert result.cv["f1"]["folds"] == pytest.approx(scores.tolist())
    assert result.cv["f1"]["mean"] == pytest.approx(scores.mean())
    assert result.cv["f1"]["std"] == pytest.approx(scores.std())
    answers = pipeline.fit(features.iloc[train], labels[train]).predict(features.iloc[test])
    assert result.holdout["f1"] == pytest.approx(f1_score(labels[test], answers))


def test_holdout_and_training_rows_share_nothing_and_lose_nothing(tmp_path):
    found = sweep(tmp_path)
    assert sorted([*found.train_rows, *found.holdout_rows]) == list(range(120))
    assert len(found.holdout_rows) == 24
    assert np.bincount(found.fold_of).tolist() == [32, 32, 32]


def test_the_saved_pipeline_gives_the_holdout_answers_again(tmp_path):
    features, _, _, d = binary()
    found = sweep(tmp_path)
    result = found.result("logistic_regression")
    pipeline = pickle.loads((tmp_path / result.artifact).read_bytes())
    prediction, proba = answer(pipeline, features.iloc[found.holdout_rows], d)
    assert prediction.tolist() == result.holdout_answers.prediction.tolist()
    assert proba.tolist() == result.holdout_answers.proba.tolist()
    assert result.size == (tmp_path / result.artifact).stat().st_size


def test_answers_out_of_fold_stand_in_the_order_of_the_training_rows(tmp_path):
    _, target, _, _ = binary()
    found = sweep(tmp_path)
    result = found.result("logistic_regression")
    assert result.answers.target.tolist() == target[found.train_rows].tolist()
    assert (result.answers.prediction == result.answers.target).mean() == pytest.approx(result.out_of_fold["accuracy"])
    assert result.out_of_fold["accuracy"] > 0.8


def test_importance_is_highest_for_the_column_that_decides(tmp_path):
    found = sweep(tmp_path, binary(400))
    result = found.result("logistic_regression")
    assert [one.column for one in result.importances][:2] == ["x", "colour"]
    assert found.result("dummy").importances == ()


@pytest.mark.parametrize("task", ["multiclass", "regression", "ranking"])
def test_every_task_is_trained_saved_and_read_back(tmp_path, task):
    features, value = table(150)
    d, group, name = definition(task), None, "ridge"
    if task == "multiclass":
        target = np.array(["LOW", "MEDIUM", "HIGH"], dtype=object)[np.digitize(value, [0, 1])]
    else:
        target = np.clip(np.round(value + 1), 0, 4)
    if task == "ranking":
        group = np.repeat([f"q{i}" for i in range(15)], 10).astype(object)
    found = sweep(tmp_path, (features, target, group, d), [(name, {})])
    assert found.result(name).cv_mean(d.metric) > found.result("dummy").cv_mean(d.metric)
    again = load_sweep(tmp_path, d)
    assert to_dict(again) == to_dict(found)
    assert again.result(name).answers.prediction.tolist() == found.result(name).answers.prediction.tolist()
    json.dumps(to_dict(found), allow_nan=False)
    if task == "ranking":
        assert not set(group[found.train_rows]) & set(group[found.holdout_rows])
        for fold in range(3):
            inside = set(group[found.train_rows][found.fold_of == fold])
            assert not inside & set(group[found.train_rows][found.fold_of != fold])


def test_worker_processes_give_the_same_numbers_as_this_one(tmp_path):
    here = sweep(tmp_path / "here", candidates=[("random_forest", {"n_estimators": 5}), *QUICK])
    there = sweep(tmp_path / "there", candidates=[("random_forest", {"n_estimators": 5}), *QUICK], executor=LocalExecutor(2))
    for one, two in zip(here.results, there.results, strict=True):
        assert one.cv == two.cv
        assert one.holdout == two.holdout
        assert one.importances == two.importances
    assert there.environment["workers"] == 2


def test_a_candidate_that_fails_is_recorded_and_the_rest_goes_on(tmp_path):
    features, target, group, d = binary(40)
    target[:] = "0"
    target[:4] = "1"  # calibration inside ridge needs three of a class, and a fold leaves it two
    found = sweep(tmp_path, (features, target, group, d), [("ridge", {}), *QUICK], folds=3)
    broken = found.result("ridge")
    assert broken.error.startswith("ValueError: Requesting 3-fold")
    assert "\n" not in broken.error
    assert (broken.cv, broken.artifact) == ({}, "")
    assert found.result("logistic_regression").error is None


def test_the_same_candidate_twice_gets_a_name_of_its_own(tmp_path):
    found = sweep(tmp_path, candidates=[("logistic_regression", {"C": 0.01}), ("logistic_regression", {"C": 10})])
    assert [r.name for r in found.results] == ["dummy", "logistic_regression", "logistic_regression_2"]
    assert found.result("logistic_regression_2").params["C"] == 10.0


def test_progress_counts_every_fit_once(tmp_path):
    seen = []
    sweep(tmp_path, progress=lambda *told: seen.append(told))
    assert [done for done, *_ in seen] == list(range(1, 9))
    assert {total for _, total, *_ in seen} == {8}
    assert {(c, f) for _, _, c, f, _ in seen} == {(c, f) for c in ("dummy", "logistic_regression") for f in (0, 1, 2, None)}
    assert seen[-1][-1] == 0


def test_a_class_with_too_few_rows_is_refused_before_any_fit(tmp_path):
    features, target, _, d = binary()
    target[:] = "0"
    target[:3] = "1"
    with pytest.raises(BadInput, match="Class 1 has 3 rows, too few for 3 folds"):
        sweep(tmp_path, (features, target, None, d))
    assert not list(tmp_path.iterdir())


def test_a_class_without_rows_is_a_warning(tmp_path):
    features, value = table(120)
    target = np.where(value > 0.5, "HIGH", "LOW").astype(object)
    found = sweep(tmp_path, (features, target, None, definition("multiclass")))
    assert found.warnings == ("Class MEDIUM has no rows: no model can learn it.",)
    assert found.result("logistic_regression").answers.proba[:, 1].max() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"candidates": [("ridge", {"alpha": -1})]}, "between"),
        ({"folds": 1}, "folds lies between 2 and 20"),
        ({"holdout": 0.9}, "between 0.05 and 0.5"),
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path, change, said):
    with pytest.raises(BadInput, match=said):
        sweep(tmp_path, **change)


def test_a_missing_column_and_an_unknown_class_are_refused_by_name(tmp_path):
    features, target, _, d = binary()
    with pytest.raises(BadInput, match="'noise'"):
        sweep(tmp_path, (features.drop(columns="noise"), target, None, d))
    target[0] = "2"
    with pytest.raises(BadInput, match="'2'"):
        sweep(tmp_path, (features, target, None, d))


def test_rows_without_a_label_are_counted_and_refused(tmp_path):
    features, target, _, d = binary()
    target[:2] = None
    with pytest.raises(BadInput, match="2 rows have no 'y'"):
        sweep(tmp_path, (features, target, None, d))


def test_too_few_groups_are_refused(tmp_path):
    features, value = table(40)
    group = np.repeat(["a", "b"], 20).astype(object)
    with pytest.raises(BadInput, match="2 groups"):
        sweep(tmp_path, (features, np.clip(value, 0, 4), group, definition("ranking")), [("ridge", {})])


def test_shared_values_come_back_equal_writable_and_apart(tmp_path):
    value = {"a": np.arange(6.0).reshape(2, 3), "frame": table(5)[0], "text": "x"}
    write_shared(tmp_path / "shared", value)
    one, two = read_shared(tmp_path / "shared"), read_shared(tmp_path / "shared")
    pd.testing.assert_frame_equal(one["frame"], value["frame"])
    one["a"][0, 0] = 99
    assert (two["a"][0, 0], value["a"][0, 0]) == (0, 0)


# ---- workers that die ----


def double(shared, task):
    return shared * task


def pid_of_worker(shared, task):
    return os.getpid()


def die_once(marker, task):
    if task == 1 and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def die_always(shared, task):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_long(shared, task):
    time.sleep(60)


def fail_on_two(shared, task):
    if task == 2:
        raise ValueError("two\nis refused")
    return task


def threads_of_worker(shared, task):
    from threadpoolctl import threadpool_info

    return [pool["num_threads"] for pool in threadpool_info()]


@pytest.mark.parametrize("executor", [InlineExecutor(), LocalExecutor(2)], ids=["inline", "local"])
def test_every_task_comes_back_once(executor):
    found = sorted(executor.run(double, [1, 2, 3, 4, 5], 10), key=lambda outcome: outcome.index)
    assert found == [Outcome(i, 10 * (i + 1)) for i in range(5)]


@pytest.mark.parametrize("executor", [InlineExecutor(), LocalExecutor(2)], ids=["inline", "local"])
def test_an_error_in_a_task_is_one_line_and_stays_there(executor):
    found = {outcome.index: outcome for outcome in executor.run(fail_on_two, [1, 2, 3], None)}
    assert found[1].error == "ValueError: two is refused"
    assert (found[0].value, found[2].value) == (1, 3)


def test_a_killed_worker_is_replaced_and_its_task_tried_again(tmp_path):
    executor = LocalExecutor(2)
    found = list(executor.run(die_once, [0, 1, 2, 3], str(tmp_path / "died")))
    assert sorted(outcome.value for outcome in found) == [0, 1, 2, 3]
    assert executor.ran_on in ("1 worker of this machine", "2 workers of this machine")  # who took a dead one's place is none more


def test_workers_that_stay_take_up_the_next_run_of_the_same_work_and_are_gone_after_it(tmp_path):
    executor, shared = LocalExecutor(2, tmp_path), {"any": 1}
    with executor.staying():
        first = [{o.value for o in executor.run(pid_of_worker, range(6), shared)} for _ in range(2)]
        assert first[0] & first[1]
        list(executor.run(die_once, [0, 1], str(tmp_path / "died")))  # other work: other workers
        others = {o.value for o in executor.run(pid_of_worker, range(6), {"any": 2})}
        assert not others & first[0]
    assert not [p for p in tmp_path.iterdir() if p.name != "died"]
    assert not [pid for pid in first[0] | others if Path(f"/proc/{pid}").exists()]


def test_where_tasks_were_done_is_told_by_what_did_them_and_not_by_what_was_allowed():
    inline, local = InlineExecutor(), LocalExecutor(8)
    assert (inline.ran_on, local.ran_on) == ("", "")
    for executor in (inline, local):
        list(executor.run(double, [1], 10))
        list(executor.run(double, [2], 10))
        assert executor.ran_on == "1 worker of this machine"


def test_a_task_that_kills_two_workers_ends_the_sweep_with_a_sentence():
    with pytest.raises(WorkerLost, match="killed twice"):
        list(LocalExecutor(1).run(die_always, [1], None))


def test_cancelling_ends_the_workers_within_two_seconds(tmp_path):
    list(LocalExecutor(1).run(double, [1], 1))  # the server that workers are forked from is up
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        list(LocalExecutor(2, tmp_path).run(sleep_long, [1, 2, 3], None, lambda: time.monotonic() > begin + 1))
    assert time.monotonic() - begin < 3
    assert not list(tmp_path.iterdir())  # the shared file is gone as well


def test_every_worker_runs_on_one_thread():
    (outcome,) = LocalExecutor(1).run(threads_of_worker, [1], None)
    assert set(outcome.value) == {1}
