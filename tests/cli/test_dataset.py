"""``cxlsfind-dataset``: every command by its outputs and exit codes."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from cxlsfind.cli.dataset import main

MAKE = ["-n", "2", "--detector", "Eiger500K", "--photon-energy", "6000,7000"]
MAKE += ["--camera-length", "0.1", "--photons", "1e9", "-j", "1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a tree of two data sets with 2 + 1 frames each; not to be changed."""
    root = tmp_path_factory.mktemp("made") / "images"
    assert main(["make", "-o", str(root), *MAKE]) == 0
    return root


@pytest.fixture
def tree(made, tmp_path):
    """Return a copy of that tree."""
    return Path(shutil.copytree(made, tmp_path / "images"))


def files_of(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_made_trees_pass_the_check_and_keep_their_hashes(made, capsys):
    assert main(["check", str(made), "--patterns", "2", "--empties", "1", "-j", "1"]) == 0
    assert "6 frames in 2 data sets, no problems" in capsys.readouterr().out
    assert main(["verify", str(made)]) == 0


def test_a_bad_tree_is_listed_problem_by_problem(tree, capsys):
    (tree / "peaks/01/01_6keV_clen01_000001.h5").write_bytes(b"\x89HDF")
    with h5py.File(tree / "water/02/02_7keV_clen01_000002.h5", "r+") as file:
        del file.attrs["photon_energy"]
    (tree / "labels/02/02_7keV_clen01_000001.h5").unlink()
    assert main(["check", str(tree), "-j", "1"]) == 3
    captured = capsys.readouterr()
    assert "3 problems" in captured.out
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"cxlsfind-dataset: {tree}/") for line in lines)
    assert "labels/02/02_7keV_clen01_000001.h5: missing" in lines[0]
    assert "peaks/01/01_6keV_clen01_000001.h5: not an HDF5 file" in lines[1]
    assert "water/02/02_7keV_clen01_000002.h5: no attribute 'photon_energy'" in lines[2]
    assert main(["verify", str(tree)]) == 3


def test_what_a_check_names_as_remedy_helps(tree, capsys):
    with h5py.File(tree / "water/02/02_7keV_clen01_000002.h5", "r+") as file:
        del file.attrs["photon_energy"]
        file.attrs["clen"] = 0.7
    bad = tree / "peaks/01/01_6keV_clen01_000001.h5"
    bad.write_bytes(b"")
    assert main(["check", str(tree), "-j", "1"]) == 3
    assert main(["attributes", str(tree)]) == 3
    assert "peaks/01/01_6keV_clen01_000001.h5" in capsys.readouterr().err
    bad.unlink()
    assert main(["make", "-o", str(tree), *MAKE]) == 0
    assert main(["check", str(tree), "-j", "1"]) == 0


def test_a_tree_is_not_made_over_another(tree, capsys):
    before = files_of(tree)
    assert main(["make", "-o", str(tree), *MAKE, "--seed", "3"]) == 3
    assert "made here with other options" in capsys.readouterr().err
    assert main(["make", "-o", str(tree.parent), *MAKE]) == 3
    assert files_of(tree) == before


def test_a_range_draws_a_condition_for_every_frame(tmp_path, capsys):
    arguments = ["make", "-o", str(tmp_path / "t"), "-n", "3", "--empties", "0", "--seed", "2"]
    arguments += ["--detector", "Eiger500K", "--photon-energy", "6000:9000", "-j", "1"]
    arguments += ["--camera-length", "0.1:0.3", "--photons", "1e8:1e9"]
    assert main(arguments) == 0
    paths = sorted((tmp_path / "t/peaks/01").iterdir())
    seen = set()
    for path in paths:
        with h5py.File(path) as file:
            energy, clen = file.attrs["photon_energy"], file.attrs["clen"]
        assert path.name.startswith(f"01_{energy / 1000:.3f}".rstrip("0").rstrip("."))
        assert "keV_clen00_" in path.name
        assert 6000 <= energy <= 9000
        assert 0.1 <= clen <= 0.3
        seen.add((energy, clen))
    assert len(seen) == 3
    assert main(["check", str(tmp_path / "t"), "-j", "1"]) == 0


def test_settings_and_crystals_reach_the_frames(tmp_path):
    arguments = ["make", "-o", str(tmp_path / "t"), *MAKE, "-n", "1", "--empties", "0"]
    arguments += ["--crystal", "lysozyme", "--set", "background.water_m=0"]
    assert main(arguments) == 0
    for path in (tmp_path / "t/water").rglob("*.h5"):
        with h5py.File(path) as file:
            assert file.attrs["crystal"] == "lysozyme"
            assert file["entry/data/data"][()].sum() < 10


def test_labels_and_overlays_can_be_made_anew(tree):
    before = files_of(tree)
    for branch in ("labels", "peaks_water_overlay"):
        shutil.rmtree(tree / branch)
    assert main(["overlay", str(tree), "-j", "1"]) == 0
    assert main(["labels", str(tree), "-j", "1", "--datasets", "1"]) == 0
    assert not (tree / "labels/02").exists()
    assert main(["labels", str(tree), "-j", "1"]) == 0
    assert files_of(tree) == before


def test_empties_are_simulated_with_water_of_their_own(tree, capsys):
    assert main(["empties", str(tree), "100", "-j", "1"]) == 0
    water = [p.read_bytes() for p in (tree / "water/01").iterdir()]
    assert len(set(water)) == 4
    assert main(["check", str(tree), "--empties", "2", "-j", "1"]) == 0
    assert main(["verify", str(tree)]) == 0
    assert main(["empties", str(tree), "50", "-j", "1"]) == 3
    assert "ask for more" in capsys.readouterr().err


def test_images_are_listed_by_number_and_condition(made, capsys):
    assert main(["select", str(made), "--photon-energy", "6500:7500", "--patterns"]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names == ["02_7keV_clen01_000001.h5", "02_7keV_clen01_000002.h5"]
    assert main(["select", str(made), "--datasets", "1", "--empties", "--branch", "water"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line == str(made / "water/01/empty_01_6keV_clen01_000001.h5")
    assert main(["select", str(made), "--camera-length", "0.2"]) == 3
    assert main(["select", str(made), "--datasets", "7"]) == 3


def test_counts_give_the_weight_of_the_classes(made, capsys):
    assert main(["counts", str(made)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [
        ["01", "6000", "0.1", "2", "1", "0.5"],
        ["02", "7000", "0.1", "2", "1", "0.5"],
        ["all", "4", "2", "0.5"],
    ]


def test_splits_say_what_they_keep_apart(made, tmp_path, capsys):
    output = tmp_path / "split.json"
    assert main(["split", str(made), "-o", str(output), "--test", "50"]) == 0
    split = json.loads(output.read_text())
    folders = [{name[:2] for name in split[part]} for part in ("train", "test")]
    assert sorted(map(sorted, folders)) == [["01"], ["02"]]
    out = capsys.readouterr().out
    assert "share no condition, no seed" in out
    assert "may share a crystal, the only one: proteinase_k" in out
    assert main(["split", str(made), "-o", str(output), "--leave-out-photon-energy", "7000"]) == 0
    assert {name[:2] for name in json.loads(output.read_text())["test"]} == {"02"}
    assert main(["split", str(made), "-o", str(output), "--by", "seed", "--test", "34"]) == 0
    assert len(json.loads(output.read_text())["test"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["frob"], 2),
        (["make"], 2),
        (["make", "-o", "{new}", "-n", "0"], 2),
        (["make", "-o", "{new}", "--empties", "-1"], 2),
        (["make", "-o", "{new}", "--photon-energy", "8000:6000"], 2),
        (["make", "-o", "{new}", "--photon-energy", "6000,6000"], 2),
        (["make", "-o", "{new}", "--photon-energy", "100"], 2),
        (["make", "-o", "{new}", "--set", "colour=red"], 2),
        (["make", "-o", "{new}", "--set", "colour"], 2),
        (["make", "-o", "{new}", "--crystal", "diamond"], 3),
        (["make", "-o", "{new}", "--detector", "Pilatus"], 3),
        (["make", "-o", "/dev/null/tree", "-n", "1"], 3),
        (["check", "{new}"], 3),
        (["counts", "{new}"], 3),
        (["select", "{tree}", "--datasets", "one"], 2),
        (["select", "{tree}", "--patterns", "--empties"], 2),
        (["split", "{tree}", "-o", "{new}", "--by", "colour"], 2),
        (["split", "{tree}", "-o", "{new}", "--test", "100"], 2),
        (["split", "{tree}", "-o", "{new}", "--by", "crystal"], 3),
        (["split", "{tree}", "-o", "{new}/none/split.json"], 3),
        (["labels", "{tree}", "--threshold", "0"], 2),
        (["verify", "{tree}/peaks"], 3),
    ],
)
def test_bad_input_ends_in_words(made, tmp_path, capfd, arguments, code):
    words = [word.format(new=tmp_path / "new", tree=made) for word in arguments]
    try:
        found = main(words)
    except SystemExit as stop:
        found = stop.code
    assert found == code
    err = capfd.readouterr().err
    assert err.startswith("cxlsfind-dataset")
    assert "Traceback" not in err
    assert not (tmp_path / "new").exists()


def test_nothing_is_done_without_a_yes(tree, monkeypatch, capsys):
    before = files_of(tree)
    arguments = ["labels", str(tree), "--overwrite", "--threshold", "1", "--ask", "-j", "1"]
    for answer, code in (("n\n", 75), ("\n", 75), ("", 2)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        assert main(arguments) == code
        assert files_of(tree) == before
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(arguments) == 0
    assert files_of(tree) != before
    monkeypatch.setattr(sys, "stdin", io.StringIO("2\n"))
    capsys.readouterr()
    assert main(["select", str(tree), "--ask"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.mpi
def test_ranks_write_the_same_files(made, tmp_path):
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    mpirun = shutil.which("mpirun", path=places)
    if mpirun is None:
        pytest.skip("no mpirun")
    environment = {**os.environ, "HYDRA_LAUNCHER": "fork"}
    command = [mpirun, "-n", "2", sys.executable, "-m", "cxlsfind.cli.dataset"]
    root = tmp_path / "images"
    done = subprocess.run(
        [*command, "make", "-o", root, *MAKE],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert files_of(root) == files_of(made)
    done = subprocess.run(
        [*command, "check", root],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 2
    assert done.stderr.count("start it without mpirun") == 1
