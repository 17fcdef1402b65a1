"""``cxlsfind-simulate``: files written, settings from a file, and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from cxlsfind.cli.simulate import main
from cxlsfind.sim.truth import read_truth

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--detector", "Eiger500K", "--d-min", "4"]
EVERYTHING = """
-n 6 --hit-fraction 1 --bits 32 --crystal wilson --crystal-size 3 --size-spread 0.2
--crystal-offset 1 --lattices 2 --beam-profile gaussian --pulses 100 --polarisation 0.5
--beam-spread 0.1 --energy-spread 0.001 --photons 50 --background 0.05 --material kapton=25
--material lcp=40 --air 20 --flight-in-air --jet-streak 0.05 --beam-centre 500.5,250
--centre-spread 2 --beam-stop 20 --beam-stop-arm 4 --flat-field 0.02 --charge-sharing 0.02
--hot-pixels 5 --twinkling-pixels 5 --cosmics 1 --ice-rings 0.5 --ice-spots 0.5 --salt 0.5
--peg 0.5 --seed 4
"""
PDB = """CRYST1   20.000   18.000   15.000  90.00  90.00  90.00 P 1 21 1      2
HETATM    1 C1   UNK A   1       3.100   4.200   5.300  1.00 12.00           C
END
"""


def test_writes_a_run_with_its_truth(tmp_path, capsys):
    arguments = ["-o", str(tmp_path / "run"), "-n", "4", *SMALL]
    arguments += ["--frames-per-file", "3", "--hit-fraction", "0.5", "--spots", "10"]
    assert main(arguments) == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "files.lst",
        "sim.geom",
        "sim_data_000001.h5",
        "sim_data_000002.h5",
        "sim_master.h5",
        "truth.h5",
    }
    truth = read_truth(tmp_path / "run" / "truth.h5")
    assert truth.events == ("data_000001//0", "data_000001//1", "data_000001//2", "data_000002//0")
    assert "sim_master.h5" in capsys.readouterr().out


def test_everything_at_once(tmp_path):
    """All kinds of crystal, background, fault and negative in one run."""
    (tmp_path / "beam.txt").write_text("6950 1\n7000 3\n7080 0\n")
    arguments = ["-o", str(tmp_path / "run"), *SMALL, *EVERYTHING.split()]
    arguments += ["--cell", "60 70 80 90 100 90", "--symmetry", "C 1 2 1"]
    arguments += ["--spectrum", str(tmp_path / "beam.txt")]
    assert main(arguments) == 0
    truth = read_truth(tmp_path / "run" / "truth.h5")
    assert (truth.frames["label"] == 1).all()
    assert (truth.frames["pulses"] == 100).all()
    assert len(truth.spots) > 0
    assert truth.frames["negatives"].any()
    with h5py.File(tmp_path / "run" / "sim_data_000001.h5") as file:
        assert file["entry/data/data"].dtype == "uint32"


def test_settings_from_a_file_yield_to_the_command_line(tmp_path):
    (tmp_path / "run.toml").write_text(
        'detector = "Eiger500K"\nd-min = 4\ncamera-length = 0.25\nphoton-energy = 8000\n'
        'material = ["kapton=25"]\nflight-in-air = true\n'
    )
    arguments = ["-o", str(tmp_path / "run"), "-n", "1", "--config", str(tmp_path / "run.toml")]
    assert main([*arguments, "--photon-energy", "6500"]) == 0
    frames = read_truth(tmp_path / "run" / "truth.h5").frames
    assert (frames["clen_m"], frames["energy_eV"]) == (0.25, 6500)


@pytest.mark.parametrize(
    "text", ["detektor = 1\n", "seed = true\n", "not toml", 'photons = ["a"]\n', "flux = 'x'\n"]
)
def test_bad_settings_files_are_usage_errors(tmp_path, capsys, text):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["-o", str(tmp_path / "run"), "--config", str(tmp_path / "run.toml")])
    assert stop.value.code == 2
    assert "run.toml" in capsys.readouterr().err


def test_a_structure_file_is_a_crystal(tmp_path):
    (tmp_path / "one.pdb").write_text(PDB)
    arguments = ["-o", str(tmp_path / "run"), "-n", "1", *SMALL, "--hit-fraction", "1"]
    assert main([*arguments, "--crystal", str(tmp_path / "one.pdb"), "--flux", "1e11"]) == 0


def test_a_geometry_file_is_a_detector(tmp_path, root_dir):
    arguments = ["-o", str(tmp_path / "run"), "-n", "1", "--d-min", "4", "--hit-fraction", "0"]
    geometry = root_dir / "geom" / "EigerX4M.geom"
    assert main([*arguments, "--detector", str(geometry)]) == 0
    with h5py.File(tmp_path / "run" / "sim_data_000001.h5") as file:
        assert file["entry/data/data"].shape == (1, 2167, 2070)


@pytest.mark.parametrize(
    "options",
    [
        ["-n", "0"],
        ["--background", "-1"],
        ["--seed", "-1"],
        ["--frames-per-file", "-1"],
        ["--hit-fraction", "1.5"],
        ["--spots", "1e9"],
        ["--photons", "-3"],
        ["--material", "cheese=3"],
        ["--cell", "1 2 3"],
        ["--salt", "2"],
        ["--pulses", "-1"],
        ["--photon-energy", "50"],
        ["--bandwidth", "0"],
    ],
)
def test_numbers_out_of_range_are_usage_errors(tmp_path, capsys, options):
    assert main(["-o", str(tmp_path / "run"), *SMALL, *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("cxlsfind-simulate: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--crystal", "nothing"],
        ["--crystal", "gone.pdb"],
        ["--crystal", "wilson"],
        ["--crystal", "wilson", "--cell", "0 1 2 90 90 90", "--symmetry", "1"],
        ["--crystal", "wilson", "--cell", "50 50 50 90 90 90", "--symmetry", "P 5"],
        ["--cell", "gone.cell"],
        ["--spectrum", "gone.txt"],
        ["--detector", "gone.geom"],
    ],
)
def test_bad_input_is_told_in_a_line(tmp_path, capsys, options):
    arguments = ["-o", str(tmp_path / "run"), *(SMALL if "--detector" not in options else [])]
    assert main([*arguments, *options]) == 3
    said = capsys.readouterr().err
    assert said.startswith("cxlsfind-simulate: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--detector", "Pilatus", "Eiger4M"),
        ("--material", "kapton", "kapton=25"),
        ("--beam-centre", "12", "1034,1081"),
        ("--flux", "nan", "nan"),
        ("--bits", "12", "8"),
    ],
)
def test_words_that_are_no_values_are_usage_errors(tmp_path, capsys, option, value, hint):
    with pytest.raises(SystemExit) as stop:
        main(["-o", str(tmp_path), option, value])
    assert stop.value.code == 2
    assert hint in capsys.readouterr().err


def test_a_directory_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["-o", str(tmp_path / "file" / "run"), "-n", "1", *SMALL]) == 3
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_help_names_defaults_once(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "(default: proteinase_k)" in " ".join(text.split())
    assert "default: None" not in text


@pytest.mark.parametrize("when", ["first", "last"])
def test_a_full_disk_is_told(tmp_path, when):
    """Files that may not grow: in the middle of the images, or when the rest is written."""
    limit = 100 if when == "first" else 400
    code = (
        "import resource, sys; from cxlsfind.cli.simulate import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit} * 1024, {limit} * 1024)); "
        "sys.exit(main())"
    )
    options = ["-o", "run", "-n", "12", *SMALL, "--flux", "1e10", "--crystal", "pyp"]
    ended = subprocess.run(
        [sys.executable, "-c", code, *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert "File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run" / "truth.h5").exists()
