"""Names, categories, notes and reasons that would be markup anywhere else: they are text wherever they are shown."""

import csv
import io
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from core import accounts, approvals, audit, deployment
from core.acts import Actor
from core.datasets import versions as datasets
from core.datasets.read import read_table
from core.drift import checks
from core.jobs import worker
from core.projects import creation, projects
from core.registry import cards, versions
from core.scoring import files, labels, log
from core.training import runs
from pages import contents, session
from tests.conftest import SMALL, copy_home

FRAME = str(Path(__file__).parent.parent / "pages" / "frame.py")
SCIENTIST, DIRECTOR, DEVOPS = Actor("scientist"), Actor("director"), Actor("devops")
LINK = "[x](javascript:alert(1))"
ODD = f"<script>alert(1)</script> {{{{7*7}}}} {LINK} :material/bomb: **b** $a$ `c` | \u202egnp\u202c\nnext line"
NUMBER, CATEGORY, TARGET = f"<script>age</script> {LINK}", "{{7*7}} | :material/bomb: second line", f"=cmd|{LINK}"
CATEGORIES = ("<img src=x onerror=alert(1)>", LINK, "\u202eevil")
CLASSES = ("<script>low</script>", f"mid {LINK}", ":red[high] {{7*7}}")
MARKUP = re.compile(r"(?<!\\)\[x\]\(java|(?<!\\)\*\*b\*\*")  # a link or bold type that nothing has disarmed
FILE = f"<script>{LINK.replace('/', '')} {{{{7*7}}}}\u202e.csv"


def make_table(rows, seed):
    rng = random.Random(seed)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", NUMBER, CATEGORY.replace(": ", ":\n"), TARGET])  # the reader makes one line of a header
    for n in range(rows):
        level = rng.randrange(3)
        category = CATEGORIES[(level + (rng.random() < 0.2)) % 3]
        writer.writerow([n + 1, round(level * 10 + rng.gauss(0, 3), 2), category, CLASSES[level]])
    return out.getvalue().encode()


@pytest.fixture(scope="module")
def odd(built_demo, tmp_path_factory):
    """A whole life of a project that is called by markup: made, trained, registered, approved, live, predicting, labelled."""
    home = copy_home(built_demo, tmp_path_factory.mktemp("odd") / "home")
    content = make_table(150, 1)
    table = read_table(content, file_name=FILE)
    definition = creation.define_project(
        table, name="odd", title=ODD, target=TARGET, task="multiclass", key="id", order=CLASSES,
        level_weights=dict(zip(CLASSES, (0, 0.5, 1), strict=True)), description=ODD, source=ODD, licence=ODD,
        overrides={NUMBER: {"unit": ODD, "help": ODD}, CATEGORY: {"help": ODD}},
    )  # fmt: skip
    creation.create_with_data(home, SCIENTIST, definition, content, file_name=FILE, source=ODD)
    job = runs.start_training(home, SCIENTIST, "odd", candidates=SMALL, owner="cli")["id"]
    ended = worker.wait_for(home, job, worker.start_process(home, job))
    assert ended.state == "done", ended.error
    run = runs.list_runs(home, "odd")[0]
    for name, version in (("logistic_regression", "1.0.0"), ("random_forest", "1.1.0")):
        row = next(c for c in runs.list_candidates(home, run.id) if c.name == name)
        versions.register(home, SCIENTIST, row.id, version=version, notes=ODD)
    request = approvals.request_release(home, SCIENTIST, "odd", "1.0.0", reason=ODD)["id"]
    approvals.approve(home, DIRECTOR, request, reason=ODD, despite_gates=True)
    deployment.deploy(home, DEVOPS, "odd", "1.0.0", reason=ODD)
    approvals.request_release(home, SCIENTIST, "odd", "1.1.0", reason=ODD)
    folder = tmp_path_factory.mktemp("tables")
    (folder / FILE).write_bytes(make_table(40, 2).replace(b"evil", b"<b>new</b>"))
    files.predict_file(home, DEVOPS, "odd", folder / FILE, folder / "out.csv", source=f"file {FILE}")
    known = log.read(home, "odd")["prediction_id"]
    back = io.StringIO()
    csv.writer(back).writerows([["prediction_id", "label"], *([i, CLASSES[n % 3]] for n, i in enumerate(known))])
    labels.feed_labels(home, SCIENTIST, "odd", back.getvalue().encode(), file_name=FILE)
    checks.run_check(home, SCIENTIST, "odd", current=checks.Upload(make_table(60, 3), FILE), evidently=False)
    return home, folder / "out.csv"


def test_everything_kept_is_the_text_that_came(odd):
    home, out = odd
    definition = projects.get_definition(home, "odd")
    assert (definition.title, definition.target, definition.classes) == (ODD, TARGET, CLASSES)
    assert [c.name for c in definition.features] == [NUMBER, CATEGORY]
    assert datasets.get_version(home, "odd").file_name == FILE
    assert versions.get_version(home, "odd", "1.0.0").notes == ODD
    assert approvals.get_request(home, 1).reason == ODD
    metadata = versions.read_metadata(home, versions.get_version(home, "odd", "1.0.0"))
    assert metadata["notes"] == ODD
    raw = (versions.version_folder(home, "odd", "1.0.0") / "metadata.json").read_text(encoding="utf-8")
    assert json.loads(raw) == metadata
    found = audit.search(home, text="javascript", project="odd", limit=100)[0]
    assert {e["reason"] for e in found if e["action"] == "deploy"} == {ODD}
    rows = list(csv.reader(io.StringIO(out.read_text(encoding="utf-8"), newline="")))
    assert rows[0][:4] == ["id", NUMBER, CATEGORY, "'" + TARGET]  # what a spreadsheet would run is marked as text
    assert {r[rows[0].index("prediction")] for r in rows[1:]} <= set(CLASSES)
    assert any("<b>new</b>" in r[rows[0].index("problems")] for r in rows[1:])
    assert len({len(r) for r in rows}) == 1


def test_the_pages_in_markdown_show_it_as_text(odd):
    home, _ = odd
    registry = (home.models / "odd" / "MODEL_REGISTRY.md").read_text(encoding="utf-8")
    comparison = cards.comparison_page(home, runs.list_runs(home, "odd")[0])
    for page in (registry, comparison):
        assert "<script" not in page
        assert not MARKUP.search(page)
        assert "\nnext line" not in page
        assert "\u202e" not in page
    lines = [line for line in registry.splitlines() if line.startswith("| 1.")]
    assert len(lines) == 2
    assert all(line.replace("\\|", "").count("|") == 10 for line in lines), "a name may not make a column of its own"


MARKDOWN_FIELDS = {"body", "label", "help", "caption", "tooltip", "delta", "title", "placeholder"}


def list_markdown(message, kind=""):
    """(kind, text, allows HTML) of everything in an element that Streamlit reads as Markdown."""
    found = []
    for field, value in message.ListFields():
        if isinstance(value, Message):
            found += list_markdown(value, kind or field.name)
        elif field.name in MARKDOWN_FIELDS and isinstance(value, str):
            found.append((kind, value, bool(getattr(message, "allow_html", False))))
    return found


def walk(block):
    for child in block.children.values():
        yield child
        if hasattr(child, "children"):
            yield from walk(child)


def list_texts(test):
    found = []
    for node in walk(test._tree):
        if getattr(node, "proto", None) is not None:
            found += list_markdown(node.proto, node.type)
    return found


@pytest.fixture
def open_page(odd, monkeypatch):
    home, _ = odd
    monkeypatch.setenv("GREENLIGHT_HOME", str(home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)

    def open_as(name, url, **query):
        pages = tuple(replace(p, default=p.url == url) for p in contents.PAGES)
        monkeypatch.setattr(contents, "PAGES", pages)
        monkeypatch.setattr(session, "current_account", lambda home, now: accounts.find_account(home, name))
        test = AppTest.from_file(FRAME, default_timeout=60)
        for key, value in query.items():
            test.query_params[key] = value
        return test.run()

    return open_as


OWN_HTML = ("/sign-out", "/password", "/sign-in")


@pytest.mark.parametrize("who", ["scientist", "director"])
@pytest.mark.parametrize("url", [p.url for p in contents.PAGES])
def test_no_page_reads_a_name_as_markup(open_page, url, who):
    for query in ({}, {"version": "1.0.0"}, {"version": "1.1.0"}, {"request": "1"}, {"request": "2"}):
        if query and url not in ("registry", "approvals"):
            continue
        test = open_page(who, url, project="odd", **query)
        assert not test.exception, [e.value for e in test.exception]
        assert not [e.value for e in test.error if "Something went wrong" in e.value]
        texts = list_texts(test)
        assert len(texts) > 3
        for kind, text, allows_html in texts:
            if kind in ("text", "code"):
                continue  # shown as it is, never read as Markdown
            assert not MARKUP.search(text), (url, kind, text)
            assert ":material/bomb:" not in text, (url, kind, text)
            assert "\u202e" not in text, (url, kind, text)
            if allows_html:
                assert any(f'href="{path}"' in text for path in OWN_HTML), (url, text)
                assert "<script" not in text


def test_a_project_that_does_not_exist_is_named_as_text(open_page):
    test = open_page("scientist", "home", project=ODD)
    assert not test.exception
    for _, text, _ in list_texts(test):
        assert not MARKUP.search(text)
        assert ":material/bomb:" not in text
