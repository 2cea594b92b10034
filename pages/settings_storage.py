"""Settings: how much room the installation takes, how long things are kept, and what an administrator deletes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time

import streamlit as st

from core import erasure, retention, usage
from core.datasets import versions as datasets
from core.erasure import Traces
from core.errors import GreenlightError
from core.projects import projects
from core.projects.projects import get_definition
from pages import parts
from pages.session import PageContext
from pages.settings_forms import note, request_key, turn

_UNITS = {"predictions": "predictions", "requests": "requests and values", "logs": "files"}


def show(context: PageContext) -> None:
    _show_room(context)
    _show_rules(context)
    if not context.account.may("delete_data"):
        st.caption("How long things are kept, and what is deleted before, is decided by an administrator.")
        return
    st.header("Change or delete", anchor=False)
    # one at a time: to say what would go, each counts rows, which may take a moment
    names = [name for name in ACTIONS if context.project is not None or name == "keep"]
    chosen = st.segmented_control(
        "What to do", names, format_func=lambda n: ACTIONS[n][0], key="storage-action", label_visibility="collapsed"
    )
    if chosen:
        ACTIONS[chosen][1](context)


def _show_room(context: PageContext) -> None:
    found = usage.measure_usage(context.home)
    disk = usage.measure_disk(context.home)
    total = sum(u.bytes for u in found)
    st.markdown(f"This installation takes **{_size(total)}**; {_size(disk.free)} of the disk's {_size(disk.total)} are free.")
    rows = [{"What": u.name, "Size": _size(u.bytes), "Files": u.files, "Where": str(u.path)} for u in found]
    if not context.account.may("backup"):
        rows = [{k: v for k, v in row.items() if k != "Where"} for row in rows]
    st.dataframe(rows, hide_index=True, key="storage")
    st.caption(f"{len(projects.list_projects(context.home, archived=True))} projects, archived ones included.")


# How long


def _show_rules(context: PageContext) -> None:
    st.header("How long things are kept", anchor=False)
    rules = retention.list_rules(context.home, context.project.name if context.project else "")
    rows = [
        {
            "What": retention.KINDS[r.kind].capitalize(),
            "Of": r.project or "the installation",
            "Kept": f"for {retention.describe_days(r.days)}",
            "Set by": r.by or "",
            "On": parts.local_time(r.at) if r.at else "",
            "Last carried out": parts.local_time(r.enforced_at) if r.enforced_at else "",
        }
        for r in rules
        if r.project or r.kind == "logs"
    ]
    st.dataframe(rows, hide_index=True, key="retention")
    st.caption(
        f"Counts by hour stay, they name nobody. At least {retention.ADVISED_DAYS} days are advised: labels come late, and trends and "
        "answers to questions need the rows behind them. Single requests go after 62 days in any case."
    )


def _show_keep(context: PageContext) -> None:
    kinds = [*(retention.OF_A_PROJECT if context.project else ()), "logs"]
    kind = st.selectbox("What", kinds, format_func=lambda k: retention.KINDS[k].capitalize(), key="keep-kind")
    for_ever = st.toggle("For ever", key="keep-for-ever")
    days = None
    if not for_ever:
        days = int(st.number_input("Days", 1, retention.MOST_DAYS, retention.ADVISED_DAYS, key="keep-days"))
        if days < retention.ADVISED_DAYS:
            st.markdown(f":orange[:material/warning: Fewer than the {retention.ADVISED_DAYS} days that are advised.]")
    project = context.project.name if context.project and kind in retention.OF_A_PROJECT else ""
    of = f" of {project}" if project else ""
    due = retention.count_due(context.home, kind, days, project=project, now=context.now) if days else 0
    goes = f"{due:,} {_UNITS[kind]} are older and go within minutes; this cannot be undone." if due else "Nothing is older now."
    will = f"{retention.KINDS[kind].capitalize()}{of} are kept for {retention.describe_days(days)}. {goes}"
    reason = parts.confirm("Set", will, key=turn(f"keep-{kind}-{days}"), typed=project or kind, risky=bool(due))
    if reason is not None:
        with parts.guarded():
            retention.set_rule(
                context.home, context.actor, kind, days, project=project, confirm=project or kind, reason=reason,
                key=request_key("keep", kind, days, project), now=context.now,
            )  # fmt: skip
            note(f"{retention.KINDS[kind].capitalize()}{of} are kept for {retention.describe_days(days)}.")


# Who goes


def _show_erase(context: PageContext) -> None:
    assert context.project is not None
    project = context.project.name
    key_name = get_definition(context.home, project).key
    ways = ["key", "ids"] if key_name else ["ids"]
    words = {"key": f"by {key_name}", "ids": "by ids of predictions"}
    way = st.segmented_control(
        "Name the person", ways, format_func=lambda w: words[w], default=ways[0], key=f"erase-way-{project}", required=True
    )
    key_value = ""
    ids: tuple[str, ...] = ()
    if way == "key":
        key_value = st.text_input(key_name, key=turn("erase-key"), autocomplete="off").strip()
    else:
        ids = tuple(st.text_area("Ids of predictions, one a line", height=100, key=turn("erase-ids")).split())
    if not (key_value or ids):
        return
    try:
        with st.spinner("Looking wherever rows are kept …"):
            found = erasure.find_traces(context.home, project, key_value=key_value, prediction_ids=ids)
    except GreenlightError as error:
        st.error(parts.plain(error), icon=":material/error:")
        return
    _show_traces(found)
    if not found.anything:
        return
    will = (
        f"The features, answers and labels of {len(found.prediction_ids):,} predictions are blanked, with {len(found.folders)} scored "
        f"files and {len(found.samples)} drift reports in which they may stand. This cannot be undone. The audit keeps that it "
        "was done, and names the person by a code that cannot be turned back."
    )
    form = turn(f"erase-{erasure.name_person(context.home, project, key_value or ' '.join(ids))}")
    reason = parts.confirm("Erase", will, key=form, typed=project, risky=True)
    if reason is not None:
        with parts.guarded():
            done = erasure.erase(
                context.home, context.actor, project, key_value=key_value, prediction_ids=ids, confirm=project, reason=reason,
                key=request_key("erase", project, key_value, ids), now=context.now,
            )  # fmt: skip
            left = f" Still there: dataset {', '.join(map(str, done['datasets']))}." if done["datasets"] else ""
            pages = "" if done["clean"] else " What is left in free pages of the databases is written over later, in the night if they are large."
            note(f"{done['rows']:,} predictions, {done['labels']} labels and {done['keys']} keys are erased.{left}{pages}")


def _show_traces(found: Traces) -> None:
    if not found.anything:
        st.markdown(":gray[:material/info: Nothing of this person is kept here.]")
    for held in found.datasets:
        trained = f"; trained from it: {', '.join(held.trained)}" if held.trained else ""
        st.markdown(
            f":material/table: Dataset **{held.version}** holds {held.rows} rows{parts.plain(trained)}. It is evidence, and is not changed; "
            "its rows can be deleted as a whole below."
        )
    if found.unsearched:
        st.markdown(f":material/help: Dataset {', '.join(map(str, found.unsearched))} could not be read, so nobody knows.")


# What goes


def _show_purge_predictions(context: PageContext) -> None:
    assert context.project is not None
    project = context.project.name
    day: date | None = st.date_input("Made before (UTC)", None, max_value=context.now.date(), help="Empty: all.", key="purge-day")
    before = datetime.combine(day, time(), UTC) if day else None
    count = retention.count_predictions(context.home, project, before or context.now)
    if not count:
        st.markdown(":gray[:material/info: There is no such prediction.]")
        return
    which = f"{count:,} predictions of {project}" + (f" from before {day}" if day else "")
    will = f"{which} go, with their labels and keys. This cannot be undone. What was counted by hour stays."
    reason = parts.confirm("Delete predictions", will, key=turn(f"purge-{project}-{day}"), typed=project, risky=True)
    if reason is not None:
        with parts.guarded():
            done = retention.purge_predictions(
                context.home, context.actor, project, before=before, confirm=project, reason=reason,
                key=request_key("purge", project, str(day)), now=context.now,
            )  # fmt: skip
            note(f"{done['rows']:,} predictions and {done['labels']} labels of {project} are gone.")


def _show_purge_dataset(context: PageContext) -> None:
    assert context.project is not None
    project = context.project.name
    purged = datasets.find_purged(context.home, project)
    known = {d.version: d for d in datasets.list_datasets(context.home, project) if d.id not in purged}
    if not known:
        st.markdown(":gray[:material/info: There is no dataset version with rows.]")
        return
    version = st.selectbox(
        "Dataset version", list(known), format_func=lambda v: f"{v}: {known[v].rows:,} rows, {known[v].file_name}", key=f"purge-version-{project}"
    )
    users = retention.list_trained(context.home, known[version].id)
    if users:
        words = ", ".join(f"{v} ({parts.find_status(stage).word.lower()})" for v, stage in users)
        st.markdown(f"Trained from it: {parts.plain(words)}. Only once all of them are archived its rows can be deleted.")
    will = (
        f"The {known[version].rows:,} rows of dataset {version} go; its report and its hash stay. Nothing can be trained on it or compared "
        "with it any more. This cannot be undone, but for adding the same file again."
    )
    reason = parts.confirm("Delete rows", will, key=turn(f"purge-dataset-{project}-{version}"), typed=project, risky=True)
    if reason is not None:
        with parts.guarded():
            retention.purge_dataset(
                context.home, context.actor, project, version, confirm=project, reason=reason,
                key=request_key("purge-dataset", project, version), now=context.now,
            )  # fmt: skip
            note(f"The rows of dataset {version} of {project} are gone.")


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


ACTIONS: dict[str, tuple[str, Callable[[PageContext], None]]] = {
    "keep": ("Change how long", _show_keep),
    "erase": ("Erase one person", _show_erase),
    "predictions": ("Delete predictions", _show_purge_predictions),
    "dataset": ("Delete a dataset's rows", _show_purge_dataset),
}
