"""Prometheus' alert rules, written from the limits that are in force: what the console's own checks say, a second pair of eyes.

The file that comes with the project holds the defaults for every project; ``prometheus-rules`` writes those of an installation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from core.home import Home
from core.monitoring.traffic_checks import LEAST_REQUESTS
from core.projects.limits import Limits, get_limits
from core.projects.projects import list_projects

UNSEEN = "2m"  # Prometheus asks every 15 s; one lost answer is no outage


def make_rules(limits: Limits, project: str = "") -> list[dict[str, Any]]:
    """The rules of one project, or with the name "" those of all projects at once.

    Latency and errors are judged over the same window, from the same number of requests on, and against the same limits as
    in core.monitoring.traffic_checks; drift like in core.monitoring.answer_checks: the score overall, or of one column
    that the model uses.
    """
    only = f'project="{project}"' if project else 'project!=""'
    window = f"{limits.watching.window_minutes}m"
    asked = f"sum by (project) (increase(greenlight_requests_total{{{only}}}[{window}])) >= {LEAST_REQUESTS}"
    slowest = f"histogram_quantile(0.95, sum by (project, le) (rate(greenlight_request_seconds_bucket{{{only}}}[{window}])))"
    failed = (
        f"sum by (project) (increase(greenlight_errors_total{{{only}}}[{window}])) / "
        f"sum by (project) (increase(greenlight_requests_total{{{only}}}[{window}]))"
    )
    drift = f"greenlight_drift_score{{{only}}}"
    column, unused = f"greenlight_drift_column_score{{{only}}}", f"greenlight_drift_column_unused{{{only}}}"
    watching, thresholds = limits.watching, limits.thresholds
    seconds = [f"{ms / 1000:.12g}" for ms in (watching.latency_warning_ms, watching.latency_critical_ms)]
    shares = [f"{share:.12g}" for share in (watching.error_warning, watching.error_critical)]
    scores = [f"{score:.12g}" for score in (thresholds.drift_warning, thresholds.drift)]
    slow = "95 of 100 requests of {{ $labels.project }} were answered within {{ $value | humanizeDuration }}."
    failing = "{{ $value | humanizePercentage }} of the requests of {{ $labels.project }} failed."
    drifted = 'What {{ $labels.project }} is asked has drifted from its training data: {{ $value | printf "%.2f" }}.'
    one = 'Column {{ $labels.column }} of {{ $labels.project }} has drifted: {{ $value | printf "%.2f" }}.'
    rules = [
        *_bands("GreenlightSlow", f"({slowest} {{}}) and ({asked})", seconds, slow),
        *_bands("GreenlightFailing", f"({failed} {{}}) and ({asked})", shares, failing),
        *_bands("GreenlightDrift", f"{drift} {{}}", scores, drifted),
        _rule("GreenlightColumnDrift", f"{column} >= {scores[1]} unless {unused}", "critical", one),
    ]
    for rule in rules if project else []:
        rule["labels"]["project"] = project  # it has that label anyway; promtool sees by it that no rule stands there twice
    return rules


def render_rules(groups: Iterable[tuple[str, list[dict[str, Any]]]]) -> str:
    """The rule file of Prometheus: named groups of rules, as YAML."""
    body = {"groups": [{"name": name, "rules": rules} for name, rules in groups]}
    return yaml.safe_dump(body, sort_keys=False, width=1000, allow_unicode=True)


def default_rules() -> str:
    """What the project ships: the defaults, for all projects, and the one rule about the console itself."""
    return render_rules([("greenlight", [_down()]), ("greenlight projects", make_rules(Limits()))])


def installation_rules(home: Home) -> str:
    """The same with each project's own limits, as they are now."""
    found = [(f"greenlight {p.name}", make_rules(get_limits(home, p.name), p.name)) for p in list_projects(home)]
    return render_rules([("greenlight", [_down()]), *found])


def _down() -> dict[str, Any]:
    rule = _rule("GreenlightDown", 'up{job="greenlight"} == 0', "critical", "Greenlight does not answer.")
    return {"alert": rule.pop("alert"), "expr": rule.pop("expr"), "for": UNSEEN, **rule}


def _bands(name: str, expression: str, limits: list[str], summary: str) -> list[dict[str, Any]]:
    warning, critical = limits
    between = expression.replace("{}", f">= {warning} < {critical}")  # the critical alert says it once
    return [
        _rule(name, between, "warning", summary),
        _rule(name, expression.replace("{}", f">= {critical}"), "critical", summary),
    ]


def _rule(name: str, expression: str, severity: str, summary: str) -> dict[str, Any]:
    return {"alert": name, "expr": expression, "labels": {"severity": severity}, "annotations": {"summary": summary}}
