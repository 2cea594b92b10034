"""The API's door: who is let in, how fast, from where, and that no route is forgotten."""

import asyncio
from datetime import timedelta

import pytest
from starlette.routing import Route

from api import build, door
from core import accounts, keys
from core.acts import Actor
from core.monitoring import traffic
from core.settings import Settings
from tests.api_client import BASE, ELSEWHERE, HEART, HERE, Clock, check_problem, make_client, make_key

READS = "/api/v1/models"


@pytest.fixture
def clock():
    return Clock()


def list_tries(api):
    for entry in api.entries:
        for method in entry.route.methods:
            yield entry, method, entry.route.path.replace("{project}", "heart_disease")


def test_every_route_is_closed_to_strangers_but_the_probes(demo_home):
    for address in (HERE, ELSEWHERE):
        client = make_client(demo_home, client=address)
        for entry, method, path in list_tries(client.app):
            answer = client.request(method, path)
            if entry.scope == door.OPEN or (entry.scope == door.MACHINE and address == HERE):
                assert path in ("/healthz", "/readyz", "/metrics")
                assert answer.status_code in (200, 503)
            elif entry.scope == door.SIGNED:
                check_problem(answer, 415)
                check_problem(client.request(method, path, json={}), 401)
            else:
                check_problem(answer, 401)
                assert answer.headers["www-authenticate"].startswith("ApiKey")
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            check_problem(client.request(method, "/api/v1/anything"), 401)


def test_every_route_refuses_a_key_without_its_scope(demo_home, clock):
    for scope in keys.SCOPES:
        others = [s for s in keys.SCOPES if s != scope]
        client = make_client(demo_home, make_key(demo_home, *others, name=f"not_{scope}"), client=ELSEWHERE)
        tried = 0
        for entry, method, path in list_tries(client.app):
            needed = "read" if entry.scope == door.MACHINE else entry.scope
            if needed == scope:
                tried += 1
                problem = check_problem(client.request(method, path), 403)
                assert repr(scope) in problem["detail"]
        assert tried >= 1


def test_a_route_without_a_declared_scope_stops_the_start():
    route = Route("/api/v1/new", lambda request: None)
    with pytest.raises(ValueError, match="/api/v1/new declares no scope"):
        door.check_declared(route, "")
    assert {line.scope for line in build.LINES} <= door.DECLARABLE


@pytest.mark.parametrize("secret", ["", "made up", "gl_0123456789_" + "x" * 43, "gl_" + "\xe9" * 50, "x" * 5000])
def test_a_wrong_key_opens_nothing(demo_home, secret):
    answer = make_client(demo_home).get(READS, headers={"X-API-Key": secret.encode("latin-1")})
    check_problem(answer, 401)


def test_a_revoked_or_expired_key_and_a_closed_account_are_dead_at_once(demo_home, clock):
    made = keys.add_key(demo_home, Actor("admin"), "shop", ["read"], now=clock.now)
    client = make_client(demo_home, made["key"], clock=clock)
    assert client.get(READS).status_code == 200
    keys.revoke_key(demo_home, Actor("admin"), made["id"])
    check_problem(client.get(READS), 401)
    client.headers["X-API-Key"] = make_key(demo_home, "read", expires_at=clock.now + timedelta(hours=1))
    assert client.get(READS).status_code == 200
    clock.now += timedelta(hours=1)
    check_problem(client.get(READS), 401)
    client.headers["X-API-Key"] = make_key(demo_home, "read")
    accounts.close_account(demo_home, Actor("admin"), "shop")
    check_problem(client.get(READS), 401)


def test_a_key_for_one_project_opens_no_other_and_tells_of_none(demo_home):
    client = make_client(demo_home, make_key(demo_home, projects=("future_skills",)))
    assert client.get("/api/v1/projects/future_skills/schema").status_code == 200
    for path in (HEART + "/schema", "/api/v1/projects/nowhere/schema", "/api/v1/models?project=heart_disease"):
        check_problem(client.get(path), 403)
    assert {p["project"] for p in client.get("/api/v1/health").json()["parts"]} == {"", "future_skills"}
    described = client.get("/api/openapi.json").text
    assert "future_skills" in described
    assert "heart" not in described.lower()
    assert "heart_disease" not in client.get("/api/docs").text
    check_problem(client.get("/api/v1/metrics"), 422)
    check_problem(client.get("/metrics"), 403)


def test_a_key_may_be_bound_to_addresses_and_a_forwarded_one_is_not_believed(demo_home):
    key = make_key(demo_home, "read", addresses=("192.0.2.0/24", "127.0.0.1"))
    assert make_client(demo_home, key, client=ELSEWHERE).get(READS).status_code == 200
    assert make_client(demo_home, key).get(READS).status_code == 200
    check_problem(make_client(demo_home, key, client=("198.51.100.9", 1)).get(READS, headers={"X-Forwarded-For": "192.0.2.7"}), 403)
    check_problem(make_client(demo_home, key).get(READS, headers={"X-Forwarded-For": "127.0.0.1"}), 403)


def test_a_key_is_slowed_down_to_its_limit(demo_home, clock):
    client = make_client(demo_home, make_key(demo_home, "read", per_minute=3), clock=clock)
    assert [client.get(READS).status_code for _ in range(3)] == [200, 200, 200]
    answer = client.get(READS)
    check_problem(answer, 429)
    wait = int(answer.headers["retry-after"])
    assert 1 <= wait <= 120
    clock.now += timedelta(seconds=wait)
    assert client.get(READS).status_code == 200


def test_an_address_has_the_limit_that_the_environment_sets_whatever_its_keys_allow(demo_home, clock, monkeypatch):
    monkeypatch.setenv("GREENLIGHT_ADDRESS_PER_MINUTE", "2")
    one = make_client(demo_home, make_key(demo_home, "read"), client=ELSEWHERE, clock=clock, settings=Settings.from_environment())
    assert [one.get(READS).status_code for _ in range(2)] == [200, 200]
    one.headers["X-API-Key"] = make_key(demo_home, "read", name="another")
    assert "programs at this address together are limited to 2 requests a minute" in check_problem(one.get(READS), 429)["detail"]


def test_guessing_keys_is_slowed_down_by_address(demo_home, clock):
    client = make_client(demo_home, "made up", client=ELSEWHERE, clock=clock)
    seen = [client.get(READS).status_code for _ in range(40)]
    assert seen[:30] == [401] * 30
    assert seen[30:] == [429] * 10
    other = make_client(demo_home, "made up", client=("192.0.2.200", 1), clock=clock)
    assert other.get(READS).status_code == 401
    client.headers["X-API-Key"] = make_key(demo_home, "read")
    assert client.get(READS).status_code == 200  # who has a key is not locked out by a neighbour's guesses


def test_a_page_of_another_site_and_a_foreign_host_are_refused(demo_home):
    client = make_client(demo_home, make_key(demo_home, "read"))
    check_problem(client.get(READS, headers={"Origin": "https://evil.example"}), 403)
    check_problem(client.post(HEART + "/predict", json={}, headers={"Sec-Fetch-Site": "cross-site"}), 403)
    check_problem(client.get(READS, headers={"Host": "evil.example"}), 400)
    assert client.get(READS, headers={"Origin": BASE}).status_code == 200
    named = make_client(demo_home, make_key(demo_home, "read"), settings=Settings(hosts="models.example.org"))
    assert named.get(READS, headers={"Host": "models.example.org"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/projects/..%2fheart_disease/schema", 400),
        ("/api/v1/projects/%252e%252e/schema", 400),
        ("/api/v1/projects/a%00b/schema", 400),
        ("/api/v1/projects/a%5cb/schema", 400),
        ("/api/v1/projects/%2e%2e/schema", 400),
        ("/api/v1//models", 400),
        ("/api/v1/projects/" + "a" * 300 + "/schema", 404),
        ("/api/v1/projects/CON/schema", 404),
        ("/api/v1/models/", 404),
        ("/api", 404),
    ],
)
def test_paths_that_are_no_plain_names_reach_nothing(demo_home, path, status):
    client = make_client(demo_home, make_key(demo_home, "read"))
    request = client.build_request("GET", BASE + "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    check_problem(client.send(request), status)


def test_another_method_is_told_which_ones_there_are(demo_home):
    client = make_client(demo_home, make_key(demo_home))
    answer = client.get(HEART + "/predict")
    check_problem(answer, 405)
    assert answer.headers["allow"] == "POST"
    assert client.put("/api/v1/alerts").headers["allow"] == "GET, POST"


def test_probes_answer_by_address_and_say_nothing_else(demo_home, trained_home):
    headers = {"Host": "10.0.0.7:8501"}
    answer = make_client(demo_home, client=ELSEWHERE).get("/healthz", headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert make_client(demo_home, client=ELSEWHERE).head("/healthz", headers=headers).status_code == 200
    check_problem(make_client(demo_home, client=ELSEWHERE).get("/readyz", headers=headers), 503)
    answer = make_client(trained_home, client=ELSEWHERE).get("/readyz", headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_a_model_that_cannot_load_is_not_ready(trained_home):
    client = make_client(trained_home)
    path = trained_home.models / "heart_disease" / "1.0.0" / "model.pkl"
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))
    check_problem(client.get("/readyz"), 503)


def test_a_signed_in_person_reads_the_description_and_nothing_else(demo_home):
    from starlette.testclient import TestClient

    api = make_client(demo_home).app

    async def behind_the_console(scope, receive, send):
        scope.setdefault("state", {})["account"] = accounts.find_account(demo_home, "developer")
        await api(scope, receive, send)

    client = TestClient(behind_the_console, base_url=BASE, client=HERE)
    assert client.get("/api/docs").status_code == 200
    assert client.get("/api/openapi.json").status_code == 200
    check_problem(client.get(READS), 401)
    check_problem(client.post(HEART + "/predict", json={"rows": []}), 401)


def test_refused_requests_are_recorded_without_the_names_that_strangers_invent(demo_home):
    client = make_client(demo_home)
    request_id = client.get("/api/v1/projects/invented/schema").headers["x-request-id"]
    traffic.flush(demo_home)
    (kept,) = traffic.find_requests(demo_home, request_id)
    assert (kept["project"], kept["route"], kept["status"], kept["caller"]) == ("", "schema", 401, "")


def test_a_websocket_is_closed(demo_home):
    sent = []

    async def talk():
        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message)

        await make_client(demo_home).app({"type": "websocket", "path": "/api/v1/models", "headers": []}, receive, send)

    asyncio.run(talk())
    assert sent == [{"type": "websocket.close", "code": 1008}]
