"""The examples run on a small simulated run, after the main command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments, cwd):
    result = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def processed_run(small_run):
    """Return the folder of the small run with ``hits.stream`` and ``hits.cxi`` in it."""
    folder = small_run.list.parent
    code = "import sys; from cxlsfind.cli.main import main; sys.exit(main())"
    arguments = ["-i", small_run.list, "-g", small_run.geometry, "-o", "hits.stream"]
    arguments += ["--peaks=peakfinder8", "--threshold=5", "--overwrite"]
    run("-c", code, *arguments, cwd=folder)
    return folder


def test_score_demo_finds_the_bright_spots_and_little_else(processed_run):
    lines = run(ROOT / "examples" / "score_demo.py", ".", cwd=processed_run).splitlines()
    assert lines[0] == "10 frames: 5 with spots, 5 blank"
    recall = {line[:16].strip(): line.split()[-1] for line in lines[2:10]}
    assert recall["200 to 500"] == "100.0%"
    assert recall["5 to 10"] == "0.0%"
    assert recall["0 to 5"] == "-"
    false_peaks = float(lines[10].rpartition(":")[2])
    assert false_peaks < 1


def test_read_hits_shows_the_richest_frame(processed_run):
    out = run(ROOT / "examples" / "read_hits.py", "hits.cxi", cwd=processed_run)
    assert "peaks; the strongest:" in out.splitlines()[0]
    assert "sim_data_00000" in out.splitlines()[-1]
    assert out.count("intensity") == 5
