"""The door, tried with real accounts in a real home; the walk and the WebSocket through the whole app."""

import sys
import types
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.build import LINES, make_api
from core import accounts
from core.home import open_home
from core.settings import Settings
from pages import contents, door, forms, single_sign_on

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BASE = "http://localhost"
STREAM = "ws://localhost/_stcore/stream"
PASSWORD = "a calm green sentence"


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def home(tmp_path):
    return open_home(tmp_path / "home")


@pytest.fixture
def admin(home):
    code = accounts.first_start_code(home)
    accounts.create_first_admin(home, code, "ada", PASSWORD, now=NOW)
    return "ada"


def build(home, clock, **options):
    """The real door and forms around routes that only say that they were reached."""

    async def reached(request):
        return PlainTextResponse("inside")

    async def echo(websocket: WebSocket):
        await websocket.accept()
        async for message in websocket.iter_bytes():
            await websocket.send_bytes(message)

    hosts = options.pop("hosts", frozenset())
    inside = [WebSocketRoute("/_stcore/stream", echo), Route("/{path:path}", reached, methods=["GET", "POST", "PUT"])]
    app = Starlette(
        routes=[*forms.routes(home, clock=clock, **options), *inside],
        middleware=[
            Middleware(
                door.Door, home=home, programs=make_api(home, Settings(), clock=clock), hosts=hosts, clock=clock,
                single=options.get("single"),
            )
        ],
    )
    return TestClient(app, base_url=BASE, follow_redirects=False, client=("127.0.0.1", 50000))


@pytest.fixture
def client(home, admin, clock):
    return build(home, clock)


def sign_in(client, name="ada", password=PASSWORD, **form):
    return client.post("/sign-in", data={"name": name, "password": password, **form})


def test_a_page_without_a_session_leads_to_the_sign_in_and_back(client):
    answer = client.get("/?project=heart&request=17")
    assert answer.status_code == 303
    target = urlsplit(answer.headers["location"])
    assert target.path == "/sign-in"
    wanted = parse_qs(target.query)["next"][0]
    assert wanted == "/?project=heart&request=17"
    page = client.get(answer.headers["location"])
    assert 'value="/?project=heart&amp;request=17"' in page.text
    entered = sign_in(client, next=wanted)
    assert (entered.status_code, entered.headers["location"]) == (303, wanted)
    assert client.get(wanted).text == "inside"


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "/%0d%0aX:y", "javascript:alert(1)", "/sign-out", "", "/a\nb"],
)
def test_the_way_back_never_leaves_the_site(client, wanted):
    assert sign_in(client, next=wanted).headers["location"] == "/"


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(client):
    cookie = sign_in(client).headers["set-cookie"]
    assert cookie.startswith("greenlight_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie


def test_behind_tls_the_cookie_is_secure(home, admin, clock):
    assert "Secure" in sign_in(build(home, clock, secure_cookies=True)).headers["set-cookie"]
    client = build(home, clock)
    assert "Secure" in client.post(
        "/sign-in", data={"name": "ada", "password": PASSWORD}, headers={"X-Forwarded-Proto": "https"}
    ).headers["set-cookie"]  # fmt: skip


def test_a_new_sign_in_ends_the_session_that_the_browser_came_with(client, home):
    sign_in(client)
    first = client.cookies[forms.COOKIE]
    sign_in(client)
    second = client.cookies[forms.COOKIE]
    assert first != second
    assert accounts.find_session(home, first, now=NOW) is None
    assert accounts.find_session(home, second, now=NOW).name == "ada"


def test_a_cookie_that_somebody_planted_never_becomes_a_session(client):
    client.cookies.set(forms.COOKIE, "planted", domain="localhost.local")
    sign_in(client)
    assert "planted" not in client.cookies.values() or client.get("/").status_code == 200


def test_signing_out_kills_the_cookie(client):
    sign_in(client)
    kept = client.cookies[forms.COOKIE]
    assert "You are signed out." not in client.get("/sign-in?out=1").text  # somebody is signed in, whatever a link says
    where = client.post("/sign-out").headers["location"]
    assert where == "/sign-in?out=1"
    assert "You are signed out." in client.get(where).text
    assert "You are signed out." not in client.get("/sign-in").text
    client.cookies.clear()
    assert client.get("/", headers={"Cookie": f"{forms.COOKIE}={kept}"}).status_code == 303


def test_a_link_to_the_sign_out_only_asks(client):
    sign_in(client)
    assert client.get("/sign-out").status_code == 200
    assert client.get("/").text == "inside"


def test_a_session_ends_by_itself(client, clock):
    sign_in(client)
    clock.now = NOW + timedelta(hours=11)
    assert client.get("/").text == "inside"
    clock.now = NOW + timedelta(hours=13)
    assert client.get("/").status_code == 303


def test_a_wrong_password_and_an_unknown_name_get_the_same_sentence(client):
    wrong, unknown = sign_in(client, password="not this one"), sign_in(client, name="nobody")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    sentence = "Name or password is wrong."
    assert sentence in wrong.text
    assert sentence in unknown.text
    assert "set-cookie" not in wrong.headers


def test_the_eleventh_wrong_password_is_not_looked_at(client, monkeypatch, clock):
    monkeypatch.setattr(accounts, "FREE_TRIES", 100)  # the growing delay is not what is tried here
    assert [sign_in(client, password=f"wrong {i}").status_code for i in range(10)] == [401] * 10
    refused = sign_in(client)  # even the right one
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "900"
    clock.now = NOW + timedelta(minutes=15, seconds=1)
    assert sign_in(client).status_code == 303


def test_names_are_shown_as_text(client):
    page = sign_in(client, name='"><script>alert(1)</script>{{7*7}}')
    assert "<script>" not in page.text
    assert "{{7*7}}" in page.text


def test_the_forms_run_no_script_and_load_nothing(client):
    page = client.get("/sign-in")
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


def test_the_first_start_needs_the_code_from_the_terminal(home, clock):
    client, code = build(home, clock), accounts.first_start_code(home)
    assert client.get("/sign-in").headers["location"] == "/first-start"
    form = {"code": "AAAA-AAAA-AAAA-AAAA", "name": "ada", "password": PASSWORD, "repeated": PASSWORD}
    assert client.post("/first-start", data=form).status_code == 401
    differ = client.post("/first-start", data={**form, "code": code, "repeated": "another"})
    assert differ.status_code == 400
    assert "The two passwords differ" in differ.text
    assert accounts.needs_first_start(home)
    entered = client.post("/first-start", data={**form, "code": code})
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert client.get("/").text == "inside"
    assert [(a.name, a.role) for a in accounts.list_accounts(home)] == [("ada", "admin")]
    assert client.get("/first-start").headers["location"] == "/sign-in"


def test_changing_the_password_asks_for_the_present_one_and_ends_every_session(client, home):
    sign_in(client)
    token, other = client.cookies[forms.COOKIE], accounts.sign_in(home, "ada", PASSWORD, address="elsewhere", now=NOW)
    new = {"password": "another calm sentence", "repeated": "another calm sentence"}
    assert client.post("/password", data={"old": "wrong", **new}).status_code == 401
    assert accounts.find_session(home, token, now=NOW)
    done = client.post("/password", data={"old": PASSWORD, **new})
    assert "Your password is changed" in done.text
    assert accounts.find_session(home, token, now=NOW) is None
    assert accounts.find_session(home, other, now=NOW) is None
    assert sign_in(client).status_code == 401
    assert sign_in(client, password="another calm sentence").status_code == 303


def test_the_password_page_is_for_those_who_are_signed_in(client):
    assert client.get("/password").status_code == 303
    assert client.post("/password", data={"old": PASSWORD}).status_code == 401


def test_a_one_time_code_sets_a_new_password_once(client, home):
    code = accounts.add_account(home, accounts.Actor("ada"), "dora", "devops", now=NOW)["code"]
    form = {"name": "dora", "code": code, "password": PASSWORD, "repeated": PASSWORD}
    done = client.post("/reset", data=form)
    assert (done.status_code, "Your new password is set" in done.text) == (200, True)
    assert client.post("/reset", data=form).status_code == 401
    assert sign_in(client, name="dora").status_code == 303


def test_demo_buttons_exist_in_demo_mode_and_work_on_this_machine_only(home, clock):
    accounts.add_demo_accounts(home, now=NOW)
    outside = build(home, clock)
    assert 'name="persona"' not in outside.get("/sign-in").text
    assert outside.post("/sign-in", data={"persona": "admin"}).status_code == 403
    demo = build(home, clock, demo=True)
    page = demo.get("/sign-in").text
    assert [page.index(f'value="{n}"') > 0 for n in ("scientist", "director", "devops", "developer", "admin")] == [True] * 5
    assert "Demo" in page
    proxied = demo.post("/sign-in", data={"persona": "admin"}, headers={"X-Forwarded-For": "127.0.0.1"})
    assert proxied.status_code == 403
    assert demo.post("/sign-in", data={"persona": "director"}).status_code == 303
    assert demo.get("/").text == "inside"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://localhost:81", "http://["]
)
def test_a_form_from_another_site_is_refused(client, origin):
    answer = client.post("/sign-in", data={"name": "ada", "password": PASSWORD}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    sign_in(client)
    assert client.post("/sign-out", headers={"Origin": origin}).status_code == 403
    assert client.put("/_stcore/upload_file/a/b", headers={"Origin": origin}).status_code == 403
    assert client.get("/").text == "inside"


def test_a_form_from_this_site_is_taken(client):
    assert client.post("/sign-in", data={"name": "ada", "password": PASSWORD}, headers={"Origin": BASE}).status_code == 303


def test_browsers_that_send_no_origin_say_that_a_request_is_cross_site(client):
    assert client.post("/sign-out", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.168.1.20:8501", "[::2]", "", "a:b:c"])
def test_a_host_name_that_is_not_ours_is_refused(client, host):
    answer = client.get("/sign-in", headers={"Host": host})
    assert answer.status_code == 400
    assert "GREENLIGHT_HOSTS" in answer.text


def test_configured_and_loopback_hosts_are_answered(home, admin, clock):
    client = build(home, clock, hosts=frozenset({"models.example.org"}))
    for host in ("models.example.org", "Models.Example.org:443", "127.0.0.1:8501", "[::1]:8501", "localhost:8501"):
        assert client.get("/sign-in", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/..%2fapp.py", 400),
        ("/static/..%2f..%2fapp.py", 400),
        ("/%252e%252e/app.py", 400),
        ("/static/%2e%2e/app.py", 400),
        ("/media/a%00b", 400),
        ("/media/a%5cb", 400),
        ("//evil.example/x", 400),
        ("/" + "a" * 300, 404),
        ("/CON", 404),
        ("/app.py", 404),
        ("/data/_stcore/health", 404),
    ],
)
def test_paths_that_are_no_plain_names_reach_nothing(client, path, status):
    sign_in(client)
    request = client.build_request("GET", BASE + "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    assert client.send(request).status_code == status


def test_programs_are_told_in_their_own_format(client):
    answer = client.get("/api/v1/models")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "No valid key"
    assert "X-API-Key" in answer.json()["detail"]
    assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 401
    assert client.get("/metrics").status_code == 200  # the test's client is this machine
    assert client.get("/apiary").status_code == 303  # no API path, only one that begins alike


def test_a_made_up_key_or_a_session_opens_nothing_of_the_api(client):
    for path in ("/api", "/api/v1/models", "/metrics"):
        for header in ("X-API-Key", "X-Greenlight-Signature"):
            answer = client.get(path, headers={header: "made up", "X-Forwarded-For": "192.0.2.7"})
            assert answer.status_code == 401, path
    sign_in(client)
    answer = client.get("/api/v1/models")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


def test_a_person_reaches_the_description_of_the_api_by_signing_in(client):
    answer = client.get("/api/docs", headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/api/docs")
    assert sign_in(client, next="/api/docs").headers["location"] == "/api/docs"
    page = client.get("/api/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert client.get("/api/openapi.json").json()["openapi"].startswith("3.1")


def test_health_is_open_under_any_name_and_says_nothing_else(client):
    answer = client.get("/healthz", headers={"Host": "10.0.0.7:8501"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_every_answer_carries_the_security_headers(client):
    for answer in (client.get("/healthz"), client.get("/sign-in"), client.get("/"), client.get("/api/x"), client.get("/..%2f")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors" in answer.headers["content-security-policy"]


def test_closed_parts_stay_closed_after_the_sign_in(client):
    sign_in(client)
    for path in ("/_stcore/metrics", "/_stcore/agent/openapi.json", "/_stcore/script-health-check", "/auth/login"):
        assert client.get(path).status_code == 404
    assert client.get("/_stcore/health").text == "inside"


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}, {"Host": "evil.example"}])
def test_a_websocket_without_a_session_or_from_elsewhere_is_refused(client, headers):
    if headers:
        sign_in(client)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM, headers=headers):
        pass


def test_when_the_session_ends_an_open_websocket_passes_nothing_but_a_bare_rerun(client, home):
    from streamlit.proto.BackMsg_pb2 import BackMsg

    sign_in(client)
    click = BackMsg()
    click.rerun_script.fragment_id = "a fragment that shows data"
    click.rerun_script.widget_states.widgets.add(id="deploy", trigger_value=True)
    with client.websocket_connect(STREAM, headers={"Origin": BASE}) as socket:
        socket.send_bytes(click.SerializeToString())
        assert BackMsg.FromString(socket.receive_bytes()) == click
        accounts.revoke_sessions(home, accounts.Actor("ada"), "ada", now=NOW)
        socket.send_bytes(click.SerializeToString())
        passed = BackMsg.FromString(socket.receive_bytes())
    assert passed.WhichOneof("type") == "rerun_script"
    assert passed.rerun_script.ByteSize() == 0


# The whole app


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """app.py as it is, on a fresh home with the demo's accounts and one page that shows a secret."""
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("whole")
    accounts.add_demo_accounts(open_home(root))
    patch.setenv("GREENLIGHT_HOME", str(root))
    patch.setenv("GREENLIGHT_DEMO", "1")
    trial = types.ModuleType("pages.home")
    trial.show = lambda context: __import__("streamlit").write(f"the secret of {context.account.name}")
    patch.setitem(sys.modules, "pages.home", trial)
    patch.setattr(contents, "PAGES", (contents.Page("home", "Home", "Now", ":material/home:", default=True),))
    patch.delitem(sys.modules, "app", raising=False)
    import app

    with TestClient(app.app, base_url=BASE, follow_redirects=False, client=("127.0.0.1", 50000)) as client:
        yield app.app, client
    sys.modules.pop("app", None)
    patch.undo()


def list_paths(routes: list[BaseRoute], below=""):
    for route in routes:
        if isinstance(route, Mount):
            yield below + route.path
            yield below + route.path + "/index.html"
            yield from list_paths(route.routes or [], below + route.path)
        elif isinstance(route, Route):
            yield below + route.path


def test_every_route_of_the_app_is_closed_to_strangers(whole):
    app, client = whole
    client.cookies.clear()
    paths = {p.replace(":path", "") or "/" for p in list_paths(app._starlette_app.routes)}
    paths |= {line.path for line in LINES}
    assert {"/_stcore/health", "/_stcore/metrics", "/_stcore/host-config", "/media/{file_id}", "/sign-in"} <= paths
    for path in sorted(paths | {"/anything", "/home"}):
        tried = path.replace("{", "").replace("}", "")
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            answer = client.request(method, tried)
            if path in door.PROBES:
                assert answer.status_code in (200, 401, 429, 503), (method, tried, answer.status_code)
            elif path in door.OPEN_PATHS:
                assert answer.headers.get("set-cookie", '=""').split(";")[0].endswith('=""'), (method, tried)
                assert 'id="root"' not in answer.text, (method, tried)  # the console's own page
            else:
                at_home = path == "/metrics"  # the test's client is this machine, which may scrape
                refusals = (400, 401, 404, 415, 429)  # 415: the signed alert, whose empty body is not even JSON
                refused = at_home or answer.status_code in refusals or answer.headers.get("location", "").startswith("/sign-in")
                assert refused, (method, tried, answer.status_code)


def test_the_open_routes_are_exactly_these():
    assert {"/sign-in", "/sign-in/single", "/sign-in/identity", "/sign-out", "/first-start", "/reset"} == door.OPEN_PATHS
    assert {"/auth/login", "/auth/logout", "/oauth2callback"} == single_sign_on.OPEN_PATHS  # only while single sign-on is set up
    assert {"/healthz", "/readyz"} == door.PROBES


def test_a_revoked_session_shows_the_way_to_sign_in_and_no_data_in_the_open_tab(whole):
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    _, client = whole
    client.cookies.clear()
    assert client.post("/sign-in", data={"persona": "director"}).status_code == 303
    rerun = BackMsg()
    rerun.rerun_script.query_string = ""

    def run_once(socket):
        socket.send_bytes(rerun.SerializeToString())
        seen = ""
        while True:
            message = ForwardMsg.FromString(socket.receive_bytes())
            if message.WhichOneof("type") == "script_finished":
                return seen
            seen += str(message)

    with client.websocket_connect(STREAM, headers={"Origin": BASE}, subprotocols=["streamlit"]) as socket:
        assert "the secret of director" in run_once(socket)
        client.post("/sign-out")
        after = run_once(socket)
    assert "You are signed out" in after
    assert "/sign-in" in after
    assert "the secret" not in after
