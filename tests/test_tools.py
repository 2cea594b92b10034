"""The tools that an installation can join: what is said of each, by command and on the Settings page."""

import json
import os
import subprocess
import sys

import pytest

from core.adapters import standing
from core.adapters.optional import LIBRARIES
from core.cli.app import main
from core.settings import Settings


def stand(home, name, **settings):
    return next(tool for tool in standing.list_standings(home, Settings(**settings)) if tool.name == name)


def test_every_library_of_the_list_has_its_line(demo_home):
    assert [tool.name for tool in standing.list_standings(demo_home, Settings())] == list(LIBRARIES)


def test_what_is_not_installed_says_how_it_is(demo_home):
    tool = stand(demo_home, "optuna")
    assert (tool.installed, tool.state) == (False, standing.MISSING)
    assert tool.sentence == "Install it to have a search of hyperparameters: pip install optuna -c requirements.txt."


def test_what_is_switched_on_and_not_installed_needs_attention(demo_home):
    tool = stand(demo_home, "distributed", dask="tcp://192.0.2.1:8786")
    assert tool.state == standing.WRONG
    assert tool.sentence.startswith("Training and large files go to tcp://192.0.2.1:8786. But Dask is not installed: pip install dask")


def test_a_switch_that_cannot_be_read_is_told_and_no_password_is(demo_home):
    wrong = stand(demo_home, "sqlalchemy", databases="hr=postgresql://eva:s3cret@db/hr hr=sqlite:////tmp/x")
    assert wrong.state == standing.WRONG
    assert "names hr twice" in wrong.sentence
    named = stand(demo_home, "psycopg", databases="hr=postgresql+psycopg://eva:s3cret@db/hr")
    remote = stand(demo_home, "dvc", dvc_remote="https://eva:s3cret@example.org/data")
    mirror = stand(demo_home, "mlflow", MLFLOW_TRACKING_URI="https://eva:s3cret@example.org")
    assert [t.state for t in (named, remote, mirror)] == [standing.WRONG] * 3
    assert "s3cret" not in "".join(t.sentence for t in (wrong, named, remote, mirror))


def test_single_sign_on_is_told_as_the_console_knows_it(demo_home):
    def tool(*told):
        return next(t for t in standing.list_standings(demo_home, Settings(), single_sign_on=told) if t.name == "authlib")

    assert tool("", "GREENLIGHT_OIDC_ROLES is empty.").sentence == "GREENLIGHT_OIDC_ROLES is empty."
    assert tool("People sign in through Example.", "").state == standing.WRONG  # Authlib is not installed here


def test_the_command_lists_them_and_tells_trouble_by_its_exit_code(demo_home, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    assert main(["tools", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["tools"]
    assert {t["name"]: t["state"] for t in listed}["mlflow"] == "not installed"
    assert main(["tools", "--trouble"]) == 0
    assert capsys.readouterr().out == "Nothing needs attention.\n"
    monkeypatch.setenv("GREENLIGHT_DASK", "tcp://192.0.2.1:8786")
    assert main(["tools", "--trouble"]) == 1
    assert "Dask" in capsys.readouterr().out


def test_the_settings_page_puts_what_needs_attention_first(open_page, demo_home, monkeypatch):
    monkeypatch.setenv("GREENLIGHT_DASK", "tcp://192.0.2.1:8786")
    page = open_page(demo_home, "settings", "director", tab="tools")
    told = [m.value for m in page.markdown if "] **" in m.value]
    assert told[0] == ":orange[:material/warning:] **Dask**, needs attention"
    assert len(told) == len(LIBRARIES)
    assert "pip install optuna -c requirements.txt" in [c.value for c in page.code]
    assert not page.exception


@pytest.mark.extra
def test_with_everything_installed_only_the_switches_are_missing(demo_home):
    states = {tool.name: tool.state for tool in standing.list_standings(demo_home, Settings())}
    switched = {"sqlalchemy", "psycopg", "mlflow", "dvc", "distributed", "authlib"}
    assert states == {name: standing.OFF if name in switched else standing.READY for name in LIBRARIES}


@pytest.mark.extra
def test_listing_them_imports_none_of_them(demo_home):
    code = (
        "import sys; from core.adapters import standing; from core.home import open_home; from core.settings import Settings; "
        "standing.list_standings(open_home(sys.argv[1], sys.argv[2]), Settings()); "
        "print([m for m in ('sqlalchemy', 'mlflow', 'dvc', 'great_expectations', 'keras', 'optuna', 'shap', 'distributed') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(demo_home.root), str(demo_home.models)], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
