"""Prometheus' side: rules that say what the console's limits say, and a real Prometheus whose alert reaches the agent."""

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

from core.acts import Actor
from core.agent import incidents
from core.cli.app import main
from core.drift import checks
from core.monitoring import alert_rules, alerts
from core.projects import proposals
from core.projects.limits import Limits
from core.scoring import files
from core.times import utc_now
from tests.api_client import make_key
from tests.tracking_server import free_port

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "deploy" / "prometheus"
PROJECT = "heart_disease"


def expressions(text, name, severity):
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    return [rule["expr"] for rule in rules if rule["alert"] == name and rule["labels"]["severity"] == severity]


def test_the_rules_that_are_shipped_are_the_defaults():
    assert (SHIPPED / "greenlight.rules.yml").read_text(encoding="utf-8") == alert_rules.default_rules()


def test_each_rule_carries_the_limit_of_the_consoles_own_check():
    limits, text = Limits(), alert_rules.default_rules()
    (slow,), (slower,) = expressions(text, "GreenlightSlow", "warning"), expressions(text, "GreenlightSlow", "critical")
    assert f">= {limits.watching.latency_warning_ms / 1000:g} < {limits.watching.latency_critical_ms / 1000:g})" in slow
    assert f">= {limits.watching.latency_critical_ms / 1000:g})" in slower
    assert f"[{limits.watching.window_minutes}m]" in slow
    (failing,) = expressions(text, "GreenlightFailing", "critical")
    assert f">= {limits.watching.error_critical:g})" in failing
    assert expressions(text, "GreenlightDrift", "warning") == [
        f'greenlight_drift_score{{project!=""}} >= {limits.thresholds.drift_warning:g} < {limits.thresholds.drift:g}'
    ]
    (column,) = expressions(text, "GreenlightColumnDrift", "critical")
    assert column.startswith(f'greenlight_drift_column_score{{project!=""}} >= {limits.thresholds.drift:g} unless greenlight_drift_column_unused')


def test_an_installations_rules_carry_what_was_approved_for_each_project(demo_home, monkeypatch, capsys):
    proposals.propose(demo_home, Actor("scientist"), PROJECT, {"latency_warning_ms": 150}, reason="A page waits for it")
    proposals.decide(demo_home, Actor("director"), 1, "approved", reason="Agreed")
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    assert main(["prometheus-rules"]) == 0
    text = capsys.readouterr().out
    slow = expressions(text, "GreenlightSlow", "warning")
    assert [(f'project="{PROJECT}"' in e, ">= 0.15 < 5)" in e) for e in slow].count((True, True)) == 1
    assert [e for e in slow if ">= 2 < 5)" in e and 'project="future_skills"' in e]


def test_prometheus_is_told_what_the_console_has():
    scrape = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())["scrape_configs"][0]
    assert (scrape["metrics_path"], scrape["authorization"]["type"], scrape["job_name"]) == ("/metrics", "Bearer", "greenlight")
    down = expressions(alert_rules.default_rules(), "GreenlightDown", "critical")
    assert down == ['up{job="greenlight"} == 0']


@pytest.mark.server
@pytest.mark.parametrize(
    "command",
    [
        ["promtool", "check", "rules", "greenlight.rules.yml"],
        ["promtool", "test", "rules", "greenlight.rules.test.yml"],
        ["promtool", "check", "config", "--syntax-only", "prometheus.yml"],
        ["amtool", "check-config", "alertmanager.yml"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_prometheus_own_tools_accept_what_is_shipped(command):
    done = subprocess.run(command, cwd=SHIPPED, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.server
def test_promtool_accepts_an_installations_rules(demo_home, tmp_path):
    (tmp_path / "rules.yml").write_text(alert_rules.installation_rules(demo_home))
    done = subprocess.run(["promtool", "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "22 rules found" in done.stdout  # one about the console, seven for each of three projects


@pytest.mark.server
def test_a_real_prometheus_finds_drift_and_its_alertmanager_tells_the_agent(trained_home, tmp_path, monkeypatch):
    now = utc_now()
    table = ROOT / "samples" / "heart_disease" / "data" / "heart_switzerland.csv"
    files.predict_file(trained_home, Actor("devops"), PROJECT, table, tmp_path / "out.csv", source="test")
    period = checks.Period(now - timedelta(hours=1), now + timedelta(hours=1))
    checks.run_check(trained_home, Actor("scientist"), PROJECT, current=period, evidently=False)
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    monkeypatch.setenv("GREENLIGHT_MODELS", str(trained_home.models))
    console, prometheus, manager = (free_port() for _ in range(3))
    write_configurations(trained_home, tmp_path, console, manager)
    commands = [
        [sys.executable, "-m", "uvicorn", "api:app", "--port", str(console), "--log-level", "warning"],
        ["prometheus-alertmanager", f"--config.file={tmp_path}/alertmanager.yml", f"--storage.path={tmp_path}/am",
         f"--web.listen-address=127.0.0.1:{manager}", "--cluster.listen-address="],
        ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb",
         f"--web.listen-address=127.0.0.1:{prometheus}"],
    ]  # fmt: skip
    running = []
    try:
        for command, ready in zip(commands, (f"{console}/healthz", f"{manager}/-/ready", f"{prometheus}/-/ready"), strict=True):
            out = (tmp_path / f"{Path(command[0]).name}.out").open("w")
            running.append(subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out))
            wait_for(lambda ready=ready: is_ready(ready), f"{command[0]} is ready")
        wait_for(lambda: {a.subject for a in alerts.list_open(trained_home)} >= {"GreenlightDrift", "GreenlightColumnDrift chol"}, "alerts")
        heard = {a.subject: a for a in alerts.list_open(trained_home)}
        assert (heard["GreenlightDrift"].severity, heard["GreenlightDrift"].kind) == ("critical", "external")
        assert heard["GreenlightDrift"].sentence.startswith("What heart_disease is asked has drifted from its training data: 0.7")
        wait_for(lambda: incidents.list_incidents(trained_home), "the agent's incident")
        assert {i.project for i in incidents.list_incidents(trained_home)} == {PROJECT}
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def write_configurations(home, folder, console, manager):
    """The shipped files, with this test's addresses, keys and a faster pulse."""
    keys = {scope: folder / f"{scope}.key" for scope in ("read", "observe")}
    for scope, path in keys.items():
        path.write_text(make_key(home, scope, name=f"prometheus_{scope}"))
    scraping = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    scraping["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    scraping["rule_files"] = [str(SHIPPED / "greenlight.rules.yml")]
    scraping["scrape_configs"][0]["authorization"]["credentials_file"] = str(keys["read"])
    scraping["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{console}"]
    scraping["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{manager}"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scraping))
    telling = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text())
    telling["route"]["routes"][0] |= {"group_wait": "1s", "group_interval": "1s"}
    (hook,) = next(r for r in telling["receivers"] if r["name"] == "greenlight")["webhook_configs"]
    hook["url"] = f"http://127.0.0.1:{console}/api/v1/alerts"
    hook["http_config"]["authorization"]["credentials_file"] = str(keys["observe"])
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(telling))


def is_ready(address):
    try:
        with urlopen(f"http://127.0.0.1:{address}", timeout=5) as answer:
            return answer.status == 200
    except (URLError, ConnectionError):
        return False


def wait_for(condition, what, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still waiting for: {what}"
        time.sleep(0.2)
