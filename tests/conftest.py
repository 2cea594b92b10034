"""Installations that several tests stand on."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import accounts, approvals, deployment
from core.acts import Actor
from core.demo import prepare_demo
from core.home import Home, open_home
from core.jobs import worker
from core.registry import versions
from core.scoring import journal
from core.training import runs
from pages import contents, session
from storage.connection import close_all

FRAME = str(Path(__file__).parent.parent / "pages" / "frame.py")
LONGEST_FILES = ["test_journey_browser.py", "test_story_sixteen_steps.py", "test_deploy.py", "test_guide.py", "test_dask.py", "test_estimators.py"]
SMALL = [("dummy", {}), ("logistic_regression", {}), ("random_forest", {"n_estimators": 20})]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: where processes share the tests file by file, nobody waits at the end for a long one."""
    order = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(autouse=True)
def _close_connections() -> Iterator[None]:
    """A test's databases go with its folder; their connections must not stay open for the whole session."""
    yield
    journal.close_journals()
    close_all()


@pytest.fixture(autouse=True)
def _keep_main() -> Iterator[None]:
    """A page that was run leaves its script as the main module, which worker processes of later tests would run again."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def home(tmp_path) -> Home:
    """A fresh installation: no account, no project."""
    return open_home(tmp_path / "home")


@pytest.fixture(scope="session")
def built_demo(tmp_path_factory) -> Path:
    """The demo's folder, made once; tests get copies of it."""
    root = tmp_path_factory.mktemp("built") / "demo"
    prepare_demo(open_home(root))
    return root


@pytest.fixture(scope="session")
def built_trained(tmp_path_factory, built_demo) -> Path:
    """The demo with heart_disease trained, registered, approved and live, made once through the real acts and a real worker."""
    root = tmp_path_factory.mktemp("built") / "trained"
    home = copy_home(built_demo, root)
    train_small(home)
    versions.register(home, Actor("scientist"), chosen_candidate(home, 1).id)
    approvals.request_release(home, Actor("scientist"), "heart_disease", "1.0.0", reason="First model")
    approvals.approve(home, Actor("director"), 1, reason="Better than doing nothing")
    deployment.deploy(home, Actor("devops"), "heart_disease", "1.0.0")
    return root


@pytest.fixture
def demo_home(tmp_path, built_demo) -> Home:
    """Three sample projects with data and one account per role; nothing trained."""
    return copy_home(built_demo, tmp_path / "demo")


@pytest.fixture
def trained_home(tmp_path, built_trained) -> Home:
    """The demo with heart_disease 1.0.0 live (run 1: dummy, logistic_regression, 20-tree random_forest; request 1)."""
    return copy_home(built_trained, tmp_path / "trained")


def copy_home(root: Path, target: Path) -> Home:
    """Copy an installation nobody writes to now: nothing in it names its own place, so the copy works as it is."""
    shutil.copytree(root, target, ignore=shutil.ignore_patterns("*-shm"))
    return open_home(target)


def train_small(home: Home, project: str = "heart_disease", seed: int = 42) -> int:
    """Train the three small candidates in a worker process, as the command line does; returns the run."""
    job = runs.start_training(home, Actor("scientist"), project, candidates=SMALL, seed=seed, owner="cli")
    done = worker.wait_for(home, job["id"], worker.start_process(home, job["id"]))
    assert done.state == "done", done.error
    return done.outcome["run"]


def chosen_candidate(home: Home, run_id: int) -> runs.TrainedCandidate:
    """The automatic choice of a run."""
    choice = runs.get_run(home, run_id).choice["name"]
    return next(c for c in runs.list_candidates(home, run_id) if c.name == choice)


@pytest.fixture
def open_page(monkeypatch) -> Callable[..., AppTest]:
    """Open one page of the console through the real frame: ``open_page(home, "data", "scientist", dataset="1")``.

    The runner opens only the default page by itself, so the wanted one is made the default; only "who is signed in"
    is replaced.
    """

    def open_as(home: Home, url: str, account: str = "scientist", project: str = "heart_disease", **query: str) -> AppTest:
        monkeypatch.setenv("GREENLIGHT_HOME", str(home.root))
        monkeypatch.setattr(contents, "PAGES", tuple(replace(p, default=p.url == url) for p in contents.PAGES))
        monkeypatch.setattr(session, "current_account", lambda home, now: accounts.find_account(home, account))
        test = AppTest.from_file(FRAME, default_timeout=60)
        for key, value in {"project": project, **query}.items():
            if value:
                test.query_params[key] = value
        return test.run()

    return open_as
