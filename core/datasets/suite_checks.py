"""A project's expectation suite, and what it finds in dataset versions: part of their validation report.

A suite is a join (core.projects.joins): it stands beside the definition. What it finds in a version is kept, because
neither changes; the report of a version is put together when it is read, so it always speaks of the suite in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.adapters import expectations, optional
from core.datasets import suites
from core.datasets.findings import Finding, Report, make_finding, read_findings
from core.datasets.headers import match_headers
from core.errors import GreenlightError, NotFound, Refused
from core.home import Home
from core.projects import joins
from core.projects.definition import OUTPUT_COLUMNS, Definition
from core.projects.projects import get_definition
from storage import suite_checks as store
from storage.connection import reading

if TYPE_CHECKING:
    import pandas as pd

    from core.datasets.prepare import Prepared
    from core.datasets.read import Table
    from core.datasets.versions import Dataset

KIND = "expectations"
Run = Callable[..., expectations.Outcome]


@dataclass(frozen=True)
class Suite:
    """The suite in force: as core.datasets.suites.check_suite returned it, and who set it when."""

    value: dict[str, Any]
    at: str
    by: str

    @property
    def name(self) -> str:
        return str(self.value["name"])

    @property
    def expectations(self) -> list[dict[str, Any]]:
        return list(self.value["expectations"])


@dataclass(frozen=True)
class Check:
    """What a suite found in one table."""

    suite: str
    library: str
    findings: tuple[Finding, ...]


def find_suite(home: Home, project: str) -> Suite | None:
    """The project's suite; None where it has none."""
    join = joins.find_join(home, project, KIND)
    return Suite(join.value, join.at, join.by) if join is not None and join.value is not None else None


def set_suite(
    home: Home, actor: Actor, project: str, content: bytes | None, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Make a JSON file the project's suite; None takes the suite away, for a reason. Returns {"id", "project", "kind"}.

    Raises
    ------
    BadInput
        See core.datasets.suites.read_suite.
    """
    return joins.set_join(
        home, actor, project, KIND, content, reason=reason, key=key, now=now,
        check=lambda given: suites.read_suite(given, get_definition(home, project), _list_headers(home, project)),
    )  # fmt: skip


def check_version(
    home: Home, actor: Actor, project: str, version: int | None = None, *, run: Run = expectations.run_suite,
    key: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Check a dataset version (the newest unless named) by the project's suite, and keep what it found.

    Returns
    -------
    dict
        version, suite, library, errors, warnings (numbers of findings), fresh (False: it was checked before).
    """
    from core.datasets import versions

    dataset = versions.get_version(home, project, version)
    definition = get_definition(home, project, dataset.definition_sha)
    suite = find_suite(home, project)
    made: Check | None = None
    refusal: GreenlightError | None = None
    try:
        if suite is None:
            raise NotFound(f"Project {project} has no expectation suite; give it one first.")
        made = _find_kept(home, dataset.id, suite, definition)
        if made is None and acts.is_allowed(home, actor, "upload_data"):
            table, prepared = versions.read_version(home, dataset, definition)
            made = check_table(home, suite, table, prepared, definition, run=run)
    except GreenlightError as error:
        refusal = error  # raised inside the act, so that the attempt is audited

    def work(tx: Tx) -> Done:
        if refusal is not None or suite is None or made is None:
            raise refusal or Refused("Nothing was checked; try again.")
        return _note(tx, dataset, suite, definition, made)

    return acts.perform(home, actor, "check_suite", work, permission="upload_data", project=project, key=key, now=now)


def judge_version(
    home: Home, actor: Actor, report: Report, dataset: Dataset, table: Table, prepared: Prepared, definition: Definition, *,
    run: Run = expectations.run_suite, now: datetime | None = None,
) -> Report:  # fmt: skip
    """A version's report with what the suite in force finds in it; what was found for the first time is kept, as an act of ``actor``.

    Neither the bytes of a version nor a suite change, so a check that came to its end is made once, whoever asks for a training and
    wherever it runs. One that could not be run is not kept.
    """
    suite = find_suite(home, dataset.project)
    known = _find_kept(home, dataset.id, suite, definition) if suite is not None else None
    if known is not None:
        return report.add(known.findings)
    report, made = add_to_report(home, report, suite, table, prepared, definition, run=run)
    if suite is not None and made is not None:

        def work(tx: Tx) -> Done:
            return _note(tx, dataset, suite, definition, made)

        acts.perform(home, actor, "check_suite", work, permission="train", project=dataset.project, now=now)
    return report


def _note(tx: Tx, dataset: Dataset, suite: Suite, definition: Definition, made: Check) -> Done:
    fresh = keep(tx, dataset.id, suite, definition, made)
    counts = {level: sum(f.level == level for f in made.findings) for level in ("error", "warning")}
    result = {"version": dataset.version, "suite": suite.name, "library": made.library, "errors": counts["error"],
              "warnings": counts["warning"], "fresh": fresh}  # fmt: skip
    return Done(result, after=result, subject=f"dataset {dataset.version}")


def check_table(
    home: Home, suite: Suite, table: Table, prepared: Prepared, definition: Definition, *, purpose: str = "training",
    run: Run = expectations.run_suite,
) -> Check:
    """Run the suite on a table that was read; nothing is kept.

    Raises
    ------
    Refused
        Great Expectations is not installed, or the check did not come to its end.
    """
    frame = build_frame(table, prepared, definition)
    value = fit_values(suite.value, frame)
    if purpose == "scoring":  # what is to be predicted is not there yet
        there = [e for e in value["expectations"] if set(suites.name_columns(e)) <= set(frame.columns)]
        value = {**value, "expectations": there}
    outcome = run(frame, value, home.work)
    return Check(suite.name, outcome.library, tuple(suites.tell(value, outcome.results, purpose=purpose)))


def find_findings(home: Home, dataset_id: int, project: str, definition_sha: str) -> tuple[Finding, ...]:
    """What the suite in force says about a version, for its report: its findings, or that it has not been checked yet."""
    suite = find_suite(home, project)
    if suite is None:
        return ()
    kept = store.find_check(reading(home.db), dataset_id, suites.hash_suite(suite.value, definition_sha))
    if kept is not None:
        return read_findings(kept["findings"])
    if not expectations.can_run():
        return (_cannot_run(suite, _absent()),)
    text = f"Suite {suite.name} has not been checked on this version yet."
    cure = "Check it below; a training does so first by itself."
    return (make_finding("warning", "suite", "", 0, (), text, cure, f"suite {suite.name}"),)


def add_to_report(
    home: Home, report: Report, suite: Suite | None, table: Table, prepared: Prepared, definition: Definition, *,
    run: Run = expectations.run_suite,
) -> tuple[Report, Check | None]:  # fmt: skip
    """A report with what a suite finds, and the check if it came to its end; a suite that cannot be run is an error."""
    if suite is None:
        return report, None
    scoring = report.purpose == "scoring"
    try:
        made = check_table(home, suite, table, prepared, definition, purpose=report.purpose, run=run)
    except Refused as error:
        found = _cannot_run(suite, str(error))
        return report.add(suites.soften([found]) if scoring else [found]), None
    return report.add(made.findings), made


def check_scored(home: Home, project: str, content: bytes, *, file_name: str = "", run: Run = expectations.run_suite) -> Check | None:
    """What the suite in force says about a table that was scored (a result without its answers); None without a suite.

    Findings are warnings at most: the rows are answered already. Nothing is kept.

    Raises
    ------
    BadInput, Refused
        The table is too large to be checked at once, or the suite cannot be run.
    """
    from core.datasets.prepare import prepare
    from core.datasets.read import Table, read_table

    suite = find_suite(home, project)
    if suite is None:
        return None
    definition = get_definition(home, project)
    read = read_table(content, file_name=file_name)
    table = Table(read.frame.drop(columns=[c for c in OUTPUT_COLUMNS if c in read.frame.columns]), read.meta)
    prepared = prepare(table, definition, purpose="scoring")
    return check_table(home, suite, table, prepared, definition, purpose="scoring", run=run)


def keep(tx: Tx, dataset_id: int, suite: Suite, definition: Definition, made: Check) -> bool:
    """Keep a check in an act's transaction; False if the same one was kept before."""
    sha = suites.hash_suite(suite.value, definition.sha256)
    if store.find_check(tx.db, dataset_id, sha) is not None:
        return False
    store.insert_check(
        tx.db,
        {"dataset_id": dataset_id, "suite_sha": sha, "suite": made.suite, "library": made.library,
         "findings": [asdict(f) for f in made.findings], "at": tx.at, "by": tx.actor.name},
    )  # fmt: skip
    return True


def build_frame(table: Table, prepared: Prepared, definition: Definition) -> pd.DataFrame:
    """A table as a suite sees it: the project's names, numbers where every value is one, else text (missing None).

    The project's own columns are read as for training, so that a suite speaks of the values that a model learns from.
    """
    import numpy as np
    import pandas as pd

    from core.datasets.cells import read_numbers, read_texts

    frame = table.frame
    names, _ = match_headers([str(c) for c in frame.columns], definition)
    own = {header: name for name, header in names.items()}
    decimal = str(frame.attrs.get("decimal", ""))
    features = {c.name: c for c in definition.features}
    made: dict[str, Any] = {}
    for place, header in enumerate(map(str, frame.columns)):
        name, cells = own.get(header, header), frame.iloc[:, place]
        if name in features:
            values = prepared.features[name]
            made[name] = values if features[name].kind == "number" else values.astype(object).where(values.notna(), None)
            continue
        if name == definition.target and definition.task == "multiclass":
            made[name] = pd.Series(prepared.target, dtype=object)
            continue
        numbers, bad = read_numbers(cells, decimal)
        if bad is None and not np.isnan(numbers).all() and name not in (definition.key, definition.group):
            made[name] = pd.Series(numbers)
        else:
            made[name] = pd.Series(read_texts(cells), dtype=object)
    built = pd.DataFrame(made)
    for name in built.columns[[d.kind == "f" for d in built.dtypes]]:
        values = built[name]
        if len(values) and values.notna().all() and (values == np.floor(values)).all() and (values.abs() < 2**53).all():
            built[name] = values.astype(np.int64)  # as a file of whole numbers is read elsewhere
    return built


def fit_values(suite: Mapping[str, Any], frame: pd.DataFrame) -> dict[str, Any]:
    """A suite whose sets hold what stands in the table: 1 is the category "1", and "1" the number 1."""
    from core.datasets.cells import canonical

    def fit(value: Any, is_number: bool) -> Any:
        if not is_number:
            return canonical(str(value))
        try:
            return float(value)
        except (TypeError, ValueError):
            return value

    fitted = []
    for expectation in suite["expectations"]:
        kwargs = dict(expectation["kwargs"])
        columns = suites.name_columns(expectation)
        if isinstance(kwargs.get("value_set"), list) and columns and columns[0] in frame:
            is_number = frame[columns[0]].dtype.kind in "if"
            kwargs["value_set"] = [fit(v, is_number) for v in kwargs["value_set"]]
        fitted.append({**expectation, "kwargs": kwargs})
    return {**suite, "expectations": fitted}


def _find_kept(home: Home, dataset_id: int, suite: Suite, definition: Definition) -> Check | None:
    row = store.find_check(reading(home.db), dataset_id, suites.hash_suite(suite.value, definition.sha256))
    return Check(row["suite"], row["library"], read_findings(row["findings"])) if row else None


def _cannot_run(suite: Suite, why: str) -> Finding:
    text = f"Suite {suite.name} cannot be checked. {why}"
    return make_finding("error", "suite", "", 0, (), text, "Cure that, or take the suite away.", f"suite {suite.name}")


def _absent() -> str:
    library = optional.LIBRARIES[expectations.LIBRARY]
    return f"{library.title} is not installed, and {library.purpose} needs it: {library.install}."


def _list_headers(home: Home, project: str) -> set[str]:
    """Headers of the project's newest table; a suite may name columns that the definition leaves out."""
    from core.datasets import versions

    found = versions.list_datasets(home, project)
    try:
        return {str(c) for c in versions.preview(home, found[0], rows=1).columns} if found else set()
    except NotFound:  # its file was purged
        return set()
