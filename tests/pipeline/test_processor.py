"""Warming up reaches what frames with peaks need, whatever the first frames are like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest

from cxlsfind.config import PeakMethod, RunConfig
from cxlsfind.finding import peakfinder8
from cxlsfind.kernels.peakfinder8 import search
from cxlsfind.pipeline.plan import prepare
from cxlsfind.pipeline.processor import Processor
from cxlsfind.sim.detector import Detector
from cxlsfind.sim.frames import FrameSettings
from cxlsfind.sim.run import simulate_run


@pytest.fixture
def config(tmp_path: Path, tiny_detector: Detector) -> RunConfig:
    """Return the settings of a run of blank frames, of which the first is damaged."""
    frames = FrameSettings(tiny_detector, hit_fraction=0.0, seed=1)
    run = simulate_run(tmp_path, frames, 4)
    with h5py.File(run.files.data[0]) as file:
        where = file["/entry/data/data"].id.get_chunk_info(0)
    content = bytearray(run.files.data[0].read_bytes())
    content[where.byte_offset + 14] ^= 255
    run.files.data[0].write_bytes(content)
    return RunConfig(
        command="",
        input=str(run.list),
        geometry=str(run.geometry),
        output=tmp_path / "hits.stream",
        peaks=PeakMethod.PEAKFINDER8,
        threshold=5.0,
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_warming_up_searches_for_peaks(
    config: RunConfig, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blank frames are seen through before the search, which the first hit finds compiled."""
    calls: list[int] = []

    def count(*arguments: Any) -> Any:
        calls.append(1)
        return search(*arguments)

    monkeypatch.setattr(peakfinder8, "search", count)
    plan = prepare(config)
    with Processor(plan.run, replace(config, threads=threads)) as processor:
        processor.warm_up()
        assert len(calls) == 1
        output = processor.process(plan.blocks[0])
        assert [skipped.event for skipped in output.skipped] == ["data_000001//0"]
        assert output.is_hit.tolist() == [False] * 3
    assert len(calls) == 1
