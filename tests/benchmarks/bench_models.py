"""CPU time that models add to the main job, per frame, on one core without a GPU.

EIGER2 4M frames, blank ones and such with spots, go through the main job with the models of a
folder; what is measured is everything between the finder's results and the outcome: cutting of
patches, models, decisions. Every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measures import start

from cxlsfind.cli.main import main as run_job
from cxlsfind.pipeline.model_judge import ModelJudge, Outcome
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.frames import FrameSettings
from cxlsfind.sim.run import simulate_run


class Meter:
    """Adds up the CPU time that a rank spends on models."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self) -> None:
        """Let every call from now on be timed."""
        judge = ModelJudge.judge

        def timed(*arguments: Any) -> Sequence[Outcome]:
            begun = time.process_time()
            outcome = judge(*arguments)
            self.seconds += time.process_time() - begun
            return outcome

        ModelJudge.judge = timed  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="folder of models")
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--background", type=float, default=0.03, help="photons per pixel")
    parser.add_argument("--spots", type=int, nargs="+", default=[0, 100], help="per frame")
    parser.add_argument("--repeats", type=int, default=3)
    options, generator = start(parser)
    meter = Meter()
    meter.watch()
    print("spots   ms per frame, every repeat")
    for spots in options.spots:
        settings = FrameSettings(
            DETECTORS["Eiger4M"],
            spots=max(spots, 1),
            hit_fraction=float(spots > 0),
            background=options.background,
            seed=int(generator.integers(1 << 30)),
        )
        with tempfile.TemporaryDirectory() as name:
            run = simulate_run(Path(name), settings, options.frames)
            words = ["-i", str(run.list), "-g", str(run.geometry), "--overwrite"]
            words += ["-o", f"{name}/hits.stream", "--models", str(options.models)]
            found = []
            for _ in range(options.repeats):
                meter.seconds = 0.0
                sink = io.StringIO()
                with contextlib.redirect_stderr(sink), contextlib.redirect_stdout(sink):
                    run_job([*words, "--device=cpu"])
                found.append(1e3 * meter.seconds / options.frames)
        print(f"{spots:5d}   " + "  ".join(f"{value:.2f}" for value in found), flush=True)


if __name__ == "__main__":
    main()
