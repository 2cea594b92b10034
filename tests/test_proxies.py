"""A reverse proxy in front: whose word on the client's address is taken, and how much of it."""

import pytest

from core import addresses
from core.errors import BadInput
from core.settings import Settings
from tests.api_client import ELSEWHERE, HERE, check_problem, make_client, make_key

READS = "/api/v1/models"
PROXY = ("10.0.0.2", 50000)


def scope(client, *forwarded, scheme="http", **headers):
    given = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    given += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "scheme": scheme, "client": client, "headers": [(b"host", b"localhost"), *given]}


def read(*hops, peer="10.0.0.2", proxies="10.0.0.0/24"):
    return addresses.from_proxy(scope((peer, 1), *hops), addresses.read_proxies(proxies))["client"][0]


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        (("192.0.2.7",), "192.0.2.7"),
        (("127.0.0.1, 192.0.2.7",), "192.0.2.7"),  # the client wrote the first part itself
        (("127.0.0.1", "192.0.2.7"), "192.0.2.7"),  # the same in two lines
        (("192.0.2.7, 10.0.0.9",), "192.0.2.7"),  # two proxies, both named
        (("192.0.2.7, 203.0.113.5",), "203.0.113.5"),  # the second is not named, so it is the client
        (("192.0.2.7:4711",), "192.0.2.7"),
        (("[2001:db8::1]:4711",), "2001:db8::1"),
        (("2001:db8::1",), "2001:db8::1"),
        (("::ffff:10.0.0.9",), "unknown"),  # a named proxy in its other spelling, and nobody before it
        (("localhost",), "unknown"),
        (("127.0.0.1, made up",), "unknown"),
        (("127.0.0.1",), "unknown"),  # somebody on the proxy's machine, or a header that the proxy only hands on
        (("::ffff:127.0.0.1",), "unknown"),
        (("[::1]:80",), "unknown"),
        ((), "unknown"),  # a proxy that says nothing: not this machine, not on any list
    ],
)
def test_the_client_is_the_last_hop_that_is_no_named_proxy(hops, client):
    assert read(*hops) == client


def test_two_named_proxies_on_one_machine_hand_on_the_client():
    assert read("192.0.2.7, 127.0.0.3", peer="127.0.0.1", proxies="127.0.0.1,127.0.0.3") == "192.0.2.7"
    assert read("192.0.2.7, 127.0.0.2", peer="127.0.0.1", proxies="127.0.0.1,127.0.0.3") == "unknown"


def test_nobody_else_is_believed():
    unchanged = scope(("192.0.2.7", 1), "127.0.0.1", x_forwarded_proto="https")
    assert addresses.from_proxy(unchanged, addresses.read_proxies("10.0.0.0/24")) is unchanged
    assert addresses.from_proxy(unchanged, ()) is unchanged


@pytest.mark.parametrize(
    ("proxies", "client"),
    [("127.0.0.1", "192.0.2.7"), ("127.0.0.1,192.0.2.7", "203.0.113.5"), ("10.0.0.2", "unknown"), ("", "unknown")],
)
def test_what_the_server_believed_by_itself_is_looked_up_again(proxies, client):
    believed = scope(("192.0.2.7", 0), "203.0.113.5, 192.0.2.7")  # as uvicorn hands it on: the peer was 127.0.0.1
    seen = addresses.from_proxy(believed, addresses.read_proxies(proxies))
    assert seen["client"] == (client, 0)
    assert addresses.from_proxy(seen, addresses.read_proxies(proxies))["client"] == (client, 0)  # a second door changes nothing


def test_what_was_believed_is_taken_out_of_the_request():
    seen = addresses.from_proxy(scope(PROXY, "192.0.2.7", x_forwarded_proto="https", x_real_ip="1.1.1.1"), addresses.read_proxies("10.0.0.2"))
    assert (seen["client"], seen["scheme"], seen["headers"]) == (("192.0.2.7", 0), "https", [(b"host", b"localhost")])
    socket = scope(PROXY, "192.0.2.7", scheme="ws", x_forwarded_proto="http, https")  # two proxies wrote; the nearest wrote last
    assert addresses.from_proxy(socket, addresses.read_proxies("10.0.0.2"))["scheme"] == "wss"


@pytest.mark.parametrize(("text", "said"), [("proxy.local", "no address"), ("0.0.0.0/0", "nearly everybody"), ("::/0", "nearly everybody")])
def test_a_proxy_is_named_by_an_address_of_its_own(text, said):
    with pytest.raises(BadInput, match=said):
        Settings(proxies=text).named_proxies  # noqa: B018
    assert Settings(proxies="").named_proxies == ()


def test_behind_a_named_proxy_a_keys_addresses_are_the_clients(demo_home):
    key, settings = make_key(demo_home, "read", addresses=("192.0.2.0/24",)), Settings(proxies="10.0.0.2")
    client = make_client(demo_home, key, client=PROXY, settings=settings)
    assert client.get(READS, headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 200
    check_problem(client.get(READS, headers={"X-Forwarded-For": "192.0.2.7, 198.51.100.9"}), 403)
    check_problem(client.get(READS), 403)


def test_what_comes_through_a_proxy_on_this_machine_is_not_from_this_machine(demo_home):
    settings = Settings(proxies="127.0.0.1")
    client = make_client(demo_home, client=HERE, settings=settings)
    check_problem(client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}), 401)
    check_problem(client.get("/metrics"), 401)
    elsewhere = make_client(demo_home, client=PROXY, settings=Settings(proxies="10.0.0.2"))
    check_problem(elsewhere.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}), 401)
    assert make_client(demo_home, make_key(demo_home, "read"), client=HERE, settings=settings).get("/metrics").status_code == 200


def test_a_key_also_comes_as_a_bearer_token(demo_home):
    key = make_key(demo_home, "read")
    client = make_client(demo_home, client=ELSEWHERE)
    assert client.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    check_problem(client.get("/metrics", headers={"Authorization": f"Basic {key}"}), 401)
    check_problem(client.get("/metrics", headers={"Authorization": f"Bearer {key}x"}), 401)


def managed(project="heart_disease", status="firing"):
    labels = {"alertname": "HighLatency", "project": project, "severity": "critical", "instance": "console:8501"}
    return {"version": "4", "status": status, "alerts": [{"status": status, "labels": labels, "annotations": {"summary": "Slow."}}]}


def test_alertmanagers_payload_is_taken_with_a_key_and_nothing_else_is(demo_home):
    client = make_client(demo_home, client=ELSEWHERE)
    bearer = {"Authorization": f"Bearer {make_key(demo_home, 'observe', projects=('heart_disease',))}"}
    taken = client.post("/api/v1/alerts", json=managed(), headers=bearer)
    assert taken.status_code == 202, taken.text
    (alert,) = taken.json()["alerts"]
    assert (alert["project"], alert["subject"], alert["state"]) == ("heart_disease", "HighLatency", "active")
    again = client.post("/api/v1/alerts", json=managed(), headers=bearer).json()["alerts"][0]
    assert again["id"] == alert["id"]  # Alertmanager repeats itself; it joins the open alert
    ended = client.post("/api/v1/alerts", json=managed(status="resolved"), headers=bearer).json()["alerts"][0]
    assert (ended["id"], ended["state"]) == (alert["id"], "resolved")

    check_problem(client.post("/api/v1/alerts", json=managed("future_skills"), headers=bearer), 403)
    own = {"project": "heart_disease", "subject": "s", "sentence": "Something."}
    assert "sign this message" in check_problem(client.post("/api/v1/alerts", json=own, headers=bearer), 401)["detail"]
    check_problem(client.post("/api/v1/alerts", json=managed(), headers={"Authorization": f"Bearer {make_key(demo_home, 'read')}"}), 403)
    check_problem(client.post("/api/v1/alerts", json=managed()), 401)
    check_problem(client.post("/api/v1/alerts", json=managed(), headers={**bearer, "X-Greenlight-Signature": "sha256=00"}), 401)


def test_a_rule_that_fires_for_two_columns_is_two_alerts_and_a_change_of_band_ends_none(demo_home):
    client = make_client(demo_home, client=ELSEWHERE)
    bearer = {"Authorization": f"Bearer {make_key(demo_home, 'observe')}"}

    def one(column, severity, status="firing"):
        return {"status": status, "labels": {"alertname": "ColumnDrift", "project": "heart_disease", "severity": severity, "column": column}}

    first = client.post("/api/v1/alerts", json={"alerts": [one("chol", "warning"), one("fbs", "warning")]}, headers=bearer).json()["alerts"]
    assert [a["subject"] for a in first] == ["ColumnDrift chol", "ColumnDrift fbs"]
    change = [one("chol", "critical"), one("chol", "warning", "resolved"), one("fbs", "warning", "resolved")]
    second = client.post("/api/v1/alerts", json={"alerts": change}, headers=bearer).json()["alerts"]
    assert [(a["id"], a["state"]) for a in second] == [(first[0]["id"], "active"), (first[1]["id"], "resolved")]
