"""Planted passwords, codes, tokens and keys: nowhere in clear once they were used, and nothing of the kind in the repository."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from api.build import make_api
from core import accounts, audit, audit_export, logs
from core.acts import Actor
from core.cli.app import main
from core.errors import GreenlightError
from core.jobs import jobs
from core.settings import Settings
from core.training import runs
from pages import door, forms

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ADMIN = Actor("admin")
FIRST, SECOND, WRONG = "plantedpassword-first-7351", "plantedpassword-second-7351", "plantedpassword-wrong-7351"


def everything_kept(home) -> dict[str, bytes]:
    """All bytes of an installation: databases with their journals, logs, reports, files of jobs, models."""
    return {str(p): p.read_bytes() for folder in (home.root, home.models) for p in folder.rglob("*") if p.is_file()}


def places_of(home, secret: str) -> list[str]:
    forms_of_it = {secret, secret.replace("-", ""), secret.lower(), secret.upper()}
    looked_for = {form.encode(code) for form in forms_of_it for code in ("utf-8", "utf-16-le")}
    return [path for path, content in everything_kept(home).items() if any(form in content for form in looked_for)]


@pytest.fixture
def kept_logs(demo_home):
    handler = logs.keep_logs(demo_home)
    yield demo_home
    handler.close()


def test_a_password_a_code_and_a_session_are_nowhere_in_clear(kept_logs):
    home = kept_logs
    code = accounts.add_account(home, ADMIN, "dora", "devops", now=NOW)["code"]
    accounts.use_reset_code(home, "dora", code, FIRST, address="127.0.0.1", now=NOW)
    token = accounts.sign_in(home, "dora", FIRST, address="127.0.0.1", now=NOW)
    for name in ("dora", "nobody"):
        with pytest.raises(GreenlightError):
            accounts.sign_in(home, name, WRONG, address="127.0.0.1", now=NOW)
    with pytest.raises(GreenlightError):
        accounts.use_reset_code(home, "dora", code, SECOND, address="127.0.0.1", now=NOW)
    accounts.change_password(home, Actor("dora"), FIRST, SECOND, now=NOW)
    again = accounts.reset_code(home, ADMIN, "dora", reason="forgot it", now=NOW)
    for secret in (FIRST, SECOND, WRONG, code, again, token):
        assert places_of(home, secret) == [], secret
    exported = audit_export.export_audit(home, Actor("devops")).decode()
    assert not any(secret in exported for secret in (FIRST, SECOND, WRONG, code, again, token))
    hashes = [a["password_hash"] for a in _accounts(home) if a["name"] == "dora"]
    assert re.fullmatch(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$.+", hashes[0])


def _accounts(home):
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(home.db)) as db:
        db.row_factory = sqlite3.Row
        return [dict(r) for r in db.execute("SELECT * FROM accounts")]


def test_the_forms_at_the_door_give_no_secret_back(kept_logs):
    home = kept_logs
    code = accounts.add_account(home, ADMIN, "dora", "devops", now=NOW)["code"]
    app = Starlette(
        routes=[*forms.routes(home, clock=lambda: NOW)],
        middleware=[Middleware(door.Door, home=home, programs=make_api(home, Settings()), hosts=frozenset(), clock=lambda: NOW)],
    )
    client = TestClient(app, base_url="http://localhost", follow_redirects=False, client=("127.0.0.1", 50000))
    answers = [
        client.post("/sign-in", data={"name": "dora", "password": WRONG}),
        client.post("/reset", data={"name": "dora", "code": code, "password": FIRST, "repeated": SECOND}),
        client.post("/reset", data={"name": "dora", "code": code, "password": FIRST, "repeated": FIRST}),
        client.post("/sign-in", data={"name": "dora", "password": FIRST}),
        client.post("/password", data={"old": WRONG, "password": SECOND, "repeated": SECOND}),
        client.get("/password"),
    ]
    assert [a.status_code for a in answers] == [401, 400, 200, 303, 401, 200]
    token = client.cookies[forms.COOKIE]
    for answer in answers:
        for secret in (FIRST, SECOND, WRONG, code, token):
            assert secret not in answer.text
            assert secret not in answer.headers.get("location", "")
    for secret in (FIRST, WRONG, code, token):
        assert places_of(home, secret) == []


def test_the_command_line_prints_a_code_once_and_keeps_it_nowhere(kept_logs, monkeypatch, capsys):
    home = kept_logs
    monkeypatch.setenv("GREENLIGHT_HOME", str(home.root))
    assert main(["user", "add", "dora", "--role", "devops", "--as", "admin"]) == 0
    code = re.search(r"[A-Z0-9]{4}(?:-[A-Z0-9]{4}){3}", capsys.readouterr().out).group()
    assert places_of(home, code) == []
    assert main(["user", "list", "--json"]) == 0
    assert main(["audit", "list", "--json"]) == 0
    printed = capsys.readouterr().out
    assert code not in printed
    assert "password_hash" not in printed
    assert "argon2" not in printed


def test_the_key_of_the_installation_is_in_one_file_that_only_its_owner_reads(trained_home):
    home = trained_home
    key = home.secret_key()
    assert [Path(p).name for p, content in everything_kept(home).items() if key in content or key.hex().encode() in content] == [
        "secret.key"
    ]
    assert (home.root / "secret.key").stat().st_mode & 0o077 == 0
    assert home.root / "secret.key" not in home.models.rglob("*")


def test_an_error_that_carries_a_secret_is_not_shown_and_a_wrong_one_is_not_audited(kept_logs):
    home = kept_logs
    with pytest.raises(GreenlightError) as wrong:
        accounts.change_password(home, Actor("scientist"), WRONG, SECOND, now=NOW)
    with pytest.raises(GreenlightError) as short:
        accounts.change_password(home, Actor("scientist"), WRONG, "short7351", now=NOW)
    for error in (wrong.value, short.value):
        assert not any(secret in str(error) for secret in (WRONG, SECOND, "short7351"))
    assert not any("7351" in str(event) for event in audit.search(home, limit=500)[0])


def test_a_job_keeps_no_more_than_its_settings_and_its_process_shows_no_more_than_its_number(trained_home, monkeypatch):
    from core.jobs import worker

    monkeypatch.setenv("PLANTED_SECRET", "planted-environment-7351")
    runs.start_training(trained_home, Actor("scientist"), "heart_disease", candidates=[("dummy", {})])
    known = {"dataset_id", "candidates", "folds", "holdout", "seed", "definition_sha", "file_name", "suffix", "source", "check"}
    for job in jobs.list_jobs(trained_home):
        assert set(job.params) <= known
    started = []
    monkeypatch.setattr(worker.subprocess, "Popen", lambda command, **options: started.append((command, options)))
    worker.start_process(trained_home, 1)
    assert started[0][0][1:] == ["-m", "core.jobs.worker", str(trained_home.root), str(trained_home.models), "1"]
    assert places_of(trained_home, "planted-environment-7351") == []


SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\$argon2(id|i|d)\$v=|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[baprs]-[0-9A-Za-z-]{10,}"
    r"|(?i:password|secret|token|api_key)\s*=\s*['\"][^'\"\s{}]{12,}['\"]"
)  # fmt: skip


def test_the_repository_holds_no_secret():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = [n for n in listed.stdout.decode().split("\0") if n]
    assert len(names) > 100
    forbidden = [n for n in names if n.endswith((".key", ".db", ".pkl", ".pem", ".joblib")) or Path(n).name == ".env"]
    assert forbidden == []
    found = []
    for name in names:
        path = ROOT / name
        if name.startswith("tests/") or not path.is_file() or path.stat().st_size > 2_000_000:
            continue  # tests plant secrets of their own
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if SECRETS.search(line):
                found.append(f"{name}:{number}")
    assert found == []


def test_the_pattern_for_secrets_would_see_one():
    assert SECRETS.search("password = 'hunter2-hunter2'")
    assert SECRETS.search("-----BEGIN RSA " + "PRIVATE KEY-----")
    assert not SECRETS.search("token = secrets.token_urlsafe(32)")
