"""Runs of data with a trap: they are done, and the trap is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.cli.main import main

GEOMETRY = """\
photon_energy = 9000 eV
clen = 0.1 m
adu_per_photon = 1
res = 10000
data = /entry/data/data
dim0 = %
dim1 = ss
dim2 = fs
p0/min_fs = 0
p0/max_fs = 63
p0/min_ss = 0
p0/max_ss = 47
p0/corner_x = -32
p0/corner_y = -24
p0/fs = x
p0/ss = y
"""


def make_frames(n: int, photons: float = 500.0) -> np.ndarray:
    """Return frames with a little background and two spots each."""
    row, column = np.mgrid[:48, :64]
    spots = sum(
        np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * 1.3**2))
        for y, x in ((12, 15), (30, 40))
    )
    expected = 0.05 + photons / (2 * np.pi * 1.3**2) * spots
    return np.random.default_rng(1).poisson(expected, (n, 48, 64))


@pytest.fixture
def job(tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """Return a function that runs the command here; gives exit code and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(
        *files: str,
        geometry: str = GEOMETRY,
        output: str = "hits.stream",
        finder: str = "peakfinder8 --threshold=5",
        options: str = "",
    ) -> tuple[int, str]:
        Path("g.geom").write_text(geometry)
        Path("files.lst").write_text("".join(f"{name}\n" for name in files))
        arguments = ["-i", "files.lst", "-g", "g.geom", "-o", output, "--min-peaks=2"]
        code = main([*arguments, *f"--peaks={finder} {options}".split()])
        return code, capsys.readouterr().err

    return run


def write(name: str, frames: np.ndarray) -> None:
    """Write a stack of frames."""
    with h5py.File(name, "w") as file:
        file.create_dataset("/entry/data/data", data=frames, chunks=(1, *frames.shape[1:]))


def test_gaps_without_a_mask(job):
    """Gaps that nobody masks are remarked on before the run, with the line that helps."""
    frames = make_frames(2).astype("u2")
    frames[:, 20:22] = 65535
    write("a.h5", frames)
    code, said = job("a.h5")
    assert code == 0
    assert "a.h5 //0: 128 of 3072 usable pixels read 65535, the largest value" in said
    assert "flag_morethan = 65534" in said
    code, said = job("a.h5", geometry="flag_morethan = 65534\n" + GEOMETRY, output="b.stream")
    assert (code, "largest value" in said) == (0, False)


def test_counters_that_roll_over(job):
    """8-bit counters that start again from zero are told from the holes that they leave."""
    write("a.h5", (make_frames(5, photons=3500.0) % 256).astype("u1"))
    code, said = job("a.h5")
    assert code == 0
    assert said.count("8-bit counters seem to have rolled over at 256") == 1
    summary = json.loads(Path("hits.json").read_text())
    assert summary["frames_with_rolled_over_pixels"] == 5
    assert len(summary["warnings"]) == 1


@pytest.mark.parametrize("finder", ["poisson", "peakfinder8 --threshold=5"])
def test_counts_as_floats(job, finder):
    """Counts give the same peaks whether they are written as integers or as floats."""
    frames = make_frames(6) * (np.arange(6) % 2).reshape(-1, 1, 1)
    streams = []
    for dtype in ("u2", "f4", "f8"):
        write(f"{dtype}.h5", frames.astype(dtype))
        assert job(f"{dtype}.h5", finder=finder, output=f"{dtype}.stream")[0] == 0
        text = Path(f"{dtype}.stream").read_text()
        streams.append([line for line in text.splitlines() if line.endswith(" p0")])
        assert re.findall("hit = (.)", text) == list("010101")
    assert len(streams[0]) >= 6
    assert streams[0] == streams[1] == streams[2]


def test_data_group_linked_to_another_file(job):
    """A link to a group that lacks what only some detectors write is as good as the group."""
    Path("raw").mkdir()
    write("raw/r.h5", make_frames(3).astype("u2"))
    with h5py.File("m.h5", "w") as file:
        file["/entry/data"] = h5py.ExternalLink("raw/r.h5", "/entry/data")
    assert job("m.h5")[0] == 0
    assert Path("hits.lst").read_text().count("\n") == 3


def test_mask_that_cannot_be_handed_on(job):
    """Without a table of peaks CrystFEL looks for them itself, and does not know of the mask."""
    write("a.h5", make_frames(2).astype("u2"))
    np.save("m.npy", np.zeros((48, 64), "u1"))
    shared = GEOMETRY + GEOMETRY[GEOMETRY.index("p0/") :].replace("p0", "p1")
    code, said = job("a.h5", geometry=shared, options="--mask=m.npy")
    assert code == 0
    assert "note: no hits.cxi: " in said
    assert "note: hits.geom does not hold --mask m.npy" in said
