"""From the evidence of a release request to sentences that a director reads.

Pure functions: a request in, sentences out. Every sentence is a template in ``TEMPLATES``, by language, so that a
second language is a second table (numbers and names come from the evidence, never from the template).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.approvals import Request
from core.numbers import say_number
from core.projects.definition import Definition
from core.scoring.accuracy import wilson

TEMPLATES: dict[str, dict[str, str]] = {
    "en": {
        "q_change": "What would change",
        "q_affected": "For whom",
        "q_good": "How good it is",
        "q_nothing": "Against doing nothing",
        "q_live": "Against what is live",
        "q_sure": "How sure that is",
        "q_risk": "What if it is wrong",
        "q_silence": "If nobody answers",
        "change_first": "{title} has no live version. Version {version} ({model}) would be the first to answer.",
        "change_next": "Version {version} ({model}) would answer for {title} in place of version {live}.",
        "change_over": "Version {version} ({model}) of {title}: the decision has been taken; what is live now is "
        "shown in the registry.",
        "model_unknown": "model unknown",
        "affected": "Everybody who asks {title} for a prediction; answers in the last 30 days: {recent}.",
        "affected_nobody": "Everybody who asks {title} for a prediction; nobody did in the last 30 days.",
        "good_accuracy": "It answered {hits} of {rows} cases right that it had never seen ({share} of 100).",
        "good_binary": "Of {positive} cases that were positive it found {tp} and missed {fn}; of {negative} that were "
        "not, it raised a "
        "false alarm for {fp}.",
        "good_worst_class": "Weakest on {name}: it recognises {share} of 100 of them.",
        "good_mae": "On {rows} cases that it had never seen it was off by {mae} on average.",
        "good_ndcg": "On {rows} items that it had never seen its order reaches {ndcg} of 100 of the best possible one (NDCG).",
        "good_unknown": "How good it is, is unknown: the evidence holds no test on unseen cases.",
        "nothing_accuracy": "Without any model, always giving the most common answer, {share} of 100 would be right.",
        "nothing_mae": "Without any model, always giving the average, the error would be {mae}.",
        "nothing_ndcg": "Without any model the order would reach {ndcg} of 100.",
        "nothing_unknown": "Unknown: no baseline stands beside it.",
        "live_none": "Nothing was live when this was requested, so there was nothing to compare with.",
        "live_moved": "Since then version {live} has gone live, which was not compared.",
        "live_better": "Better than version {version} on the same {rows} cases: {metric} {new} against {old}.",
        "live_worse": "Worse than version {version} on the same {rows} cases: {metric} {new} against {old}.",
        "live_same": "Not distinguishable from version {version} on the same {rows} cases: {metric} {new} against "
        "{old}; the true difference "
        "may lie anywhere between {low} and {high}.",
        "live_alike": "They do not differ on the same {rows} cases: {metric} {new} for it and for version {version}.",
        "live_flattered": "Version {version} may have been trained on some of these cases, which flatters it.",
        "sure_share": "From {rows} cases only: on others like them, between {low} and {high} of 100 would be right "
        "(19 times in 20).",
        "sure_metric": "From {rows} cases only: the true {metric} lies between {low} and {high} (19 times in 20).",
        "sure_mae": "From {rows} cases only: on others like them it would be off by {low} to {high} on average (19 times in 20).",
        "sure_unknown": "Unknown: no interval could be computed.",
        "risk_wrong": "About {wrong} of 100 answers are wrong even on data like that it was tested on.",
        "risk_costs": "A missed case counts {ratio} times as much as a false alarm in this project.",
        "risk_elsewhere": "It learned from {rows} rows; on data unlike them it may do worse, and the "
        "Drift page helps to see that.",
        "risk_gates": "It fails {count} of the conditions that the project has set: {names}.",
        "risk_way_back": "Risk: high, as with every new version. Way back: one click returns to version {live}.",
        "risk_way_back_none": "Risk: high, as with every new version. Way back: it can be taken out of service; "
        "nothing answers then.",
        "silence_pending": "The request expires on {expires}. Nothing changes then, and it can be asked again.",
        "silence_approved": "It is approved; DevOps can deploy it until {lapses}. After that the approval lapses.",
        "silence_over": "This request is {state}; nothing waits for an answer.",
        "gate_metric": "Good enough",
        "gate_baseline": "Better than doing nothing",
        "gate_class_recall": "No class is neglected",
        "gate_known_cases": "Known cases are right",
        "gate_live": "Not worse than the live version",
        "passed": "Passed",
        "failed": "Failed",
        "not_asked": "Not asked",
    }
}  # fmt: skip

METRICS = {
    "f1": "F1",
    "r2": "R2",
    "ndcg": "NDCG",
    "auc": "AUC",
    "mae": "MAE",
    "mse": "MSE",
    "rmse": "RMSE",
    "mrr": "MRR",
    "ndcg_at_10": "NDCG at 10",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "log_loss": "Log loss",
    "brier": "Brier score",
}


@dataclass(frozen=True)
class Line:
    """One question of the decision and its answer in a sentence or two."""

    topic: str
    question: str
    answer: str


@dataclass(frozen=True)
class GateLine:
    """One condition: ``state`` is passed, failed or not_asked; ``word`` says it."""

    name: str
    title: str
    state: str
    word: str
    sentence: str


def brief(
    request: Request,
    definition: Definition,
    *,
    live: str | None,
    recent: int,
    expires: str,
    lapses: str = "",
    language: str = "en",
) -> list[Line]:
    """Everything that a person needs for the decision, in the order in which it is asked.

    Parameters
    ----------
    live : str or None
        The version that is live now.
    recent : int
        Predictions of the last 30 days.
    expires, lapses : str
        Local times in words.
    """
    words, evidence = TEMPLATES[language], request.evidence
    change = "change_over" if request.state not in ("pending", "approved") else "change_next" if live else "change_first"
    title, model = definition.title, evidence.get("model") or words["model_unknown"]
    affected = words["affected" if recent else "affected_nobody"].format(title=title, recent=f"{recent:,}")
    silence = {"pending": "silence_pending", "approved": "silence_approved"}.get(request.state, "silence_over")
    return [
        Line("change", words["q_change"], words[change].format(title=title, version=request.version, model=model, live=live)),
        Line("affected", words["q_affected"], affected),
        Line("good", words["q_good"], _good(evidence, definition, words)),
        Line("nothing", words["q_nothing"], _nothing(evidence, definition, words)),
        Line("live", words["q_live"], _against_live(evidence, live, words)),
        Line("sure", words["q_sure"], _sure(evidence, definition, words)),
        Line("risk", words["q_risk"], _risk(request, definition, live, words)),
        Line("silence", words["q_silence"], words[silence].format(expires=expires, lapses=lapses, state=request.state)),
    ]


def gate_lines(request: Request, language: str = "en") -> list[GateLine]:
    """The conditions of the release gate, failed ones first."""
    words = TEMPLATES[language]
    lines = []
    for gate in request.evidence.get("gates", []):
        state = {True: "passed", False: "failed", None: "not_asked"}[gate["passed"]]
        title = words.get(f"gate_{gate['name']}", str(gate["name"]))
        lines.append(GateLine(gate["name"], title, state, words[state], gate["sentence"]))
    return sorted(lines, key=lambda line: ("failed", "passed", "not_asked").index(line.state))


def metrics_of(evidence: dict[str, Any]) -> dict[str, Any]:
    """The hold-out metrics with the decision threshold that the request is for."""
    return {**(evidence.get("metrics") or {}), **(evidence.get("at_threshold") or {})}


def accuracy_interval(evidence: dict[str, Any]) -> tuple[float, float] | None:
    """95 % interval of the hold-out accuracy: the bootstrap of training, or Wilson's where another threshold was chosen."""
    metrics = metrics_of(evidence)
    if metrics.get("accuracy") is None or not metrics.get("rows"):
        return None
    known = (evidence.get("intervals") or {}).get("accuracy")
    if not evidence.get("at_threshold") and known and None not in known:
        return float(known[0]), float(known[1])
    return wilson(round(metrics["accuracy"] * metrics["rows"]), int(metrics["rows"]))


def _good(evidence: dict[str, Any], definition: Definition, words: dict[str, str]) -> str:
    metrics = metrics_of(evidence)
    rows = evidence.get("holdout_rows") or metrics.get("rows")
    if definition.is_classifier and metrics.get("accuracy") is not None and rows:
        hits = round(metrics["accuracy"] * rows)
        parts = [words["good_accuracy"].format(hits=hits, rows=rows, share=_of_100(metrics["accuracy"]))]
        if definition.task == "binary" and all(metrics.get(k) is not None for k in ("tp", "fp", "tn", "fn")):
            tp, fp, tn, fn = (int(metrics[k]) for k in ("tp", "fp", "tn", "fn"))
            parts.append(words["good_binary"].format(positive=tp + fn, tp=tp, fn=fn, negative=tn + fp, fp=fp))
        worst = _worst_class(evidence)
        if definition.task == "multiclass" and worst is not None:
            parts.append(words["good_worst_class"].format(name=worst[0], share=_of_100(worst[1])))
        return " ".join(parts)
    if definition.task == "ranking" and metrics.get("ndcg") is not None:
        return words["good_ndcg"].format(rows=rows, ndcg=_of_100(metrics["ndcg"]))
    if metrics.get("mae") is not None:
        return words["good_mae"].format(rows=rows, mae=say_number(metrics['mae'], 3))
    return words["good_unknown"]


def _worst_class(evidence: dict[str, Any]) -> tuple[str, float] | None:
    """Class of the lowest recall on the hold-out, and that recall."""
    recalls = {name: v["recall"] for name, v in (evidence.get("per_class") or {}).items() if v.get("recall") is not None}
    return min(recalls.items(), key=lambda item: item[1]) if recalls else None


def _nothing(evidence: dict[str, Any], definition: Definition, words: dict[str, str]) -> str:
    holdout = (evidence.get("baseline") or {}).get("holdout") or {}
    if definition.is_classifier and holdout.get("accuracy") is not None:
        return words["nothing_accuracy"].format(share=_of_100(holdout["accuracy"]))
    if definition.task == "ranking" and holdout.get("ndcg") is not None:
        return words["nothing_ndcg"].format(ndcg=_of_100(holdout["ndcg"]))
    if holdout.get("mae") is not None:
        return words["nothing_mae"].format(mae=say_number(holdout['mae'], 3))
    return words["nothing_unknown"]


def _against_live(evidence: dict[str, Any], now_live: str | None, words: dict[str, str]) -> str:
    live = evidence.get("live")
    compared = live["version"] if live else None
    moved = "" if now_live is None or now_live == compared else " " + words["live_moved"].format(live=now_live)
    if not live:
        return words["live_none"] + moved
    if live.get("difference") is None:
        return str(live["sentence"]) + moved
    key = {"better": "live_better", "worse": "live_worse"}.get(live["verdict"], "live_same")
    if live["low"] == live["high"] == 0:  # the same answers, so there is no range to name
        key = "live_alike"
    sentence = words[key].format(
        version=live["version"],
        rows=live.get("rows") or evidence.get("holdout_rows"),
        metric=METRICS.get(live["metric"], live["metric"]),
        new=f"{live['new']:.2f}",
        old=f"{live['old']:.2f}",
        low=f"{live['low']:+.2f}",
        high=f"{live['high']:+.2f}",
    )
    flattered = "" if live.get("same_data", True) else " " + words["live_flattered"].format(version=live["version"])
    return sentence + flattered + moved


def _sure(evidence: dict[str, Any], definition: Definition, words: dict[str, str]) -> str:
    rows = evidence.get("holdout_rows")
    interval = accuracy_interval(evidence) if definition.is_classifier else None
    if interval is not None:
        return words["sure_share"].format(rows=rows, low=_of_100(interval[0]), high=_of_100(interval[1]))
    metric = "mae" if definition.task == "regression" else definition.metric
    known = (evidence.get("intervals") or {}).get(metric) or (evidence.get("intervals") or {}).get(definition.metric)
    if known and None not in known:
        key = "sure_mae" if metric == "mae" and (evidence.get("intervals") or {}).get("mae") else "sure_metric"
        name = METRICS.get(metric if (evidence.get("intervals") or {}).get(metric) else definition.metric, metric)
        return words[key].format(rows=rows, metric=name, low=say_number(known[0], 3), high=say_number(known[1], 3))
    return words["sure_unknown"]


def _risk(request: Request, definition: Definition, live: str | None, words: dict[str, str]) -> str:
    evidence, parts = request.evidence, []
    metrics = metrics_of(evidence)
    if definition.is_classifier and metrics.get("accuracy") is not None:
        parts.append(words["risk_wrong"].format(wrong=100 - _of_100(metrics["accuracy"])))
    miss, alarm = definition.costs.get("false_negative"), definition.costs.get("false_positive")
    if definition.task == "binary" and miss and alarm and miss != alarm:
        parts.append(words["risk_costs"].format(ratio=f"{miss / alarm:g}"))
    if evidence.get("train_rows"):
        parts.append(words["risk_elsewhere"].format(rows=f"{evidence['train_rows']:,}"))
    failed = [line.title.lower() for line in gate_lines(request) if line.state == "failed"]
    if failed:
        parts.append(words["risk_gates"].format(count=len(failed), names=", ".join(failed)))
    parts.append(words["risk_way_back"].format(live=live) if live else words["risk_way_back_none"])
    return " ".join(parts)


def _of_100(share: float) -> int:
    return round(100 * share)
