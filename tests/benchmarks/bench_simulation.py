"""Speed of the simulation: spot lists, and complete compressed EIGER2 4M frames, on one core.

    python tests/benchmarks/bench_simulation.py [--seconds S]

Proteinase K, 1 % bandwidth, 7 keV at 0.15 m; backgrounds are means in photons per pixel. Prints one
line of JSON: medians and quartiles of frames per second of processor time, with the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from cxlsfind.sim.background.settings import BackgroundSettings  # noqa: E402
from cxlsfind.sim.crystals.catalogue import load_crystal  # noqa: E402
from cxlsfind.sim.detector import DETECTORS  # noqa: E402
from cxlsfind.sim.pattern_run import PatternRun, RunSettings  # noqa: E402
from cxlsfind.sim.patterns import PatternSettings, PatternSimulator  # noqa: E402

BACKGROUNDS = (1e-4, 0.01, 0.1, 1.0, 5.0)


def rates(work: Callable[[int], object], seconds: float) -> dict[str, float]:
    """Return quartiles of calls per second."""
    for number in range(3):  # compile, and fill the caches
        work(number)
    times = []
    end = time.process_time() + seconds
    number = 3
    while (start := time.process_time()) < end or len(times) < 8:
        work(number)
        times.append(time.process_time() - start)
        number += 1
    low, median, high = 1 / np.percentile(times, [75, 50, 25])
    return {"q1": round(low, 1), "median": round(median, 1), "q3": round(high, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    seconds = parser.parse_args().seconds
    crystal = load_crystal()
    settings = PatternSettings(DETECTORS["Eiger4M"], crystal)
    result: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "spot_lists_per_s": rates(PatternSimulator(settings).spot_list, seconds),
    }
    smooth = PatternSettings(DETECTORS["Eiger4M"], crystal, spectrum="gaussian")
    result["spot_lists_gaussian_per_s"] = rates(PatternSimulator(smooth).spot_list, seconds)
    for mean in BACKGROUNDS:
        background = BackgroundSettings(mean=mean)
        physics = PatternSettings(DETECTORS["Eiger4M"], crystal, background=background)
        run = PatternRun(RunSettings(physics, 10**6, 1.0))
        result[f"frames_per_s_at_{mean:g}"] = rates(run.record, seconds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
