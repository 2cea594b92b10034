"""A search of hyperparameters: seeded, within its budget, blind to the hold-out, recorded trial by trial, and honest about its gain."""

import json
import time

import numpy as np
import pytest

from core.acts import Actor
from core.cli.app import main
from core.errors import BadInput, Cancelled, Refused
from core.jobs import jobs, worker
from core.training import runs
from core.training.catalogue import get_candidate
from core.training.executor import InlineExecutor, LocalExecutor, Outcome, keep_workers
from core.training.search import (
    Budget,
    Search,
    SearchMaterial,
    Trial,
    load_searches,
    run_search,
    save_searches,
    searchable,
    try_setting,
)
from core.training.sweep import run_sweep, split_holdout
from pages import charts_training, training_search
from tests.test_sweep import binary, definition, table

HEART, SCIENTIST = "heart_disease", Actor("scientist")
extra = pytest.mark.extra


def search(trials=8, seconds=60.0, patience=20, executor=None, seed=42, candidate="logistic_regression", data=None, **more):
    features, target, group, d = data or binary()
    train, _ = split_holdout(target, group, d, 0.2, seed)
    return run_search(
        features, target, group, d, candidate=candidate, budget=Budget(trials, seconds, patience), executor=executor or InlineExecutor(),
        train=train, folds=3, seed=seed, **more,
    )  # fmt: skip


def bare(found):
    """What must be equal where only the times differ."""
    return [(t.number, t.params, t.state, t.values, t.value) for t in found.trials]


class Noting:
    """An executor that keeps what it was given."""

    workers = 1

    def __init__(self, spoil=lambda task, value: value):
        self.seen, self.spoil = [], spoil

    def prepare(self):
        pass

    def run(self, work, tasks, shared, cancelled=None):
        self.seen.append((shared, list(tasks)))
        for index, task in enumerate(tasks):
            value = self.spoil(task, work(shared, task))
            yield value if isinstance(value, Outcome) else Outcome(index, value)


def trial(number, value, state="complete", values=(0.5, 0.6, 0.7), **params):
    return Trial(number, params or {"C": 1.0}, state, values, value, 0.1, "it broke" if state == "failed" else None)


def made(*trials, best=None, ended="trials", **more):
    return Search("logistic_regression", "Logistic regression", "f1", 3, 42, Budget(**more), trials, best, ended, 12.4)


# ---- without the library ----


def test_without_the_library_a_search_is_refused_in_one_sentence(demo_home, monkeypatch):
    import core.adapters.optional as optional

    monkeypatch.setattr(optional, "find_spec", lambda module: None)
    wanted = [("logistic_regression", Budget())]
    with pytest.raises(Refused, match="Optuna is not installed, and a search of hyperparameters needs it: pip install optuna"):
        runs.start_training(demo_home, SCIENTIST, HEART, search=wanted)
    assert jobs.list_jobs(demo_home, kind="train") == []


def test_without_the_library_the_form_says_how_to_install_it(demo_home, open_page, monkeypatch):
    import core.adapters.optional as optional

    monkeypatch.setattr(optional, "find_spec", lambda module: None)
    page = open_page(demo_home, "training")
    assert any("a search of hyperparameters needs Optuna" in m.value for m in page.markdown)
    assert "pip install optuna -c requirements.txt" in [c.value for c in page.code]
    next(b for b in page.button if b.label == "Start training").click().run()
    (job,) = jobs.list_jobs(demo_home, kind="train")
    assert "search" not in job.params


def test_what_can_be_searched_is_what_has_a_range_or_choices():
    assert [p.name for p in searchable("random_forest", "binary")] == ["n_estimators", "max_depth", "min_samples_leaf", "class_weight"]
    assert [p.name for p in searchable("random_forest", "regression")] == ["n_estimators", "max_depth", "min_samples_leaf"]
    assert searchable("dummy", "binary") == searchable("voting", "binary") == searchable("logistic_regression", "regression") == ()
    assert searchable("class:sklearn.svm.SVC", "binary") == ()


def test_a_range_that_is_tried_lies_within_what_is_allowed():
    from core.training.catalogue import list_candidates

    for candidate in list_candidates():
        for p in candidate.params:
            if p.tried is not None:
                assert p.low <= p.tried[0] <= p.default <= p.tried[1] <= p.high, (candidate.name, p.name)


def test_a_search_that_found_nothing_better_has_no_winner():
    found = made(trial(0, 0.7), trial(1, 0.6), trial(2, None, "pruned", (0.1, 0.2)), best=0)
    assert found.winner is None
    assert found.gain == 0
    assert found.sentence == (
        "Logistic regression: 3 settings were tried in 12 s (2 to the end, 1 stopped early as hopeless). None was better than the usual setting."
    )


def test_a_winner_is_told_with_its_gain_and_that_it_is_flattered():
    found = made(trial(0, 0.7), trial(1, 0.75), best=1, ended="patience", patience=7)
    assert found.winner.number == 1
    assert found.gain == pytest.approx(0.05)
    assert "It ended early: 7 trials in a row brought nothing better." in found.sentence
    assert "The best, trial 2, reached 0.750 F1 over the search's folds, +0.050 against the usual setting." in found.sentence
    assert found.sentence.endswith("so that number flatters it; judge it by the hold-out, which the search never saw.")


def test_a_search_in_which_nothing_worked_says_why():
    found = made(trial(0, None, "failed", ()), trial(1, None, "failed", ()))
    assert (found.best, found.winner, found.gain) == (None, None, None)
    assert found.sentence.endswith("(2 failed). None could be judged: it broke")


def test_a_search_is_read_back_as_it_was_written(tmp_path):
    found = [made(trial(0, 0.7, C=0.1, class_weight="none"), trial(1, None, "stopped", (0.5, None)), best=0, trials=2)]
    assert load_searches(tmp_path) == []
    save_searches(found, tmp_path)
    assert load_searches(tmp_path) == found
    assert not list(tmp_path.glob(".*"))


def test_the_table_has_a_row_per_trial_and_a_column_per_fold_and_setting():
    rows = training_search.list_rows(made(trial(0, 0.6, C=1.0), trial(1, None, "pruned", (0.25,), C=0.5), trial(2, 0.7, C=2.0), best=2))
    assert [r["Trial"] for r in rows] == [1, 2, 3]
    assert [r["State"] for r in rows] == ["✓ to the end, usual", "✕ stopped early", "✓ to the end, best"]
    assert [(r["Inverse penalty"], r["Fold 1"], r["Fold 2"], r["F1, mean"]) for r in rows] == [
        (1.0, 0.5, 0.6, 0.6), (0.5, 0.25, None, None), (2.0, 0.5, 0.6, 0.7),
    ]  # fmt: skip


def test_the_chart_draws_the_best_so_far_and_leaves_out_what_reached_nothing():
    trials = (trial(0, 0.6), trial(1, None, "pruned", (0.2, 0.4)), trial(2, 0.8), trial(3, 0.7), trial(4, None, "failed", ()))
    figure = charts_training.search_history(made(*trials, best=2))
    drawn = {t.name: (list(t.x), list(t.y)) for t in figure.data}
    assert drawn["Best so far"] == ([1, 2, 3, 4, 5], [0.6, 0.6, 0.8, 0.8, 0.8])
    assert drawn["To the end"] == ([1, 3, 4], [0.6, 0.8, 0.7])
    assert drawn["Stopped early"][0] == [2]
    assert drawn["Stopped early"][1] == pytest.approx([0.3])
    assert "Failed" not in drawn


def test_what_a_search_found_is_trained_beside_the_candidate_as_it_is(tmp_path):
    features, target, group, d = binary()
    found = run_sweep(
        features, target, group, d, candidates=[("logistic_regression", {})], searched=[("logistic_regression", {"C": 0.01})],
        executor=InlineExecutor(), artifact_dir=tmp_path, folds=3,
    )  # fmt: skip
    assert [(r.name, r.title, r.params["C"]) for r in found.results if not r.baseline] == [
        ("logistic_regression", "Logistic regression", 1.0),
        ("logistic_regression_searched", "Logistic regression (searched)", 0.01),
    ]
    assert (tmp_path / "logistic_regression_searched.pkl").exists()


# ---- with it ----


@extra
def test_the_first_trial_is_the_usual_setting_and_the_best_is_never_worse():
    found = search()
    assert found.trials[0].params == get_candidate("logistic_regression").defaults("binary")
    assert len(found.trials) == 8
    assert found.ended == "trials"
    values = {t.number: t.value for t in found.trials if t.value is not None}
    assert values[found.best] == max(values.values()) >= values[0]
    assert found.gain == values[found.best] - values[0]


@extra
def test_a_setting_that_somebody_chose_is_the_first_and_stays_where_nothing_varies():
    found = search(trials=4, base={"C": 3000.0, "class_weight": "none"})
    assert found.trials[0].params == {"C": 3000.0, "class_weight": "none"}


@extra
def test_the_same_seed_gives_the_same_trials_on_one_worker_and_on_two(tmp_path):
    once, twice = search(), search()
    assert bare(once) == bare(twice)
    local = LocalExecutor(2, folder=tmp_path)
    with keep_workers(local):
        assert bare(search(executor=local)) == bare(once)
        assert len(list(tmp_path.iterdir())) == 1  # one crew and one shared file for all rounds
    assert list(tmp_path.iterdir()) == []
    assert bare(search(seed=7)) != bare(once)


@extra
def test_a_search_on_a_cluster_tries_the_very_same_settings(tmp_path):
    pytest.importorskip("distributed")
    from core.adapters.dask_cluster import DaskExecutor
    from tests.cluster import Cluster

    with Cluster(tmp_path / "cluster") as running:
        executor = DaskExecutor(running.address)
        try:
            assert bare(search(executor=executor)) == bare(search())
        finally:
            executor.close()


@extra
def test_the_hold_out_is_never_given_to_the_search():
    data = features, target, _, d = binary()
    train, held = split_holdout(target, None, d, 0.2, 42)
    noting = Noting()
    search(trials=4, executor=noting, data=data)
    shared, _ = noting.seen[0]
    assert isinstance(shared, SearchMaterial)
    assert len(shared.features) == len(train) == len(shared.target)
    assert set(shared.features["noise"]).isdisjoint(features["noise"].iloc[held])
    assert (shared.features["noise"].to_numpy() == features["noise"].iloc[train].to_numpy()).all()
    assert max(int(rows.max()) for pair in shared.folds for rows in pair) < len(train)


@extra
def test_the_folds_of_the_search_are_not_those_of_the_comparison(tmp_path):
    data = features, target, group, d = binary()
    noting = Noting()
    search(trials=4, executor=noting, data=data)
    swept = run_sweep(features, target, group, d, candidates=[], executor=InlineExecutor(), artifact_dir=tmp_path, folds=3)
    compared = {tuple(np.flatnonzero(swept.fold_of == n)) for n in range(3)}
    searched = {tuple(answered) for _, answered in noting.seen[0][0].folds}
    assert compared.isdisjoint(searched)


@extra
def test_hopeless_settings_are_stopped_after_two_folds_and_never_win():
    noise = binary(200)
    found = search(trials=24, data=noise)
    pruned = [t for t in found.trials if t.state == "pruned"]
    assert pruned, [t.state for t in found.trials]
    assert {len(t.values) for t in pruned} == {2}
    assert all(t.value is None and t.number >= 4 for t in pruned)
    assert found.best not in {t.number for t in pruned}


@extra
def test_the_median_decides_and_only_from_the_second_fold_on():
    from core.adapters.search import is_hopeless

    others = [(0.5, 0.6, 0.7), (0.6, 0.6, 0.6), (0.7, 0.7, 0.7), (0.8, 0.8, 0.8)]
    assert not is_hopeless(others, (0.1,))  # one fold says too little
    assert is_hopeless(others, (0.1, 0.1))
    assert not is_hopeless(others, (0.9, 0.9))
    assert not is_hopeless(others[:3], (0.1, 0.1))  # too few to have a median worth the name


@extra
def test_no_patience_ends_it_early():
    constant = Noting(lambda task, value: {**value, "state": "complete", "values": (0.5, 0.5, 0.5), "value": 0.5})
    found = search(trials=40, patience=6, executor=constant)
    assert (found.ended, found.best, len(found.trials)) == ("patience", 0, 8)  # asked after each round of four
    assert found.winner is None


@extra
def test_the_seconds_end_it_where_it_stands():
    slow = Noting(lambda task, value: (time.sleep(0.4), value)[1])
    found = search(trials=200, seconds=1.0, executor=slow)
    assert found.ended == "seconds"
    assert 0 < len(found.trials) < 40
    assert found.seconds < 30


@extra
def test_a_trial_looks_at_the_clock_before_each_fold():
    features, target, group, d = binary()
    folds = ((np.arange(60), np.arange(60, 90)), (np.arange(30, 90), np.arange(30)))
    material = SearchMaterial(features, target, group, d, 1, folds, "logistic_regression")
    from core.training.search import TrialTask

    assert try_setting(material, TrialTask({"C": 1.0}, (), time.time() - 1)) == {
        "state": "stopped", "values": (), "value": None, "error": None, "seconds": pytest.approx(0, abs=5),
    }  # fmt: skip


@extra
def test_a_failing_setting_is_written_down_and_the_others_go_on():
    broken = Noting(lambda task, value: Outcome(0, error="ValueError: too small") if task.params["C"] == 1.0 else value)
    found = search(trials=8, executor=broken)
    assert (found.trials[0].state, found.trials[0].error, found.trials[0].value) == ("failed", "ValueError: too small", None)
    assert found.best != 0
    assert found.gain is None
    assert "against the usual setting" not in found.sentence


@extra
def test_it_can_be_stopped():
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 5

    noted = []
    with pytest.raises(Cancelled):
        search(trials=40, check_cancelled=stop, note=noted.append)
    assert [(len(s.trials), s.ended) for s in noted] == [(4, "unfinished"), (5, "cancelled")]
    assert noted[-1].trials[:4] == noted[0].trials


@extra
def test_progress_names_the_trial_the_best_and_the_time_left():
    said = []
    search(trials=5, progress=lambda *what: said.append(what))
    assert [(done, total) for done, total, _, _ in said] == [(n, 5) for n in range(1, 6)]
    assert said[-1][2].startswith("search, Logistic regression: trial 5 of 5, best F1 0.")
    assert all(left is not None and 0 <= left <= 60 for *_, left in said)
    assert said[-1][3] == 0


@extra
@pytest.mark.parametrize("task", ["regression", "ranking"])
def test_values_and_rankings_are_searched_too(task):
    features, value = table(150)
    group = np.repeat(np.arange(15), 10) if task == "ranking" else None
    target = value if task == "regression" else np.round(np.clip(value + 2, 0, 4))
    found = search(trials=5, candidate="ridge", data=(features, target, group, definition(task)))
    assert found.metric == {"regression": "r2", "ranking": "ndcg"}[task]
    assert all(t.params["alpha"] > 0 for t in found.trials)
    assert found.trials[found.best].value > 0


@extra
@pytest.mark.parametrize(
    ("name", "budget", "said"),
    [
        ("dummy", Budget(), "Baseline has no hyperparameters with a range to search for binary"),
        ("voting", Budget(), "Voting has no hyperparameters"),
        ("ridge", Budget(trials=1), "tries 2 to 500 settings; 1 is not between"),
        ("ridge", Budget(seconds=0.5), "takes 1 second to 24 hours"),
        ("ridge", Budget(patience=0), "at least 1"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_before_it_begins(demo_home, name, budget, said):
    with pytest.raises(BadInput, match=said):
        runs.start_training(demo_home, SCIENTIST, HEART, search=[(name, budget)])
    assert jobs.list_jobs(demo_home, kind="train") == []


@extra
def test_a_search_is_asked_for_on_the_page(demo_home, open_page):
    page = open_page(demo_home, "training")
    page.multiselect(key="training-heart_disease-search").set_value(["ridge"])
    page.number_input(key="training-search-trials").set_value(6)
    page.number_input(key="training-search-seconds").set_value(30)
    next(b for b in page.button if b.label == "Start training").click().run()
    (job,) = jobs.list_jobs(demo_home, kind="train")
    assert job.params["search"] == [{"candidate": "ridge", "budget": {"trials": 6, "seconds": 30.0, "patience": 20}}]
    assert ["ridge", {}] in job.params["candidates"]  # as it is, beside what the search finds


@extra
def test_from_the_command_line_to_the_comparison_a_search_is_part_of_the_run(demo_home, open_page, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    code = main(
        ["train", HEART, "--candidates", "logistic_regression", "--search", "hist_gradient_boosting", "--trials", "6", "--seconds", "120",
         "--folds", "3", "--no-register", "--as", "scientist", "--json"]
    )  # fmt: skip
    assert code == 0
    report = json.loads(capsys.readouterr().out)
    (summary,) = report["searches"]
    assert (summary["candidate"], summary["trials"]) == ("hist_gradient_boosting", 6)
    run = runs.get_run(demo_home, report["run"])
    (found,) = runs.find_searches(demo_home, run.job_id)
    assert found.sentence == summary["sentence"]
    names = [r["candidate"] for r in report["leaderboard"]]
    assert {"dummy", "logistic_regression", "hist_gradient_boosting"} <= set(names)
    assert ("hist_gradient_boosting_searched" in names) == (found.winner is not None)
    page = open_page(demo_home, "training")
    assert any(found.sentence.split(" (")[0] in m.value.replace("\\", "") for m in page.markdown)
    shown = next(d.value for d in page.dataframe if "Fold 1" in d.value.columns)
    assert len(shown) == 6
    assert shown["Seconds"].gt(0).all()


@extra
def test_a_search_is_cancelled_with_its_training_and_its_trials_stay_marked(demo_home, open_page):
    made_ = runs.start_training(
        demo_home, SCIENTIST, HEART, candidates=[("random_forest", {})], search=[("random_forest", Budget(500, 600.0, 500))], owner="cli"
    )
    process = worker.start_process(demo_home, made_["id"])
    seen = []

    def stop(job):
        if job.note.startswith("search") and not job.cancel_by:
            seen.append(job.note)
            jobs.cancel(demo_home, SCIENTIST, made_["id"])

    job = worker.wait_for(demo_home, made_["id"], process, on_progress=stop)
    assert job.state == "cancelled"
    assert "trial" in seen[0]
    (search_,) = runs.find_searches(demo_home, job.id)
    count = len(search_.trials)
    assert (search_.ended, search_.candidate) == ("cancelled", "random_forest")
    assert 1 <= count < 500
    assert [t.number for t in search_.trials] == sorted({t.number for t in search_.trials})
    were = "1 setting that the search had tried is" if count == 1 else f"{count} settings that the search had tried are"
    assert job.error == f"Cancelled by scientist. No model was kept; the {were} shown with this training."
    assert [p.name for p in (demo_home.runs / f"job_{job.id}").iterdir()] == ["searches.json"]  # half a run is no run
    assert runs.list_runs(demo_home, HEART) == []
    page = open_page(demo_home, "training")
    assert "It was cancelled." in "".join(m.value for m in page.markdown).replace("\\", "")
    assert len(next(d.value for d in page.dataframe if "Fold 1" in d.value.columns)) == count
