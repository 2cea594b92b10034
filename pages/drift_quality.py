"""Model-quality drift: how the labelled predictions of a check's period stand beside the version's training."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.drift.checks import Check
from core.home import Home
from core.monitoring import quality
from core.monitoring.estimates import Metric
from core.monitoring.quality import Change
from core.registry import versions
from core.times import parse
from pages import parts

SIGNS = {"worse": "◆ Worse", "better": "● Better", "chance": "○ Within chance", "unknown": "✕ Unknown"}


def show(home: Home, check: Check) -> None:
    """Each metric now and in training, with what chance explains; then the classes, where the check counted them."""
    st.header("Quality, where labels are known", anchor=False)
    changes = _find_changes(home, check)
    if not changes and check.quality is None:
        said = "No current row has a label, so how often the model is right here is unknown."
        st.markdown(f":gray[:material/info: {said}]")
        if check.current.get("kind") == "log":
            parts.show_link("predict", "Feed labels")
        return
    if changes:
        _show_changes(changes)
    if check.quality is not None:
        _show_kept(check.quality, compared=bool(changes))


def _find_changes(home: Home, check: Check) -> list[Change]:
    """Of logged predictions with the labels known today; a file's labels were counted when it was checked."""
    version = next((v.version for v in versions.list_versions(home, check.project) if v.id == check.version_id), None)
    if check.current.get("kind") != "log" or version is None:
        return []
    since, until = check.current.get("since"), check.current.get("until")
    return quality.measure_change(
        home, check.project, since=parse(since) if since else datetime(1970, 1, 1, tzinfo=UTC), until=parse(until or check.at),
        version=version,
    )  # fmt: skip


def _show_changes(changes: list[Change]) -> None:
    # what is worse goes before what is better, and that before chance; among equals, the one that moved furthest
    order = ("unknown", "chance", "better", "worse")
    worst = max(changes, key=lambda c: (order.index(_verdict(c)), abs(c.relative or 0.0)))
    sign = parts.find_status({"worse": "warning", "better": "ok"}.get(_verdict(worst), _verdict(worst))).markdown
    st.markdown(f"{sign} {parts.plain(worst.sentence)}")
    rows = [
        {
            "Metric": quality.TITLES[c.name], "Now": _say(c.now), "Training": _say(c.training), "Change": _say_difference(c.difference),
            "Verdict": SIGNS[_verdict(c)],
        }
        for c in changes
    ]  # fmt: skip
    config = {"Change": st.column_config.TextColumn(help="Now minus training, with its 95 % interval; within chance where it covers 0")}
    st.dataframe(rows, hide_index=True, column_config=config, key="quality-drift", height=38 + 35 * len(rows))
    st.caption(f"Version {parts.plain(changes[0].version)} on {changes[0].rows:,} labelled predictions, against the hold-out of its training.")


def _verdict(change: Change) -> str:
    if change.within_chance is None:
        return "unknown"
    return "chance" if change.within_chance else "worse" if change.worse else "better"


def _say(metric: Metric) -> str:
    return "unknown" if metric.value is None else f"{metric.value:.2f}"


def _say_difference(difference: Metric | None) -> str:
    if difference is None or difference.value is None:
        return "unknown"
    interval = "" if difference.low is None else f" ({difference.low:+.2f} to {difference.high:+.2f})"
    return f"{difference.value:+.2f}{interval}"


def _show_kept(kept: dict[str, Any], *, compared: bool) -> None:
    """What the check itself counted, when it was made; ``compared``: its figure stands in the table already."""
    now, training = kept["now"], kept["training"]
    name = "accuracy" if "accuracy" in now else "mae"
    before = training.get(name)
    change = None if before is None else f"{now[name] - before:+.2f} against {before:.2f} on the hold-out"
    title = {"accuracy": "Accuracy now", "mae": "Mean absolute error now"}[name]
    if not compared:
        st.metric(title, f"{now[name]:.2f}", change, delta_color="normal" if name == "accuracy" else "inverse")
    fixed = "the most frequent answer" if name == "accuracy" else "the mean"
    version = parts.plain(kept["version"])
    base = f"{title.removesuffix(' now')} of always giving {fixed}: {now[f'baseline_{name}']:.2f}."
    st.caption(base if compared else f"Version {version} on {kept['rows']} labelled rows. {base}")
    if "recall_by_class" in now:
        rows = [{"Class": k, "Found of this class": 100 * v} for k, v in now["recall_by_class"].items()]
        config = {"Found of this class": st.column_config.NumberColumn(format="%.0f %%")}
        st.dataframe(rows, hide_index=True, column_config=config, key="recalls")
