"""Sign-in, sessions, codes, roles: what opens the door and what keeps it shut."""

from datetime import timedelta

import pytest

from core import accounts, audit, roles
from core.acts import Actor
from core.errors import BadInput, NotFound, Refused
from core.home import open_home
from core.times import parse
from storage.connection import reading

NOW = parse("2026-03-01T10:00:00.000Z")
PASSWORD = "correct horse battery"
HERE = "127.0.0.1"


@pytest.fixture
def home(tmp_path):
    """An installation with the administrator ``boss``."""
    home = open_home(tmp_path / "var")
    accounts.create_first_admin(home, accounts.first_start_code(home), "boss", PASSWORD, now=NOW)
    return home


def add(home, name, role, password=PASSWORD):
    accounts.add_account(home, Actor("boss"), name, role, password=password, now=NOW)
    return Actor(name)


def test_the_first_start_needs_the_code_from_the_terminal(tmp_path):
    home = open_home(tmp_path / "var")
    assert accounts.needs_first_start(home)
    code = accounts.first_start_code(home)
    with pytest.raises(accounts.SignInRefused, match="code is wrong"):
        accounts.create_first_admin(home, "AAAA-AAAA-AAAA-AAAA", "boss", PASSWORD)
    token = accounts.create_first_admin(home, code.lower().replace("-", " "), "boss", PASSWORD)
    assert accounts.find_session(home, token).role == roles.ADMIN
    assert not accounts.needs_first_start(home)
    with pytest.raises(Refused):
        accounts.create_first_admin(home, code, "second", PASSWORD)
    with pytest.raises(Refused):
        accounts.first_start_code(home)


def test_a_new_first_start_code_kills_the_one_before(tmp_path):
    home = open_home(tmp_path / "var")
    old = accounts.first_start_code(home)
    accounts.first_start_code(home)
    with pytest.raises(accounts.SignInRefused):
        accounts.create_first_admin(home, old, "boss", PASSWORD)


@pytest.mark.parametrize("password", ["short", "elevenchars", "x" * 257])
def test_a_bad_password_is_refused_with_the_rule(home, password):
    with pytest.raises(BadInput, match="characters"):
        add(home, "ann", roles.SCIENTIST, password)
    assert accounts.find_account(home, "ann") is None


@pytest.mark.parametrize("name", ["../x", "A", "con", "a b", "", "é", "x" * 51, "a\0b", "<script>"])
def test_a_bad_name_is_refused(home, name):
    with pytest.raises(BadInput, match="account name"):
        add(home, name, roles.SCIENTIST)


def test_signing_in_gives_a_fresh_session_each_time(home):
    first = accounts.sign_in(home, "boss", PASSWORD, address=HERE, now=NOW)
    second = accounts.sign_in(home, "boss", PASSWORD, address=HERE, now=NOW)
    assert first != second
    assert accounts.find_session(home, first, now=NOW).name == "boss"


def test_no_password_and_no_token_is_stored_in_clear(home):
    token = accounts.sign_in(home, "boss", PASSWORD, address=HERE, now=NOW)
    everything = b"".join(p.read_bytes() for p in home.root.rglob("*") if p.is_file())
    assert PASSWORD.encode() not in everything
    assert token.encode() not in everything
    row = reading(home.db).conn.execute("SELECT password_hash FROM accounts WHERE name = 'boss'").fetchone()
    assert row[0].startswith("$argon2id$")


def test_a_session_ends_by_sign_out_time_role_password_and_closing(home):
    ann = add(home, "ann", roles.SCIENTIST)

    def session():
        return accounts.sign_in(home, "ann", PASSWORD, address=HERE, now=NOW)

    token = session()
    assert accounts.find_session(home, token, now=NOW + timedelta(hours=13)) is None
    accounts.sign_out(home, token, now=NOW)
    assert accounts.find_session(home, token, now=NOW) is None
    token = session()
    accounts.change_role(home, Actor("boss"), "ann", roles.DEVOPS, now=NOW)
    assert accounts.find_session(home, token, now=NOW) is None
    token = session()
    accounts.revoke_sessions(home, ann, "ann", now=NOW)
    assert accounts.find_session(home, token, now=NOW) is None
    token = session()
    accounts.change_password(home, ann, PASSWORD, "another long password", now=NOW)
    assert accounts.find_session(home, token, now=NOW) is None
    token = accounts.sign_in(home, "ann", "another long password", address=HERE, now=NOW)
    accounts.close_account(home, Actor("boss"), "ann", now=NOW)
    assert accounts.find_session(home, token, now=NOW) is None
    with pytest.raises(accounts.SignInRefused):
        accounts.sign_in(home, "ann", "another long password", address=HERE, now=NOW)


def test_the_eleventh_wrong_password_in_15_minutes_must_wait(home):
    for n in range(10):
        with pytest.raises(accounts.SignInRefused):
            accounts.sign_in(home, "boss", "wrong", address=HERE, now=NOW + timedelta(seconds=n))
    with pytest.raises(accounts.TooManyAttempts) as caught:
        accounts.sign_in(home, "boss", PASSWORD, address=HERE, now=NOW + timedelta(seconds=20))
    assert caught.value.retry_after == 880
    assert accounts.sign_in(home, "boss", PASSWORD, address="10.0.0.9", now=NOW + timedelta(seconds=20))  # not locked out elsewhere
    assert accounts.sign_in(home, "boss", PASSWORD, address=HERE, now=NOW + timedelta(seconds=901))


def test_an_unknown_name_gets_the_same_sentence_delay_and_limit(home):
    seen = []
    for name in ("boss", "nobody"):
        for _ in range(10):
            with pytest.raises(accounts.SignInRefused) as caught:
                accounts.sign_in(home, name, "wrong", address=HERE, now=NOW)
            seen.append((name, str(caught.value), caught.value.delay))
        with pytest.raises(accounts.TooManyAttempts):
            accounts.sign_in(home, name, "wrong", address=HERE, now=NOW)
    assert [s[1:] for s in seen[:10]] == [s[1:] for s in seen[10:]]
    assert seen[9][2] > seen[0][2] == 0


def test_a_right_password_does_not_count_as_an_attempt(home):
    for _ in range(15):
        accounts.sign_in(home, "boss", PASSWORD, address=HERE, now=NOW)


def test_each_demo_account_is_audited_once(home):
    accounts.add_demo_accounts(home, now=NOW)
    accounts.add_demo_accounts(home, now=NOW)
    events, total = audit.search(home, actor="demo")
    assert total == 5
    assert {e["subject"] for e in events} == {f"account {name}" for name, _ in accounts.DEMO_ACCOUNTS}
    assert audit.verify(home).intact


def test_demo_personas_open_only_in_demo_mode_on_this_machine(home):
    accounts.add_demo_accounts(home, now=NOW)
    assert accounts.find_session(home, accounts.sign_in_persona(home, "director", address=HERE, demo_mode=True, now=NOW), now=NOW)
    for address, mode, name in (("10.0.0.9", True, "director"), (HERE, False, "director"), (HERE, True, "boss"), (HERE, True, "nobody")):
        with pytest.raises(Refused):
            accounts.sign_in_persona(home, name, address=address, demo_mode=mode, now=NOW)
    with pytest.raises(accounts.SignInRefused):
        accounts.sign_in(home, "director", "", address=HERE, now=NOW)


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("testclient", False), ("", False)],
)
def test_loopback_is_known_in_every_spelling(address, here):
    assert accounts.is_loopback(address) is here


def test_a_reset_code_works_once_and_for_a_day(home):
    add(home, "ann", roles.SCIENTIST)
    old = accounts.sign_in(home, "ann", PASSWORD, address=HERE, now=NOW)
    code = accounts.reset_code(home, Actor("boss"), "ann", now=NOW)
    with pytest.raises(accounts.SignInRefused):
        accounts.use_reset_code(home, "ann", "WRONG", "a brand new password", address=HERE, now=NOW)
    with pytest.raises(accounts.SignInRefused):
        accounts.use_reset_code(home, "ann", code, "a brand new password", address=HERE, now=NOW + timedelta(hours=25))
    accounts.use_reset_code(home, "ann", code, "a brand new password", address=HERE, now=NOW)
    assert accounts.find_session(home, old, now=NOW) is None
    assert accounts.sign_in(home, "ann", "a brand new password", address=HERE, now=NOW)
    with pytest.raises(accounts.SignInRefused):
        accounts.use_reset_code(home, "ann", code, "yet another password", address=HERE, now=NOW)


def test_guessing_reset_codes_is_limited(home):
    add(home, "ann", roles.SCIENTIST)
    code = accounts.reset_code(home, Actor("boss"), "ann", now=NOW)
    for _ in range(10):
        with pytest.raises(accounts.SignInRefused):
            accounts.use_reset_code(home, "ann", "WRONG", "a brand new password", address=HERE, now=NOW)
    with pytest.raises(accounts.TooManyAttempts):
        accounts.use_reset_code(home, "ann", code, "a brand new password", address=HERE, now=NOW)


def test_guessing_the_present_password_of_an_open_session_is_limited(home):
    for _ in range(10):
        with pytest.raises(accounts.SignInRefused):
            accounts.change_password(home, Actor("boss"), "wrong one here", "a brand new password", now=NOW)
    with pytest.raises(accounts.TooManyAttempts):
        accounts.change_password(home, Actor("boss"), PASSWORD, "a brand new password", now=NOW)
    accounts.change_password(home, Actor("boss"), PASSWORD, "a brand new password", now=NOW + timedelta(minutes=16))


def test_only_an_administrator_manages_accounts(home):
    ann = add(home, "ann", roles.SCIENTIST)
    with pytest.raises(Refused):
        accounts.add_account(home, ann, "eve", roles.ADMIN)
    with pytest.raises(Refused):
        accounts.change_role(home, ann, "ann", roles.ADMIN)
    with pytest.raises(Refused):
        accounts.reset_code(home, ann, "boss")
    with pytest.raises(Refused):
        accounts.revoke_sessions(home, ann, "boss")
    assert audit.search(home, outcome="refused")[1] == 4


def test_the_last_administrator_stays(home):
    boss = Actor("boss")
    with pytest.raises(Refused, match="only administrator"):
        accounts.close_account(home, boss, "boss")
    with pytest.raises(Refused, match="only administrator"):
        accounts.change_role(home, boss, "boss", roles.DEVOPS)
    add(home, "second", roles.ADMIN)
    accounts.close_account(home, boss, "second")
    accounts.reopen_account(home, boss, "second")
    assert accounts.find_account(home, "second").active


def test_an_added_account_without_password_gets_a_code_that_is_not_in_the_audit(home):
    result = accounts.add_account(home, Actor("boss"), "ann", roles.SCIENTIST, now=NOW)
    accounts.use_reset_code(home, "ann", result["code"], "a brand new password", address=HERE, now=NOW)
    assert accounts.sign_in(home, "ann", "a brand new password", address=HERE, now=NOW)
    assert audit.search(home, text=result["code"].split("-")[0])[1] == 0


def test_what_does_not_exist_is_named(home):
    with pytest.raises(NotFound, match="nobody"):
        accounts.reset_code(home, Actor("boss"), "nobody")
    with pytest.raises(BadInput, match="no role"):
        add(home, "ann", "king")
    add(home, "ann", roles.SCIENTIST)
    with pytest.raises(Refused, match="already"):
        add(home, "ann", roles.SCIENTIST)
    with pytest.raises(accounts.SignInRefused, match="present password"):
        accounts.change_password(home, Actor("ann"), "wrong one here", "a brand new password")


def test_sessions_are_listed_without_their_secret(home):
    token = accounts.sign_in(home, "boss", PASSWORD, address="10.1.1.1", now=NOW)
    listed = accounts.list_sessions(home, "boss", now=NOW)
    assert listed[0]["address"] in {"10.1.1.1", ""}
    assert all(token not in str(s) for s in listed)


def test_the_command_line_may_make_the_first_administrator_only(tmp_path):
    home = open_home(tmp_path / "var")
    with pytest.raises(Refused, match="must be an administrator"):
        accounts.add_first_account(home, "ann", roles.SCIENTIST, os_user="root")
    result = accounts.add_first_account(home, "boss", roles.ADMIN, os_user="root", now=NOW)
    accounts.use_reset_code(home, "boss", result["code"], PASSWORD, address=HERE, now=NOW)
    assert accounts.sign_in(home, "boss", PASSWORD, address=HERE, now=NOW)
    with pytest.raises(Refused, match="--as"):
        accounts.add_first_account(home, "eve", roles.ADMIN, os_user="root")
