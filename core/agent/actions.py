"""Every action that the agent knows: its tier, its risk, and who may approve it. There are no others, whatever any text says."""

from __future__ import annotations

from dataclasses import dataclass

SAFE, RISKY, PERSON = "safe", "risky", "person"


@dataclass(frozen=True)
class Action:
    """One typed action.

    Attributes
    ----------
    tier : "safe", "risky" or "person"
        Safe runs by itself; risky needs an approved request at every severity; person is only advised.
    risk : "low", "medium", "high" or ""
    permission : str
        The row of the role table that approves it; "" for what needs nobody.
    says : str
        For a person: what it does, or what to do.
    if_nobody : str
        What happens if nobody answers the request.
    """

    name: str
    title: str
    tier: str
    says: str
    risk: str = ""
    permission: str = ""
    if_nobody: str = ""


_STAYS = "The request expires after 24 hours, nothing is changed, and the incident is escalated."

ACTIONS = {
    a.name: a
    for a in (
        Action("log", "Log", SAFE, "Writes the diagnosis into the log."),
        Action("alert", "Tell people", SAFE, "Tells the people who want to hear of it, by their channels."),
        Action("collect_diagnostics", "Collect diagnostics", SAFE, "Keeps health, statistics, findings and the last errors in a file."),
        Action("validate_data", "Validate data", SAFE, "Counts the newest rows that break the project's rules, by column."),
        Action("report", "Make a report", SAFE, "Makes a report of the incident as it stands."),
        Action("scale", "Raise the workers' limit", SAFE, "Lets one more job be worked on at the same time."),
        Action("clear_cache", "Clear the caches", SAFE, "Drops the loaded models; they are checked and loaded again."),
        Action("retrain", "Retrain", RISKY, "Trains a new version on fresh rows; nothing goes live by it.", "medium", "approve_retraining", _STAYS),
        Action("deploy", "Deploy", RISKY, "Makes an approved version live.", "high", "approve_release", _STAYS),
        Action("rollback", "Roll back", RISKY, "Makes a version live again that was live before.", "low", "approve_rollback", _STAYS),
        Action("change_setting", "Change a setting", RISKY, "Changes a gate or threshold.", "medium", "approve_settings", _STAYS),
        Action("delete_data", "Delete data", PERSON, "Delete the data by hand, as an administrator."),
        Action("repair_source", "Repair the source", PERSON, "Repair what sends these values; do not retrain before."),
        Action("check_labels", "Check the labels", PERSON, "Look at the newest labels: has their meaning changed, or are they wrong?"),
        Action("feed_labels", "Feed labels", PERSON, "Feed labels for the newest predictions, so that quality can be measured."),
    )
}
