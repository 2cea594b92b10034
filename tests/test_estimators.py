"""Every kind of estimator goes the whole way: train, compare, register, approve, deploy, answer over HTTP and from a CSV."""

import csv
import importlib
import json
import math
import pickle
import secrets
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from core import approvals, deployment
from core.acts import Actor
from core.datasets import versions as datasets
from core.errors import BadInput, NotFound, Refused
from core.jobs import jobs, worker
from core.projects import limits, projects, proposals
from core.registry import comparison, versions
from core.scoring import parity
from core.scoring.files import predict_file
from core.scoring.scorer import clear_cache, load_scorer
from core.training import imported, named, runs
from core.training.catalogue import check_params, get_candidate
from tests.api_client import HEART as URL
from tests.api_client import make_client, make_key
from tests.conftest import copy_home

HEART, TREES = "heart_disease", "sklearn.ensemble.ExtraTreesClassifier"
SCIENTIST, DIRECTOR, DEVOPS, DEVELOPER = Actor("scientist"), Actor("director"), Actor("devops"), Actor("developer")
# A package that knows nothing of scikit-learn: no parameters to ask for, no classes, no probabilities.
PLAIN = '''
import numpy as np

class Nearest:
    """Answers the class whose mean is closest."""

    def __init__(self, power=2.0):
        self.power = power

    def fit(self, X, y):
        self.means = np.array([X[y == code].mean(axis=0) for code in np.unique(y)])

    def predict(self, X):
        return (np.abs(X[:, None, :] - self.means[None]) ** self.power).sum(axis=2).argmin(axis=1)

class Shy:
    def fit(self, X, y):
        pass

class Loud:
    def __init__(self):
        raise RuntimeError("it is made only where it is trained")

    fit = predict = None

def train():
    pass
'''


def change(home, value=1, **changes):
    """Propose and approve changes of the settings; ``cls`` names a class to allow (1) or no longer (None)."""
    wanted = {limits.ESTIMATOR + changes.pop("cls"): value} if "cls" in changes else changes
    asked = proposals.propose(home, SCIENTIST, HEART, wanted, reason="We learned more")
    proposals.decide(home, DIRECTOR, asked["id"], "approved", reason="Agreed")


def train(home, candidates, **more):
    made = runs.start_training(home, SCIENTIST, HEART, candidates=candidates, owner="cli", **more)
    job = worker.wait_for(home, made["id"], worker.start_process(home, made["id"]))
    assert job.state == "done", job.error
    return job.outcome["run"]


def rows_of(home, count=5):
    """Rows of the sample as a caller sends them."""
    path = datasets.data_path(home, datasets.get_version(home, HEART))
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "num"} for _, row in zip(range(count), csv.DictReader(file), strict=False)]


def _typed(text, kind):
    return None if text in ("", "?") else float(text) if kind == "number" else text


def take_live(home, run, name):
    """Register, request, approve and deploy one candidate of a run; its version."""
    row = next(c for c in runs.list_candidates(home, run) if c.name == name)
    assert row.error is None, row.error
    made = versions.register(home, SCIENTIST, row.id)
    asked = approvals.request_release(home, SCIENTIST, HEART, made["version"], reason="To be tried")
    approvals.approve(home, DIRECTOR, asked["id"], reason="Good enough")
    deployment.deploy(home, DEVOPS, HEART, made["version"])
    return made["version"]


def check_answers(home, tmp_path, version):
    """The version answers over HTTP and from a CSV, both the same; the scorer that answers."""
    clear_cache()  # as another process would load it: golden rows and all
    scorer = load_scorer(home, HEART)
    assert scorer.version == version
    sent = rows_of(home)
    kinds = {c.name: c.kind for c in projects.get_definition(home, HEART).features}
    typed = [{k: _typed(v, kinds[k]) for k, v in row.items() if k in kinds} for row in sent]
    answer = make_client(home, make_key(home, name=f"key_{secrets.token_hex(4)}")).post(f"{URL}/predict", json={"rows": typed})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == version
    told = answer.json()["predictions"]
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(sent[0]))
        writer.writeheader()
        writer.writerows(sent)
    predict_file(home, SCIENTIST, HEART, tmp_path / "in.csv", tmp_path / f"{version}.csv", source="in.csv")
    with (tmp_path / f"{version}.csv").open(newline="", encoding="utf-8") as file:
        scored = list(csv.DictReader(file))
    assert [str(p["prediction"]) for p in told] == [row["prediction"] for row in scored]
    assert [p["score"] for p in told] == pytest.approx([float(row["score"]) for row in scored])
    return scorer


@pytest.fixture(scope="module")
def easy_home(tmp_path_factory, built_demo):
    """The demo with gates that let small quick models through: what is tested is the way, not their quality."""
    home = copy_home(built_demo, tmp_path_factory.mktemp("easy") / "home")
    change(home, register=None, production=None, class_recall_floor=0.05)
    return home


@pytest.fixture
def plain_package(tmp_path, monkeypatch):
    """An installed distribution ``plainlearn 1.2`` that holds PLAIN."""
    site = tmp_path / "site"
    (site / "plainlearn").mkdir(parents=True)
    (site / "plainlearn" / "__init__.py").write_text(PLAIN)
    info = site / "plainlearn-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plainlearn\nVersion: 1.2\n")
    (info / "top_level.txt").write_text("plainlearn\n")
    monkeypatch.setenv("PYTHONPATH", f"{site}:{':'.join(p for p in sys.path if p.endswith('.venv-extra'))}")
    monkeypatch.syspath_prepend(str(site))
    for cache in (imported.find_distributions, imported.load_class, imported._packages):
        cache.cache_clear()
    importlib.invalidate_caches()
    yield "plainlearn.Nearest"
    for cache in (imported.find_distributions, imported.load_class, imported._packages):
        cache.cache_clear()
    sys.modules.pop("plainlearn", None)


# ---- the whole way, where nothing optional is installed ----


def test_chosen_members_vote_and_stack_and_are_served_compiled(easy_home, tmp_path):
    names = ["voting:logistic_regression+random_forest", "stacking:ridge+gradient_boosting"]
    run = train(easy_home, [(n, {}) for n in names], folds=2)
    rows = {c.name: c for c in runs.list_candidates(easy_home, run)}
    assert rows["voting"].summary["title"] == "Voting of Logistic regression and Random forest"
    assert rows["stacking"].summary["candidate"] == "stacking:ridge+gradient_boosting"
    assert len(comparison.compare_candidates(easy_home, HEART, [run]).standings) >= 3
    for name in ("voting", "stacking"):
        scorer = check_answers(easy_home, tmp_path, take_live(easy_home, run, name))
        assert scorer.fast is not None, scorer.serving
        assert "A compiled scorer answers" in scorer.serving


def test_the_usual_members_give_the_same_model_named_or_not(easy_home):
    usual = get_candidate("voting").build("binary", {}, 7)
    chosen = get_candidate("voting:logistic_regression+random_forest+hist_gradient_boosting").build("binary", {}, 7)
    assert [(n, e.get_params()) for n, e in usual.estimators] == [(n, e.get_params()) for n, e in chosen.estimators]


def test_an_allowed_class_goes_the_whole_way_and_is_compiled_like_its_library(easy_home, tmp_path):
    change(easy_home, cls=TREES)
    run = train(easy_home, [(f"class:{TREES}", {"n_estimators": 15})], folds=2)
    version = take_live(easy_home, run, "ExtraTreesClassifier")
    scorer = check_answers(easy_home, tmp_path, version)
    assert scorer.pipeline[-1].estimator_.n_estimators == 15
    assert "15 trees through treelite" in parity.describe(easy_home, scorer.sha256, None)
    # no longer allowed: no training uses it, and what is live goes on
    change(easy_home, None, cls=TREES)
    with pytest.raises(Refused, match=f"{TREES} is not allowed as a candidate of project heart_disease; propose it"):
        runs.start_training(easy_home, SCIENTIST, HEART, candidates=[(f"class:{TREES}", {})])
    check_answers(easy_home, tmp_path, version)


def test_a_class_without_probabilities_is_certain_and_everybody_is_told(easy_home, tmp_path, plain_package):
    change(easy_home, cls=plain_package)
    run = train(easy_home, [(f"class:{plain_package}", {"power": 1.0})], folds=2)
    said = "plainlearn.Nearest: it gives no probabilities, so each answer counts as certain (probability 1)"
    assert f"{said}." in runs.get_run(easy_home, run).settings["warnings"]
    scorer = check_answers(easy_home, tmp_path, take_live(easy_home, run, "Nearest"))
    assert scorer.fast is None
    assert scorer.serving == f"The pipeline itself answers, because nothing quicker is known for the class {said}."
    assert scorer.pipeline[-1].estimator_.power == 1.0


def test_distances_are_calibrated_where_there_are_no_probabilities(easy_home, tmp_path):
    change(easy_home, cls="sklearn.svm.LinearSVC")
    run = train(easy_home, [("class:sklearn.svm.LinearSVC", {})], folds=2)
    assert any("calibrated from its distances" in w for w in runs.get_run(easy_home, run).settings["warnings"])
    scorer = check_answers(easy_home, tmp_path, take_live(easy_home, run, "LinearSVC"))
    assert "its distances" in scorer.serving or scorer.fast is None


def test_a_class_that_was_withdrawn_while_the_job_waited_is_not_trained(easy_home):
    change(easy_home, cls="sklearn.naive_bayes.GaussianNB")
    made = runs.start_training(easy_home, SCIENTIST, HEART, candidates=[("class:sklearn.naive_bayes.GaussianNB", {})], owner="cli")
    change(easy_home, None, cls="sklearn.naive_bayes.GaussianNB")
    job = worker.wait_for(easy_home, made["id"], worker.start_process(easy_home, made["id"]))
    assert job.state == "failed"
    assert "is not allowed as a candidate" in job.error
    with pytest.raises(Refused, match="not allowed"):
        runs.start_training(easy_home, SCIENTIST, HEART, candidates=job.params["candidates"])


def test_a_class_that_was_withdrawn_does_not_newly_go_live(easy_home):
    bayes = "sklearn.naive_bayes.BernoulliNB"
    change(easy_home, cls=bayes)
    run = train(easy_home, [(f"class:{bayes}", {})], folds=2)
    made = versions.register(easy_home, SCIENTIST, next(c.id for c in runs.list_candidates(easy_home, run) if c.name == "BernoulliNB"))
    asked = approvals.request_release(easy_home, SCIENTIST, HEART, made["version"], reason="To be tried")
    approvals.approve(easy_home, DIRECTOR, asked["id"], reason="Good enough")
    change(easy_home, None, cls=bayes)
    with pytest.raises(Refused, match=f"{bayes} is not allowed as a candidate"):
        deployment.deploy(easy_home, DEVOPS, HEART, made["version"])
    change(easy_home, cls=bayes)
    assert deployment.deploy(easy_home, DEVOPS, HEART, made["version"])["version"] == made["version"]


# ---- what may be asked for ----


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("os.system", "belongs to Python itself"),
        ("subprocess.Popen", "belongs to Python itself"),
        ("builtins.eval", "belongs to Python itself"),
        ("core.acts.Actor", "belongs to Greenlight itself"),
        ("sklearn", "write it as package.module.Class"),
        ("sklearn.svm.SVC()", "write it as package.module.Class"),
        ("sklearn..SVC", "write it as package.module.Class"),
        ("../sklearn.svm.SVC", "write it as package.module.Class"),
        ("sklearn.__loader__.x", "write it as package.module.Class"),
        ("sklеarn.svm.SVC", "write it as package.module.Class"),
        ("sklearn.svm.SVC\n", "write it as package.module.Class"),
        ("a." * 150 + "B", "write it as package.module.Class"),
        ("notinstalled.things.Model", "belongs to no installed package"),
        ("sklearn.svm.Nothing", "is no class"),
        ("sklearn.preprocessing.StandardScaler", "has no predict"),
        ("pandas.io.common.BytesIO", "which belongs to no installed package|belongs to Python itself"),
        ("numpy.linalg.norm", "is no class"),
    ],
)
def test_what_is_no_class_of_an_installed_package_is_refused_in_one_sentence(demo_home, path, said):
    with pytest.raises(BadInput, match=said) as refused:
        proposals.propose(demo_home, SCIENTIST, HEART, {f"estimator:{path}": 1}, reason="To try")
    assert "Traceback" not in str(refused.value)
    assert proposals.list_requests(demo_home, project=HEART) == []


def test_a_class_is_looked_at_by_another_process(demo_home, plain_package):
    proposals.propose(demo_home, SCIENTIST, HEART, {"estimator:plainlearn.Nearest": 1}, reason="To try")
    assert "plainlearn" not in sys.modules
    for name, said in {"Shy": "has no predict", "Loud": "has no fit and no predict", "train": "is no class but a function"}.items():
        with pytest.raises(BadInput, match=said):
            named.check_in_child(f"plainlearn.{name}")
    assert named.check_in_child("plainlearn.Nearest") == {
        "class": "plainlearn.Nearest", "packages": ["plainlearn 1.2"], "probabilities": "none", "params": ["power"],
    }  # fmt: skip
    assert "plainlearn" not in sys.modules


def test_a_package_that_ends_its_process_is_refused(plain_package, tmp_path):
    (tmp_path / "site" / "plainlearn" / "__init__.py").write_text("import os; os._exit(3)")
    with pytest.raises(BadInput, match=r"ended the process that imported it \(exit 3\)"):
        named.check_in_child("plainlearn.Nearest")
    (tmp_path / "site" / "plainlearn" / "__init__.py").write_text("raise ValueError('no')")
    with pytest.raises(BadInput, match=r"cannot be imported here \(ValueError\)"):
        named.check_in_child("plainlearn.Nearest")


def test_who_may_not_propose_has_no_package_imported(demo_home, plain_package, tmp_path):
    (tmp_path / "site" / "plainlearn" / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(Refused, match="Data scientist"):
        proposals.propose(demo_home, DEVELOPER, HEART, {"estimator:plainlearn.Nearest": 1}, reason="To try")
    assert not (tmp_path / "ran").exists()


def test_allowing_a_class_says_where_it_stands(demo_home):
    asked = proposals.propose(demo_home, SCIENTIST, HEART, {f"estimator:{TREES}": 1}, reason="To try")
    assert proposals.get_request(demo_home, asked["id"]).lines == [f"The class {TREES} as a candidate: not allowed now, allowed afterwards."]
    assert limits.get_limits(demo_home, HEART).estimators == frozenset()
    proposals.decide(demo_home, DIRECTOR, asked["id"], "approved", reason="Agreed")
    assert limits.get_limits(demo_home, HEART).estimators == {TREES}
    assert limits.get_limits(demo_home, "future_skills").estimators == frozenset()
    source = next(s for s in limits.sources(demo_home, HEART) if s.setting.group == "estimators")
    assert (source.setting.name, source.value, source.by) == (f"estimator:{TREES}", 1, "director")
    with pytest.raises(BadInput, match="is allowed already"):
        proposals.propose(demo_home, SCIENTIST, HEART, {f"estimator:{TREES}": 1}, reason="Again")
    for wrong in (0, 2, 0.5, "yes", True):
        with pytest.raises(BadInput):
            proposals.propose(demo_home, SCIENTIST, HEART, {"estimator:sklearn.svm.SVC": wrong}, reason="To try")


def test_the_card_tells_the_director_what_is_allowed_and_from_which_package(demo_home, open_page):
    proposals.propose(demo_home, SCIENTIST, HEART, {f"estimator:{TREES}": 1}, reason="To try")
    page = open_page(demo_home, "approvals", "director", settings="1")
    words = "\n".join(m.value for m in page.markdown)
    assert "run it with all rights of Greenlight itself" in words
    assert f"{TREES} comes from scikit-learn " in words.replace("\\", "")
    next(t for t in page.text_area if t.label == "Reason").set_value("Agreed")
    next(b for b in page.button if b.label == "Approve").click().run()
    assert limits.get_limits(demo_home, HEART).estimators == {TREES}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("voting:logistic_regression", "needs 2 to 6 different members"),
        ("voting:ridge+ridge", "needs 2 to 6 different members"),
        ("voting:dummy+ridge", "'dummy' cannot be a member"),
        ("voting:voting+ridge", "'voting' cannot be a member"),
        ("stacking:class:a.B+ridge", "cannot be a member"),
        ("mixing:ridge+lasso", "before a colon stands voting, stacking or class"),
    ],
)
def test_members_that_make_no_ensemble_are_refused(name, said):
    with pytest.raises(BadInput, match=said):
        get_candidate(name)


def test_an_unknown_member_is_named():
    with pytest.raises(NotFound, match="'magic'"):
        get_candidate("voting:magic+ridge")


def test_an_ensemble_serves_the_tasks_of_all_its_members():
    assert get_candidate("voting:logistic_regression+random_forest").tasks == ("binary", "multiclass")
    with pytest.raises(BadInput, match="cannot be trained for regression"):
        get_candidate("voting:logistic_regression+random_forest").build("regression")


def test_a_class_takes_json_only(demo_home):
    candidate = get_candidate(f"class:{TREES}")
    for wrong in ({"a b": 1}, {"_private": 1}, {"f": object()}, {"x": float("nan")}, {"x": "y" * 5000}):
        with pytest.raises(BadInput):
            candidate.build("binary", wrong)
    with pytest.raises(BadInput, match=r"cannot be made with these hyperparameters.*trees"):
        candidate.build("binary", {"trees": 3}).fit(np.ones((4, 1)), np.array([0, 1, 0, 1]))


def test_text_classes_come_back_in_their_own_words_from_a_class_that_wants_numbers():
    table = np.array([[0.0], [1.0], [5.0], [6.0], [10.0], [11.0]] * 3)
    model = get_candidate(f"class:{TREES}").build("multiclass", {"n_estimators": 5}, 3)
    model.fit(table, np.array(["LOW", "LOW", "MEDIUM", "MEDIUM", "HIGH", "HIGH"] * 3))
    assert model.classes_.tolist() == ["HIGH", "LOW", "MEDIUM"]
    assert model.predict(table[:6]).tolist() == ["LOW", "LOW", "MEDIUM", "MEDIUM", "HIGH", "HIGH"]
    again = clone(model).fit(table, model.predict(table))
    assert (again.predict_proba(table) == model.predict_proba(table)).all()


def test_an_answer_that_is_no_class_is_refused_not_bent():
    table = np.linspace(0, 10, 40)[:, None]
    model = get_candidate("class:sklearn.cluster.KMeans").build("binary", {"n_clusters": 5}, 3)
    model.fit(table, np.array([0, 1] * 20))
    with pytest.raises(BadInput, match="KMeans answers 0 to 4 where it was taught 0 to 1"):
        model.predict_proba(table)


@pytest.mark.extra
def test_the_seed_reaches_a_class_that_hides_its_settings():
    model = get_candidate("class:xgboost.XGBClassifier").build("binary", {"n_estimators": 3}, 77)
    model.fit(np.arange(20.0)[:, None], np.array([0, 1] * 10))
    assert model.estimator_.get_params()["random_state"] == 77
    assert model.estimator_.n_estimators == 3


# ---- the page ----


def test_members_are_chosen_on_the_page(demo_home, open_page):
    page = open_page(demo_home, "training")
    page.checkbox(key="training-heart_disease-voting").set_value(True)
    page.multiselect(key="training-heart_disease-voting-members").set_value(["ridge", "gradient_boosting"])
    next(b for b in page.button if b.label == "Start training").click().run()
    (job,) = jobs.list_jobs(demo_home, project=HEART, kind="train")
    assert ["voting:ridge+gradient_boosting", {}] in job.params["candidates"]


def test_one_member_is_refused_in_a_sentence(demo_home, open_page):
    page = open_page(demo_home, "training")
    page.checkbox(key="training-heart_disease-stacking").set_value(True)
    page.multiselect(key="training-heart_disease-stacking-members").set_value(["ridge"])
    next(b for b in page.button if b.label == "Start training").click().run()
    assert "Stacking needs 2 to 6 different members" in page.error[0].value
    assert jobs.list_jobs(demo_home, project=HEART, kind="train") == []


def test_a_class_is_asked_for_on_the_page_and_then_trained_with_settings_in_json(demo_home, open_page):
    page = open_page(demo_home, "training")
    page.text_input(key="training-propose-class").set_value(TREES)
    page.text_input(key="training-propose-reason").set_value("Cheaper than a forest")
    next(b for b in page.button if b.label == "Ask for approval").click().run()
    assert page.success[0].value == "Settings request 1 waits for a DRH manager; nothing has changed yet."
    proposals.decide(demo_home, DIRECTOR, 1, "approved", reason="Agreed")
    page = open_page(demo_home, "training")
    page.checkbox(key=f"training-heart_disease-class:{TREES}").set_value(True)
    page.text_area(key=f"training-heart_disease-class:{TREES}-json").set_value("{no")
    next(b for b in page.button if b.label == "Start training").click().run()
    assert "are no JSON" in page.error[0].value
    page.text_area(key=f"training-heart_disease-class:{TREES}-json").set_value('{"n_estimators": 9}')
    next(b for b in page.button if b.label == "Start training").click().run()
    (job,) = jobs.list_jobs(demo_home, project=HEART, kind="train")
    assert dict(map(tuple, job.params["candidates"]))[f"class:{TREES}"] == {"n_estimators": 9}


# ---- optional libraries ----


@pytest.mark.parametrize(("name", "install"), [("keras", "pip install keras jax"), ("voting:keras+ridge", "pip install keras jax")])
def test_an_absent_library_is_one_sentence_with_the_line_that_installs_it(demo_home, monkeypatch, name, install):
    import core.training.catalogue as catalogue

    monkeypatch.setattr(catalogue, "find_spec", lambda module: None if module in ("keras", "jax") else True)
    with pytest.raises(Refused, match=f"needs keras, which is not installed; run: {install}"):
        runs.start_training(demo_home, SCIENTIST, HEART, candidates=[(name, {})])


@pytest.fixture(scope="module")
def extra_run(easy_home):
    """One training of every optional estimator."""
    candidates = [
        ("keras", {"epochs": 8, "hidden_units": 8}), ("xgboost", {"n_estimators": 20}), ("lightgbm", {"n_estimators": 20}),
        ("voting:logistic_regression+keras", {}), ("stacking:ridge+xgboost", {}),
    ]  # fmt: skip
    return train(easy_home, candidates, folds=2)


@pytest.mark.extra
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("keras", "a Keras network of 2 layers from its weights"), ("xgboost", "20 trees through treelite"),
        ("lightgbm", "20 trees through treelite"), ("voting", "a Keras network of 2 layers"), ("stacking", "100 trees through treelite"),
    ],
)  # fmt: skip
def test_an_optional_estimator_goes_the_whole_way(easy_home, extra_run, tmp_path, name, how):
    shown = {s.name for s in comparison.compare_candidates(easy_home, HEART, [extra_run]).standings}
    assert name in shown
    scorer = check_answers(easy_home, tmp_path, take_live(easy_home, extra_run, name))
    assert scorer.fast is not None, scorer.serving
    assert how in scorer.serving
    assert "every label is the same" in scorer.serving


def table(rows=120, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 6))
    return features, np.where(features[:, 0] > 0.7, "HIGH", np.where(features[:, 1] > 0, "MEDIUM", "LOW"))


@pytest.mark.extra
def test_a_network_is_the_same_for_the_same_seed_and_after_every_kind_of_pickling(tmp_path):
    features, labels = table()
    model = get_candidate("keras").build("multiclass", {"epochs": 4}, 11).fit(features, labels)
    answers = model.predict_proba(features)
    assert model.classes_.tolist() == ["HIGH", "LOW", "MEDIUM"]
    assert np.allclose(answers.sum(axis=1), 1, atol=1e-12)
    joblib.dump(model, tmp_path / "model.joblib")
    twins = [clone(model).fit(features, labels), pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib")]
    assert all((twin.predict_proba(features) == answers).all() for twin in twins)
    other = get_candidate("keras").build("multiclass", {"epochs": 4}, 12).fit(features, labels)
    assert not (other.predict_proba(features) == answers).all()


@pytest.mark.extra
def test_a_network_is_within_single_precision_of_keras_and_learns_values_of_any_size():
    features, _ = table(300)
    values = 50_000 + 8_000 * features[:, 0]
    model = get_candidate("keras").build("regression", {"epochs": 60}, 1).fit(features, values)
    assert model.score(features, values) > 0.9
    assert model.difference_ < 1e-5
    assert np.isfinite(model.predict(np.full((1, 6), 1e30))).all()


@pytest.mark.extra
def test_a_saved_network_needs_no_keras_to_answer(tmp_path):
    import subprocess

    features, labels = table(60)
    model = get_candidate("keras").build("multiclass", {"epochs": 1}, 1).fit(features, labels)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps((model, features)))
    code = (
        "import pickle, sys, json; m, x = pickle.load(open(sys.argv[1], 'rb'));"
        "print(json.dumps([m.predict_proba(x).tolist(), sorted(n for n in sys.modules if n in ('keras', 'jax'))]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.pkl")], capture_output=True, text=True, check=True)
    answers, loaded = json.loads(done.stdout)
    assert loaded == []
    assert (np.array(answers) == model.predict_proba(features)).all()


@pytest.mark.parametrize(
    "value",
    [pytest.param("\ud800", id="half a character"), pytest.param("a\0b", id="NUL"), 10**30, math.inf, math.nan, [[[[[[1]]]]]], {"a": object()}, b"x"],
)
def test_hyperparameters_of_a_class_are_plain_values(value):
    with pytest.raises(BadInput, match="must be JSON values"):
        check_params(get_candidate("class:sklearn.svm.SVC"), {"C": value}, "binary")
    plain = {"C": [1.5, None, True, {"kernel": "rbf"}]}
    assert check_params(get_candidate("class:sklearn.svm.SVC"), plain, "binary") == plain
