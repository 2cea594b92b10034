"""The Data page and its wizard: what is shown comes from rows, and what is clicked becomes rows."""

import pytest

from core import audit
from core.acts import Actor
from core.datasets import guess, versions
from core.datasets.read import read_table
from core.errors import BadInput
from core.projects import creation, joins, projects
from pages.wizard import column_row, find_overrides
from storage.connection import reading

CHURN = "customer,age,plan,note,churn\n" + "".join(
    f"c{i},{20 + i % 50},{('basic', 'pro', 'team')[i % 3]},free text number {i},{'yes' if (i * 7) % 10 < 4 else 'no'}\n"
    for i in range(120)
)


def texts(test):
    return "\n".join(m.value for m in test.markdown)


def button(test, label):
    return next(b for b in test.button if b.label == label)


def actions(home):
    return [row[0] for row in reading(home.db).conn.execute("SELECT action FROM audit ORDER BY seq")]


def test_the_newest_version_stands_with_hash_and_verdict(demo_home, open_page):
    test = open_page(demo_home, "data")
    dataset = versions.get_version(demo_home, "heart_disease")
    shown = test.dataframe[0].value.iloc[0]
    assert (shown["Version"], shown["Rows"], shown["Verdict"]) == (1, 303, "✓ Trusted")
    assert shown["SHA-256"] == dataset.sha256[:12]
    assert "**Version 1** (303 rows): nothing speaks against training on it" in texts(test)
    assert "4 of 303 values are missing" in texts(test)
    assert "Licence: CC BY 4\\.0" in texts(test)
    assert not test.error


def test_synthetic_data_is_called_so_on_the_first_screen(demo_home, open_page):
    assert "Synthetic data" in texts(open_page(demo_home, "data", project="future_skills"))
    assert "Synthetic data" not in texts(open_page(demo_home, "data"))


def test_an_uploaded_table_becomes_a_version_and_the_difference_is_shown(demo_home, open_page):
    first = versions.get_version(demo_home, "heart_disease")
    content = versions.data_path(demo_home, first).read_bytes()
    fewer = b"\n".join(content.splitlines()[:251])
    test = open_page(demo_home, "data")
    test.file_uploader[0].upload("fewer.csv", fewer, "text/csv")
    test.selectbox(key="data-provenance").set_value("person")
    button(test, "Add version").click().run()
    added = versions.get_version(demo_home, "heart_disease", 2)
    assert (added.rows, added.label_provenance, added.file_name) == (250, "person", "fewer.csv")
    assert test.success[0].value == "Before: version 1 was the newest. Now: version 2 with 250 rows. It can be trained on."
    assert test.query_params["dataset"] == "2"
    assert list(test.dataframe[0].value["Version"]) == [2, 1]


def test_the_same_bytes_again_are_no_new_version(demo_home, open_page):
    first = versions.get_version(demo_home, "heart_disease")
    test = open_page(demo_home, "data")
    test.file_uploader[0].upload("again.csv", versions.data_path(demo_home, first).read_bytes(), "text/csv")
    button(test, "Add version").click().run()
    assert test.success[0].value == "These bytes are version 1 already; nothing was added."
    assert len(versions.list_datasets(demo_home, "heart_disease")) == 1


def test_a_table_without_a_column_is_refused_in_one_sentence(demo_home, open_page):
    test = open_page(demo_home, "data")
    test.file_uploader[0].upload("bad.csv", b"age,num\n50,1\n60,0\n", "text/csv")
    button(test, "Add version").click().run()
    assert len(test.error) == 1
    assert "'sex'" in test.error[0].value
    assert "absent" in test.error[0].value
    assert len(versions.list_datasets(demo_home, "heart_disease")) == 1


@pytest.mark.parametrize(
    ("account", "add", "new"), [("scientist", True, True), ("director", False, False), ("developer", False, False)]
)
def test_buttons_that_a_role_may_not_use_are_not_there(demo_home, open_page, account, add, new):
    test = open_page(demo_home, "data", account)
    labels = [b.label for b in test.button]
    assert ("Add version" in labels) is add
    assert ("New project" in labels) is new
    assert len(test.dataframe) >= 2


def test_a_link_to_a_version_that_does_not_exist_says_which_is_the_newest(demo_home, open_page):
    test = open_page(demo_home, "data", dataset="7")
    assert test.error[0].value == "This project has no dataset version 7; its newest is 1\\."


def test_a_project_is_archived_with_a_reason_and_restored(demo_home, open_page):
    test = open_page(demo_home, "data", project="recipe_ranking")
    button(test, "Archive").click().run()
    assert not projects.get_project(demo_home, "recipe_ranking").archived
    test.text_area(key="data-archive-recipe_ranking-reason").input("not needed")
    button(test, "Archive").click().run()
    assert projects.get_project(demo_home, "recipe_ranking").archived
    test.text_area(key="data-restore-recipe_ranking-reason").input("needed again")
    button(test, "Restore").click().run()
    assert not projects.get_project(demo_home, "recipe_ranking").archived
    assert test.success[0].value == "Before: Recipe ranking \\(synthetic\\) was archived. Now: it is in use again."
    assert actions(demo_home)[-2:] == ["archive_project", "restore_project"]


def test_the_wizard_makes_a_project_of_any_table(demo_home, open_page):
    test = open_page(demo_home, "data", new="1")
    assert test.title[0].value == "New project"
    test.file_uploader[0].upload("churn.csv", CHURN.encode(), "text/csv").run()
    assert "120 rows, 5 columns" in texts(test)
    button(test, "On to: Columns").click().run()
    button(test, "On to: Target").click().run()
    test.text_input(key="wizard-title").input("Customer churn").run()
    assert test.selectbox(key="wizard-target").value == "churn"
    assert test.text_input(key="wizard-positive-churn").value == "yes"
    assert test.selectbox(key="wizard-key-churn").value == "customer"
    test.number_input(key="wizard-register").set_value(0.2)
    button(test, "On to: What will happen").click().run()
    assert "Predicts whether churn is yes" in texts(test)
    assert projects.find_project(demo_home, "customer_churn") is None
    button(test, "Create project").click().run()
    definition = projects.get_definition(demo_home, "customer_churn")
    assert (definition.task, definition.target, definition.positive, definition.key) == ("binary", "churn", "yes", "customer")
    assert [c.name for c in definition.features] == ["age", "plan"]
    assert definition.gates.register == 0.2
    assert versions.get_version(demo_home, "customer_churn").rows == 120
    assert test.query_params["project"] == "customer_churn"
    assert "wizard" not in test.session_state
    rows = reading(demo_home.db).conn.execute("SELECT action, correlation_id FROM audit ORDER BY seq DESC LIMIT 2").fetchall()
    assert [r[0] for r in rows] == ["add_dataset", "create_project"]
    assert rows[0][1] == rows[1][1]


def as_excel(text):
    import io

    import pandas as pd

    buffer = io.BytesIO()
    pd.read_csv(io.StringIO(text)).to_excel(buffer, index=False)
    return buffer.getvalue()


LEVELS = "size,level\n" + "".join(f"{i % 17},{('LOW', 'HIGH', 'MEDIUM')[i % 3]}\n" for i in range(120))
GRADES = "query,width,grade\n" + "".join(f"q{i // 10},{i % 23},{i % 5}\n" for i in range(120))
PRICES = "rooms,price\n" + "".join(f"{i % 7},{100 + i * 1.5}\n" for i in range(120))


@pytest.mark.parametrize(
    ("table", "task", "answers", "expected"),
    [
        (
            LEVELS,
            "multiclass",
            {},
            {"classes": ("LOW", "MEDIUM", "HIGH"), "level_weights": {"LOW": 0.0, "MEDIUM": 0.5, "HIGH": 1.0}},
        ),
        (GRADES, "ranking", {"wizard-group-grade": "query"}, {"group": "query", "metric": "ndcg"}),
        (GRADES, "binary", {"wizard-positive-grade": ">2"}, {"positive": ">2", "classes": ("0", "1")}),
        (PRICES, "regression", {}, {"metric": "r2", "classes": ()}),
    ],
)
def test_the_wizard_knows_every_task_and_excel(demo_home, open_page, table, task, answers, expected):
    test = open_page(demo_home, "data", new="1")
    test.file_uploader[0].upload("table.xlsx", as_excel(table)).run()
    button(test, "On to: Columns").click().run()
    button(test, "On to: Target").click().run()
    test.text_input(key="wizard-title").input("Brought along").run()
    test.selectbox(key=f"wizard-task-{test.selectbox(key='wizard-target').value}").set_value(task).run()
    for key, value in answers.items():
        (test.selectbox if "group" in key else test.text_input)(key=key).set_value(value).run()
    button(test, "On to: What will happen").click().run()
    button(test, "Create project").click().run()
    assert not test.error
    definition = projects.get_definition(demo_home, "brought_along")
    assert definition.task == task
    assert {name: getattr(definition, name) for name in expected} == expected
    assert versions.get_version(demo_home, "brought_along").validation["ok"]


def test_going_back_in_the_wizard_keeps_the_answers(demo_home, open_page):
    test = open_page(demo_home, "data", new="1")
    test.file_uploader[0].upload("churn.csv", CHURN.encode(), "text/csv").run()
    button(test, "On to: Columns").click().run()
    button(test, "On to: Target").click().run()
    test.text_input(key="wizard-title").input("Customer churn").run()
    test.selectbox(key="wizard-target").set_value("plan").run()
    button(test, "On to: What will happen").click().run()
    assert "Predicts plan as one of basic, pro, team" in texts(test)
    button(test, "Back").click().run()
    assert test.text_input(key="wizard-title").value == "Customer churn"
    assert test.selectbox(key="wizard-target").value == "plan"
    button(test, "Leave without creating").click().run()
    assert test.title[0].value == "Data"
    assert "wizard" not in test.session_state


def test_the_wizard_says_what_is_wrong_and_stays_where_it_is(demo_home, open_page):
    test = open_page(demo_home, "data", new="1")
    test.file_uploader[0].upload("churn.csv", CHURN.encode(), "text/csv").run()
    button(test, "On to: Columns").click().run()
    button(test, "On to: Target").click().run()
    button(test, "On to: What will happen").click().run()
    assert "no title" in test.error[0].value or "not a possible project name" in test.error[0].value
    assert test.session_state["wizard"]["step"] == 2


def test_who_may_not_create_a_project_is_told_who_may(demo_home, open_page):
    test = open_page(demo_home, "data", "developer", new="1")
    assert "New project is for Data scientist and DevOps" in test.info[0].value
    assert not test.file_uploader


def test_changed_columns_become_overrides_and_unchanged_ones_do_not():
    table = read_table(CHURN.encode(), file_name="churn.csv")
    columns = guess.guess_columns(table)
    rows = [column_row(c, {}) for c in columns]
    assert find_overrides(columns, rows) == {}
    rows[1].update(Lowest=18, Highest=99)
    rows[2]["Use"] = "ignored"
    overrides = find_overrides(columns, rows)
    assert overrides == {"age": {"low": 18.0, "high": 99.0}, "plan": {"role": "ignored"}}
    assert column_row(columns[1], overrides["age"])["Lowest"] == 18.0


def test_the_order_of_classes_and_their_weights_are_a_persons_choice():
    table = read_table(b"size,y\n" + b"1,S\n2,M\n3,L\n" * 40, file_name="t.csv")
    made = creation.define_project(
        table, name="sizes", title="Sizes", target="y", task="multiclass", order=["S", "M", "L"],
        level_weights={"S": 0.0, "M": 0.4, "L": 1.0},
    )  # fmt: skip
    assert made.classes == ("S", "M", "L")
    assert made.level_weights == {"S": 0.0, "M": 0.4, "L": 1.0}
    with pytest.raises(BadInput, match="each class once: L, M, S"):
        creation.define_project(table, name="sizes", title="Sizes", target="y", task="multiclass", order=["S", "M"])


def test_creating_twice_with_one_key_makes_one_project(demo_home):
    table = read_table(CHURN.encode(), file_name="churn.csv")
    definition = creation.define_project(table, name="churn", title="Churn", target="churn", task="binary")
    made = [
        creation.create_with_data(demo_home, Actor("scientist"), definition, CHURN.encode(), file_name="churn.csv", key="k1")
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert actions(demo_home).count("create_project") == 4  # the three samples and this one
    assert len(versions.list_datasets(demo_home, "churn")) == 1


@pytest.mark.parametrize(("title", "name"), [("Café churn 2026", "cafe_churn_2026"), ("2026 plan", "plan"), ("日本", "")])
def test_a_title_suggests_a_name(title, name):
    assert creation.suggest_name(title) == name


def test_the_way_to_a_joined_database_is_called_by_its_name(demo_home, open_page):
    assert open_page(demo_home, "data").button(key="data-connect").label == "Connect a database"
    value = {"connection": "hr", "shape": "table", "table": "patients"}
    joins.set_join(demo_home, Actor("scientist"), "heart_disease", "database", value, check=dict)
    assert open_page(demo_home, "data").button(key="data-connect").label == "Import from database hr"
    assert not open_page(demo_home, "data", "director").exception


def test_a_join_is_taken_away_for_a_reason_that_the_audit_keeps(demo_home, open_page):
    value = {"connection": "hr", "shape": "table", "table": "patients"}
    joins.set_join(demo_home, Actor("scientist"), "heart_disease", "database", value, check=dict)
    page = open_page(demo_home, "data", connect="1")
    button = next(b for b in page.button if b.label == "Take the join away")
    button.click().run()
    assert "Write a reason" in page.error[0].value
    page.text_area(key="connect-away-reason").set_value("the server is switched off")
    next(b for b in page.button if b.label == "Take the join away").click().run()
    assert joins.find_join(demo_home, "heart_disease", "database") is None
    assert audit.search(demo_home, action="join")[0][0]["reason"] == "the server is switched off"
