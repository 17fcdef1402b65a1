"""Compare the peaks of a simulated run with its truth.

    python examples/score_demo.py DIR

DIR holds what cxlsfind-simulate wrote, and hits.stream.
"""

import sys
from pathlib import Path

import numpy as np

from cxlsfind.sim.score import score_run
from cxlsfind.sim.truth import read_truth

EDGES = (0, 5, 10, 20, 50, 100, 200, 500, np.inf)


def read_peaks(stream: Path) -> dict[tuple[str, str], np.ndarray]:
    """Return the peaks (fs, ss) of every frame of a stream, by file name and event."""
    frames = {}
    is_table = False
    for line in stream.read_text(encoding="utf-8").splitlines():
        if line.startswith("Image filename: "):
            file, peaks = Path(line.partition(": ")[2]).name, []
        elif line.startswith("Event: "):
            event = line.partition(": ")[2]
        elif line.lstrip().startswith("fs/px"):
            is_table = True
        elif line.startswith("End of peak list"):
            is_table = False
        elif line.startswith("----- End chunk"):
            frames[file, event] = np.array(peaks, float).reshape(-1, 2)
        elif is_table:
            peaks.append(line.split()[:2])
    return frames


def main(directory: str) -> None:
    """Print recall by strength of the spots, false peaks and errors of position."""
    truth = read_truth(Path(directory) / "truth.h5")
    found = read_peaks(Path(directory) / "hits.stream")
    frames = zip(truth.files, truth.events, strict=True)
    score = score_run(truth, [found[frame] for frame in frames])

    n_hits = np.count_nonzero(score.is_hit)
    print(f"{len(score.is_hit)} frames: {n_hits} with spots, {len(score.is_hit) - n_hits} blank")
    print("photons per spot     spots   found")
    for row in score.recall(EDGES):
        span = f"{row.low:g} to {row.high:g}" if np.isfinite(row.high) else f"above {row.low:g}"
        found_share = f"{row.recall:.1%}" if row.n_spots else "-"
        print(f"{span:<16} {row.n_spots:>9} {found_share:>7}")
    print(f"false peaks per blank frame: {score.false_per_blank:.2f}")
    print(f"false peaks per frame with spots: {score.false_per_hit:.2f}")
    print(f"positions: {score.rmse_px:.2f} px RMS per axis")


if __name__ == "__main__":
    main(sys.argv[1])
