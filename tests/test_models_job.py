"""The main job with models: what they may change, what they may not, and what is said of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.cli.main import main
from cxlsfind.records import FRAME_FLAGS
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.frames import FrameSettings
from cxlsfind.sim.run import SimulatedRun, simulate_run

Job = Callable[..., Path]

FILES = ("hits.stream", "hits.cxi", "hits.geom", "hits.lst", "nonhits.lst", "indexable.lst")


@pytest.fixture
def job(tmp_path: Path, small_run: SimulatedRun) -> Job:
    """Return a function that does the small run with options, in a folder of its own."""

    def do(*options: object, run: SimulatedRun = small_run, code: int = 0) -> Path:
        folder = tmp_path / f"job{len(list(tmp_path.glob('job*')))}"
        folder.mkdir()
        arguments = ["-i", str(run.list), "-g", str(run.geometry)]
        arguments += ["-o", str(folder / "hits.stream"), *map(str, options)]
        assert main(arguments) == code
        return folder

    return do


def values(folder: Path, name: str) -> np.ndarray:
    """Return what the stream says of every frame under a name."""
    text = (folder / "hits.stream").read_text()
    return np.array(re.findall(rf"^{re.escape(name)} = (.*)$", text, re.M))


def summary(folder: Path) -> dict:
    return json.loads((folder / "hits.json").read_text())


def peak_lines(folder: Path) -> list[list[str]]:
    """Return the peaks of every frame as the stream has them, sorted."""
    text = (folder / "hits.stream").read_text()
    lists = re.findall(r"Intensity  Panel\n(.*?)End of peak list", text, re.S)
    return [sorted(part.splitlines()) for part in lists]


def test_untrained_models_change_nothing(job: Job, untrained_models: Path) -> None:
    """They know no artefacts: peaks and hits are those of the statistics."""
    alone, judged = job(), job("--models", untrained_models, "--device=cpu")
    assert peak_lines(judged) == peak_lines(alone)
    assert values(judged, "hit").tolist() == values(alone, "hit").tolist()
    numbers = summary(judged)["models"]
    assert numbers["peaks_removed"] == 0
    assert numbers["frames_of_artefacts"] == 0
    probability = values(judged, "cxlsfind/hit_probability").astype(float)
    assert ((probability > 0.5) == (values(judged, "hit") == "1")).all()


def test_false_peaks_stay_as_asked(tmp_path: Path, job: Job, untrained_models: Path) -> None:
    """On blank frames the list holds the asked number, with models and without."""
    settings = FrameSettings(DETECTORS["Eiger500K"], hit_fraction=0.0, seed=5)
    run = simulate_run(tmp_path, settings, 128)
    for asked in (1.0, 10.0):
        options = (f"--false-peaks={asked}", "--models", untrained_models)
        found = values(job(*options, run=run), "num_peaks").astype(float)
        assert found.mean() == pytest.approx(asked, rel=0.25 + 3 / np.sqrt(128 * asked))
        alone = values(job(f"--false-peaks={asked}", run=run), "num_peaks").astype(float)
        assert found.mean() == pytest.approx(alone.mean(), rel=0.1)


def test_artefacts_leave_the_list(job: Job, make_models: Callable[..., Path]) -> None:
    """A model to which everything is a hot pixel leaves no peaks, no evidence and no hits."""
    alone, judged = job(), job("--models", make_models(peak_bias=30.0))
    assert (values(judged, "num_peaks") == "0").all()
    assert (values(judged, "hit") == "0").all()
    removed = values(judged, "cxlsfind/peaks_removed")
    assert removed.tolist() == values(alone, "num_peaks").tolist()
    assert (values(judged, "cxlsfind/frame_class") == "blank").all()
    assert (values(judged, "cxlsfind/hit_p_value").astype(float) > 1e-3).all()
    assert summary(judged)["models"]["peaks_removed"] == summary(alone)["peaks"]
    with h5py.File(judged / "hits.cxi") as file:
        for group in file["run"].values():
            assert not group["result/nPeaks"][()].any()


@pytest.mark.parametrize("rule", [(), ("--min-peaks=5",)])
def test_frames_of_artefacts_are_no_hits(
    job: Job,
    make_models: Callable[..., Path],
    rule: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever rule makes a hit: peaks stay, the frame is told apart from a blank."""
    alone, judged = job(*rule), job(*rule, "--models", make_models(hit_bias=20.0))
    was_hit = values(alone, "hit") == "1"
    assert was_hit.sum() == 5
    assert (values(judged, "hit") == "0").all()
    classes = values(judged, "cxlsfind/frame_class")
    assert classes.tolist() == np.where(was_hit, "artefact", "blank").tolist()
    assert (values(judged, "cxlsfind/artefact_probability").astype(float) > 0.99).all()
    assert (values(judged, "num_peaks")[was_hit].astype(int) > 5).all()
    assert summary(judged)["models"]["frames_of_artefacts"] == 5
    assert not (judged / "hits.lst").read_text()
    assert "models took 5 frames for artefacts alone" in capsys.readouterr().err


def test_min_peaks_counts_what_models_leave(job: Job, make_models: Callable[..., Path]) -> None:
    """The classical rule sees the list as it is written."""
    judged = job("--min-peaks=1", "--models", make_models(peak_bias=30.0))
    assert (values(judged, "hit") == "0").all()


def test_outputs_say_what_models_say(job: Job, untrained_models: Path) -> None:
    """Stream and table agree frame by frame; the table has classes and probabilities of peaks."""
    folder = job("--models", untrained_models)
    columns = {name: [] for name in ("artefact_probability", "peaks_removed")}
    columns |= {f"{name}_probability": [] for name in FRAME_FLAGS}
    with h5py.File(folder / "hits.cxi") as file:
        for name in sorted(file["run"]):
            group = file["run"][name]
            for column, parts in columns.items():
                parts.append(group[column][()])
            table = group["result"]
            assert table["peakClass"].attrs["classes"].split(",")[:2] == ["spot", "noise"]
            for row, n_peaks in enumerate(table["nPeaks"][()]):
                likely = table["peakSpotProbability"][row, :n_peaks]
                assert ((likely > 0.9) & (likely <= 1.0)).all()
                assert set(table["peakClass"][row, :n_peaks]) <= {0, 1}
                p_value = table["peakPValue"][row]
                listed = int(np.count_nonzero(table["peakTotalIntensity"][row]))
                assert (np.diff(p_value[:listed]) >= 0).all()
    for name, parts in columns.items():
        said = values(folder, f"cxlsfind/{name}").astype(float)
        np.testing.assert_allclose(np.concatenate(parts), said, rtol=1e-5)
    used = summary(folder)["models"]["used"]
    assert [model["file"] for model in used] == ["peak.pt", "hit.pt"]
    assert all(len(model["sha256"]) == 64 for model in used)
    assert used[0]["figures"] == {"test_loss": 0.5}


def test_unknown_backgrounds_are_left_to_the_statistics(
    job: Job, make_models: Callable[..., Path]
) -> None:
    """Models that see artefacts everywhere, but know frames of other backgrounds only."""
    alone = job()
    judged = job("--models", make_models(peak_bias=30.0, hit_bias=20.0, background=(5.0, 9.0)))
    assert peak_lines(judged) == peak_lines(alone)
    for name in ("hit", "cxlsfind/hit_p_value", "cxlsfind/hit_probability"):
        assert values(judged, name).tolist() == values(alone, name).tolist()
    assert len(values(judged, "cxlsfind/artefact_probability")) == 0
    with h5py.File(judged / "hits.cxi") as file:
        table = file["run/0000/result"]
        assert (table["peakClass"][0, : table["nPeaks"][0]] == -1).all()


def test_a_peak_model_alone(job: Job, make_models: Callable[..., Path]) -> None:
    """Without a hit model the finder decides, and there is nothing of flags in the outputs."""
    folder = make_models()
    (folder / "hit.pt").unlink()
    done = job("--models", folder)
    assert len(values(done, "cxlsfind/peaks_removed")) == 10
    assert len(values(done, "cxlsfind/artefact_probability")) == 0
    with h5py.File(done / "hits.cxi") as file:
        assert "peaks_removed" in file["run/0000"]
        assert "ice_probability" not in file["run/0000"]
    assert (values(done, "hit") == "1").sum() == 5


def test_the_same_run_gives_the_same_bytes(job: Job, untrained_models: Path) -> None:
    """A second time, and whatever the option of the device was."""
    first = job("--models", untrained_models)
    second = job("--models", untrained_models, "--device", "cpu")
    for name in FILES:
        assert (first / name).read_bytes().replace(b"job0", b"job1") == (
            second / name
        ).read_bytes(), name


def test_models_that_do_not_fit_are_refused(
    job: Job, make_models: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Before the first frame, with every reason, together with other problems."""
    folder = make_models(pixel_size_m=(1e-5, 2e-5), dtypes=("uint8",), least_pulses=5000.0)
    (tmp_path / "mask.npy").write_bytes(b"nonsense")
    done = job("--models", folder, "--mask", tmp_path / "mask.npy", code=3)
    said = capsys.readouterr().err
    assert "mask.npy" in said
    assert "peak.pt: does not fit the data: pixels are 75 um" in said
    done = job("--models", folder, code=3)
    said = capsys.readouterr().err
    for name in ("peak.pt", "hit.pt"):
        (line,) = (line for line in said.splitlines() if f"{name}: does not fit the data" in line)
        assert "pixels are 75 um, it was made for 10 to 20 um" in line
        assert "it takes uint8" in line
        assert "1000 X-ray pulses, it needs 5000" in line
    assert not list(done.iterdir())


def test_folders_without_models_are_refused(
    job: Job, make_models: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """No folder, an empty one, damaged files, a hit model without the peak model it needs."""
    job("--models", tmp_path / "nowhere", code=3)
    assert "nowhere: no such folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    job("--models", tmp_path / "empty", code=3)
    assert "holds neither peak.pt nor hit.pt" in capsys.readouterr().err
    folder = make_models()
    (folder / "peak.pt").write_bytes(b"nonsense")
    job("--models", folder, code=3)
    assert "peak.pt: no TorchScript model" in capsys.readouterr().err
    (folder / "peak.pt").unlink()
    job("--models", folder, code=3)
    assert "hit.pt: was trained behind a peak model" in capsys.readouterr().err


def test_a_gpu_that_is_not_there(
    job: Job, untrained_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--device=cuda without a GPU is a usage error, said before the first frame."""
    import torch

    if torch.cuda.device_count():
        pytest.skip("there is a GPU")
    job("--models", untrained_models, "--device=cuda", code=2)
    assert "--device=cuda" in capsys.readouterr().err


def test_without_models(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    """--no-models is said in one line; where none are shipped, the summary alone says so."""
    job("--no-models")
    said = capsys.readouterr().err
    assert said.count("counting statistics alone") == 1
    done = job("--models=x", "--no-models")
    assert summary(done)["models"]["used"] == []
    assert "--no-models" in summary(done)["models"]["reason"]
    capsys.readouterr()


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that lets a folder of models come with the package."""
    return lambda folder: monkeypatch.setattr("cxlsfind.models.files.SHIPPED_FOLDER", folder)


def test_shipped_models_are_the_default(
    job: Job,
    untrained_models: Path,
    tmp_path: Path,
    shipped: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are used where they are, and none are missed where there are none."""
    shipped(tmp_path)
    done = job()
    assert "models:" not in capsys.readouterr().err
    assert "none are used unless asked for" in summary(done)["models"]["reason"]
    shipped(untrained_models)
    done = job()
    assert "models: peak.pt (" in capsys.readouterr().err
    assert len(summary(done)["models"]["used"]) == 2


def test_the_shipped_peak_model_by_its_name(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    """It fits EIGER frames, leaves the spots of clean ones, and one line says that it is used."""
    alone, judged = job(), job("--models=artefacts")
    said = capsys.readouterr().err.splitlines()
    (line,) = (line for line in said if "models:" in line)
    assert re.search(r"models: peak\.pt \([0-9a-f]{12}\) from artefacts$", line)
    (used,) = summary(judged)["models"]["used"]
    assert used["training"]["command"].startswith("cxlsfind-train peak")
    assert summary(judged)["hits"] == summary(alone)["hits"]
    left, there = (sum(map(len, peak_lines(folder))) for folder in (judged, alone))
    assert 0.97 * there <= left <= there
    removed = values(judged, "cxlsfind/peaks_removed").astype(int).sum()
    assert removed == there - left


def test_shipped_models_that_do_not_fit_are_left_out(
    job: Job,
    make_models: Callable[..., Path],
    shipped: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run goes on with the statistics alone, as one line says."""
    shipped(make_models(photon_energy_ev=(20e3, 30e3)))
    done = job()
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "models:" in line)
    assert "photons have 7000 eV" in line
    assert line.endswith("counting statistics alone")
    assert summary(done)["models"]["used"] == []


def test_without_pytorch(
    job: Job,
    untrained_models: Path,
    shipped: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Shipped models are left out in one line; models that were asked for are refused."""
    monkeypatch.setitem(sys.modules, "torch", None)
    shipped(untrained_models)
    done = job()
    said = capsys.readouterr().err
    assert said.count("PyTorch cannot be loaded") == 1
    assert summary(done)["hits"] == 5
    job("--models", untrained_models, code=3)
    assert "pip install 'cxlsfind[models]'" in capsys.readouterr().err


def test_pytorch_stays_unloaded_without_models(small_run: SimulatedRun, tmp_path: Path) -> None:
    """A run that uses no models does not pay for loading it."""
    code = (
        "import sys; from cxlsfind.cli.main import main; code = main(); "
        "sys.exit(99 if 'torch' in sys.modules else code)"
    )
    words = [sys.executable, "-c", code, "-i", str(small_run.list), "-g", str(small_run.geometry)]
    ended = subprocess.run([*words, "-o", "hits.stream"], cwd=tmp_path, check=False)
    assert ended.returncode == 0
