"""Dataset versions in a DVC remote: pushed and pulled by the real DVC, refused in one sentence, written down."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from core import audit
from core.acts import Actor
from core.adapters import dvc_remote
from core.adapters.dvc_remote import Tracked
from core.cli.app import main
from core.datasets import remote, versions
from core.errors import BadInput, NotFound, Refused

SCIENTIST, DEVELOPER = Actor("scientist"), Actor("developer")
PROJECT = "heart_disease"
BYTES = b"a,b\r\n1,2\r\n"
MD5 = hashlib.md5(BYTES, usedforsecurity=False).hexdigest()


def newest(home):
    return versions.get_version(home, PROJECT)


def shorter(home) -> bytes:
    content = versions.data_path(home, newest(home)).read_bytes()
    return content[: content.rindex(b"\n", 0, len(content) - 1) + 1]


def out(**changes) -> bytes:
    value = {"md5": MD5, "size": len(BYTES), "hash": "md5", "path": "table.csv", **changes}
    return yaml.safe_dump({"outs": [{k: v for k, v in value.items() if v is not None}]}).encode()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe", "it is not YAML"), (b"a: [", "it is not YAML"), (b"- 1", 'no list "outs"'), (b"outs: 3", 'no list "outs"'),
        (b"outs: [1]", 'no list "outs"'), (b"outs: []", "names 0 files"), (b"outs: [{}, {}]", "names 2 files"),
        (b"x" * 70_000, "at most 65,536"), (b"!!python/object/apply:os.system ['true']", "it is not YAML"),
        (out(md5=MD5 + ".dir"), "names a folder"), (out(md5="../../etc/passwd"), "no file by its md5"), (out(md5=None), "no file by its md5"),
        (out(hash="sha1"), "no file by its md5"), (out(path="../table.csv"), "only a plain file name"), (out(path="/etc/passwd"), "only a plain"),
        (out(path=".."), "only a plain"), (out(path=3), "only a plain"), (out(size=None), "does not say the size"),
        (out(size=-1), "does not say the size"),
        *((b"outs: [{md5: x, size: %s}]" % size, "it is not YAML") for size in (b"!!int ''", b"!!bool maybe", b"!!timestamp soon")),
        *((out(path=path), "only a plain") for path in ("a\u202evsc.exe", "a\x85b.csv")),
    ],
)  # fmt: skip
def test_what_is_no_dvc_file_of_one_table_is_refused_in_one_sentence(content, sentence):
    with pytest.raises(BadInput) as caught:
        dvc_remote.read_dvc_file(content)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dvc_file_that_was_written_is_read_again():
    tracked = Tracked(MD5, 10, "wörter: eins.csv", "ab" * 32)
    text = dvc_remote.write_dvc_file(tracked, {"project": PROJECT, "version": 3})
    assert dvc_remote.read_dvc_file(text.encode()) == tracked
    assert yaml.safe_load(text)["meta"] == {"greenlight": {"project": PROJECT, "version": 3, "sha256": "ab" * 32}}
    assert dvc_remote.read_dvc_file(out(hash=None)).is_old


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/srv/dvc", "/srv/dvc"), ("s3://bucket/path", "s3://bucket/path"), ("https://eva:secret@dvc.example.com/x", "https://dvc.example.com/x"),
        ("ssh://eva@host:22/x", "ssh://host:22/x"), ("azure://box/x?sig=geheim#y", "azure://box/x"),
    ],
)  # fmt: skip
def test_a_remote_is_shown_without_user_and_password(address, shown):
    assert dvc_remote.show_remote(address) == shown


def test_what_dvc_complains_of_is_told_without_credentials(tmp_path):
    said = "ERROR: failed to connect to https://eva:geheim@dvc.example.com/x/files/md5 - 403."
    sentence = dvc_remote._explain(said, "https://eva:geheim@dvc.example.com:443/x", tmp_path, "push")
    assert "https://dvc.example.com/x/files/md5" in sentence
    assert "geheim" not in sentence


def test_without_a_remote_nothing_is_pushed_or_pulled_and_both_attempts_are_audited(demo_home):
    home = demo_home
    for attempt in (
        lambda: remote.push_dataset(home, SCIENTIST, newest(home), ""),
        lambda: remote.pull_dataset(home, SCIENTIST, PROJECT, out(), ""),
    ):
        with pytest.raises(Refused, match="No DVC remote is set; name a folder or an address in GREENLIGHT_DVC_REMOTE"):
            attempt()
    assert [(e["action"], e["outcome"]) for e in audit.search(home, limit=2)[0]] == [("pull_dataset", "refused"), ("push_dataset", "refused")]


@pytest.mark.skipif(dvc_remote.can_run(), reason="DVC is installed here")
def test_without_dvc_the_sentence_says_how_to_install_it(demo_home, tmp_path):
    with pytest.raises(Refused, match=r"^DVC is not installed, and pushing datasets .* needs it: pip install dvc -c requirements\.txt\.$"):
        remote.push_dataset(demo_home, SCIENTIST, newest(demo_home), str(tmp_path))
    with pytest.raises(Refused, match="DVC is not installed"):
        remote.pull_dataset(demo_home, SCIENTIST, PROJECT, out(), str(tmp_path))


def test_who_may_not_export_pushes_nothing_and_who_may_not_upload_pulls_nothing(demo_home):
    home = demo_home

    def never(*_):
        raise AssertionError("the remote was asked")

    with pytest.raises(Refused, match="may not export dataset"):
        remote.push_dataset(home, DEVELOPER, newest(home), "/srv/dvc", push=never)
    with pytest.raises(Refused, match="may not upload data"):
        remote.pull_dataset(home, DEVELOPER, PROJECT, out(), "/srv/dvc", pull=never)


def test_a_table_that_is_too_large_is_refused_before_it_is_fetched(demo_home):
    with pytest.raises(BadInput, match=r"table.csv has 52,428,801 bytes; a table has at most 52,428,800\."):
        remote.pull_dataset(demo_home, SCIENTIST, PROJECT, out(size=52_428_801), "/srv/dvc")


def test_a_version_whose_file_was_changed_is_not_pushed(demo_home, tmp_path):
    home, dataset = demo_home, newest(demo_home)
    versions.data_path(home, dataset).write_bytes(BYTES)
    with pytest.raises(Refused, match="was changed since it was added"):
        remote.push_dataset(home, SCIENTIST, dataset, str(tmp_path))
    versions.data_path(home, dataset).unlink()
    with pytest.raises(NotFound, match="is gone"):
        remote.push_dataset(home, SCIENTIST, dataset, str(tmp_path))


@pytest.fixture
def place(tmp_path) -> Path:
    made = tmp_path / "a remote"
    made.mkdir()
    return made


@pytest.mark.extra
def test_a_dvc_user_pulls_the_same_bytes_in_a_fresh_clone(demo_home, place, tmp_path):
    home, dataset = demo_home, newest(demo_home)
    done = remote.push_dataset(home, SCIENTIST, dataset, str(place))
    content = versions.data_path(home, dataset).read_bytes()
    assert (done["md5"], done["size"], done["path"]) == (
        hashlib.md5(content, usedforsecurity=False).hexdigest(), len(content), "heart_disease_v1.csv",
    )  # fmt: skip
    (pushed,) = remote.list_pushes(home, PROJECT)
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "heart_disease_v1.csv.dvc").write_text(remote.write_dvc_file(PROJECT, pushed))
    dvc = [sys.executable, "-m", "dvc"]
    for command in (
        ["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "remote", "add", "-q", "-d", "store", str(place)], [*dvc, "pull"],
        [*dvc, "status", "--cloud"],
    ):  # fmt: skip
        ran = subprocess.run(command, cwd=clone, capture_output=True, text=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"})
        assert ran.returncode == 0, ran.stderr
    assert (clone / "heart_disease_v1.csv").read_bytes() == content
    assert "in sync" in ran.stdout


@pytest.mark.extra
def test_pushing_twice_changes_nothing_and_both_are_audited(demo_home, place):
    home = demo_home
    first = remote.push_dataset(home, SCIENTIST, newest(home), str(place))
    files = {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file()}
    second = remote.push_dataset(home, SCIENTIST, newest(home), str(place))
    assert (first["fresh"], second["fresh"]) == (True, False)
    assert {k: v for k, v in first.items() if k != "fresh"} == {k: v for k, v in second.items() if k != "fresh"}
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file()} == files
    assert len(remote.list_pushes(home, PROJECT)) == 1
    events = audit.search(home, action="push_dataset")[0]
    assert [e["outcome"] for e in events] == ["done", "done"]
    after = events[0]["after"]
    after = json.loads(after) if isinstance(after, str) else after
    assert (after["remote"], after["md5"], after["sha256"]) == (str(place), first["md5"], newest(home).sha256)
    assert not list(home.work.iterdir())


@pytest.mark.extra
def test_what_a_dvc_user_pushed_comes_in_as_a_version_and_is_checked(demo_home, place, tmp_path):
    home, content = demo_home, shorter(demo_home)
    clone = tmp_path / "theirs"
    clone.mkdir()
    (clone / "patients.csv").write_bytes(content)
    dvc = [sys.executable, "-m", "dvc"]
    for command in (
        [*dvc, "init", "-q", "--no-scm"], [*dvc, "remote", "add", "-q", "-d", "store", str(place)], [*dvc, "add", "-q", "patients.csv"],
        [*dvc, "push"],
    ):  # fmt: skip
        subprocess.run(command, cwd=clone, check=True, capture_output=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"})
    done = remote.pull_dataset(home, SCIENTIST, PROJECT, (clone / "patients.csv.dvc").read_bytes(), str(place))
    assert (done["version"], done["fresh"], done["ok"]) == (2, True, True)
    dataset = newest(home)
    assert (dataset.sha256, dataset.file_name, dataset.source) == (hashlib.sha256(content).hexdigest(), "patients.csv", f"DVC: {place}")
    added, pulled = audit.search(home, limit=2)[0]
    assert (added["action"], pulled["action"]) == ("add_dataset", "pull_dataset")
    assert added["correlation_id"] == pulled["correlation_id"]
    assert remote.pull_dataset(home, SCIENTIST, PROJECT, (clone / "patients.csv.dvc").read_bytes(), str(place))["fresh"] is False


@pytest.mark.extra
def test_a_remote_that_is_away_is_one_sentence_and_nothing_is_lost(demo_home, place):
    home, dataset = demo_home, newest(demo_home)
    gone = str(place.with_name("gone"))
    for attempt, sentence in (
        (lambda: remote.push_dataset(home, SCIENTIST, dataset, gone), "There is no folder .*gone to push to or pull from"),
        (lambda: remote.pull_dataset(home, SCIENTIST, PROJECT, out(), gone), "There is no folder"),
        (lambda: remote.pull_dataset(home, SCIENTIST, PROJECT, out(), str(place)), "does not hold this file"),
        (lambda: remote.push_dataset(home, SCIENTIST, dataset, "http://eva:secret@127.0.0.1:1/x"), "http://127.0.0.1:1/x could not be used"),
    ):
        with pytest.raises(Refused, match=sentence) as caught:
            attempt()
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    assert remote.list_pushes(home, PROJECT) == []
    assert [d.version for d in versions.list_datasets(home, PROJECT)] == [1]
    assert remote.push_dataset(home, SCIENTIST, dataset, str(place))["fresh"] is True


@pytest.mark.extra
@pytest.mark.skipif(__import__("importlib.util").util.find_spec("dvc_s3") is not None, reason="dvc-s3 is installed here")
def test_s3_without_its_plugin_says_what_to_install(demo_home):
    with pytest.raises(Refused, match=r"^DVC reaches s3://bucket/path only with dvc-s3: pip install dvc-s3 "):
        remote.push_dataset(demo_home, SCIENTIST, newest(demo_home), "s3://bucket/path")


@pytest.mark.extra
def test_what_the_remote_holds_must_be_what_the_file_names(demo_home, place):
    home = demo_home
    done = remote.push_dataset(home, SCIENTIST, newest(home), str(place))
    (pushed,) = remote.list_pushes(home, PROJECT)
    other = remote.write_dvc_file(PROJECT, pushed).replace(pushed.sha256, "ab" * 32)
    with pytest.raises(Refused, match=r"is not what the \.dvc file names; take that file again"):
        remote.pull_dataset(home, SCIENTIST, PROJECT, other.encode(), str(place))
    kept = place / "files" / "md5" / done["md5"][:2] / done["md5"][2:]
    kept.chmod(0o644)
    kept.write_bytes(BYTES)
    kept.chmod(0o444)  # as DVC leaves it: it believes such a file without looking into it
    changed = f"was changed there; remove {kept.relative_to(place)} from it and push it anew"
    with pytest.raises(Refused, match=changed):
        remote.pull_dataset(home, SCIENTIST, PROJECT, remote.write_dvc_file(PROJECT, pushed).encode(), str(place))
    with pytest.raises(Refused, match=changed):  # nor is it taken for pushed only because something lies there
        remote.push_dataset(home, SCIENTIST, newest(home), str(place))
    kept.unlink()
    remote.push_dataset(home, SCIENTIST, newest(home), str(place))
    assert remote.pull_dataset(home, SCIENTIST, PROJECT, remote.write_dvc_file(PROJECT, pushed).encode(), str(place))["fresh"] is False
    assert [d.version for d in versions.list_datasets(home, PROJECT)] == [1]


@pytest.mark.extra
def test_the_commands_push_and_pull(demo_home, place, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    monkeypatch.setenv("GREENLIGHT_DVC_REMOTE", str(place))
    path = tmp_path / "one.dvc"
    assert main(["dataset", "push", PROJECT, "--out", str(path), "--as", "scientist", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["dvc_file"]) == (1, path.read_text())
    assert main(["dataset", "pull", "future_skills", "--dvc", str(path), "--as", "scientist"]) == 1
    assert "absent" in capsys.readouterr().err
    assert main(["dataset", "pull", PROJECT, "--dvc", str(path), "--as", "scientist"]) == 0
    assert "holds the same bytes as dataset 1 of heart_disease" in capsys.readouterr().out
    assert main(["dataset", "list", PROJECT]) == 0
    assert str(place) in capsys.readouterr().out


def texts(test):
    return "\n".join(m.value for m in test.markdown)


def test_the_page_says_how_a_remote_is_set(demo_home, open_page, monkeypatch):
    monkeypatch.delenv("GREENLIGHT_DVC_REMOTE", raising=False)
    test = open_page(demo_home, "data")
    assert "No DVC remote is set. `GREENLIGHT_DVC_REMOTE` names one" in texts(test)
    assert not any(b.label.startswith("Push") for b in test.button)


@pytest.mark.skipif(dvc_remote.can_run(), reason="DVC is installed here")
def test_the_page_says_that_dvc_is_not_installed(demo_home, open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GREENLIGHT_DVC_REMOTE", str(tmp_path))
    test = open_page(demo_home, "data")
    assert any("DVC is not installed, so nothing can be pushed or pulled" in i.value for i in test.info)
    assert "pip install dvc -c requirements.txt" in [c.value for c in test.code]


@pytest.mark.extra
def test_the_page_pushes_the_version_that_is_looked_at_and_pulls_another(demo_home, open_page, monkeypatch, place):
    home = demo_home
    monkeypatch.setenv("GREENLIGHT_DVC_REMOTE", str(place))
    test = open_page(home, "data")
    next(b for b in test.button if b.label == "Push version 1").click().run(timeout=120)
    assert test.success[0].value.startswith("Version 1: before, it was not there. Now:")
    (pushed,) = remote.list_pushes(home, PROJECT)
    assert list(test.dataframe[-1].value["md5"]) == [pushed.md5]
    assert [b.label for b in test.button if b.label.startswith("Push")] == ["Push version 1 again"]
    test.file_uploader(key="remote-file").upload("one.dvc", remote.write_dvc_file(PROJECT, pushed).encode(), "text/yaml")
    next(b for b in test.button if b.label == "Pull").click().run(timeout=120)
    assert test.success[-1].value == "These bytes are version 1 already. It can be trained on. It is the one shown above."
    test = open_page(home, "data", "director")
    assert {"Pull", "Push version 1"}.isdisjoint({b.label for b in test.button})
    assert "Push version 1 again" in {b.label for b in test.button}
