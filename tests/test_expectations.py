"""Expectation suites: read, refused, exported, run by the real library, and part of the one report."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from core import audit
from core.acts import Actor
from core.adapters import expectations
from core.cli.app import main
from core.datasets import suite_checks, suites, versions
from core.datasets.prepare import prepare
from core.datasets.read import read_table
from core.datasets.validation import validate
from core.errors import BadInput, NotFound, Refused
from core.projects.projects import archive_project, get_definition
from core.training import runs

SCIENTIST = Actor("scientist")
PROJECT = "heart_disease"


def suite(*expectations_, name="heart", **more):
    return {"name": name, "expectations": list(expectations_), "meta": {}, **more}


def expect(kind, severity="critical", **kwargs):
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity, "meta": {}}


AGES = expect("column_values_to_be_between", column="age", min_value=30, max_value=100)
OLDER = expect("column_values_to_be_between", "warning", column="age", min_value=45, mostly=0.95)


def dump(value) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "This is no expectation suite"),
        ({"name": "x"}, "This is no expectation suite"),
        ({"expectation_suite_name": "x", "expectations": []}, "before 1.0"),
        (suite(), "has no expectation"),
        (suite(AGES, name=""), "needs a name"),
        (suite(AGES, data_context_id="x"), "unknown field 'data_context_id'"),
        (suite(AGES, suite_parameters={"a": 1}), "has parameters"),
        (suite(*[AGES] * 501), "at most 500"),
        (suite({"type": "expect_column_to_exist"}), "is malformed"),
        (suite(expect("moon_to_be_full", column="age")), "'expect_moon_to_be_full', which is not checked here"),
        (suite({"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "SELECT 1"}}), "not custom ones, SQL"),
        (suite({**AGES, "module_name": "os"}), "'module_name', which is not read: no code"),
        (suite(expect("column_values_to_be_unique", column="moon")), "column 'moon', which the project's tables do not have"),
        (suite(expect("column_values_to_be_unique", column=["age"])), "needs column, the name of a column"),
        (suite(expect("compound_columns_to_be_unique", column_list=["age", "moon"])), "'moon'"),
        (suite(expect("column_values_to_be_unique", column="age", row_condition="__import__('os')")), "conditions run as code"),
        (suite(expect("column_values_to_be_unique", column="age", oops=1)), "'oops', which is refused: it is not an argument"),
        (suite(expect("column_values_to_be_in_set", column="age", value_set={"$PARAMETER": "x"})), "takes a value from a parameter"),
        (suite(expect("column_values_to_be_unique", column="age", mostly=2)), "mostly = 2; it is a share"),
        (suite(expect("column_values_to_be_unique", "fatal", column="age")), "severity 'fatal'"),
        (suite(expect("column_values_to_be_unique", ["critical"], column="age")), "severity 'critical'; it is one of"),
        (suite(expect("column_values_to_be_in_set", column="sex", value_set=["\ud800"])), "half a character"),
        ({**suite(AGES), "meta": {"a": json.loads("[" * 500 + "]" * 500)}}, "nested too deeply"),
    ],
)
def test_what_is_no_usable_suite_is_refused_in_one_sentence(demo_home, value, sentence):
    with pytest.raises(BadInput) as caught:
        suite_checks.set_suite(demo_home, SCIENTIST, PROJECT, dump(value))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert suite_checks.find_suite(demo_home, PROJECT) is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe{", "not UTF-8"), (b"{,}", "not JSON (line 1)"), (b'{"name": NaN}', "not JSON"),
        (dump(suite(expect("column_max_to_be_between", column="age", max_value=7))).replace(b"7", b"1e999"), "a number without an end"),
        (b"[" * 100_000, "nested too deeply"), (b" " * (suites.SUITE_LIMIT + 1), "at most 1,048,576"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_json_is_refused_in_one_sentence(demo_home, content, sentence):
    with pytest.raises(BadInput) as caught:
        suite_checks.set_suite(demo_home, SCIENTIST, PROJECT, content)
    assert sentence in str(caught.value)


def test_a_suite_may_name_columns_that_only_the_table_has_and_aliases_of_the_project(demo_home):
    definition = get_definition(demo_home, PROJECT)
    made = suites.check_suite(suite(expect("column_values_to_be_unique", column="extra")), definition, {"extra"})
    assert suites.name_columns(made["expectations"][0]) == ["extra"]
    aliased = next(c for c in definition.columns if c.aliases)
    made = suites.check_suite(suite(expect("column_values_to_be_unique", column=aliased.aliases[0])), definition)
    assert suites.name_columns(made["expectations"][0]) == [aliased.name]


@pytest.mark.parametrize(
    ("expectation", "words"),
    [
        (AGES, "values from 30 to 100"),
        (OLDER, "values of at least 45 in at least 95% of the rows"),
        (expect("column_values_to_be_between", column="age", min_value=0, max_value=2.5, strict_max=True), "values from 0 and below 2.5"),
        (expect("column_mean_to_be_between", column="age", min_value=1, strict_min=True), "a mean above 1"),
        (expect("column_values_to_be_in_set", column="sex", value_set=list("abcdefgh")), "values among 'a', 'b', 'c', 'd', 'e', 'f' and 2 more"),
        (expect("table_row_count_to_be_between", max_value=9), "a number of rows of at most 9"),
    ],
)
def test_an_expectation_is_told_in_words(expectation, words):
    assert suites.describe(expectation) == words


def test_every_known_expectation_can_be_told_without_its_arguments():
    for kind in suites.KNOWN:
        assert suites.describe({"type": kind, "kwargs": {}})


def test_the_definitions_own_rules_come_out_as_expectations(demo_home):
    definition = get_definition(demo_home, PROJECT)
    made = suites.export_suite(definition)
    assert suites.check_suite(made, definition)["expectations"] == [
        {k: e[k] for k in ("type", "kwargs", "severity")} for e in made["expectations"]
    ]
    age = definition.column("age")
    assert expect("column_values_to_be_between", column="age", min_value=age.low, max_value=age.high) in made["expectations"]
    assert expect("table_row_count_to_be_between", min_value=definition.data_rules.min_rows) in made["expectations"]
    balance = [e for e in made["expectations"] if e["kwargs"].get("column") == "num" and "mostly" in e["kwargs"]]
    assert [e["kwargs"] for e in balance] == [
        {"column": "num", "min_value": 0.0, "strict_min": True, "mostly": 0.1}, {"column": "num", "max_value": 0.0, "mostly": 0.1},
    ]  # fmt: skip


def test_a_suite_without_the_library_is_an_error_with_its_cure_and_stops_training(demo_home, monkeypatch):
    home = demo_home
    suite_checks.set_suite(home, SCIENTIST, PROJECT, dump(suite(AGES)))
    monkeypatch.setattr(expectations, "is_installed", lambda module: False)
    monkeypatch.setattr(expectations, "need", lambda module: (_ for _ in ()).throw(Refused(suite_checks._absent())))
    report = versions.get_version(home, PROJECT).validation
    assert report["verdict"] == "errors"
    first = report["findings"][0]
    assert (first["level"], first["check"], first["source"]) == ("error", "suite", "suite heart")
    assert first["text"].startswith("Suite heart cannot be checked. Great Expectations is not installed, and validation by an")
    assert "pip install great_expectations" in first["text"]
    with pytest.raises(Refused, match=r"cannot be trained on: Suite heart cannot be checked\. Great Expectations is not installed"):
        runs.start_training(home, SCIENTIST, PROJECT)
    suite_checks.set_suite(home, SCIENTIST, PROJECT, None, reason="not needed")
    assert versions.get_version(home, PROJECT).validation["ok"]
    runs.start_training(home, SCIENTIST, PROJECT)


@pytest.fixture
def counted(demo_home, monkeypatch):
    """The demo with a suite, whose checks are counted instead of being left to the library: [] while nobody asked it."""
    asked = []

    def check(home, found, table, prepared, definition, *, purpose="training", run=None):
        asked.append((found.name, purpose, len(table.frame)))
        return suite_checks.Check(found.name, "Great Expectations 1", tuple(suites.tell(found.value, [suites.Result(True)], purpose=purpose)))

    monkeypatch.setattr(suite_checks, "check_table", check)
    suite_checks.set_suite(demo_home, SCIENTIST, PROJECT, dump(suite(AGES)))
    return asked


def test_who_may_not_train_and_an_archived_project_are_refused_before_the_suite_is_asked(demo_home, counted):
    with pytest.raises(Refused, match="The role Developer may not train"):
        runs.start_training(demo_home, Actor("developer"), PROJECT)
    archive_project(demo_home, SCIENTIST, PROJECT, reason="done")
    with pytest.raises(Refused, match="is archived"):
        runs.start_training(demo_home, SCIENTIST, PROJECT)
    assert counted == []


def test_a_table_that_fails_the_definitions_own_rules_is_refused_before_the_suite_is_asked(demo_home, counted):
    content = versions.data_path(demo_home, versions.get_version(demo_home, PROJECT)).read_bytes()
    versions.add_dataset(demo_home, SCIENTIST, PROJECT, b"\n".join(content.split(b"\n")[:40]), file_name="short.csv")
    counted.clear()
    with pytest.raises(Refused, match="cannot be trained on"):
        runs.start_training(demo_home, SCIENTIST, PROJECT)
    assert counted == []


def test_a_suite_is_asked_once_for_a_version_and_its_word_stands_for_the_job_and_for_later_trainings(demo_home, counted):
    for key in ("one", "one", "two"):
        runs.start_training(demo_home, SCIENTIST, PROJECT, candidates=[("dummy", {})], key=key)
    found = versions.get_version(demo_home, PROJECT)
    _, report = versions.check_for_training(demo_home, Actor("scientist", via="job"), found, get_definition(demo_home, PROJECT))
    assert counted == [("heart", "training", 303)]
    assert [f.text for f in report.findings if f.check == "suite"] == ["Suite heart: 1 of 1 expectations are met."]
    (event,), _ = audit.search(demo_home, action="check_suite")
    assert (event["actor"], event["outcome"], event["subject"]) == ("scientist", "done", "dataset 1")
    suite_checks.set_suite(demo_home, SCIENTIST, PROJECT, dump(suite(AGES, name="other")))
    runs.start_training(demo_home, SCIENTIST, PROJECT, candidates=[("dummy", {})], key="three")
    assert [name for name, *_ in counted] == ["heart", "other"]


def test_without_a_suite_there_is_nothing_to_check(demo_home):
    with pytest.raises(NotFound, match="has no expectation suite"):
        suite_checks.check_version(demo_home, SCIENTIST, PROJECT)
    (event, *_), _ = audit.search(demo_home, action="check_suite")
    assert event["outcome"] == "refused"


@pytest.mark.extra
def test_what_the_library_finds_stands_in_the_report_of_the_version(demo_home):
    home = demo_home
    rows = suite(
        AGES, OLDER, expect("column_values_to_be_between", "info", column="chol", max_value=100),
        expect("column_mean_to_be_between", "warning", column="age", max_value=10),
        expect("column_values_to_match_regex", "warning", column="sex", regex="("),
    )  # fmt: skip
    suite_checks.set_suite(home, SCIENTIST, PROJECT, dump(rows))
    before = versions.get_version(home, PROJECT).validation
    assert [f["text"] for f in before["findings"] if f["check"] == "suite"] == ["Suite heart has not been checked on this version yet."]
    done = suite_checks.check_version(home, SCIENTIST, PROJECT)
    ages = versions.load(home, versions.get_version(home, PROJECT)).features["age"]
    assert (done["errors"], done["warnings"], done["fresh"]) == (1, 3, True)
    assert done["library"].startswith("Great Expectations 1.")
    found = [f for f in versions.get_version(home, PROJECT).validation["findings"] if f["check"] == "suite"]
    young = [int(i) + 1 for i in ages.index[ages < 30]]
    by_level = {level: [f for f in found if f["level"] == level] for level in ("error", "warning", "info")}
    (error,) = by_level["error"]
    assert (error["column"], error["count"], list(error["rows"]), error["source"]) == ("age", len(young), young[:20], "suite heart")
    assert young == [133]
    assert error["text"] == "age: suite heart expects values from 30 to 100; 1 of 303 rows is otherwise (row 133)."
    warned = [f["text"] for f in by_level["warning"]]
    assert any(t.startswith("age: suite heart expects a mean of at most 10; it is 5") for t in warned)
    assert any(t.startswith("sex: suite heart expects values that match '('; it could not be checked: Invalid regular") for t in warned)
    assert by_level["info"][-1]["text"] == "Suite heart: 0 of 5 expectations are met."
    with pytest.raises(Refused, match="cannot be trained on: age: suite heart expects values from 30 to 100"):
        runs.start_training(home, SCIENTIST, PROJECT)
    assert suite_checks.check_version(home, SCIENTIST, PROJECT)["fresh"] is False


@pytest.mark.extra
def test_a_table_is_checked_when_it_is_added(demo_home):
    home = demo_home
    suite_checks.set_suite(home, SCIENTIST, PROJECT, dump(suite(expect("table_row_count_to_equal", value=7))))
    content = versions.data_path(home, versions.get_version(home, PROJECT)).read_bytes()
    shorter = content[: content.rindex(b"\n", 0, len(content) - 1) + 1]
    added = versions.add_dataset(home, SCIENTIST, PROJECT, shorter, file_name="more.csv")
    assert (added["fresh"], added["ok"]) == (True, False)
    report = versions.get_version(home, PROJECT).validation
    assert report["findings"][0]["text"] == f"Suite heart expects 7 rows; it is {added['rows']}."
    assert versions.add_dataset(home, SCIENTIST, PROJECT, shorter, file_name="more.csv")["ok"] is False


@pytest.mark.extra
def test_an_exported_suite_finds_what_the_definitions_own_rules_find(demo_home):
    home, definition = demo_home, get_definition(demo_home, PROJECT)
    content = versions.data_path(home, versions.get_version(home, PROJECT)).read_text().splitlines()
    names = content[0].split(",")
    cells = [line.split(",") for line in content[1:91]]  # too few rows
    cells[3][names.index("age")] = "500"
    cells[5][names.index("sex")] = "Robot"
    for row in range(10, 30):
        cells[row][names.index("chol")] = ""
    bad = "\n".join([",".join(names), *(",".join(c) for c in cells)]) + "\n"
    versions.add_dataset(home, SCIENTIST, PROJECT, bad.encode(), file_name="bad.csv")
    dataset = versions.get_version(home, PROJECT)
    table, prepared = versions.read_version(home, dataset, definition)
    own = validate(prepared, definition, purpose="training")
    given = suites.check_suite(suites.export_suite(definition), definition)
    made = suite_checks.check_table(home, suite_checks.Suite(given, "", ""), table, prepared, definition)
    same = {"range", "allowed", "missing"}
    ours = {(f.level, f.column, f.count, f.rows) for f in own.findings if f.check in same and f.level != "info"}
    theirs = {(f.level, f.column, f.count, f.rows) for f in made.findings if f.column and f.level != "info"}
    assert len(ours) == 3
    assert theirs == ours
    assert [f.level for f in made.findings if "expects a number of rows" in f.text] == ["error"]
    assert any(f.check == "rows" and f.level == "error" for f in own.findings)


@pytest.mark.extra
def test_an_exported_suite_opens_in_great_expectations_as_it_is(demo_home, tmp_path):
    path = tmp_path / "suite.json"
    path.write_text(json.dumps(suites.export_suite(get_definition(demo_home, PROJECT))))
    code = (
        "import json, sys, great_expectations as gx; s = gx.ExpectationSuite(**json.load(open(sys.argv[1]))); "
        "print(json.dumps(s.to_json_dict()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    written = json.loads(done.stdout.splitlines()[-1])
    definition = get_definition(demo_home, PROJECT)
    ours = suites.export_suite(definition)["expectations"]
    back = suites.check_suite(written, definition)["expectations"]

    def spell(e):
        kwargs = {k: float(v) if type(v) is int else v for k, v in e["kwargs"].items()}
        return json.dumps([e["type"], kwargs, e["severity"]], sort_keys=True)

    assert sorted(map(spell, back)) == sorted(map(spell, ours))


@pytest.mark.extra
def test_a_check_that_takes_too_long_is_given_up_and_leaves_nothing(demo_home):
    home, definition = demo_home, get_definition(demo_home, PROJECT)
    table, prepared = versions.read_version(home, versions.get_version(home, PROJECT), definition)
    frame = suite_checks.build_frame(table, prepared, definition)
    with pytest.raises(Refused, match=r"Suite heart was not checked to its end in 0.1 s; "):
        expectations.run_suite(frame, suites.check_suite(suite(AGES), definition), home.work, seconds=0.1)
    assert list(home.work.glob("suite_*")) == []


@pytest.mark.extra
def test_an_expectation_that_breaks_the_library_leaves_the_others_checked(demo_home):
    frame = pd.DataFrame({"age": [20.0, 50.0]})
    endless = expect("column_values_to_be_between", column="age", max_value=10**400)
    outcome = expectations.run_suite(frame, suite(endless, AGES), demo_home.work)
    assert [(r.met, r.error) for r in outcome.results] == [(False, "int too large to convert to float"), (False, "")]


@pytest.mark.extra
def test_in_scoring_errors_are_warnings_and_the_target_may_be_absent(demo_home):
    home, definition = demo_home, get_definition(demo_home, PROJECT)
    content = versions.data_path(home, versions.get_version(home, PROJECT)).read_text().splitlines()
    names = content[0].split(",")
    place = names.index("num")
    lines = [",".join(c for i, c in enumerate(line.split(",")) if i != place) for line in content[:20]]
    table = read_table("\n".join(lines).encode(), file_name="now.csv")
    prepared = prepare(table, definition, purpose="scoring")
    given = suites.check_suite(suite(AGES, expect("column_values_to_not_be_null", column="num"),
                                     expect("column_values_to_be_between", column="age", min_value=200)), definition)  # fmt: skip
    made = suite_checks.check_table(home, suite_checks.Suite(given, "", ""), table, prepared, definition, purpose="scoring")
    assert [f.level for f in made.findings] == ["warning", "info"]
    assert made.findings[-1].text == "Suite heart: 1 of 2 expectations are met."


@pytest.mark.extra
def test_categories_and_numbers_are_found_in_sets_however_they_are_written(demo_home):
    home, definition = demo_home, get_definition(demo_home, PROJECT)
    table, prepared = versions.read_version(home, versions.get_version(home, PROJECT), definition)
    classes = expect("column_values_to_be_in_set", column="num", value_set=["0", 1, 2.0, "3", 4])
    truths = expect("column_values_to_be_in_set", column="exang", value_set=[True, False])
    given = suites.check_suite(suite(classes, truths), definition)
    made = suite_checks.check_table(home, suite_checks.Suite(given, "", ""), table, prepared, definition)
    assert [f.text for f in made.findings] == ["Suite heart: 2 of 2 expectations are met."]


@pytest.mark.extra
def test_the_library_is_imported_in_the_child_alone_and_sends_nothing(demo_home, monkeypatch):
    home, definition = demo_home, get_definition(demo_home, PROJECT)
    monkeypatch.setenv("GREENLIGHT_SMTP_PASSWORD", "planted")
    seen = {}
    real = expectations.subprocess.run

    def note(command, **options):
        seen.update(options["env"])
        return real(command, **options)

    monkeypatch.setattr(expectations.subprocess, "run", note)
    table, prepared = versions.read_version(home, versions.get_version(home, PROJECT), definition)
    given = suites.check_suite(suite(AGES), definition)
    suite_checks.check_table(home, suite_checks.Suite(given, "", ""), table, prepared, definition)
    assert "great_expectations" not in sys.modules
    assert seen["GX_ANALYTICS_ENABLED"] == "false"
    assert not [k for k in seen if k.startswith("GREENLIGHT_")]
    assert Path(seen["HOME"]).parent == home.work


def test_a_suite_is_told_apart_by_what_it_expects(demo_home):
    definition = get_definition(demo_home, PROJECT)
    one = suites.check_suite(suite(AGES), definition)
    two = copy.deepcopy(one)
    two["expectations"][0]["kwargs"]["max_value"] = 99
    three = {**one, "meta": {"a": 1}}
    assert suites.hash_suite(one, "d") != suites.hash_suite(two, "d")
    assert suites.hash_suite(one, "d") != suites.hash_suite(one, "e")
    assert suites.hash_suite(one, "d") == suites.hash_suite(three, "d")


def texts(test):
    return "\n".join(m.value for m in test.markdown)


def button(test, label):
    return next(b for b in test.button if b.label == label)


def test_the_page_says_that_there_is_no_suite_and_takes_one(demo_home, open_page):
    test = open_page(demo_home, "data")
    assert "Tables are held to the definition's own rules" in texts(test)
    bad = dump(suite(expect("moon_to_be_full", column="age")))
    test.file_uploader(key="suite-file").upload("suite.json", bad, "application/json")
    button(test, "Use this suite").click().run()
    assert "which is not checked here" in test.error[0].value
    assert suite_checks.find_suite(demo_home, PROJECT) is None


@pytest.mark.skipif(expectations.can_run(), reason="Great Expectations is installed here")
def test_the_page_says_that_a_suite_cannot_be_checked_here(demo_home, open_page):
    suite_checks.set_suite(demo_home, SCIENTIST, PROJECT, dump(suite(AGES, OLDER, name="<b>heart</b>")))
    test = open_page(demo_home, "data")
    assert test.dataframe[0].value["Verdict"].iloc[0] == "✕ Not for training"
    assert "until then no data of this project can be trained on" in test.warning[0].value
    assert "pip install great_expectations -c requirements.txt" in [c.value for c in test.code]
    button(test, "Take the suite away").click().run()
    assert "Write a reason" in test.error[0].value
    test.text_area(key="suite-remove-reason").set_value("nobody keeps it up")
    button(test, "Take the suite away").click().run()
    assert audit.search(demo_home, action="join")[0][0]["reason"] == "nobody keeps it up"
    assert test.success[0].value.endswith("Now: there is no suite.")
    assert test.dataframe[0].value["Verdict"].iloc[0] == "✓ Trusted"


def test_who_may_not_upload_sees_the_suite_and_cannot_change_it(demo_home, open_page):
    suite_checks.set_suite(demo_home, SCIENTIST, PROJECT, dump(suite(AGES)))
    test = open_page(demo_home, "data", "director")
    assert list(test.dataframe[-1].value["Expected"]) == ["values from 30 to 100"]
    assert {"Take the suite away", "Replace the suite", "Check version 1"}.isdisjoint({b.label for b in test.button})


@pytest.mark.extra
def test_the_button_checks_the_version_that_is_looked_at(demo_home, open_page):
    suite_checks.set_suite(demo_home, SCIENTIST, PROJECT, dump(suite(AGES)))
    test = open_page(demo_home, "data")
    assert test.dataframe[0].value["Verdict"].iloc[0] == "⚠ Look"
    button(test, "Check version 1").click().run(timeout=120)
    assert test.success[0].value == "Version 1 has been checked. The suite found 1 error and 0 warnings in version 1."
    assert test.dataframe[0].value["Verdict"].iloc[0] == "✕ Not for training"
    assert "Check version 1" not in {b.label for b in test.button}
    assert "has been checked by this suite" in texts(test)


def test_the_command_gives_shows_exports_and_removes_a_suite(demo_home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    path, out = tmp_path / "suite.json", tmp_path / "out.json"
    path.write_bytes(dump(suite(OLDER)))
    monkeypatch.setattr(expectations, "is_installed", lambda module: False)
    assert main(["project", "suite", PROJECT]) == 0
    assert "has no expectation suite" in capsys.readouterr().out
    assert main(["project", "suite", PROJECT, "--file", str(path), "--as", "scientist"]) == 0
    said = capsys.readouterr().out
    assert "held to suite heart from now on: 1 expectation." in said
    assert "Great Expectations is not installed" in said
    assert main(["project", "suite", PROJECT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["expectations"][0]["kwargs"] == OLDER["kwargs"]
    assert main(["project", "suite", PROJECT, "--out", str(out), "--given"]) == 0
    assert json.loads(out.read_text())["name"] == "heart"
    assert main(["project", "suite", PROJECT, "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == suites.export_suite(get_definition(demo_home, PROJECT))
    assert main(["project", "suite", PROJECT, "--remove", "--as", "scientist"]) == 1
    assert "why the suite is taken away" in capsys.readouterr().err
    assert main(["project", "suite", PROJECT, "--remove", "--reason", "not needed", "--as", "scientist"]) == 0
    assert suite_checks.find_suite(demo_home, PROJECT) is None
    assert main(["project", "suite", PROJECT, "--remove", "--check"]) == 2
    assert main(["project", "suite", PROJECT, "--out", str(out), "--given"]) == 1


@pytest.mark.extra
def test_rows_that_were_scored_are_checked_on_the_page_and_only_warned_of(trained_home, open_page):
    home = trained_home
    needs_answers = expect("column_values_to_not_be_null", column="num")
    suite_checks.set_suite(home, SCIENTIST, PROJECT, dump(suite(expect("column_values_to_be_between", column="age", min_value=40), needs_answers)))
    test = open_page(home, "predict")
    rows = "id,age,sex,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak,slope,ca,thal\n" + "".join(
        f"{i},{age},Male,asymptomatic,145,233,True,normal,150,False,2.3,flat,0,normal\n" for i, age in enumerate((63, 35, 50))
    )
    test.file_uploader[0].upload("now.csv", rows.encode(), "text/csv").run()
    next(b for b in test.button if b.label.startswith("Score 3 rows")).click().run(timeout=120)
    button(test, "Check these rows by suite heart").click().run(timeout=120)
    said = texts(test).replace("\\", "")
    assert ":material/warning: **Warning**] age: suite heart expects values of at least 40; 1 of 3 rows is otherwise (row 2)." in said
    assert "Suite heart: 0 of 1 expectations are met." in said
    assert not test.error
