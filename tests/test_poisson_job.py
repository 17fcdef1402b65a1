"""The main job with its default finder: what the stream, the table and the summary say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.cli.main import main
from cxlsfind.sim.run import SimulatedRun
from cxlsfind.sim.score import score_run
from cxlsfind.sim.truth import read_truth


@pytest.fixture(scope="module")
def done(small_run: SimulatedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the outputs of the small run."""
    folder = tmp_path_factory.mktemp("poisson")
    arguments = ["-i", str(small_run.list), "-g", str(small_run.geometry)]
    assert main([*arguments, "-o", str(folder / "hits.stream")]) == 0
    return folder


def chunks(folder: Path) -> list[str]:
    return (folder / "hits.stream").read_text().split("----- Begin chunk -----\n")[1:]


def values(folder: Path, name: str) -> list[str]:
    return re.findall(rf"^{re.escape(name)} = (.*)$", (folder / "hits.stream").read_text(), re.M)


def peaks(chunk: str) -> np.ndarray:
    rows = re.search(r"Panel\n(.*)End of peak list", chunk, re.S).group(1).splitlines()
    return np.array([row.split()[:4] for row in rows], float).reshape(-1, 4)


def test_dim_spots_are_found_without_any_setting(done: Path, small_run: SimulatedRun) -> None:
    """At 0.03 photons per pixel spots of 20 photons and more are found, blanks stay blank."""
    truth = read_truth(small_run.truth)
    score = score_run(truth, [peaks(chunk)[:, :2] for chunk in chunks(done)])
    (bright,) = score.recall((20, np.inf))
    assert bright.n_spots > 20
    assert bright.recall > 0.97
    # One false peak is expected in each of 10 frames.
    assert score.n_false.sum() <= 25
    assert [int(hit) for hit in values(done, "hit")] == truth.frames["label"].tolist()


def test_every_frame_has_a_probability(done: Path) -> None:
    """Hits are probable, blanks improbable, and the classes say the same."""
    probability = np.array(values(done, "cxlsfind/hit_probability"), float)
    is_hit = np.array(values(done, "hit"), int) == 1
    assert len(probability) == 10
    assert (probability[is_hit] > 0.99).all()
    assert (probability[~is_hit] < 0.5).all()
    classes = values(done, "cxlsfind/frame_class")
    assert classes == ["hit" if hit else "blank" for hit in is_hit]


def test_the_table_goes_deeper_than_the_stream(done: Path) -> None:
    """nPeaks cuts at the asked false peaks; rows go on to ten times as many, best first."""
    with h5py.File(done / "hits.cxi") as file:
        streamed = iter(chunks(done))
        deeper = 0
        for name in sorted(file["run"]):
            table = file["run"][name]["result"]
            for row, n_peaks in enumerate(table["nPeaks"][()]):
                expected = peaks(next(streamed))
                found = np.stack([table["peakXPosRaw"][row], table["peakYPosRaw"][row]], axis=1)
                np.testing.assert_allclose(found[:n_peaks] + 0.5, expected[:, :2], atol=0.0051)
                p_value = table["peakPValue"][row]
                listed = int(np.count_nonzero(table["peakTotalIntensity"][row]))
                deeper += listed - n_peaks
                assert (np.diff(p_value[:listed]) >= 0).all()
                assert (table["peakTotalIntensity"][row][:listed] > 0).all()
        assert deeper > 20


def test_the_summary_counts_what_may_be_wrong(done: Path) -> None:
    """Expected false peaks and false hits stand beside what was found."""
    summary = json.loads((done / "hits.json").read_text())
    assert summary["frame_classes"] == {"blank": 5, "hit": 5}
    assert 0.5 < summary["expected_false_peaks_per_frame"] <= 1.5
    assert summary["expected_false_hits"] == pytest.approx(5e-3, rel=0.5)
    assert summary["estimated_hit_rate"] == pytest.approx(0.5, abs=0.15)


def test_headers_are_compared_with_the_photons(done: Path, small_run: SimulatedRun) -> None:
    """Two data files make two blocks and one group; the simulation's headers are right."""
    (beam,) = json.loads((done / "hits.json").read_text())["beam"]
    truth = read_truth(small_run.truth).frames
    assert beam["frames"] == len(truth)
    assert beam["header"]["photon_energy_eV"] == pytest.approx(truth["energy_eV"].mean(), rel=1e-4)
    assert beam["header"]["camera_length_m"] == pytest.approx(truth["clen_m"].mean(), rel=1e-4)
    with h5py.File(done / "hits.cxi") as file:
        means = np.concatenate(
            [file[f"run/{name}/mean_photons"][()] for name in sorted(file["run"])]
        )
        usable = np.count_nonzero(file["run/0000/mask"][()] == 0)
    # What is missing is in the spots.
    assert 0.9 < beam["photons"] / (means.sum() * usable) < 1.0
    assert not beam["alarm"]
    assert not beam["beam_centre_alarm"]


def write_floats(path: Path, scale: float) -> None:
    counts = np.random.default_rng(5).poisson(0.5, (3, 60, 50))
    with h5py.File(path, "w") as file:
        file["data/data"] = (counts * scale).astype(np.float32)


GEOMETRY = """photon_energy = 9000 eV
clen = 0.1
res = 13333.3
data = /data/data
dim0 = %
dim1 = ss
dim2 = fs
p0/min_fs = 0
p0/max_fs = 49
p0/min_ss = 0
p0/max_ss = 59
p0/corner_x = -25
p0/corner_y = -30
p0/fs = x
p0/ss = y
"""


@pytest.mark.parametrize(("scale", "gain", "code"), [(1.0, 1, 0), (7.3, 1, 3), (7.3, 7.3, 0)])
def test_floats_are_taken_only_as_photons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scale: float, gain: float, code: int
) -> None:
    """Whole numbers, or readings with a known gain, are photons; others are refused."""
    write_floats(tmp_path / "floats.h5", scale)
    (tmp_path / "a.geom").write_text(f"adu_per_photon = {gain}\n{GEOMETRY}")
    arguments = ["-i", str(tmp_path / "floats.h5"), "-g", str(tmp_path / "a.geom")]
    assert main([*arguments, "-o", str(tmp_path / "hits.stream")]) == code
    said = capsys.readouterr().err
    if code:
        assert "adu_per_photon" in said
        assert "--peaks=peakfinder8" in said
    else:
        means = np.array(values(tmp_path, "cxlsfind/mean_photons"), float)
        np.testing.assert_allclose(means, 0.5, atol=0.08)


def test_readings_are_converted_once(tmp_path: Path) -> None:
    """The same photons read with another gain give the same peaks, and intensities in ADU.

    The gain may be given by photon or by photon energy.
    """
    counts = np.random.default_rng(1).poisson(0.05, (3, 60, 50))
    counts[:, 29:32, 19:22] += 5
    found = []
    gains = {1.0: "adu_per_photon = 1", 7.3: "adu_per_photon = 7.3", 3.6: "adu_per_eV = 4e-4"}
    for gain, line in gains.items():
        folder = tmp_path / f"gain{gain:g}"
        folder.mkdir()
        with h5py.File(folder / "run.h5", "w") as file:
            file["data/data"] = (counts * gain).astype(np.float32)
        (folder / "a.geom").write_text(f"{line}\n{GEOMETRY}")
        arguments = ["-i", str(folder / "run.h5"), "-g", str(folder / "a.geom")]
        assert main([*arguments, "-o", str(folder / "hits.stream")]) == 0
        found.append([peaks(chunk) for chunk in chunks(folder)])
    for gain, there in zip(gains, found, strict=True):
        for photons, readings in zip(found[0], there, strict=True):
            assert len(photons) >= 1
            np.testing.assert_allclose(readings[:, :2], photons[:, :2], atol=0.011)
            np.testing.assert_allclose(readings[:, 3], gain * photons[:, 3], atol=0.05)


def test_values_that_are_multiples_of_photons(
    small_run: SimulatedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Photons that read 9 each are noticed, said, and found like photons that read 1."""
    for path in small_run.list.parent.glob("*.h5"):
        if path != small_run.truth:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / small_run.geometry.name).write_bytes(small_run.geometry.read_bytes())
    for path in tmp_path.glob("*_data_*.h5"):
        with h5py.File(path, "r+") as file:
            data = file["entry/data/data"]
            for row in range(len(data)):
                image = data[row]
                data[row] = np.where(image < 65535, image * 9, image)
    outputs = tmp_path / "hits.stream"
    master = next(tmp_path.glob("*_master.h5"))
    geometry = tmp_path / small_run.geometry.name
    assert main(["-i", str(master), "-g", str(geometry), "-o", str(outputs)]) == 0
    assert "adu_per_photon = 9" in capsys.readouterr().err
    truth = read_truth(small_run.truth)
    assert [int(hit) for hit in values(tmp_path, "hit")] == truth.frames["label"].tolist()
    found = np.concatenate([peaks(chunk) for chunk in chunks(tmp_path)])
    score = score_run(truth, [peaks(chunk)[:, :2] for chunk in chunks(tmp_path)])
    assert score.n_false.sum() <= 25
    assert np.median(found[:, 3]) > 9 * 15
