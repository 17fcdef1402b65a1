"""Pages hold everything; figures are pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cxlsfind.training.figures import draw_confusion, draw_curves, draw_model
from cxlsfind.training.hit_task import HitTask
from cxlsfind.training.reports import Section, Table, write_page
from cxlsfind.training.scores import Curve

PNG = b"\x89PNG\r\n\x1a\n"


def test_figures_are_pictures() -> None:
    """Curves with gaps and on a logarithmic axis, matrices, models; the same twice."""
    curve = Curve("one", np.array([0.0, 0.1, 1.0]), np.array([0.0, np.nan, 1.0]))
    first = draw_curves([curve, curve], "x", "y", title="t", log_x=True, diagonal=True)
    assert first.startswith(PNG)
    assert first == draw_curves([curve, curve], "x", "y", title="t", log_x=True, diagonal=True)
    assert draw_confusion(np.array([[3, 0], [0, 0]]), ["a", "b"]).startswith(PNG)
    assert draw_model(HitTask().build(), title="hit").startswith(PNG)


def test_a_page_needs_no_other_file(tmp_path: Path) -> None:
    """Tables and figures are inside, safely escaped, and beside it as files."""
    table = Table("t < u", ("name", "value"), (("a & b", "1"), ("c", "2")))
    figure = draw_confusion(np.eye(2, dtype=np.int64), ["a", "b"])
    section = Section("S", ("note <b>",), (table,), (("figure", figure),))
    page = write_page(tmp_path / "out", "Title", [section]).read_text(encoding="utf-8")
    assert "t &lt; u" in page
    assert "a &amp; b" in page
    assert "note &lt;b&gt;" in page
    assert "data:image/png;base64," in page
    assert "http" not in page
    assert (tmp_path / "out" / "figure.png").read_bytes() == figure
    (kept,) = json.loads((tmp_path / "out" / "tables.json").read_text(encoding="utf-8"))
    assert kept["rows"] == [["a & b", "1"], ["c", "2"]]


def test_tables_as_text() -> None:
    """Columns are aligned."""
    table = Table("Title", ("name", "n"), (("longer name", "1"),))
    assert table.as_text().splitlines() == ["Title", "name         n", "longer name  1"]
