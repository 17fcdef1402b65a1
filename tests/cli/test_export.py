"""``cxlsfind-export``: what is no model of ours is refused."""

from __future__ import annotations

from pathlib import Path

from cxlsfind.cli.export import main


def test_no_training_no_export(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path), "-o", str(tmp_path / "peak.pt")]) == 3
    assert "no such checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "peak.pt").exists()
