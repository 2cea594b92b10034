"""Imports point one way: app -> pages, api -> core -> storage."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# what each layer must never import
FORBIDDEN = {
    "storage": {"core", "pages", "api", "app", "streamlit", "fastapi", "starlette"},
    "core": {"pages", "api", "app", "streamlit", "fastapi", "starlette", "sqlite3", "sqlite_utils"},
    "pages": {"storage", "api", "app", "sqlite3", "sqlite_utils"},
    "api": {"storage", "pages", "app", "sqlite3", "sqlite_utils"},
}
# core hands the open transaction through and names its type; SQL stays in storage
TYPE_ONLY = {"sqlite_utils"}


def imported(path: Path) -> list[tuple[int, str, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.split(".")[0], alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "core.errors":
                continue  # a leaf without imports: the words for what went wrong belong to every layer
            found += [(node.lineno, node.module.split(".")[0], alias.name) for alias in node.names]
    return found


def test_no_import_points_against_the_design():
    wrong = []
    for layer, forbidden in FORBIDDEN.items():
        for path in sorted((ROOT / layer).rglob("*.py")):
            for line, top, name in imported(path):
                if top in TYPE_ONLY and layer == "core" and name == "Database":
                    continue
                if top in forbidden:
                    wrong.append(f"{path.relative_to(ROOT)}:{line} imports {top}")
    assert wrong == []


def test_the_rule_would_see_a_wrong_import(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("import streamlit as st\nfrom storage.connection import writing\n")
    assert [(line, top) for line, top, _ in imported(bad)] == [(1, "streamlit"), (2, "storage")]


def test_only_storage_speaks_sql():
    words = ("SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM")
    wrong = []
    for layer in ("core", "pages", "api"):
        for path in sorted((ROOT / layer).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lstrip().startswith(words):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []
