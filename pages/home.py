"""Home: is all well, and what waits for me?"""

from __future__ import annotations

import streamlit as st

from core import overview as overviews
from core.agent.agent_requests import AgentRequest
from core.approvals import Request
from core.numbers import say_number
from core.overview import Overview, Verdict
from core.projects import projects
from core.projects.proposals import SettingRequest
from pages import charts, charts_drift, charts_home, contents, parts
from pages.session import PageContext

LEVELS = {"ok": "ok", "look": "warning", "act": "critical", "unknown": "unknown"}
BESIDE = (6, 1)  # a sentence and its link: one below the other where it is narrow
ALERTS = 5  # lines on this page; Monitoring has them all
_LINKS = {Request: "request", SettingRequest: "settings", AgentRequest: "agent"}  # what a link to Approvals names it by
METRICS = {"accuracy": "Accuracy", "r2": "R2", "ndcg": "NDCG"}


def show(context: PageContext) -> None:
    """A verdict per project, the four cards, what waits, and how the chosen project has done lately."""
    parts.show_title("Home", "Is all well, and what waits for me?")
    known = projects.list_projects(context.home)
    if not known or context.project is None:
        step = "A project begins with a table of examples."
        parts.show_empty("There is no project yet.", step, page="data", label="New project")
        return
    views = {p.name: overviews.overview(context.home, p.name, context.account, context.now) for p in known}
    view = views[context.project.name]
    _show_verdicts(context, views)
    _show_cards(view)
    _show_waiting(context)
    _show_alerts(context, views)
    left, right = st.columns(2, gap="medium")
    with left:
        _show_accuracy(view)
        _show_classes(view)
    with right:
        _show_drift(context, view)
    _show_clock(view)


def _show_verdicts(context: PageContext, views: dict[str, Overview]) -> None:
    with st.container(border=True, gap="xsmall", key="verdicts"):
        for name, view in views.items():
            said, link = st.columns(BESIDE, vertical_alignment="center")
            sign = parts.find_status(LEVELS[view.verdict.level]).markdown
            said.markdown(f"{sign} **{parts.plain(view.project.title)}**: {parts.plain(view.verdict.reason)}")
            page = _find_page(context, view.verdict)
            if page:
                with link:
                    parts.show_link(page, "Look into it", project=name)


def _find_page(context: PageContext, verdict: Verdict) -> str:
    """Where the reason can be looked into: a page that there is and that this role may open, else Monitoring; nobody meets a closed door."""
    if verdict.level == "ok" or not verdict.page:
        return ""
    pages = {p.url: not p.action or context.account.may(p.action) for p in contents.PAGES}
    return next((url for url in (verdict.page, "monitoring") if pages.get(url)), "")


def _show_cards(view: Overview) -> None:
    version, accuracy, today, drift = st.columns(4)
    with version, st.container(border=True, height="stretch"):
        st.metric("Live version", view.live.version if view.live else "none")
        st.caption(f"since {parts.plain(parts.local_time(view.live.live_from))}" if view.live else "Nothing answers yet.")
    with accuracy, st.container(border=True, height="stretch"):
        _show_headline(view)
    with today, st.container(border=True, height="stretch"):
        st.metric("Predictions today", _thousands(view.today))
        st.caption(f"since midnight UTC; {_thousands(view.yesterday)} the day before")
    with drift, st.container(border=True, height="stretch"):
        overall = view.check.result.overall if view.check else view.drift.detail["overall"] if view.drift else None
        st.metric("Drift", "unknown" if overall is None else f"{overall:.2f}")
        if view.check is None and view.drift is not None:
            st.caption(f"{parts.find_status(view.drift.state).markdown} measured by the clock on {_thousands(view.drift.rows or 0)} predictions")
        elif view.check is None:
            st.caption("No check was made against what is live.")
        else:
            drifted = sum(c.status == "drift" for c in view.check.result.columns)
            columns = f"{drifted} of {len(view.check.result.columns)} columns drifted, " if drifted else ""
            # outside of the caption, which would pale the colour of the sign
            st.markdown(f"{_drift_word(view)} :gray[:small[{columns}{parts.plain(parts.local_time(view.check.at))}]]")


def _show_headline(view: Overview) -> None:
    headline = view.headline
    if headline is None:
        st.metric("Accuracy", "unknown")
        st.caption("It is undefined on the rows kept aside." if view.live else "It is known once a version is live.")
        return
    gain = None if headline.gain is None else f"{headline.gain:+.2f} over baseline {headline.baseline:.2f}"
    st.metric(METRICS[headline.metric], f"{headline.value:.2f}", gain)
    rows = "" if headline.rows is None else f"on {headline.rows} rows kept aside"
    interval = "" if headline.low is None else f"95 %: {headline.low:.2f} to {headline.high:.2f}"
    st.caption("; ".join(t for t in (interval, rows) if t))


def _drift_word(view: Overview) -> str:
    """The worst of the overall band and the alert, because one broken column hardly moves the mean."""
    if view.check is None:
        return ""
    status = {"high": "drift", "medium": "warning", "none": "ok"}.get(view.check.alert["level"], "unknown")
    return parts.find_status(status).markdown


def _show_alerts(context: PageContext, views: dict[str, Overview]) -> None:
    """The open alerts of every project: a line for each of the worst, and how many more there are."""
    opened = [(view.project, alert) for view in views.values() for alert in view.alerts]
    if not opened:
        return
    opened.sort(key=lambda pair: (pair[1].severity != "critical", pair[1].state != "active", -pair[1].id))
    st.header(f"Alerts ({len(opened)})", anchor=False)
    for project, alert in opened[:ALERTS]:
        said, link = st.columns(BESIDE, vertical_alignment="center")
        sign = parts.find_status(alert.severity).markdown
        seen = f"acknowledged by {alert.acknowledged_by}" if alert.state == "acknowledged" else f"since {parts.local_time(alert.since)}"
        about = f"{parts.plain(project.title)}, {parts.plain(alert.title)}: {parts.plain(alert.sentence)}"
        said.markdown(f"{sign} {about} :gray[{parts.plain(seen)}]")
        if context.account.may("view_metrics"):
            with link:
                parts.show_link("monitoring", "Open", project=project.name, alert=str(alert.id))
    if len(opened) > ALERTS:
        st.caption(f"{len(opened) - ALERTS} more are on Monitoring.")


def _show_waiting(context: PageContext) -> None:
    st.header("What waits for you", anchor=False)
    waiting = overviews.list_waiting(context.home, context.account, context.now)
    todo = [w for w in waiting if w.what != "mine"]
    if not todo:
        st.markdown(f"{parts.find_status('ok').markdown} Nothing waits for you.")
    for item in waiting:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            sign = ":gray[:material/schedule: Yours]" if item.what == "mine" else parts.find_status("waiting").markdown
            lapses = item.request.lapses_at if isinstance(item.request, Request) else None
            until = item.request.expires_at if item.request.state == "pending" else lapses
            ends = f" It ends {parts.plain(parts.local_time(until))}." if until else ""
            st.markdown(f"{sign} {parts.plain(item.sentence)}{ends}", width="content")
            label = {"decide": "Decide", "deploy": "Deploy"}.get(item.what, "Open")
            if item.what == "deploy" and isinstance(item.request, Request):
                parts.show_link("registry", label, project=item.request.project, version=item.request.version)
            else:
                query = {_LINKS[type(item.request)]: str(item.request.id)}
                parts.show_link("approvals", label, project=item.request.project, **query)


def _show_accuracy(view: Overview) -> None:
    st.header("Right answers, last 30 days", anchor=False)
    quality = view.quality
    if view.live is None:
        _say("Nothing is live, so there is nothing to be right about.")
    elif quality is None:
        _say("No labels came back for the live version, so how often it is right is unknown. Feed them on the Predict page.")
    elif "accuracy" not in quality:
        st.markdown(
            f"The live version predicts numbers: on {quality['rows']} labelled predictions it is off by **{say_number(quality['mae'], 3)}** "
            f"on average; always answering their mean would be off by {say_number(quality['baseline_mae'], 3)}."
        )
    else:
        st.markdown(
            f"Version {parts.plain(view.live.version)} was right in **{quality['accuracy']:.0%}** of "
            f"{_thousands(quality['rows'])} labelled predictions (95 %: {quality['low']:.0%} to {quality['high']:.0%}); "
            f"always giving the most frequent answer would be right in {quality['baseline_accuracy']:.0%}."
        )
        floor = view.limits.thresholds.accuracy_floor
        figure = charts_home.accuracy_by_day(view.daily, baseline=quality["baseline_accuracy"], floor=floor)
        alt = f"Share of right answers a day, {len(view.daily)} days with labels; overall {quality['accuracy']:.0%}."
        charts.show_figure(figure, alt=alt, key="accuracy-by-day")


def _show_classes(view: Overview) -> None:
    if not view.definition.is_classifier:
        return
    st.header("Answers per class, last 30 days", anchor=False)
    if not view.by_label:
        _say(
            "The live version has answered nothing in the last 30 days."
            if view.live
            else "Nothing is live, so there are no answers."
        )
        return
    binary = view.definition.task == "binary"
    words = {"1": f"1 ({view.definition.target} {view.definition.positive})", "0": "0 (otherwise)"} if binary else None
    spoken = ", ".join(f"{name}: {n}" for name, n in view.by_label.items())
    charts.show_figure(charts_home.answers_by_class(view.by_label, words), alt=f"Predictions per class: {spoken}.", key="classes")


def _show_drift(context: PageContext, view: Overview) -> None:
    st.header("Drift per column", anchor=False)
    check = view.check
    if check is None and view.drift is not None:
        st.markdown(f"{parts.find_status(view.drift.state).markdown} {parts.plain(view.drift.sentence)}")
    elif check is None:
        unmade = "No drift check was made against the live version."
        _say(unmade if view.live else "Nothing is live, so nothing can have drifted.")
    else:
        since = f" {_thousands(view.since_check)} prediction{'s' * (view.since_check != 1)} came since." if view.since_check else ""
        st.markdown(f"{_drift_word(view)} {parts.plain(check.alert['sentence'])}")
        compared = f"{check.current['label']} against {check.reference['label']}"
        st.caption(f"{parts.plain(compared)}; check {check.id} of {parts.plain(parts.local_time(check.at))}.{since}")
        alt = f"Drift score per column. {check.alert['sentence']}"
        charts.show_figure(charts_drift.drift_bars(check.result), alt=alt, key="drift")
    if view.live and context.account.may("analyse_drift"):
        query = {"check": str(check.id)} if check else {}
        parts.show_link("drift", "Open the check" if check else "Run a drift check", **query)


def _show_clock(view: Overview) -> None:
    if view.clock is None:
        st.caption(":material/schedule: The clock has not looked yet whether a retraining is due.")
        return
    answer = f"{parts.plain(view.clock.sentence)}"
    last, following = (parts.plain(parts.local_time(t)) for t in (view.clock.at, view.clock.next_at))
    word = "**Retraining due.** " if view.clock.due else ""
    st.caption(f":material/schedule: {word}{answer} Looked at {last}; looks again {following}.")


def _say(sentence: str) -> None:
    st.markdown(f":gray[:material/info:] {parts.plain(sentence)}")


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
