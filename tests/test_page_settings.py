"""The Settings page through the real frame: accounts as acts, the roles table, limits in force, room on disk."""

import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from core import accounts, audit, keys, roles
from core.acts import Actor
from core.projects.projects import get_definition, list_definitions
from pages import settings_roles
from storage.connection import reading

ADMIN = Actor("admin")
HEART = "heart_disease"


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption] + [s.value for s in test.success])


def button(test, label):
    return next(b for b in test.button if b.label == label)


def box(test, label):
    return next(s for s in test.selectbox if s.label == label)


def table(test, column):
    return next(d.value for d in test.dataframe if column in d.value.columns)


def change(test, name, what, reason="Because"):
    """Choose an account and what to do with it, give the reason, and send."""
    box(test, "Account").set_value(name).run()
    box(test, "What to do").set_value(what).run()
    test.text_area[0].input(reason)
    form = next(b for b in test.button if b.proto.form_id.startswith(f"change-{name}"))
    return form.click().run()


def test_a_new_account_gets_a_code_that_stays_until_it_is_put_away_and_works(demo_home, open_page):
    test = open_page(demo_home, "settings", "admin", tab="accounts")
    test.text_input[0].input("maria")
    box(test, "Role").set_value(roles.DRH)
    button(test, "Add account").click().run()
    assert accounts.find_account(demo_home, "maria").role == roles.DRH
    assert "Account maria was added as DRH manager" in texts(test)
    code = test.code[0].value
    test.run()
    assert test.code[0].value == code  # a stray click must not lose it
    button(test, "I have handed it over: hide it").click().run()
    assert not test.code
    accounts.use_reset_code(demo_home, "maria", code, "a long enough sentence", address="127.0.0.1")
    assert accounts.sign_in(demo_home, "maria", "a long enough sentence", address="127.0.0.1")
    assert not any(code in row["body"] for row in reading(demo_home.db).query("SELECT body FROM audit"))


def test_the_same_click_twice_adds_one_account_and_shows_no_dead_code(demo_home):
    first = accounts.add_account(demo_home, ADMIN, "maria", roles.DRH, key="k")
    again = accounts.add_account(demo_home, ADMIN, "maria", roles.DRH, key="k")
    assert "code" in first
    assert again == {"name": "maria", "role": roles.DRH}


def test_a_name_that_cannot_be_one_is_refused_in_a_sentence(demo_home, open_page):
    test = open_page(demo_home, "settings", "admin", tab="accounts")
    test.text_input[0].input("../Maria")
    button(test, "Add account").click().run()
    assert "is not a possible account name" in test.error[0].value
    assert len(accounts.list_accounts(demo_home)) == 5


def test_a_role_is_changed_with_its_reason_and_ends_the_sessions(demo_home, open_page):
    token = accounts.sign_in_persona(demo_home, "developer", address="127.0.0.1", demo_mode=True)
    test = change(open_page(demo_home, "settings", "admin", tab="accounts"), "developer", "role", "Joined the data team")
    assert "developer: Developer before, Data scientist now" in texts(test).replace("\\", "")
    assert accounts.find_account(demo_home, "developer").role == roles.SCIENTIST
    assert accounts.find_session(demo_home, token) is None
    event = audit.search(demo_home, action="change_role")[0][0]
    assert (event["reason"], event["before"], event["after"]) == (
        "Joined the data team", {"role": "developer"}, {"role": "data_scientist"},
    )  # fmt: skip


def test_an_account_is_closed_and_opened_again(demo_home, open_page):
    test = change(open_page(demo_home, "settings", "admin", tab="accounts"), "devops", "active", "Left")
    assert accounts.find_account(demo_home, "devops").active is False
    assert table(test, "State").set_index("Account").loc["devops", "State"] == "■ Closed"
    change(test, "devops", "active", "Came back")
    assert accounts.find_account(demo_home, "devops").active is True
    assert [e["reason"] for e in audit.search(demo_home, actor="admin")[0][:2]] == ["Came back", "Left"]


def test_the_account_of_a_program_can_only_be_closed_and_opened(demo_home, open_page):
    secret = keys.add_key(demo_home, ADMIN, "partner", ["predict"])["key"]
    test = open_page(demo_home, "settings", "admin", tab="accounts")
    box(test, "Account").set_value("partner").run()
    assert box(test, "What to do").options == ["Close the account"]
    assert "Every key of partner opens nothing until the account is open again" in texts(test)
    change(test, "partner", "active", "Contract ended")
    assert keys.find_key(demo_home, secret, now=datetime.now(UTC)) is None


def test_the_last_administrator_cannot_be_closed(demo_home, open_page):
    test = change(open_page(demo_home, "settings", "admin", tab="accounts"), "admin", "active")
    assert "only administrator" in test.error[0].value
    assert accounts.find_account(demo_home, "admin").active


def test_nothing_is_done_without_a_reason(demo_home, open_page):
    test = change(open_page(demo_home, "settings", "admin", tab="accounts"), "devops", "active", "  ")
    assert "Write a reason" in test.error[0].value
    assert accounts.find_account(demo_home, "devops").active


def test_sessions_are_listed_and_ended_in_one_act(demo_home, open_page):
    tokens = [accounts.sign_in_persona(demo_home, "scientist", address="127.0.0.1", demo_mode=True) for _ in range(3)]
    test = open_page(demo_home, "settings", "scientist", tab="account")
    assert len(table(test, "Until")) == 3
    button(test, "End all my sessions").click().run()
    assert [accounts.find_session(demo_home, t) for t in tokens] == [None] * 3
    assert audit.search(demo_home, action="revoke_sessions")[1] == 1
    assert "No session of yours is open" in texts(test)


@pytest.mark.parametrize("name", ["scientist", "director", "devops", "developer"])
def test_accounts_are_for_the_administrator_alone_also_by_link(demo_home, open_page, name):
    test = open_page(demo_home, "settings", name, tab="accounts")
    assert not any(b.label == "Add account" for b in test.button)
    assert f"You are **{name}**" in texts(test)


def test_the_table_of_roles_is_the_one_that_acts_check(demo_home, open_page):
    assert set(settings_roles.ACTIONS) == set(roles.ALLOWED)
    shown = table(open_page(demo_home, "settings", "developer", tab="roles"), "Action").set_index("Action")
    for action, words in settings_roles.ACTIONS.items():
        for role in roles.PERSON_ROLES:
            assert (shown.loc[words, roles.ROLE_TITLES[role]] == "✓ yes") is roles.may(role, action), (action, role)


@pytest.mark.parametrize("project", ["heart_disease", "future_skills", "recipe_ranking"])
def test_thresholds_are_those_of_the_definition_with_their_source(demo_home, open_page, project):
    test = open_page(demo_home, "settings", "director", project=project, tab="thresholds")
    definition = get_definition(demo_home, project)
    shown = {}
    for table in test.table:
        plain = table.value.map(lambda text: text.replace("\\", ""))
        shown.update(zip(plain["What"], plain["Value"], strict=True))
    assert shown["Drift score: drift"] == f"from {definition.thresholds.drift:g}"
    gate = next(v for k, v in shown.items() if k.startswith("For production"))
    assert gate == ("not asked" if definition.gates.production is None else f"at least {definition.gates.production:g}")
    assert ("False negative" in shown) is (definition.task == "binary")
    changes = list_definitions(demo_home, project)
    assert [c.by for c in changes] == ["scientist"]
    assert "by scientist; never changed since" in texts(test)
    assert any(m.help == f"Definition {changes[0].sha256[:16]}" for m in test.markdown)


def test_storage_shows_what_is_on_disk_and_paths_to_the_administrator_alone(demo_home, open_page):
    (demo_home.reports / "r.html").write_bytes(b"x" * 1_234_567)
    developer = table(open_page(demo_home, "settings", "developer", tab="storage"), "Size")
    assert developer.set_index("What").loc["Reports", "Size"] == "1.2 MB"
    assert "Where" not in developer.columns
    admin = table(open_page(demo_home, "settings", "admin", tab="storage"), "Size")
    assert admin.set_index("What").loc["Reports", "Where"] == str(demo_home.reports)


def make_key(test, name="partner", scopes=("predict",), projects=()):
    next(t for t in test.text_input if t.label == "Program").input(name)
    next(m for m in test.multiselect if m.label == "Good for").set_value(list(scopes))
    next(m for m in test.multiselect if m.label == "Projects").set_value(list(projects))
    return button(test, "Make key")


def test_a_key_is_shown_once_with_a_command_that_works_and_stays_until_it_is_put_away(demo_home, open_page):
    test = open_page(demo_home, "settings", "admin", tab="keys")
    make_key(test, projects=[HEART]).click().run()
    secret, example = (c.value for c in test.code)
    (key,) = keys.list_keys(demo_home)
    assert (key.account, key.scopes, key.projects, key.addresses, key.per_minute) == ("partner", ("predict",), (HEART,), (), 6000)
    assert f"Key {key.id} of partner was made" in texts(test)
    words = shlex.split(example.replace("\\\n", ""))
    assert words[:3] == ["curl", "-H", f"X-API-Key: {secret}"]
    assert words[-1].endswith("/api/v1/projects/heart_disease/predict")
    (row,) = json.loads(words[words.index("-d") + 1])["rows"]
    assert list(row) == [c.name for c in get_definition(demo_home, HEART).features]
    test.run()
    assert test.code[0].value == secret  # a stray click must not lose it
    button(test, "I have handed it over: hide it").click().run()
    assert not test.code
    assert not any(secret in row["body"] for row in reading(demo_home.db).query("SELECT body FROM audit"))
    shown = table(test, "Good for").iloc[0]
    assert (shown["State"], shown["Program"], shown["Key"], shown["From"], shown["Last used"]) == (
        "● Active", "partner", key.id, "anywhere", "never",
    )  # fmt: skip


def test_a_key_is_made_as_narrow_as_the_form_says(demo_home, open_page):
    test = open_page(demo_home, "settings", "admin", tab="keys")
    next(n for n in test.number_input if n.label == "Requests a minute").set_value(60)
    last_day = datetime.now(UTC).date() + timedelta(days=365)
    next(d for d in test.date_input if d.label == "Last day (UTC)").set_value(last_day)
    next(t for t in test.text_area if t.label == "Only from these addresses").input("192.0.2.7\n10.0.0.0/8")
    make_key(test, scopes=["retrain", "read"]).click().run()
    (key,) = keys.list_keys(demo_home)
    assert (key.scopes, key.projects, key.addresses, key.per_minute, key.expires_at) == (
        ("read", "retrain"), ("*",), ("192.0.2.7/32", "10.0.0.0/8"), 60,
        f"{last_day + timedelta(days=1)}T00:00:00.000Z",
    )  # fmt: skip
    assert test.code[1].value.endswith("/api/v1/models?project=heart_disease")


@pytest.mark.parametrize(
    ("fill", "sentence"),
    [
        (lambda test: make_key(test, name="admin"), "admin is somebody's account"),
        (lambda test: make_key(test, name="My Partner"), "is not a possible program name"),
        (lambda test: make_key(test, scopes=()), "at least one scope"),
    ],
)
def test_a_key_that_cannot_be_made_says_why(demo_home, open_page, fill, sentence):
    test = fill(open_page(demo_home, "settings", "admin", tab="keys")).click().run()
    assert sentence in test.error[0].value
    assert keys.list_keys(demo_home) == []
    assert not test.code


def test_a_key_is_revoked_with_its_reason_and_is_dead(demo_home, open_page):
    made = keys.add_key(demo_home, ADMIN, "partner", ["predict"])
    test = open_page(demo_home, "settings", "admin", tab="keys")
    next(t for t in test.text_area if t.label == "Reason").input("Leaked in a chat")
    button(test, "Revoke key").click().run()
    assert f"Key {made['id']} of partner: active before, revoked now." in texts(test).replace("\\", "")
    assert table(test, "Good for").iloc[0]["State"] == "■ Revoked"
    assert audit.search(demo_home, action="revoke_key")[0][0]["reason"] == "Leaked in a chat"
    assert not any(b.label == "Revoke key" for b in test.button)


@pytest.mark.parametrize("name", ["scientist", "director", "devops", "developer"])
def test_keys_are_for_the_administrator_alone_and_others_are_told_whom_to_ask(demo_home, open_page, name):
    keys.add_key(demo_home, ADMIN, "partner", ["predict"])
    test = open_page(demo_home, "settings", name, tab="keys")
    assert any('href="/api/docs"' in m.value for m in test.markdown)  # how programs come in is no secret
    assert "Managing API keys is for Administrator" in test.info[0].value
    assert "Ask admin (Administrator)." in texts(test)
    assert not test.dataframe
    assert not any(b.label in ("Make key", "Revoke key") for b in test.button)
