"""Severity: fixed points that mean the same for every measure, straight lines between them, never lower for a worse value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.agent import severity
from core.projects.limits import Limits

LIMITS = Limits()


def alert(kind, value, threshold=None, level="warning"):
    return {"kind": kind, "subject": "", "severity": level, "value": value, "threshold": threshold}


@pytest.mark.parametrize(
    ("kind", "value", "threshold", "level", "expected"),
    [
        ("drift", 0.25, 0.5, "warning", 0.25),
        ("drift", 0.5, 0.5, "warning", 0.5),
        ("drift", 0.6, 0.5, "warning", 0.6),
        ("drift", 0.7, 0.7, "critical", 0.7),
        ("drift", 0.89, 0.7, "critical", 0.89),
        ("drift", 1.0, 0.7, "critical", 1.0),
        ("latency", 2000.0, 2000.0, "warning", 0.5),
        ("latency", 3500.0, 2000.0, "warning", 0.6),
        ("latency", 5000.0, 5000.0, "critical", 0.7),
        ("latency", 15000.0, 5000.0, "critical", 0.85),
        ("latency", 90000.0, 5000.0, "critical", 1.0),
        ("errors", 0.02, 0.02, "warning", 0.5),
        ("errors", 0.05, 0.05, "critical", 0.7),
        ("errors", 0.5, 0.05, "critical", 1.0),
        ("missing_values", 0.1, 0.1, "warning", 0.5),
        ("missing_values", 0.55, 0.1, "warning", 0.75),
        ("missing_values", 1.0, 0.1, "warning", 1.0),
        ("accuracy", 0.7, 0.7, "warning", 0.5),
        ("accuracy", 0.6, 0.7, "warning", 0.7),
        ("accuracy", 0.69, 0.7, "critical", 0.7),
        ("accuracy", 0.3, 0.7, "critical", 1.0),
        ("minority", 0.0, 0.05, "warning", 1.0),
        ("performance", 0.05, 0.05, "warning", 0.5),
        ("performance", 0.13, 0.05, "warning", 0.7),
        ("quality_drift", 0.25, 0.05, "warning", 1.0),
        ("anomaly", 3.0, 3.0, "warning", 0.5),
        ("anomaly", 15.0, 3.0, "warning", 1.0),
        ("model", None, None, "critical", 0.7),
        ("external", None, None, "warning", 0.5),
        ("external", 1e9, None, "critical", 0.7),
        ("something_new", 7.0, 1.0, "warning", 0.5),
    ],
)
def test_a_measured_value_has_this_severity(kind, value, threshold, level, expected):
    assert severity.measure(alert(kind, value, threshold, level), LIMITS) == pytest.approx(expected)


KINDS = ("drift", "latency", "errors", "missing_values", "problem_rows", "unsure", "performance", "slower", "anomaly")


@given(st.sampled_from(KINDS), st.floats(0, 50_000), st.floats(0, 50_000), st.floats(0.01, 1))
def test_a_worse_value_never_has_a_lower_severity(kind, one, other, threshold):
    low, high = (severity.measure(alert(kind, v, threshold), LIMITS) for v in sorted((one, other)))
    assert 0 <= low <= high <= 1


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_a_lower_share_of_right_answers_never_has_a_lower_severity(one, other, floor):
    for kind in ("accuracy", "minority"):
        bad, good = (severity.measure(alert(kind, v, floor), LIMITS) for v in sorted((one, other)))
        assert bad >= good


def test_an_incident_is_as_severe_as_its_worst_alert():
    assert severity.worst([alert("drift", 0.6, 0.5), alert("missing_values", 0.55, 0.1)], LIMITS) == pytest.approx(0.75)
    assert severity.worst([], LIMITS) == 0.0
