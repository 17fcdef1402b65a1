"""Simulation under mpirun: the same files as without, and one rank's failure ends all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MPIRUN = shutil.which(
    "mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
ROOT = Path(__file__).resolve().parents[2]
CODE = "import sys; from cxlsfind.cli.simulate import main; sys.exit(main())"
OPTIONS = [
    "-n", "18", "--frames-per-file", "7", "--detector", "Eiger500K", "--d-min", "4",
    "--hot-pixels", "10", "--salt", "0.3", "--lattices", "1.5", "--seed", "6",
]  # fmt: skip

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(MPIRUN is None, reason="no mpirun"),
    pytest.mark.timeout(300),
]


def command(ranks, *options):
    start = [MPIRUN, "-n", str(ranks)] if ranks else []
    return [*start, sys.executable, "-c", CODE, *options]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "HYDRA_LAUNCHER": "fork"}


def start(words, folder):
    return subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def test_any_number_of_ranks_gives_the_same_bytes(tmp_path):
    files = {}
    for ranks in (0, 1, 2, 3):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        ended = start(command(ranks, "-o", "run", *OPTIONS), folder)
        assert ended.returncode == 0, ended.stderr
        # The list names the folder; all else must be equal, byte for byte.
        files[ranks] = {
            path.name: path.read_bytes()
            for path in (folder / "run").iterdir()
            if path.name != "files.lst"
        }
    assert len(files[0]) == 6
    assert files[0] == files[1] == files[2] == files[3]


def test_what_is_wrong_is_said_once(tmp_path):
    ended = start(command(3, "-o", "run", *OPTIONS, "--hit-fraction", "7"), tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.count("share of hits") == 1
    assert not (tmp_path / "run").exists()


def test_a_request_to_stop_leaves_no_truth(tmp_path):
    running = subprocess.Popen(
        command(0, "-o", "run", *OPTIONS, "-n", "100000"),
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    data = tmp_path / "run" / "sim_data_000001.h5"
    while not data.exists():
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 75
    assert "stopped by SIGTERM" in said
    assert "not complete" in said
    assert not (tmp_path / "run" / "truth.h5").exists()
