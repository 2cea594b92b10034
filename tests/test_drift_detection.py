"""The benchmark of detection: its tables move as they say, our score is calm without a cause and sees what is large, its picture is whole."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from bench import drift_detection as bench
from bench.line_charts import Chart, Line, draw_svg

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "drift_detection.svg"


def test_a_table_moves_only_where_it_says():
    plain = bench.make_table(4_000, np.random.default_rng(1))
    moved = bench.make_table(4_000, np.random.default_rng(1), shift=0.5, mix=0.3)
    assert (moved["normal_0"] - plain["normal_0"]).dropna().round(6).unique().tolist() == [5.0]
    assert moved["mixed"].value_counts(normalize=True)["a"] == pytest.approx(0.2, abs=0.03)
    same = [c for c in plain if c not in ("normal_0", "mixed")]
    assert plain[same].equals(moved[same])
    assert plain.isna().mean().between(0.02, 0.04).all()


def test_without_a_cause_few_checks_report_and_a_large_shift_is_always_found():
    assert bench.measure_false_alarms(bench.check_ours, 100, 40, 42) <= 0.1
    assert bench.measure_hits(bench.check_ours, 200, 10, 42, "normal_0", shift=1.0) == 1.0
    assert bench.measure_hits(bench.check_ours, 200, 10, 42, "mixed", mix=0.4) == 1.0
    assert bench.measure_hits(bench.check_beyond_chance, 2_000, 10, 42, "normal_0", shift=0.3) == 1.0


def test_a_chart_puts_its_points_where_their_shares_are():
    drawn = draw_svg([Chart("A <b>", "rows", (Line("x & y", ((10, 0.0), (100, 0.5), (1000, 1.0))),), logarithmic=True)], "Title")
    root = ET.fromstring(drawn)
    name = "{http://www.w3.org/2000/svg}"
    points = [tuple(map(float, p.split(","))) for p in root.find(f".//{name}polyline").get("points").split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.1)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.1)
    assert {"A <b>", "x & y", "10", "100", "1,000"} <= {t.text for t in root.iter(f"{name}text")}


def test_the_picture_of_the_docs_is_whole_and_readable_on_dark_pages():
    root = ET.parse(PICTURE).getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{name}polyline")) == 4 * 3
    assert "prefers-color-scheme: dark" in root.find(f"{name}style").text
    assert root.get("aria-label")
