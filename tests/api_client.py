"""What tests of the API share: a client for a home, and keys."""

from datetime import UTC, datetime

from starlette.testclient import TestClient

from api.build import make_api
from core import keys
from core.acts import Actor
from core.settings import Settings

BASE = "http://localhost"
HEART = "/api/v1/projects/heart_disease"
HERE = ("127.0.0.1", 50000)
ELSEWHERE = ("192.0.2.7", 50000)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now=None):
        self.now = now or datetime.now(UTC)

    def __call__(self):
        return self.now


def make_key(home, *scopes, name="shop", **options):
    return keys.add_key(home, Actor("admin"), name, scopes or tuple(keys.SCOPES), **options)["key"]


def make_client(home, key=None, *, client=HERE, clock=None, settings=None, **options):
    app = make_api(home, settings or Settings(), clock=clock)
    made = TestClient(app, base_url=BASE, client=client, **options)
    if key:
        made.headers["X-API-Key"] = key
    return made


def check_problem(answer, status):
    """The answer is a complete problem+json with that status; returns it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["request_id"]) == (status, answer.headers["x-request-id"])
    assert problem["title"]
    assert problem["detail"].strip().endswith(".")
    for leak in ("Traceback", "/work", ".py", "SELECT ", "sqlite", "0x"):
        assert leak not in answer.text
    return problem
