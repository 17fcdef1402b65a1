"""``cxlsfind-simulate``: files written, and exit codes."""

from __future__ import annotations

import pytest

from cxlsfind.cli.simulate import main
from cxlsfind.sim.truth import read_truth


def test_writes_a_run_with_its_truth(tmp_path, capsys):
    arguments = ["-o", str(tmp_path / "run"), "-n", "4", "--detector", "Eiger500K"]
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


@pytest.mark.parametrize(
    "options", [["-n", "0"], ["--background", "-1"], ["--seed", "-1"], ["--frames-per-file", "-1"]]
)
def test_numbers_out_of_range_are_usage_errors(tmp_path, capsys, options):
    assert main(["-o", str(tmp_path / "run"), *options]) == 2
    assert "cxlsfind-simulate: " in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_unknown_detector_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["-o", str(tmp_path), "--detector", "Pilatus"])
    assert stop.value.code == 2
    assert "Eiger4M" in capsys.readouterr().err


def test_a_directory_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["-o", str(tmp_path / "file" / "run"), "-n", "1", "--detector", "Eiger500K"]) == 3
    assert str(tmp_path / "file") in capsys.readouterr().err
