"""A backup is whole, made while others write, and comes back as it was; what is no backup comes back as a sentence."""

import fcntl
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import accounts, audit, backup, deployment, keys, retention
from core.acts import Actor
from core.cli.app import main
from core.errors import BadInput, Refused
from core.home import Home, open_home
from core.registry import golden
from core.restore import read_manifest, restore_backup
from core.schedule import schedules, slots
from core.scoring import files, journal, log, scorer
from core.times import utc_now
from storage import backups as store
from storage.connection import close_all, connect, writing

ADMIN, DEVOPS = Actor("admin"), Actor("devops")
HEART = "heart_disease"
ROOT = Path(__file__).resolve().parents[1]


def restored_to(tmp_path, name="restored"):
    return Home(tmp_path / name, tmp_path / name / "models")


def restore(file, target, **options):
    return restore_backup(file, target.root, target.models, ADMIN, **options)


def predict(home, source="heart_hungary.csv"):
    table = home.root / "samples" / HEART / source
    files.predict_file(home, DEVOPS, HEART, table, home.root / f"out-{os.urandom(4).hex()}.csv", source="test")


def rebuild(source, target, change):
    """Copy a backup, each member through ``change(name, content)``; None leaves it out."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for info in old:
            name, content = info.name, change(info.name, old.extractfile(info).read())
            if content is not None:
                fresh = tarfile.TarInfo(name)
                fresh.size = len(content)
                new.addfile(fresh, io.BytesIO(content))
    return target


def test_an_installation_comes_back_with_its_audit_models_and_answers(trained_home, tmp_path):
    predict(trained_home)
    journal.close_journals()
    made = backup.make_backup(trained_home, ADMIN, tmp_path / "b.tar")
    assert made.problems == ()
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    assert made.sha256 == hashlib.sha256((tmp_path / "b.tar").read_bytes()).hexdigest()
    target = restored_to(tmp_path)
    done = restore(tmp_path / "b.tar", target)
    assert (done["problems"], done["audit_count"], done["versions"]) == ([], made.audit_count, 1)
    verdict = audit.verify(target)
    assert (verdict.intact, verdict.count) == (True, made.audit_count + 1)
    assert audit.get_event(target, made.audit_count)["hash"] == made.audit_head
    last = audit.get_event(target, verdict.count)
    assert (last["action"], last["actor"], last["after"]["audit_head"]) == ("restore_backup", "admin", made.audit_head)
    assert log.read(target, HEART).equals(log.read(trained_home, HEART))
    live = deployment.find_live(target, HEART)
    rows = golden.read_rows(target, scorer.load_scorer(target, HEART))
    before = scorer.score(scorer.load_scorer(trained_home, HEART), rows)
    after = scorer.score(scorer.load_scorer(target, HEART), rows)
    assert live.version == "1.0.0"
    assert after.probabilities.tobytes() == before.probabilities.tobytes()
    assert (target.root / "secret.key").read_bytes() == trained_home.secret_key()


@contextmanager
def writers(home):
    """Two threads that go on writing: keys into the acts' database, predictions into the log; yields the ids of the keys."""
    stop, written = threading.Event(), []

    def write():
        while not stop.is_set():
            written.append(keys.add_key(home, ADMIN, f"program_{len(written)}", ("predict",))["id"])
        close_all()

    def ask():
        while not stop.is_set():
            predict(home, "heart_switzerland.csv")
        close_all()

    threads = [threading.Thread(target=t) for t in (write, ask)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def check_whole(file, target, written):
    """A restored backup of a home with writers is of one moment: as many keys as the audit tells of, and no half act."""
    assert restore(file, target)["problems"] == []  # among it: the audit, and every version's golden answers
    assert {k.id for k in keys.list_keys(target)} <= set(written)
    assert len(keys.list_keys(target)) == audit.search(target, action="add_key", limit=1)[1]


def test_a_backup_under_load_is_of_one_moment_and_every_act_in_it_is_whole(trained_home, tmp_path):
    with writers(trained_home) as written:
        made = [backup.make_backup(trained_home, ADMIN, tmp_path / f"{number}.tar") for number in range(6)]
    counts = [m.audit_count for m in made]
    assert [m.problems for m in made] == [()] * 6
    assert counts == sorted(set(counts))
    assert counts[-1] - counts[0] > 5, "nothing was written meanwhile: the test proves nothing"
    for number in (0, 5):
        check_whole(tmp_path / f"{number}.tar", restored_to(tmp_path, f"restored-{number}"), written)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_100_backups_under_load_come_back_with_their_golden_answers(trained_home, tmp_path):
    for number in range(max(1, round(100 * float(os.environ.get("SOAK_SHARE", "1"))))):
        with writers(trained_home) as written:
            assert backup.make_backup(trained_home, ADMIN, tmp_path / "b.tar").problems == ()
        earlier = {k.id for k in keys.list_keys(trained_home)}
        check_whole(tmp_path / "b.tar", restored_to(tmp_path, f"r{number}"), [*earlier, *written])
        close_all()
        shutil.rmtree(tmp_path / f"r{number}")
        (tmp_path / "b.tar").unlink()
        for key in keys.list_keys(trained_home):
            if key.revoked_at is None:
                keys.revoke_key(trained_home, ADMIN, key.id, reason="next round")


DRIVER = """
import os, sys
from pathlib import Path
import sklearn.linear_model, sklearn.compose, sklearn.impute, sklearn.pipeline, pandas
from core import backup
from core.acts import Actor
from core.home import Home
from core.restore import restore_backup
home, out, target = Home(Path(sys.argv[1]), Path(sys.argv[1]) / "models"), Path(sys.argv[2]), Path(sys.argv[3])
print("up", flush=True)
number = 0
while True:
    number += 1
    backup.make_backup(home, Actor("admin"), out / f"{os.getpid()}-{number}.tar")
    place = target / f"{os.getpid()}-{number}"
    restore_backup(out / f"{place.name}.tar", place, place / "models", Actor("admin"))
"""


def test_a_kill_at_any_moment_leaves_whole_backups_and_places_that_are_whole_or_free(trained_home, tmp_path):
    rng = random.Random(5)
    out, target = tmp_path / "out", tmp_path / "target"
    out.mkdir()
    for _ in range(3):
        words = [sys.executable, "-c", DRIVER, str(trained_home.root), str(out), str(target)]
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "up\n"
        time.sleep(rng.uniform(0.05, 1.2))
        process.kill()
        process.wait()
    assert audit.verify(trained_home).intact
    made = sorted(out.glob("[!.]*.tar"))
    assert made, "nothing was made before the kills: the test proves nothing"
    for file in made:
        place = target / file.stem
        if store.holds_anything(place / "greenlight.db"):
            there = Home(place, place / "models")
            assert audit.verify(there).intact
            assert backup.find_problems(there, every_version=True) == []
        else:
            assert restore_backup(file, place, place / "models", ADMIN)["problems"] == []
            assert not list(place.glob(".restoring*"))


def test_only_the_administrator_makes_one_and_nothing_is_written_for_others(demo_home, tmp_path):
    for name in ("scientist", "director", "devops", "developer"):
        with pytest.raises(Refused, match="who may: Administrator"):
            backup.make_backup(demo_home, Actor(name), tmp_path / "b.tar")
    assert list(tmp_path.glob("*.tar*")) == []
    assert list(demo_home.work.iterdir()) == []
    event = audit.search(demo_home, limit=1)[0][0]
    assert (event["actor"], event["action"], event["outcome"]) == ("developer", "make_backup", "refused")


def test_a_backup_never_overwrites_and_names_the_folder_that_is_not_there(demo_home, tmp_path):
    (tmp_path / "b.tar").write_text("mine")
    with pytest.raises(BadInput, match="never overwritten"):
        backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_text() == "mine"
    with pytest.raises(BadInput, match="There is no folder"):
        backup.make_backup(demo_home, ADMIN, tmp_path / "nowhere" / "b.tar")


def test_logs_jobs_files_links_and_other_backups_stay_out(demo_home, tmp_path):
    (demo_home.logs / "app.log").write_text("line")
    (demo_home.work / "upload.csv").write_text("x")
    (demo_home.root / "passwords").symlink_to("/etc/passwd")
    (demo_home.reports / "r.html").write_text("report")
    first = backup.make_in_folder(demo_home, ADMIN, keep=3, now=datetime.now(UTC))
    names = read_manifest(backup.list_backups(demo_home)[0])["files"]
    assert "home/reports/r.html" in names
    assert not [n for n in names if "app.log" in n or "upload" in n or "passwords" in n or "backups" in n or n.endswith(".lock")]
    assert f"_{first.audit_count}_{first.audit_head[:8]}.tar" in first.path


def test_the_schedule_keeps_so_many_and_an_ill_installation_pushes_none_out(trained_home):
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    schedules.set_schedule(trained_home, ADMIN, "", "backup", {"every_days": 1, "at": "02:30"}, params={"keep": 2}, now=start)
    for day in range(1, 4):
        (slot,) = slots.run_due(trained_home, now=start + timedelta(days=day))
        assert slot.state == "done", slot.sentence
    kept = [p.name for p in backup.list_backups(trained_home)]
    assert [n[11:19] for n in kept] == ["20260331", "20260330"]
    (trained_home.models / HEART / "1.0.0" / "model.pkl").write_bytes(b"gone")
    (slot,) = slots.run_due(trained_home, now=start + timedelta(days=4))
    assert slot.state == "failed"
    assert "is not the one that was registered" in slot.sentence
    assert [p.name for p in backup.list_backups(trained_home)][1:] == kept


def test_a_damaged_database_gives_no_backup(demo_home, tmp_path):
    close_all()
    with demo_home.predictions_db.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(4096 * 8))
    with pytest.raises(Refused, match=r"predictions\.db cannot be copied whole"):
        backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    assert list(tmp_path.glob("*.tar*")) == []
    assert list(tmp_path.glob(".*.part")) == []


def test_what_a_killed_backup_left_is_gone_a_day_later(demo_home, tmp_path):
    left, young = demo_home.work / "backup-old", demo_home.work / "backup-young"
    for folder in (left, young):
        folder.mkdir()
        (folder / "secret.key").write_text("x")
    then = datetime.now(UTC).timestamp() - 90_000
    os.utime(left, (then, then))
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    assert [p.name for p in demo_home.work.iterdir()] == ["backup-young"]


def test_a_restore_ends_sessions_that_may_have_been_revoked_since(demo_home, tmp_path):
    token = accounts.sign_in_persona(demo_home, "scientist", address="127.0.0.1", demo_mode=True)
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    target = restored_to(tmp_path)
    restore(tmp_path / "b.tar", target)
    assert accounts.find_session(demo_home, token) is not None
    assert accounts.find_session(target, token) is None


@pytest.mark.parametrize("keep", [False, True])
def test_a_restore_revokes_every_key_unless_it_is_told_to_keep_them(demo_home, tmp_path, keep):
    one, other = (keys.add_key(demo_home, ADMIN, name, ["read"])["key"] for name in ("reader", "other"))
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    revoked = keys.find_key(demo_home, other, now=utc_now())
    keys.revoke_key(demo_home, ADMIN, revoked.id, reason="It leaked")
    target = restored_to(tmp_path)
    done = restore(tmp_path / "b.tar", target, keep_keys=keep)
    assert (done["keys_revoked"], done["keys_kept"]) == ((0, 2) if keep else (2, 0))
    assert [keys.find_key(target, secret, now=utc_now()) is not None for secret in (one, other)] == [keep, keep]
    assert all(k.revoked_by == (None if keep else "admin") for k in keys.list_keys(target))
    last = audit.search(target)[0][0]["after"]
    assert (last["keys_revoked"], last["keys_kept"]) == (done["keys_revoked"], done["keys_kept"])
    assert audit.verify(target).intact


def test_a_place_that_holds_an_installation_is_left_alone(demo_home, trained_home, tmp_path):
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    before = audit.verify(trained_home).head
    with pytest.raises(Refused, match="holds an installation already"):
        restore(tmp_path / "b.tar", trained_home)
    with pytest.raises(Refused, match="holds models already"):
        restore_backup(tmp_path / "b.tar", tmp_path / "empty", trained_home.models, ADMIN)
    assert audit.verify(trained_home).head == before
    assert not (tmp_path / "empty").exists()


def test_models_that_a_cut_off_restore_of_the_same_backup_left_are_no_hindrance(trained_home, tmp_path):
    backup.make_backup(trained_home, ADMIN, tmp_path / "b.tar")
    target = restored_to(tmp_path)
    shutil.copytree(trained_home.models, target.models)
    (target.models / HEART / "1.0.0" / "model.pkl").write_bytes(b"half")
    assert restore(tmp_path / "b.tar", target)["problems"] == []
    assert audit.verify(target).intact


def test_two_restores_into_one_place_do_not_meet(demo_home, tmp_path):
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    target = restored_to(tmp_path)
    target.root.mkdir()
    with (target.root / "restore.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="Another restore"):
            restore(tmp_path / "b.tar", target)
    restore(tmp_path / "b.tar", target)
    assert audit.verify(target).intact


def test_a_fresh_installation_without_an_account_is_empty_enough(demo_home, tmp_path):
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    fresh = open_home(tmp_path / "fresh")
    accounts.first_start_code(fresh)
    close_all()
    restore(tmp_path / "b.tar", fresh)
    assert [a.name for a in accounts.list_accounts(fresh)] == [a.name for a in accounts.list_accounts(demo_home)]
    assert not list(fresh.root.glob(".restoring*"))


def test_who_is_no_administrator_of_the_backup_restores_nothing(demo_home, tmp_path):
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    for name in ("devops", "nobody"):
        with pytest.raises(Refused):
            restore_backup(tmp_path / "b.tar", tmp_path / "r", tmp_path / "r" / "models", Actor(name))
        assert [p for p in (tmp_path / "r").rglob("*") if p.is_file() and p.name != "restore.lock"] == []


def test_each_flipped_byte_of_a_file_is_found(trained_home, tmp_path):
    backup.make_backup(trained_home, ADMIN, tmp_path / "b.tar")
    for name in read_manifest(tmp_path / "b.tar")["files"]:
        def flip(member, content, name=name):
            return content[:-1] + bytes([content[-1] ^ 1]) if member == name else content

        bad = rebuild(tmp_path / "b.tar", tmp_path / "bad.tar", flip)
        with pytest.raises(BadInput, match="damaged"):
            restore(bad, restored_to(tmp_path))
    assert [p for p in (tmp_path / "restored").rglob("*") if p.is_file() and p.name != "restore.lock"] == []


def test_a_file_cut_off_anywhere_is_not_a_whole_backup(demo_home, tmp_path):
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    content = (tmp_path / "b.tar").read_bytes()
    for end in (0, 100, 512, len(content) // 3, len(content) // 2, len(content) - 12_000):
        (tmp_path / "cut.tar").write_bytes(content[:end])
        with pytest.raises(BadInput):
            restore(tmp_path / "cut.tar", restored_to(tmp_path))


@pytest.mark.parametrize("name", ["home/../../evil", "/etc/evil", "home/a\\..\\b", "models/..", "elsewhere/x", "home/\x00", "home//x"])
def test_a_name_that_would_lead_outside_is_refused_before_anything_is_written(demo_home, tmp_path, name):
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")

    def name_it(member, content):
        if member != "manifest.json":
            return content
        manifest = json.loads(content)
        manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
        return json.dumps(manifest).encode()

    bad = rebuild(tmp_path / "b.tar", tmp_path / "bad.tar", name_it)
    with pytest.raises(BadInput, match="which no backup has"):
        restore(bad, restored_to(tmp_path))
    assert not (tmp_path / "restored").exists()


def test_a_link_in_the_place_of_a_file_and_a_stowaway_are_refused(demo_home, tmp_path):
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar") as old, tarfile.open(tmp_path / "link.tar", "w") as new:
        for info in old:
            if info.name == "home/secret.key":
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
            new.addfile(info, old.extractfile(info) if info.isreg() else None)
    with pytest.raises(BadInput, match="damaged"):
        restore(tmp_path / "link.tar", restored_to(tmp_path))
    (tmp_path / "stow.tar").write_bytes((tmp_path / "b.tar").read_bytes())
    with tarfile.open(tmp_path / "stow.tar", "a") as more:
        info = tarfile.TarInfo("home/evil.py")
        info.size = 4
        more.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(BadInput, match="its manifest does not name"):
        restore(tmp_path / "stow.tar", restored_to(tmp_path))


def test_a_backup_of_a_newer_version_or_format_is_refused(demo_home, tmp_path):
    with writing(demo_home.db) as db:
        db.conn.execute("INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES ('greenlight', 'm999_tomorrow', 'x')")
    backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    with pytest.raises(BadInput, match=r"m999_tomorrow.*install that version first"):
        restore(tmp_path / "b.tar", restored_to(tmp_path))
    newer = rebuild(
        tmp_path / "b.tar", tmp_path / "n.tar",
        lambda n, c: json.dumps({**json.loads(c), "format": 2}).encode() if n == "manifest.json" else c,
    )  # fmt: skip
    with pytest.raises(BadInput, match="has format 2"):
        restore(newer, restored_to(tmp_path))


def test_an_audit_that_was_touched_is_told_at_both_ends_and_restored_only_on_demand(demo_home, tmp_path):
    raw = connect(demo_home.db).conn
    for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'").fetchall():
        raw.execute(f"DROP TRIGGER {name}")
    raw.execute("UPDATE audit SET body = body || ' ' WHERE seq = 2")
    raw.close()
    made = backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    assert "Event 2 was changed" in made.problems[0]
    assert made.sentence.startswith("The backup was written, but the installation is not well")
    with pytest.raises(Refused, match="Nothing was restored: The audit: Event 2 was changed"):
        restore(tmp_path / "b.tar", restored_to(tmp_path))
    done = restore(tmp_path / "b.tar", restored_to(tmp_path), despite_problems=True)
    assert len(done["problems"]) == 1


def test_a_dataset_whose_file_is_gone_is_named_and_one_that_was_purged_is_not(demo_home, tmp_path):
    retention.purge_dataset(demo_home, ADMIN, "recipe_ranking", 1, confirm="recipe_ranking", reason="asked")
    (gone,) = demo_home.datasets.glob(f"{HEART}/*/data.csv")
    gone.unlink()
    made = backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    assert made.problems == (f"The file of dataset 1 of {HEART} is gone.",)


def test_the_commands_make_and_restore_with_one_json_document_each(trained_home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    assert main(["backup", str(tmp_path / "b.tar"), "--as", "admin", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["restore", str(tmp_path / "b.tar"), "--as", "admin"]) == 1
    assert "holds an installation already" in capsys.readouterr().err
    monkeypatch.setenv("GREENLIGHT_HOME", str(tmp_path / "new"))
    assert main(["restore", str(tmp_path / "b.tar"), "--json"]) == 2
    capsys.readouterr()
    assert main(["restore", str(tmp_path / "b.tar"), "--as", "admin", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["audit_head"], done["problems"]) == (made["audit_head"], [])
    assert main(["versions", HEART, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["version"] == "1.0.0"


def test_the_key_is_in_no_log_audit_or_answer_of_a_backup(demo_home, tmp_path):
    made = backup.make_backup(demo_home, ADMIN, tmp_path / "b.tar")
    key = demo_home.secret_key()
    said = json.dumps(audit.search(demo_home, limit=5)[0], default=str) + repr(made)
    assert key.hex() not in said
    assert repr(key)[2:-1] not in said
