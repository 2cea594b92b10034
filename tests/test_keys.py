"""Keys of programs: shown once, kept hashed, narrow, and dead the moment they are revoked."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from core import accounts, acts, audit, keys, roles
from core.acts import Actor, Done
from core.cli.app import main
from core.errors import BadInput, NotFound, Refused
from storage.connection import reading, writing

ADMIN = Actor("admin")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def make(home, name="partner", scopes=("predict",), **more):
    return keys.add_key(home, ADMIN, name, scopes, now=NOW, **more)


def test_a_key_opens_and_says_how_far_it_goes(demo_home):
    made = make(demo_home, scopes=["read", "predict", "read"], projects=["heart_disease"], per_minute=60, addresses=["10.0.0.0/8"])
    key = keys.find_key(demo_home, made["key"], now=NOW)
    assert key == keys.Key(
        made["id"], "partner", ("predict", "read"), ("heart_disease",), ("10.0.0.0/8",), 60, "2026-03-01T12:00:00.000Z", "admin"
    )
    assert accounts.find_account(demo_home, "partner").role == roles.PROGRAM
    assert keys.list_keys(demo_home) == [key]


def test_a_key_is_narrowed_to_its_scopes_and_projects(demo_home):
    narrow = keys.find_key(demo_home, make(demo_home, projects=["heart_disease"])["key"], now=NOW)
    wide = keys.find_key(demo_home, make(demo_home)["key"], now=NOW)
    assert narrow.may("predict", "heart_disease")
    assert not narrow.may("predict", "future_skills")
    assert not narrow.may("read", "heart_disease")
    assert not narrow.may("read")
    assert (narrow.may("predict"), narrow.every_project) == (True, False)
    assert (wide.may("predict", "future_skills"), wide.every_project) == (True, True)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("192.0.2.7", True), ("2001:db8::1", True), ("fe80::1%eth0", True),
        ("192.0.2.8", False), ("11.0.0.1", False), ("2001:db9::1", False), ("", False), ("testclient", False), ("10.1.2", False),
    ],
)  # fmt: skip
def test_a_key_is_good_from_its_addresses_alone(demo_home, address, allowed):
    made = make(demo_home, addresses=["10.0.0.0/8", " 192.0.2.7", "2001:db8::/32", "fe80::1"])
    assert made["addresses"] == ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "fe80::1/128"]
    key = keys.find_key(demo_home, made["key"], now=NOW)
    assert key.allows_address(address) is allowed


def test_a_key_without_addresses_is_good_from_anywhere(demo_home):
    assert keys.find_key(demo_home, make(demo_home)["key"], now=NOW).allows_address("testclient")


def test_every_flipped_character_opens_nothing(demo_home):
    secret = make(demo_home)["key"]
    for place, sign in enumerate(secret):
        other = "A" if sign != "A" else "B"
        assert keys.find_key(demo_home, secret[:place] + other + secret[place + 1 :], now=NOW) is None, place
    assert keys.find_key(demo_home, secret, now=NOW) is not None


@pytest.mark.parametrize("wrong", ["", "gl_", "gl__", "x", "gl_0123456789_" + "A" * 43, "ключ", "gl_\x00", "A" * 100_000, "' OR 1=1 --"])
def test_what_is_no_key_opens_nothing(demo_home, wrong):
    make(demo_home)
    assert keys.find_key(demo_home, wrong, now=NOW) is None


def test_a_secret_with_something_around_it_opens_nothing(demo_home):
    secret = make(demo_home)["key"]
    assert [keys.find_key(demo_home, s, now=NOW) for s in (secret + "\n", " " + secret, secret + "A", secret[:-1])] == [None] * 4


def test_the_id_of_one_key_with_the_secret_of_another_opens_nothing(demo_home):
    first, second = make(demo_home)["key"], make(demo_home)["key"]
    assert keys.find_key(demo_home, first[:14] + second[14:], now=NOW) is None


def test_a_revoked_key_is_dead_at_once_and_only_that_one(demo_home):
    made, other = make(demo_home), make(demo_home)
    keys.revoke_key(demo_home, ADMIN, made["id"], reason="Leaked", now=NOW)
    assert keys.find_key(demo_home, made["key"], now=NOW) is None
    assert keys.find_key(demo_home, other["key"], now=NOW) is not None
    shown = next(k for k in keys.list_keys(demo_home) if k.id == made["id"])
    assert (shown.state(NOW), shown.revoked_by) == ("revoked", "admin")
    event = audit.search(demo_home, action="revoke_key")[0][0]
    assert (event["subject"], event["reason"], event["after"]) == (f"key {made['id']} of partner", "Leaked", {"revoked": True})
    with pytest.raises(Refused, match="revoked already, by admin"):
        keys.revoke_key(demo_home, ADMIN, made["id"])
    with pytest.raises(NotFound, match="no key 'other'"):
        keys.revoke_key(demo_home, ADMIN, "other")


def test_a_key_expires_to_the_millisecond(demo_home):
    made = make(demo_home, expires_at=NOW + timedelta(days=1))
    assert keys.find_key(demo_home, made["key"], now=NOW + timedelta(days=1, milliseconds=-1)) is not None
    assert keys.find_key(demo_home, made["key"], now=NOW + timedelta(days=1)) is None
    assert keys.list_keys(demo_home)[0].state(NOW + timedelta(days=1)) == "expired"


def test_closing_the_account_kills_its_keys_until_it_is_open_again(demo_home):
    made = make(demo_home)
    accounts.close_account(demo_home, ADMIN, "partner", reason="Contract ended")
    assert keys.find_key(demo_home, made["key"], now=NOW) is None
    assert keys.list_keys(demo_home)[0].state(NOW) == "closed"
    with pytest.raises(Refused, match="account of the program partner is closed"):
        make(demo_home)
    accounts.reopen_account(demo_home, ADMIN, "partner")
    assert keys.find_key(demo_home, made["key"], now=NOW) is not None


def test_a_second_key_of_a_program_has_the_same_account(demo_home):
    before = len(accounts.list_accounts(demo_home))
    assert {make(demo_home)["account"], make(demo_home)["account"]} == {"partner"}
    assert len(accounts.list_accounts(demo_home)) == before + 1


@pytest.mark.parametrize("name", ["scientist", "admin", "agent"])
def test_nobody_elses_account_gets_a_key(demo_home, name):
    with pytest.raises(Refused, match=r"name of its own|give the program another"):
        make(demo_home, name)
    assert keys.list_keys(demo_home) == []


def test_nobody_signs_in_as_a_program_and_it_never_becomes_a_person(demo_home):
    make(demo_home)
    with pytest.raises(accounts.SignInRefused):
        accounts.sign_in(demo_home, "partner", "", address="127.0.0.1")
    with pytest.raises(Refused):
        accounts.sign_in_persona(demo_home, "partner", address="127.0.0.1", demo_mode=True)
    with pytest.raises(Refused, match="no person's account"):
        accounts.reset_code(demo_home, ADMIN, "partner")
    with pytest.raises(Refused, match="no person's account"):
        accounts.change_role(demo_home, ADMIN, "partner", roles.DEVOPS)
    with pytest.raises(BadInput, match="is no role"):
        accounts.change_role(demo_home, ADMIN, "developer", roles.PROGRAM)
    assert accounts.find_account(demo_home, "partner").role == roles.PROGRAM


def test_an_installation_with_programs_alone_still_needs_its_first_person(home):
    with writing(home.db) as db:
        from storage import accounts as store

        store.insert_account(db, name="partner", role=roles.PROGRAM, password_hash=None, demo=False, at="2026", by="test")
    assert accounts.needs_first_start(home)


def test_an_act_of_a_program_bears_its_name_and_stays_within_its_role(demo_home):
    make(demo_home)
    program = Actor("partner", via="api")
    acts.perform(demo_home, program, "feed_labels", lambda tx: Done(), project="heart_disease")
    event = audit.search(demo_home, limit=1)[0][0]
    assert (event["actor"], event["role"], event["via"]) == ("partner", "program", "api")
    with pytest.raises(Refused, match="The role Program may not train; who may: Data scientist, DevOps"):
        acts.perform(demo_home, program, "train", lambda tx: Done(), project="heart_disease")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"scopes": ["predict", "deploy"]}, "'deploy' is no scope; choose from predict, feedback, read, observe, retrain."),
        ({"scopes": []}, "at least one scope"),
        ({"projects": []}, "at least one project"),
        ({"projects": ["*", "heart_disease"]}, "not both"),
        ({"addresses": ["10.0.0.0/33"]}, "'10.0.0.0/33' is neither an address nor a network"),
        ({"addresses": ["10.0.0.1/8"]}, "neither an address nor a network"),
        ({"addresses": [f"10.0.0.{n}" for n in range(51)]}, "at most 50 addresses"),
        ({"per_minute": 0}, "between 1 and 1,000,000"),
        ({"per_minute": 1_000_001}, "between 1 and 1,000,000"),
        ({"expires_at": NOW}, "ended at 2026-03-01T12:00:00.000Z already"),
        ({"name": "../x"}, "not a possible program name"),
    ],
)
def test_a_key_that_cannot_be_is_refused_in_a_sentence(demo_home, more, sentence):
    with pytest.raises(BadInput) as refusal:
        make(demo_home, **more)
    assert sentence in str(refusal.value)
    assert accounts.find_account(demo_home, "partner") is None


def test_a_project_that_does_not_exist_is_named_and_nothing_is_made(demo_home):
    with pytest.raises(NotFound, match="no project 'heart'"):
        make(demo_home, projects=["heart"])
    assert accounts.find_account(demo_home, "partner") is None


def test_the_same_click_twice_makes_one_key_and_shows_no_dead_secret(demo_home):
    first, again = make(demo_home, key="k"), make(demo_home, key="k")
    assert "key" not in again
    assert again["id"] == first["id"]
    assert len(keys.list_keys(demo_home)) == 1
    assert keys.find_key(demo_home, first["key"], now=NOW) is not None


def test_the_secret_lies_nowhere_on_disk_in_clear(demo_home):
    secret = make(demo_home, key="k", reason="For the partner")["key"]
    key = keys.find_key(demo_home, secret, now=NOW)
    keys.note_use(demo_home, key, now=NOW).join()
    files = [p for p in demo_home.root.rglob("*") if p.is_file()]
    assert demo_home.db in files
    for path in files:
        content = path.read_bytes()
        assert secret.encode() not in content, path
        assert secret[14:].encode() not in content, path
    stored = reading(demo_home.db).execute("SELECT secret_hash FROM api_keys").fetchone()[0]
    assert len(stored) == 64


def test_a_key_opens_nothing_in_another_installation(demo_home, tmp_path):
    secret = make(demo_home)["key"]
    (demo_home.root / "secret.key").write_bytes(b"x" * 32)
    keys._installation_key.cache_clear()
    assert keys.find_key(demo_home, secret, now=NOW) is None


def test_the_last_use_is_noted_once_a_minute(demo_home):
    secret = make(demo_home)["key"]

    def use(seconds):
        now = NOW + timedelta(seconds=seconds)
        key = keys.find_key(demo_home, secret, now=now)
        thread = keys.note_use(demo_home, key, now=now)
        if thread is not None:
            thread.join()
        return keys.list_keys(demo_home)[0].last_used_at

    assert use(0) == "2026-03-01T12:00:00.000Z"
    assert use(59) == "2026-03-01T12:00:00.000Z"
    assert use(61) == "2026-03-01T12:01:01.000Z"


def test_a_burst_before_the_first_note_is_written_starts_one_writer(demo_home):
    key = keys.find_key(demo_home, make(demo_home)["key"], now=NOW)
    with writing(demo_home.db):  # nobody else can write now, and the caller must not wait
        threads = [keys.note_use(demo_home, key, now=NOW) for _ in range(20)]
    started = [t for t in threads if t is not None]
    assert len(started) == 1
    started[0].join()
    assert keys.list_keys(demo_home)[0].last_used_at == "2026-03-01T12:00:00.000Z"


def test_a_use_that_cannot_be_noted_is_logged_and_stops_nobody(demo_home, caplog):
    key = keys.find_key(demo_home, make(demo_home)["key"], now=NOW)
    with writing(demo_home.db) as db:
        db.execute("ALTER TABLE api_keys RENAME TO elsewhere")
    keys.note_use(demo_home, key, now=NOW).join()
    assert f"the last use of key {key.id} could not be noted" in caplog.text


# The command line


@pytest.fixture
def command(demo_home, monkeypatch, capsys):
    """Run a command as admin; returns (exit code, stdout, stderr)."""
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    monkeypatch.setenv("GREENLIGHT_AS", "admin")

    def run(*arguments):
        code = main(list(arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_key_is_made_listed_and_revoked_by_command(demo_home, command):
    code, out, _ = command(
        "key", "add", "partner", "--scopes", "read, predict", "--project", "heart_disease", "--project", "future_skills",
        "--per-minute", "60", "--address", "192.0.2.0/24", "--expires", "2099-12-31", "--json",
    )  # fmt: skip
    made = json.loads(out)
    key = keys.find_key(demo_home, made["key"], now=NOW)
    assert (code, made["id"], key.expires_at) == (0, key.id, "2100-01-01T00:00:00.000Z")
    assert (key.account, key.scopes, key.projects, key.addresses, key.per_minute) == (
        "partner", ("predict", "read"), ("future_skills", "heart_disease"), ("192.0.2.0/24",), 60,
    )  # fmt: skip
    (listed,) = json.loads(command("key", "list", "--json")[1])
    assert (listed["id"], listed["state"], "key" in listed, "secret_hash" in listed) == (key.id, "active", False, False)
    assert f"{key.id}  partner  active  predict, read" in command("key", "list")[1]
    assert command("key", "revoke", key.id, "--reason", "Done with it")[0] == 0
    assert keys.find_key(demo_home, made["key"], now=NOW) is None
    event = audit.search(demo_home, action="revoke_key")[0][0]
    assert (event["via"], event["reason"]) == ("cli", "Done with it")


def test_the_command_shows_the_key_to_people_too(demo_home, command):
    out = command("key", "add", "partner", "--scopes", "predict")[1]
    assert "good for predict in every project." in out
    assert keys.find_key(demo_home, out.split("X-API-Key: ")[1].strip(), now=NOW).projects == ("*",)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add", "partner", "--scopes", "everything"], "'everything' is no scope"),
        (["add", "partner", "--scopes", ","], "at least one scope"),
        (["add", "partner", "--scopes", "predict", "--expires", "31.12.2099"], "'31.12.2099' is no day; write it like 2027-01-31."),
        (["add", "partner", "--scopes", "predict", "--per-minute", "0"], "between 1 and"),
        (["revoke", "0123456789"], "no key '0123456789'"),
    ],
)
def test_a_command_about_keys_that_cannot_be_done_is_one_line_and_exit_1(command, arguments, sentence):
    code, out, err = command("key", *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert sentence in err
