"""Calls made up from the API's own description: with no key, a wrong one, each scope and all of them.

Nothing may fail on our side, answer what the description does not say, or tell of the inside.
"""

from itertools import cycle
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from core import keys
from tests.api_client import BASE, ELSEWHERE, make_client, make_key

HERE = str(Path(__file__).resolve().parents[1])
SAYS_MORE = ("Traceback", "sqlite", "SELECT ", "INSERT ", HERE, "/home/", "/tmp/", "site-packages", "<class", "Error:", "0x7f")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance, negative_data_rejection]
RETRY = 429  # a limit of attempts may come in between; it is part of the description
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

load_all_checks()


def list_callers(home):
    """Name and key: none, a wrong one, one for each scope, one for all."""
    plenty = {"per_minute": keys.MOST_PER_MINUTE}
    yield "nobody", None
    yield "stranger", "gl_0123456789_" + "x" * 43
    for scope in keys.SCOPES:
        yield scope, make_key(home, scope, name=f"only_{scope}", **plenty)
    yield "all", make_key(home, name="every_scope", **plenty)


def fuzz(home, calls_each, calls_all, seed_phases=(Phase.generate,)):
    """Call every operation ``calls_each`` times as each caller, ``calls_all`` times with the key for everything; returns the count."""
    made = 0
    for name, key in list_callers(home):
        client = make_client(home, key, client=ELSEWHERE, raise_server_exceptions=False)
        description = make_client(home, make_key(home, "read", name="reader")).get("/api/openapi.json").json()
        schema = schemathesis.openapi.from_dict(without_security(description))
        schema.config.update(base_url=BASE)
        modes = cycle(MODES)
        for result in schema.get_all_operations():
            operation = result.ok()
            for mode in MODES if calls_all > 1 and name == "all" else [next(modes)]:
                made += call_often(client, operation, mode, calls_all if name == "all" else calls_each, seed_phases)
    return made


def without_security(description):
    """Which key is sent is decided here, not made up."""
    del description["components"]["securitySchemes"]
    for operations in description["paths"].values():
        for operation in operations.values():
            del operation["security"]
    return description


def call_often(client, operation, mode, times, phases):
    made = 0

    @settings(
        max_examples=times, deadline=None, database=None, derandomize=True, phases=phases,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case):
        nonlocal made
        made += 1
        sent = case.as_transport_kwargs(base_url=BASE)
        sent = {k: v for k, v in sent.items() if k in ("method", "url", "params", "headers", "cookies", "json", "data", "content", "files")}
        if isinstance(sent.get("data"), bytes):
            sent["content"] = sent.pop("data")
        answer = client.request(**sent)
        for word in SAYS_MORE:
            assert word not in answer.text, f"{word!r} in the answer to {case.as_curl_command()}: {answer.text[:300]}"
        if answer.status_code != RETRY:
            case.validate_response(answer, checks=CHECKS)

    try:
        call()
    except Exception as error:
        if type(error).__name__ == "Unsatisfiable":  # an operation without parameters has no wrong ones
            return 0
        raise
    return made


def test_calls_made_up_from_the_description_are_all_answered_as_it_says(trained_home):
    assert fuzz(trained_home, 1, 4) >= 200


@pytest.mark.soak
def test_twenty_thousand_made_up_calls(trained_home):
    assert fuzz(trained_home, 120, 330) >= 20_000
