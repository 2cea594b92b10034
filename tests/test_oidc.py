"""Single sign-on: who is let in as whom, what is refused, and the whole way in a browser against a real provider."""

import math

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from api.build import make_api
from core import accounts, audit, identities
from core.acts import Actor
from core.errors import BadInput, Refused
from core.notify import outbox
from core.settings import Settings
from pages import door, single_sign_on
from tests.test_door import NOW, build

RULES = identities.Rules("groups", (("directors", "drh_manager"), ("ml", "data_scientist"), ("root", "admin")))
ADMIN = Actor("admin")
ISSUER = "https://id.example.com"


def claims(sub="s-1", groups=("ml",), nonce="n-1", now=NOW, **more):
    at = int(now.timestamp())
    return {"iss": ISSUER, "sub": sub, "aud": "greenlight", "iat": at, "exp": at + 300, "nonce": nonce, "groups": list(groups),
            "preferred_username": "Ann.Lee", "email": "ann@example.com", **more}  # fmt: skip


def enter(home, now=NOW, **given):
    return identities.sign_in(home, claims(now=now, **given), RULES, client_id="greenlight", address="192.0.2.1", now=now)


# ---- roles and rules ----


def test_rules_are_read_in_their_order_and_a_value_may_hold_an_equals_sign():
    found = identities.read_rules("groups", " cn=hr=drh_manager , ml=data_scientist,")
    assert found.roles == (("cn=hr", "drh_manager"), ("ml", "data_scientist"))
    assert identities.read_rules("", "a=b=devops") == identities.Rules("groups", (("a=b", "devops"),))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"), ("ml", "'ml' is not written as value=role"), ("=devops", "not written as value=role"),
        ("ml=agent", "'agent' is no role; choose one of data_scientist, drh_manager, devops, developer, admin"),
        ("ml=program", "is no role"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_meant_are_refused_in_words(text, words):
    with pytest.raises(BadInput) as caught:
        identities.read_rules("groups", text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("value", "role"),
    [
        (["ml"], "data_scientist"), (["ml", "directors"], "drh_manager"), ("ml", "data_scientist"), ([], None), (None, None),
        (["ML"], None), ("ml directors", None), ([["ml"]], None), ({"ml": True}, None), (7, None),
    ],
)  # fmt: skip
def test_the_first_rule_that_somebody_has_gives_the_role(value, role):
    assert identities.find_role(RULES, {"groups": value}) == role


def test_dots_lead_into_a_nested_claim():
    rules = identities.Rules("realm_access.roles", RULES.roles)
    assert identities.find_role(rules, {"realm_access": {"roles": ["ml"]}}) == "data_scientist"
    assert identities.find_role(rules, {"realm_access.roles": ["directors"]}) == "drh_manager"
    assert identities.find_role(rules, {"realm_access": "ml"}) is None


# ---- accounts ----


def test_the_first_sign_in_makes_an_account_that_is_audited_and_has_no_password(demo_home):
    token = enter(demo_home)
    account = accounts.find_session(demo_home, token, now=NOW)
    assert (account.name, account.role) == ("ann_lee", "data_scientist")
    event = next(e for e in audit.search(demo_home, action="add_account")[0] if e["subject"] == "account ann_lee")
    assert event["after"] == {"role": "data_scientist", "active": True, "issuer": ISSUER}
    assert identities.find_account_of(demo_home, "ann_lee") == ISSUER
    for password in ("", "x" * 12):
        with pytest.raises(accounts.SignInRefused):
            accounts.sign_in(demo_home, "ann_lee", password, address="192.0.2.1", now=NOW)
    with pytest.raises(Refused, match="comes in by single sign-on and has no password here"):
        accounts.reset_code(demo_home, ADMIN, "ann_lee")


def test_the_same_person_comes_back_to_the_same_account_even_under_another_name_and_address(demo_home):
    enter(demo_home)
    token = enter(demo_home, nonce="n-2", preferred_username="ann.married", email="other@example.com")
    assert accounts.find_session(demo_home, token, now=NOW).name == "ann_lee"


def test_another_person_of_the_same_name_and_address_gets_another_account(demo_home):
    enter(demo_home)
    token = enter(demo_home, sub="s-2", nonce="n-2")
    assert accounts.find_session(demo_home, token, now=NOW).name == "ann_lee_2"


def test_the_same_subject_of_another_issuer_is_another_person(demo_home):
    enter(demo_home)
    token = enter(demo_home, iss="https://other.example.com", nonce="n-2")
    assert accounts.find_session(demo_home, token, now=NOW).name == "ann_lee_2"


@pytest.mark.parametrize("wished", ["admin", "director", "agent"])
def test_an_account_of_that_name_is_never_taken_over(demo_home, wished):
    before = accounts.find_account(demo_home, wished)
    token = enter(demo_home, preferred_username=wished)
    found = accounts.find_session(demo_home, token, now=NOW)
    assert (found.name, found.role) == (f"{wished}_2", "data_scientist")
    assert accounts.find_account(demo_home, wished) == before


@pytest.mark.parametrize(
    ("wished", "name"),
    [("Zoë O'Neil", "zo_o_neil"), ("42", "person_42"), ("../../etc", "etc"), ("李", "person"), ("<b>", "b"), ("x" * 300, "x" * 40)],
)
def test_a_name_of_the_provider_becomes_a_possible_name_here(demo_home, wished, name):
    assert accounts.find_session(demo_home, enter(demo_home, preferred_username=wished), now=NOW).name == name


def test_without_a_role_nobody_comes_in_no_account_is_made_and_the_refusal_is_audited(demo_home):
    before = len(accounts.list_accounts(demo_home))
    with pytest.raises(Refused, match=r"gives you no role here.*Ask an administrator"):
        enter(demo_home, groups=["sales"])
    assert len(accounts.list_accounts(demo_home)) == before
    (event,) = audit.search(demo_home, action="sign_in", outcome="refused")[0]
    assert event["actor"] == "single sign-on"


def test_a_role_that_changed_there_changes_here_ends_sessions_and_is_told(demo_home):
    old = enter(demo_home)
    new = enter(demo_home, groups=["directors"], nonce="n-2")
    assert accounts.find_session(demo_home, old, now=NOW) is None
    assert accounts.find_session(demo_home, new, now=NOW).role == "drh_manager"
    event = next(e for e in audit.search(demo_home, action="change_role")[0])
    assert (event["before"], event["after"]) == ({"role": "data_scientist"}, {"role": "drh_manager"})
    assert event["reason"] == "The identity provider's claim groups says so"
    # administrators and directors, of whom she is one now
    assert {d.recipient for d in outbox.list_deliveries(demo_home, event="role_changed", channel="mail")} == {"admin", "director", "ann_lee"}
    enter(demo_home, groups=["directors"], nonce="n-3")
    assert audit.search(demo_home, action="change_role")[1] == 1


def test_who_lost_the_role_there_is_out_at_the_next_sign_in(demo_home):
    token = enter(demo_home)
    with pytest.raises(Refused, match="gives you no role here"):
        enter(demo_home, groups=[], nonce="n-2")
    assert accounts.find_session(demo_home, token, now=NOW) is None


def test_a_closed_account_stays_closed(demo_home):
    enter(demo_home)
    accounts.close_account(demo_home, ADMIN, "ann_lee", now=NOW)
    with pytest.raises(Refused, match="The account ann_lee is closed"):
        enter(demo_home, nonce="n-2")
    assert not accounts.find_account(demo_home, "ann_lee").active
    accounts.reopen_account(demo_home, ADMIN, "ann_lee", now=NOW)
    assert accounts.find_session(demo_home, enter(demo_home, nonce="n-3"), now=NOW)


def test_a_session_that_was_revoked_is_over_and_its_answer_opens_no_other(demo_home):
    token = enter(demo_home)
    accounts.revoke_sessions(demo_home, ADMIN, "ann_lee", now=NOW)
    assert accounts.find_session(demo_home, token, now=NOW) is None
    with pytest.raises(Refused, match="used before"):
        enter(demo_home)


def test_the_only_administrator_is_not_made_something_else(demo_home):
    enter(demo_home, groups=["root"])
    for name in ("admin",):
        accounts.close_account(demo_home, Actor("ann_lee"), name, now=NOW)
    with pytest.raises(Refused, match="ann_lee is the only administrator"):
        enter(demo_home, nonce="n-2")
    assert accounts.find_account(demo_home, "ann_lee").role == "admin"


def test_an_installation_without_accounts_is_not_opened_by_a_provider(home):
    with pytest.raises(Refused, match="make the first account with the code"):
        enter(home, groups=["root"])
    assert accounts.needs_first_start(home)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"aud": "another"}, "for another application"), ({"aud": ["a", "b"]}, "for another application"), ({"aud": None}, "for another application"),
        ({"sub": ""}, "no usable sub"), ({"sub": 7}, "no usable sub"), ({"iss": None}, "no usable iss"), ({"nonce": None}, "no usable nonce"),
        ({"iat": int(NOW.timestamp()) - 400}, "too old"), ({"iat": int(NOW.timestamp()) + 100}, "too old"),
        ({"exp": int(NOW.timestamp()) - 100}, "too old"), ({"iat": "today"}, "does not say how old"), ({"exp": None}, "does not say how old"),
        ({"sub": "x" * 501}, "no usable sub"), ({"sub": "a\ud800"}, "no usable sub"), ({"nonce": "\ud800"}, "no usable nonce"),
        ({"aud": 7}, "for another application"), ({"aud": {"greenlight": 1}}, "for another application"),
        ({"exp": math.inf}, "does not say how old"), ({"exp": math.nan}, "does not say how old"), ({"iat": 10**400}, "does not say how old"),
        ({"aud": ["greenlight", "b"], "azp": "b"}, "issued to another application"), ({"azp": 7}, "issued to another application"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_for_us_or_not_of_now_is_refused(demo_home, change, words):
    before = len(accounts.list_accounts(demo_home))
    with pytest.raises(Refused, match=words):
        identities.sign_in(demo_home, {**claims(), **change}, RULES, client_id="greenlight", address="192.0.2.1", now=NOW)
    assert len(accounts.list_accounts(demo_home)) == before


def test_an_audience_may_be_a_list(demo_home):
    assert enter(demo_home, aud=["other", "greenlight"], azp="greenlight")


# ---- the door, without a provider ----


@pytest.fixture
def admin(home):
    accounts.create_first_admin(home, accounts.first_start_code(home), "ada", "correct horse battery", now=NOW)


def test_without_single_sign_on_its_routes_are_closed_and_nothing_offers_it(home, admin):
    web = build(home, lambda: NOW)
    for path in ("/auth/login", "/auth/logout", "/oauth2callback"):
        assert web.get(path).status_code == 401
    assert web.get(single_sign_on.BEGIN).headers["location"] == "/sign-in"
    assert web.get(single_sign_on.EXCHANGE).headers["location"] == "/sign-in"
    assert "organisation" not in web.get("/sign-in").text


@pytest.fixture
def use_secrets():
    """Streamlit reads its secrets from this file until the test is over."""
    from streamlit import config
    from streamlit.runtime.secrets import secrets_singleton

    before = config.get_option("secrets.files")

    def use(path):
        config.set_option("secrets.files", [str(path)])
        secrets_singleton._reset()

    yield use
    config.set_option("secrets.files", before)
    secrets_singleton._reset()


class SetUp(single_sign_on.SingleSignOn):
    setup = single_sign_on.Setup("default", "greenlight", RULES)


def test_with_single_sign_on_a_cookie_that_nobody_signed_opens_nothing(home, admin):
    web = build(home, lambda: NOW, single=SetUp())
    web.cookies.set("_streamlit_user", '{"is_logged_in":true,"provider":"default","sub":"s-1"}')
    answer = web.get(single_sign_on.EXCHANGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?failed=1")
    assert "greenlight_session" not in answer.headers.get("set-cookie", "")
    page = web.get("/sign-in?failed=1")
    assert page.status_code == 401
    assert "did not succeed" in page.text
    assert 'href="/sign-in/single?next=/"' in page.text


def answer_as_streamlit(home, cookies, location="/", **options):
    """The door around a stand-in for Streamlit's routes, which answers as Streamlit was seen to answer."""

    async def answer(request):
        given = RedirectResponse(location, 302) if location else PlainTextResponse("Authentication error", 400)
        for cookie in cookies:
            given.headers.append("set-cookie", cookie)
        return given

    app = Starlette(
        routes=[Route("/{path:path}", answer)],
        middleware=[Middleware(door.Door, home=home, programs=make_api(home, Settings()), single=SetUp(), clock=lambda: NOW, **options)],
    )
    return TestClient(app, base_url="http://localhost", follow_redirects=False)


IDENTITY = '_streamlit_user="2|signed"; HttpOnly; Path=/; SameSite=lax'
CLEARED = '_streamlit_user=""; Max-Age=0; Path=/; SameSite=lax'


@pytest.mark.parametrize(
    ("path", "cookies", "to"),
    [
        ("/oauth2callback?state=a&code=b", [IDENTITY], "/sign-in/identity"),
        ("/oauth2callback?state=a&code=b", [CLEARED], "/sign-in?failed=1"),
        ("/oauth2callback?state=a&error=access_denied", [], "/sign-in?failed=1"),
        ("/oauth2callback", [], "/sign-in?out=1"),  # back from the provider's own sign-out
        ("/auth/logout", [CLEARED], "/sign-in?out=1"),
        ("/auth/login?provider=forged", [], "/sign-in?failed=1"),
    ],
)
def test_the_answers_of_streamlits_routes_lead_to_ours(home, admin, path, cookies, to):
    assert answer_as_streamlit(home, cookies).get(path).headers["location"] == to


def test_a_provider_that_is_away_is_said_on_our_sign_in_page(home, admin):
    answer = answer_as_streamlit(home, [], "").get("/auth/login")
    assert (answer.status_code, answer.headers["location"], answer.text) == (303, "/sign-in?failed=1", "")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_way_to_the_provider_is_left_as_it_is(home, admin):
    assert answer_as_streamlit(home, [], "https://id.example.com/authorize?x=1").get("/auth/login").headers["location"] == (
        "https://id.example.com/authorize?x=1"
    )


@pytest.mark.parametrize(("secure", "marked"), [(True, True), (False, False)])
def test_the_identitys_cookie_is_secure_where_ours_is(home, admin, secure, marked):
    cookie = answer_as_streamlit(home, [IDENTITY], secure_cookies=secure).get("/oauth2callback?state=a&code=b").headers["set-cookie"]
    assert ("; Secure" in cookie) is marked


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_streamlits_routes_are_open_for_reading_only(home, admin, method):
    assert answer_as_streamlit(home, []).request(method, "/oauth2callback", headers={"origin": "http://localhost"}).status_code == 401


def test_settings_say_who_comes_in_by_the_organisation(demo_home, open_page):
    enter(demo_home)
    mine = open_page(demo_home, "settings", "ann_lee")
    assert "You come in with your organisation's account; your password is kept there." in [c.value for c in mine.caption]
    table = next(d.value for d in open_page(demo_home, "settings", "admin", tab="accounts").dataframe if "Single sign-on" in d.value)
    assert dict(zip(table["Account"], table["Single sign-on"], strict=True))["ann_lee"] == ISSUER
    assert set(table["Single sign-on"]) == {"", ISSUER}
    page = open_page(demo_home, "settings", "admin", tab="accounts")
    code = "Give a one-time code for a new password"
    assert page.selectbox(key="change-name").options[-1] == "admin"  # nobody demotes themselves by a slip
    page.selectbox(key="change-name").set_value("devops").run()
    assert code in page.selectbox(key="change-what-devops").options
    page.selectbox(key="change-name").set_value("ann_lee").run()
    assert code not in page.selectbox(key="change-what-ann_lee").options
    assert any("At the next sign-in it has the role again that" in m.value.replace("\\", "") for m in page.markdown)


def test_somebody_of_single_sign_on_is_shown_no_form_for_a_password(home, admin):
    token = enter(home)
    client = build(home, lambda: NOW, single=SetUp())
    client.cookies.set("greenlight_session", token)
    assert "You come in by single sign-on" in client.get("/password").text


@pytest.mark.parametrize(
    ("secrets", "roles", "absent", "words"),
    [
        (
            {"client_id": "x"}, "ml=devops", True,
            "Authlib is not installed, and sign-in by OpenID Connect needs it: pip install authlib -c requirements.txt.",
        ),
        ({"client_id": "x", "redirect_uri": "u"}, "ml=devops", False, "cookie_secret"),
        (
            {"client_id": "x", "client_secret": "y", "server_metadata_url": "z", "redirect_uri": "u", "cookie_secret": "c" * 32}, "", False,
            "GREENLIGHT_OIDC_ROLES is empty",
        ),
        (
            {"client_id": "x", "client_secret": "y", "server_metadata_url": "z", "redirect_uri": "u", "cookie_secret": "c" * 31}, "ml=devops",
            False, "the cookie_secret is too short",
        ),
    ],
)  # fmt: skip
def test_a_setup_that_cannot_work_is_off_and_says_why(home, admin, monkeypatch, tmp_path, use_secrets, secrets, roles, absent, words):
    (tmp_path / "secrets.toml").write_text("[auth]\n" + "".join(f'{name} = "{value}"\n' for name, value in secrets.items()))
    use_secrets(tmp_path / "secrets.toml")
    monkeypatch.setattr(single_sign_on, "is_installed", lambda module: not absent)
    single = single_sign_on.SingleSignOn("groups", roles)
    assert not single.is_on
    assert words in single.setup.problem
    assert "Single sign-on was set up, but cannot work yet" in build(home, lambda: NOW, single=single).get("/sign-in").text


def test_a_provider_in_a_section_of_its_own_is_found(monkeypatch, tmp_path, use_secrets):
    secret = "c" * 32
    (tmp_path / "secrets.toml").write_text(
        f'[auth]\nredirect_uri = "https://g.example/oauth2callback"\ncookie_secret = "{secret}"\n'
        '[auth.keycloak]\nclient_id = "k"\nclient_secret = "s"\nserver_metadata_url = "https://id.example"\n'
    )
    use_secrets(tmp_path / "secrets.toml")
    monkeypatch.setattr(single_sign_on, "is_installed", lambda module: True)
    setup = single_sign_on.SingleSignOn("groups", "ml=devops").setup
    assert (setup.provider, setup.client_id, setup.problem) == ("keycloak", "k", "")


# ---- the whole way ----


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    from tests.browser import CHROMIUM, FLAGS

    with sync_playwright() as play:
        yield play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))


@pytest.fixture(scope="module")
def world(tmp_path_factory, built_demo):
    """A provider and a console that believes it."""
    from tests.browser import find_port, serve
    from tests.conftest import copy_home
    from tests.oidc_provider import provide

    folder = tmp_path_factory.mktemp("sso")
    home = copy_home(built_demo, folder / "home")
    with provide() as provider:
        port = find_port()
        (folder / "secrets.toml").write_text(provider.secrets_file(f"http://127.0.0.1:{port}"))
        more = {"GREENLIGHT_OIDC_ROLES": "directors=drh_manager,ml=data_scientist", "GREENLIGHT_OIDC_CLAIM": "groups"}
        options = ["--secrets.files", str(folder / "secrets.toml")]
        with serve(home.root, folder / "console.log", demo=False, port=port, more=more, options=options) as address:
            yield home, provider, address


@pytest.fixture
def visit(world, chromium):
    home, provider, address = world
    provider.spoil = ""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield home, provider, address, page
    context.close()


def choose(page, address, who, start="/sign-in"):
    page.goto(address + start)
    page.get_by_role("link", name="Sign in with your organisation").click()
    page.locator(f"#{who}").click()


whole_way = [pytest.mark.browser, pytest.mark.extra]


class TestInABrowser:
    pytestmark = whole_way

    def test_somebody_signs_in_sees_the_page_they_wanted_and_signs_out_everywhere(self, visit):
        home, provider, address, page = visit
        provider.people["ann-1"] = {"preferred_username": "ann", "groups": ["ml"]}
        choose(page, address, "ann-1", "/training")  # a deep link
        page.get_by_role("heading", name="Training", level=1).wait_for()
        assert page.url.startswith(f"{address}/training")
        page.get_by_text("ann · Data scientist").wait_for()
        session = next(c for c in page.context.cookies() if c["name"] == "greenlight_session")
        assert session["httpOnly"]
        assert session["sameSite"] == "Lax"
        page.goto(f"{address}/sign-out")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in").wait_for()
        assert accounts.find_session(home, session["value"]) is None
        (ended,) = provider.ended
        assert ended["client_id"] == "greenlight"
        assert ended["id_token_hint"]
        assert not [c for c in page.context.cookies() if c["name"].startswith(("_streamlit_user", "greenlight_session"))]
        page.goto(address)
        assert page.url.endswith("/sign-in")

    def test_who_has_no_role_is_told_to_ask_and_has_no_account(self, visit):
        home, provider, address, page = visit
        provider.people["bob-1"] = {"preferred_username": "bob", "groups": ["sales"]}
        choose(page, address, "bob-1")
        page.get_by_role("heading", name="You cannot come in").wait_for()
        assert "Ask an administrator" in page.inner_text("main")
        assert accounts.find_account(home, "bob") is None
        page.goto(f"{address}/training")
        assert "/sign-in" in page.url

    def test_a_role_that_changed_at_the_provider_is_the_role_at_the_next_sign_in(self, visit):
        home, provider, address, page = visit
        provider.people["cleo-1"] = {"preferred_username": "cleo", "groups": ["ml"]}
        choose(page, address, "cleo-1")
        page.get_by_text("cleo · Data scientist").wait_for()
        provider.people["cleo-1"] = {"preferred_username": "cleo", "groups": ["directors"]}
        choose(page, address, "cleo-1")
        page.get_by_text("cleo · DRH manager").wait_for()
        assert audit.search(home, action="change_role")[0][0]["actor"] == "cleo"

    def test_after_the_session_has_ended_the_kept_identity_opens_no_other(self, visit):
        home, provider, address, page = visit
        provider.people["dora-1"] = {"preferred_username": "dora", "groups": ["ml"]}
        choose(page, address, "dora-1")
        page.get_by_text("dora · Data scientist").wait_for()
        accounts.revoke_sessions(home, ADMIN, "dora")
        page.goto(f"{address}/sign-in/identity")
        assert "was used before" in page.inner_text("main")
        page.goto(address)
        assert page.url.endswith("/sign-in")

    @pytest.mark.parametrize("spoil", ["nonce", "issuer", "audience", "signature", "age"])
    def test_a_token_that_is_wrong_lets_nobody_in(self, visit, spoil):
        home, provider, address, page = visit
        provider.people["eve-1"] = {"preferred_username": "eve", "groups": ["directors"]}
        provider.spoil = spoil
        choose(page, address, "eve-1")
        page.locator("main").wait_for()
        text = page.inner_text("main")
        assert "did not succeed" in text or "You cannot come in" in text
        assert accounts.find_account(home, "eve") is None
        assert not [c for c in page.context.cookies() if c["name"] == "greenlight_session"]

    @pytest.mark.parametrize("change", [("state=", "state=x"), ("code=", "code=x")])
    def test_a_tampered_answer_lets_nobody_in(self, visit, change):
        home, provider, address, page = visit
        provider.people["fay-1"] = {"preferred_username": "fay", "groups": ["directors"]}
        page.goto(f"{address}/sign-in")
        page.get_by_role("link", name="Sign in with your organisation").click()
        where = page.locator("#fay-1").get_attribute("href")
        page.goto(where.replace(*change))
        assert "did not succeed" in page.inner_text("main")
        assert accounts.find_account(home, "fay") is None

    def test_an_answer_that_another_browser_asked_for_lets_nobody_in(self, visit, chromium):
        home, provider, address, page = visit
        provider.people["gus-1"] = {"preferred_username": "gus", "groups": ["directors"]}
        page.goto(f"{address}/sign-in")
        page.get_by_role("link", name="Sign in with your organisation").click()
        where = page.locator("#gus-1").get_attribute("href")
        other = chromium.new_context().new_page()
        other.goto(where)
        assert "did not succeed" in other.inner_text("main")
        assert accounts.find_account(home, "gus") is None
        other.context.close()

    def test_who_says_no_at_the_provider_is_back_at_the_sign_in(self, visit):
        _, _, address, page = visit
        choose(page, address, "no")
        assert "did not succeed" in page.inner_text("main")

