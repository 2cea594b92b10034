"""The table of contents: which pages exist, in which group, and which action of the roles table opens each."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ("Now", "Build", "Release", "Watch", "Account for it")


@dataclass(frozen=True)
class Page:
    """One page of the console.

    Attributes
    ----------
    url : str
        Its path below the root; also the name of the module ``pages.<url>`` that has ``show(context)``.
    action : str
        The action of the roles table that a visitor must be allowed; "" means everybody who is signed in.
    icon : str
        A Material symbol.
    """

    url: str
    title: str
    group: str
    icon: str
    action: str = ""
    default: bool = False

    @property
    def module(self) -> str:
        return f"pages.{self.url}"


PAGES = (
    Page("home", "Home", "Now", ":material/home:", default=True),
    Page("data", "Data", "Build", ":material/table:"),
    Page("training", "Training", "Build", ":material/model_training:", "train"),
    Page("comparison", "Comparison", "Build", ":material/compare_arrows:", "view_metrics"),
    Page("registry", "Registry", "Release", ":material/deployed_code:", "view_metrics"),
    Page("approvals", "Approvals", "Release", ":material/fact_check:", "view_metrics"),
    Page("predict", "Predict", "Release", ":material/online_prediction:", "predict"),
    Page("monitoring", "Monitoring", "Watch", ":material/monitoring:", "view_metrics"),
    Page("drift", "Drift", "Watch", ":material/water:", "analyse_drift"),
    Page("trends", "Trends", "Watch", ":material/trending_up:", "view_metrics"),
    Page("logs", "Logs", "Watch", ":material/receipt_long:", "view_logs"),
    Page("agent", "Agent", "Watch", ":material/smart_toy:", "view_metrics"),
    Page("audit", "Audit", "Account for it", ":material/history_edu:", "view_audit"),
    Page("reports", "Reports", "Account for it", ":material/summarize:", "view_metrics"),
    Page("settings", "Settings", "Account for it", ":material/settings:"),
)

DEFAULT_PATH = next(f"/{page.url}" for page in PAGES if page.default)


def known_paths() -> frozenset[str]:
    """The paths that answer with the console; anything else below the root is not found."""
    return frozenset({"/", *(f"/{page.url}" for page in PAGES)})
