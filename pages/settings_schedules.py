"""Settings: what is done by itself, when next, what came of it last, and every slot with the missed ones."""

from __future__ import annotations

import zoneinfo
from datetime import timedelta
from functools import lru_cache
from itertools import islice
from typing import Any

import streamlit as st

from core import backup
from core.home import Home
from core.schedule import rules, schedules, slots
from core.schedule.schedules import KINDS, WHOLE, Schedule, Slot
from core.times import parse
from pages import parts
from pages.session import PageContext
from pages.settings_forms import note, request_key, turn

STATES = {"running": "○ Running", "done": "● Done", "skipped": "○ Skipped", "failed": "▲ Failed", "missed": "▲ Missed"}
TRIGGERS = {"schedule": "schedule", "catch_up": "catching up", "person": "a person"}
WHAT = {
    "drift_check": "Compares the last day's predictions with the training data; opens or settles drift alerts.",
    "quality_check": "Looks at the data, the answers and, where labels came back, how often the live version is right.",
    "retrain_check": "Measures every reason to retrain; one of time or of new labels starts a retraining, which changes nothing that is live.",
    "export": "Takes the project's source as it is today, with the labelled predictions, as a new dataset version.",
    "report": "Makes a report of the last seven days, or of the newest drift check, and sends it to those who want it.",
    "backup": "Copies the whole installation, with its secret key, into one checked file of the data folder.",
}
FORMS = {"every_days": "Every few days", "weekly": "Weekly", "monthly": "Monthly", "cron": "Cron rule"}
LATELY = timedelta(days=7)


def show(context: PageContext) -> None:
    """All kinds in one table, then the chosen one: its rule, what can be done with it, its history."""
    known = {s.kind: s for s in schedules.list_schedules(context.home, "")}
    if context.project is not None:
        known |= {s.kind: s for s in schedules.list_schedules(context.home, context.project.name)}
    kinds = [k for k in KINDS if context.project is not None or k in WHOLE]
    st.markdown(_say_all(context, known))
    st.dataframe(
        [_row(context, kind, known.get(kind)) for kind in kinds], hide_index=True, key="schedules",
        column_config={"Next run": parts.time_column(), "Last run": parts.time_column(), "Came of it": st.column_config.TextColumn(width="medium")},
    )  # fmt: skip
    kind = _choose(kinds, known)
    _show_one(context, kind, known.get(kind))


def _say_all(context: PageContext, known: dict[str, Schedule]) -> str:
    where = parts.plain(context.project.title) if context.project else "This installation"
    if not known:
        return f"Nothing is scheduled for **{where}** yet: nothing is checked, exported or kept beyond what the clock watches each minute."
    coming = min((s for s in known.values() if s.next_at), key=lambda s: str(s.next_at), default=None)
    missed = sum(len(_missed_lately(context, s)) for s in known.values())
    sentences = [f"{len(known)} of {len(KINDS)} kinds are scheduled for **{where}**."]
    if coming is not None:
        sentences.append(f"Next: {coming.title.lower()}, {parts.plain(parts.local_time(str(coming.next_at)))}.")
    failed = [s for s in known.values() if s.last is not None and s.last.state == "failed"]
    if failed:
        sentences.append(f":red[:material/error: The last {failed[0].title.lower()} failed.]")
    if missed:
        times = "1 run was" if missed == 1 else f"{missed} runs were"
        sentences.append(f":orange[:material/warning: {times} missed in the last 7 days: the console was not up when they were due.]")
    return " ".join(sentences)


def _row(context: PageContext, kind: str, schedule: Schedule | None) -> dict[str, Any]:
    row: dict[str, Any] = {"What": KINDS[kind] + (" (installation)" if kind in WHOLE else "")}
    if schedule is None:
        return {**row, "Next run": "", "When": "not scheduled", "Last run": "", "Came of it": "", "Missed, 7 days": ""}
    last = schedule.last
    return {
        **row,
        "Next run": "paused" if schedule.next_at is None else parts.short_time(schedule.next_at),
        "When": schedule.said,
        "Last run": parts.short_time(last.slot_at) if last else "never",
        "Came of it": f"{STATES[last.state]}: {last.sentence}" if last else "",
        "Missed, 7 days": str(len(_missed_lately(context, schedule))),
    }


def _missed_lately(context: PageContext, schedule: Schedule) -> list[Slot]:
    found = schedules.list_slots(context.home, schedule.id, limit=500, states=("missed",))
    return [s for s in found if parse(s.slot_at) > context.now - LATELY]


def _choose(kinds: list[str], known: dict[str, Schedule]) -> str:
    """The kind that is looked at closely; it is named in the link."""
    wanted = st.query_params.get("kind")
    if "schedule-kind" not in st.session_state or st.session_state["schedule-kind"] not in kinds:
        st.session_state["schedule-kind"] = wanted if wanted in kinds else next((k for k in kinds if k in known), kinds[0])
    kind = st.segmented_control("Schedule", kinds, format_func=lambda k: KINDS[k], key="schedule-kind", required=True)
    if kind and kind != wanted:
        st.query_params["kind"] = kind
    return kind or kinds[0]


def _show_one(context: PageContext, kind: str, schedule: Schedule | None) -> None:
    st.header(KINDS[kind], anchor=False)
    st.caption(WHAT[kind])
    if schedule is not None:
        _show_state(context, schedule)
    permission = schedules.permission_of(kind)
    if context.account.may(permission):
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _show_rule(context, kind, schedule)
        with right:
            if schedule is not None:
                _show_acts(context, schedule)
    else:
        parts.show_whom_to_ask(context.home, context.account, f"Scheduling a {KINDS[kind].lower()}", permission)
    if schedule is not None:
        _show_history(context, schedule)
    if kind == "backup" and context.account.may("backup"):
        _show_backups(context.home)


def _show_state(context: PageContext, schedule: Schedule) -> None:
    if schedule.last is not None and schedule.last.state == "running":
        _show_running(context.home, schedule.id, schedule.last.slot_at)
    elif schedule.last is not None:
        last, sign = schedule.last, parts.find_status("ok" if schedule.last.state == "done" else schedule.last.state)
        state = f":{sign.colour}[{sign.icon} {STATES[last.state][2:].lower()}]"
        st.markdown(
            f"Last: {state}, {parts.plain(parts.local_time(last.slot_at))}. {parts.plain(last.sentence)}",
            help=f"Due {parts.plain(parts.utc_time(last.slot_at))}",
        )
    by = f"set by {parts.plain(schedule.changed_by)}, {parts.plain(parts.local_time(schedule.changed_at))}"
    if schedule.paused:
        st.markdown(f"{parts.find_status('waiting').icon} **Paused**; the rule is {parts.plain(schedule.said)} ({by}).")
        return
    moments = list(islice(rules.slots_after(schedule.rule, context.now), 3))
    coming = [parts.plain(parts.local_time(m)) for m in moments]
    said = schedule.said[0].upper() + schedule.said[1:]
    utc = "; ".join(parts.plain(parts.utc_time(m)) for m in moments)
    st.markdown(f"{parts.plain(said)} ({by}). Next: {'; '.join(coming)}.", help=f"Next: {utc}")


@st.fragment(run_every=1.5)
def _show_running(home: Home, schedule_id: int, slot_at: str) -> None:
    slot = slots.get_slot(home, schedule_id, slot_at)
    if slot.state != "running":
        st.rerun()
    st.markdown(f"{parts.find_status('running').markdown} since {parts.plain(parts.local_time(slot.started_at))}; it goes on when this page is left.")


def _show_rule(context: PageContext, kind: str, schedule: Schedule | None) -> None:
    rule = schedule.rule if schedule else {}
    forms = list(FORMS)
    now_form = next((f for f in forms if f in rule), "every_days")
    form = st.selectbox("How often", forms, index=forms.index(now_form), format_func=lambda f: FORMS[f], key=turn(f"schedule-form-{kind}"))
    with st.form(turn(f"schedule-{kind}-{form}"), border=True):
        wanted: dict[str, Any] = {form: _ask_form(kind, form, rule)}
        if form != "cron":
            at = st.time_input("At", rule.get("at", "06:00"), step=60 * 5, key=turn(f"schedule-at-{kind}"))
            wanted["at"] = f"{at:%H:%M}"
        zones = _list_zones()
        here = rule.get("timezone") or st.context.timezone or "UTC"
        wanted["timezone"] = st.selectbox(
            "Time zone", zones, index=zones.index(here) if here in zones else zones.index("UTC"), key=turn(f"schedule-zone-{kind}"),
            help="A time that the spring night leaves out is the first one after it; one that the autumn night has twice runs once.",
        )  # fmt: skip
        params: dict[str, Any] | None = None
        kept = schedule.params if schedule else schedules.PARAMS.get(kind, {})
        if kind == "report":
            which = schedules.CHOICES["kind"]
            params = {
                "kind": st.selectbox("Report", which, index=which.index(kept["kind"]), format_func=str.capitalize, key=turn("schedule-report"))
            }
        if kind == "backup":
            params = {"keep": int(st.number_input("Backups to keep", 1, 1000, int(kept["keep"]), key=turn("schedule-keep")))}
        sent = st.form_submit_button("Change schedule" if schedule else "Schedule it", type="primary")
    if sent:
        with parts.guarded():
            project = "" if kind in WHOLE or context.project is None else context.project.name
            done = schedules.set_schedule(
                context.home, context.actor, project, kind, wanted, params=params, now=context.now,
                key=request_key("schedule-set", project, kind, *wanted.items(), params, schedule.changed_at if schedule else ""),
            )  # fmt: skip
            before = schedule.said if schedule else "not scheduled"
            note(f"{KINDS[kind]}: {before} before, {rules.say_rule(done['rule'])} now; next {parts.local_time(done['next_at'])}.")


@lru_cache(maxsize=1)
def _list_zones() -> list[str]:
    return sorted(zoneinfo.available_timezones())


def _ask_form(kind: str, form: str, rule: dict[str, Any]) -> Any:
    key = turn(f"schedule-{form}-of-{kind}")
    if form == "every_days":
        return int(st.number_input("Every so many days", 1, rules.MOST_DAYS, int(rule.get(form, 1)), key=key))
    if form == "weekly":
        days = list(rules.DAYS)
        return st.selectbox("Day", days, index=days.index(rule.get(form, "mon")), format_func=lambda d: rules.DAY_NAMES[days.index(d)], key=key)
    if form == "monthly":
        return int(st.number_input("Day of the month", 1, 31, int(rule.get(form, 1)), help="A month without it: its last day.", key=key))
    return st.text_input(
        "Rule", rule.get(form, "0 6 * * 1-5"), max_chars=200, key=key, help="Five fields: minute, hour, day of the month, month, day of the week."
    )


def _show_acts(context: PageContext, schedule: Schedule) -> None:
    moment = schedule.last.slot_at if schedule.last else ""
    running = schedule.last is not None and schedule.last.state == "running"
    if st.button("Run now", icon=":material/play_arrow:", disabled=running, key=turn(f"schedule-run-{schedule.id}")):
        with parts.guarded():
            key = request_key("schedule-run", schedule.id, moment)
            slots.run_now(context.home, context.actor, schedule.id, wait=False, key=key, now=context.now)
            note(f"{schedule.title}: started.")
    label, change, now_is = ("Resume", schedules.resume, "resumed") if schedule.paused else ("Pause", schedules.pause, "paused")
    goes_on = "It goes on with the next run that is due."
    stops = "Nothing runs until it is resumed; what comes due meanwhile is not counted as missed."
    with st.expander(f"{label} this schedule", expanded=schedule.paused):
        reason = parts.confirm(label, goes_on if schedule.paused else stops, key=turn(f"schedule-pause-{schedule.id}"))
    if reason is not None:
        with parts.guarded():
            key = request_key("schedule-pause", schedule.id, label, schedule.changed_at)
            change(context.home, context.actor, schedule.id, reason=reason, key=key, now=context.now)
            note(f"{schedule.title}: {'paused' if schedule.paused else 'active'} before, {now_is} now.")
    with st.expander("Remove this schedule"):
        will = "Nothing of this kind runs by itself any more; its history stays in the audit."
        reason = parts.confirm("Remove schedule", will, key=turn(f"schedule-remove-{schedule.id}"), risky=True)
    if reason is not None:
        with parts.guarded():
            key = request_key("schedule-remove", schedule.id)
            schedules.remove(context.home, context.actor, schedule.id, reason=reason, key=key, now=context.now)
            note(f"{schedule.title}: {schedule.said} before, not scheduled now.")


def _show_history(context: PageContext, schedule: Schedule) -> None:
    count = schedules.count_slots(context.home, schedule.id)
    if not count:
        st.markdown(":gray[:material/info: It has not come due yet, so there is no history.]")
        return
    st.markdown("**Runs so far**: " + ", ".join(f"{n:,} {state}" for state, n in sorted(count.items())))
    names = ["every run", *(s for s in STATES if s in count)]
    chosen = st.segmented_control("Show", names, default="every run", key=f"slots-shown-{schedule.id}", label_visibility="collapsed")
    states = () if chosen in (None, "every run") else (chosen,)
    found = schedules.list_slots(context.home, schedule.id, limit=100, states=states)
    rows = [
        {
            "Due": parts.short_time(s.slot_at), "State": STATES[s.state], "Came of it": s.sentence,
            "Run by": "" if s.state == "missed" else TRIGGERS[s.trigger],
            "Took": f"{s.outcome['seconds']:.1f} s" if "seconds" in s.outcome else "", "Correlation id": s.correlation_id,
        }
        for s in found
    ]  # fmt: skip
    st.dataframe(
        rows, hide_index=True, key=f"slots-{schedule.id}",
        column_config={
            "Due": parts.time_column(), "Came of it": st.column_config.TextColumn(width="large"), "Run by": st.column_config.TextColumn(width=110),
        },
    )  # fmt: skip
    if sum(count.values()) > len(rows) and len(rows) == 100:
        st.caption(f"The newest 100; `schedule history {schedule.id}` lists all.")


def _show_backups(home: Home) -> None:
    found = backup.list_backups(home)
    if not found:
        return
    st.markdown(f"**Backups** in {parts.plain(found[0].parent)}")
    rows = [{"File": p.name, "Size": f"{p.stat().st_size / 1_000_000:.1f} MB"} for p in found if p.exists()]
    st.dataframe(rows, hide_index=True, key="backups")
    st.caption("A backup holds the secret key: copy it to another machine and keep it as safe as this one. It comes back with `restore FILE`.")
