"""``cxlsfind-geometry``: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cxlsfind.cli.geometry import main

GOOD = """photon_energy = 9000 eV
clen = 0.15 m
res = 13333.3333
adu_per_photon = 1
flag_equal = 65535
p0/min_fs = 0
p0/max_fs = 9
p0/min_ss = 0
p0/max_ss = 19
p0/corner_x = -5
p0/corner_y = -10
p0/fs = x
p0/ss = y
p0/unknown = 1
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory with a good and a bad file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.geom").write_text(GOOD)
    (tmp_path / "bad.geom").write_text(GOOD + "; end\nno equals sign\n")
    return tmp_path


def test_good_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers a person wants to see, and the warnings."""
    assert main(["good.geom"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    for piece in ("good.geom", "9000 eV", "1.3776 A", "150 mm", "10 x 20", "75 um", "equal 65535"):
        assert piece in output.out
    assert "warning   line 14: unknown key 'p0/unknown' is ignored" in output.out


def test_refused_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File, line and reason on standard error; the other files are still looked at."""
    assert main(["bad.geom", "good"]) == 3
    output = capsys.readouterr()
    assert output.err.startswith("bad.geom:16: found 'no equals sign'; expected")
    assert output.err.count("\n") == 1
    assert output.out.startswith("good.geom\n")


def test_json(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line per file, in the order of the command line, base names only."""
    paths = [str(files / "bad.geom"), str(files / "good.geom"), "missing.geom"]
    assert main(["--json", *paths]) == 3
    output = capsys.readouterr()
    bad, good, missing = (json.loads(line) for line in output.out.splitlines())
    assert bad == {"file": "bad.geom", "ok": False}
    assert missing == {"file": "missing.geom", "ok": False}
    assert (good["file"], good["ok"], good["static"]) == ("good.geom", True, True)
    assert (good["panels"][0]["w"], good["clen_m"]) == (10, pytest.approx(0.15))
    assert output.err.splitlines()[0].startswith(f"{files}/bad.geom:16: ")
    assert output.err.splitlines()[1].startswith("missing.geom: no such file")


def test_shipped_name(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shipped geometries go by their names."""
    assert main(["Eiger4M", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["static"] is False
    assert main(["Eiger4M"]) == 0
    assert (
        "from header /entry/instrument/detector/detector_distance in m" in capsys.readouterr().out
    )


@pytest.mark.parametrize("arguments", [[], ["--no-such-option", "good.geom"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Usage errors are argparse's, with status 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: cxlsfind-geometry" in capsys.readouterr().err


def test_many_panels_and_masks(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Long lists of panels are cut, and all that masks pixels is named."""
    panels = "".join(GOOD[GOOD.index("p0/") :].replace("p0/", f"q{n}/") for n in range(20))
    extra = (
        "q3/no_index = 1\nq4/mask = /mask\nq5/mask_edge_pixels = 1\nq6/min_fs = 99\n"
        "bad1/min_x = 0\ndetector_shift_y = 1\n"
    )
    (files / "many.geom").write_text(GOOD + panels + extra)
    assert main(["many.geom"]) == 0
    output = capsys.readouterr().out
    for piece in ("panels    21", "and 13 more", "array /mask", "1 bad regions", "no_index of q3"):
        assert piece in output
    assert "panel edges" in output
    assert "problem   many.geom: panel q6 is empty" in output
    assert "with a shift of the detector" in output


def test_impossible_and_unprintable(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nonsense that CrystFEL accepts is shown without failing, control characters as '?'."""
    text = GOOD.replace("9000 eV", "0").replace("res = 13333.3333", "res = 0")
    (files / "odd.geom").write_bytes(text.encode().replace(b"p0/", b"p\x1b\xff/"))
    assert main(["odd.geom"]) == 0
    output = capsys.readouterr().out
    assert "impossible" in output
    assert "p??" in output
    assert "unknown size" in output


def test_a_reader_who_has_seen_enough(root_dir, monkeypatch):
    """``cxlsfind-geometry ... | head -1`` ends without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        monkeypatch.setattr("sys.stdout", output)
        assert main([str(root_dir / "geom" / "Eiger4M.geom")] * 1000) == 0
