"""Read a peak table with plain h5py and show its frame with the most peaks.

python examples/read_hits.py hits.cxi
"""

import sys

import h5py
import numpy as np


def main(table: str) -> None:
    """Print the frame with the most peaks, and its strongest peaks."""
    with h5py.File(table, "r") as file:
        # One group per dataset of the detector's files; one row per frame of that dataset.
        groups = file["run"]
        best = max(groups, key=lambda name: groups[name]["result/nPeaks"][:].max())
        result = groups[best]["result"]
        row = int(np.argmax(result["nPeaks"][:]))
        n_peaks = int(result["nPeaks"][row])
        # Positions count from the middle of pixel 0, as the CXI format has it.
        fs = result["peakXPosRaw"][row, :n_peaks]
        ss = result["peakYPosRaw"][row, :n_peaks]
        intensity = result["peakTotalIntensity"][row, :n_peaks]

        print(f"{table} {best}//{row}: {n_peaks} peaks; the strongest:")
        for peak in np.argsort(-intensity)[:5]:
            pixel = f"fs {fs[peak]:7.1f}  ss {ss[peak]:7.1f}"
            print(f"  {pixel}  intensity {intensity[peak]:8.1f}")

        # The raw frames are linked, not copied; h5py decompresses one when asked for it.
        link = groups[best].get("data", getlink=True)
        print(f"frame in {link.filename}, dataset {link.path}, row {row}")


if __name__ == "__main__":
    main(sys.argv[1])
