"""monitor: does it answer, fast and right?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from core.cli import console
from core.cli.console import Json

commands = typer.Typer()


@commands.command()
def monitor(
    project: Annotated[str, typer.Option("--project", metavar="PROJECT", help="All of them unless named.", show_default=False)] = "",
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=366 * 1440, help="Length of the window.")] = 60,
    as_json: Json = False,
) -> None:
    """Show health, rates, times, posted metrics and open alerts of a window that ends now, against the one before."""
    from core.monitoring import alerts, health, observations, quality, stats
    from core.projects.projects import get_project, list_projects
    from core.times import utc_now

    home, now = console.open_home(), utc_now()
    if project:
        get_project(home, project)
    names = [project] if project else [p.name for p in list_projects(home)]
    parts = [h for h in health.check_health(home, now=now) if h.project in ("", *names)]
    seen = stats.window(home, project or None, minutes, now=now)
    posted = {name: observations.window(home, name, minutes, now=now) for name in names}
    since = now - timedelta(minutes=minutes)
    right = {name: quality.over_time(home, name, since=since, until=now, step="month").whole for name in names}
    open_alerts = [a for a in alerts.list_open(home, project or None) if a.project in names]
    data = {
        "project": project or None, "minutes": minutes, "health": {"state": health.worst(parts), "parts": parts},
        "window": seen, "quality": right, "observations": posted, "alerts": open_alerts,
    }  # fmt: skip
    lines = [f"Health: {health.worst(parts)}"]
    lines += [f"  {p.name}{f' of {p.project}' if p.project else ''}: {p.state}. {p.reason}" for p in parts if p.state != "ok"]
    lines += ["", f"The last {minutes} minutes, and the {minutes} before:", *_tell_window(seen)]
    for name, point in right.items():
        if point is not None:
            told = ", ".join(f"{k} {m.value:.3f}" for k, m in point.metrics.items() if m.value is not None)
            lines.append(f"Quality of {name}: {told} on {point.rows} labelled predictions")
    metrics = [(f"{n}.{s.name}", s.n, s.mean, s.std, s.p50, s.p95, s.p99, s.last) for n, all_of in posted.items() for s in all_of]
    if metrics:
        lines += ["", *console.table(["posted", "n", "mean", "std", "p50", "p95", "p99", "last"], metrics)]
    lines += ["", f"Open alerts: {len(open_alerts)}"]
    lines += [f"  {a.id} {a.severity}, {a.project}, {f'{a.kind} {a.subject}'.strip()}: {a.sentence}" for a in open_alerts]
    console.answer(data, as_json, lines)


def _tell_window(seen: Any) -> list[str]:
    from core.monitoring.stats import STAGES

    both = (seen, seen.before)
    rows: list[tuple[Any, ...]] = [
        ("requests", *[w.requests for w in both]), ("predictions", *[w.rows for w in both]),
        ("failed", *[w.errors for w in both]), ("refused", *[w.refused for w in both]),
        ("requests per second", *[w.per_second for w in both]), ("error rate", *[w.error_rate for w in both]),
    ]  # fmt: skip
    for title in ("mean", "std", "p50", "p95", "p99"):
        rows.append((f"total {title}, ms", *[getattr(w, title) for w in both]))
    for stage in STAGES:
        if any(stage in w.stages for w in both):
            rows.append((f"{stage} p95, ms", *[w.stages[stage].p95 if stage in w.stages else None for w in both]))
    return console.table(["", "now", "before"], rows)


@commands.command("prometheus-rules")
def prometheus_rules(
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write them there instead.", show_default=False)] = None,
    defaults: Annotated[bool, typer.Option("--defaults", help="The product's defaults, for any project.")] = False,
) -> None:
    """Print alert rules for Prometheus that match each project's limits as they are now."""
    from core.monitoring import alert_rules

    text = alert_rules.default_rules() if defaults else alert_rules.installation_rules(console.open_home())
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="utf-8")
        print(f"The rules are in {out}.")
