"""Write the frames of this folder: ``python make_frames.py``, in the folder, with numpy and h5py.

The frames hold what peak finders trip over: hot and saturated pixels, values that flags call bad,
a masked strip, spots on panel edges, spots on an empty background, negative readings, NaN.
"""

from pathlib import Path

import h5py
import numpy as np

HEIGHT, WIDTH = 104, 112
SPOTS = 30
HERE = Path(__file__).parent


def add_spots(frame: np.ndarray, rng: np.random.Generator) -> None:
    """Add spots of 3 to 3000 photons at random places, panel edges included."""
    ss, fs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for _ in range(SPOTS):
        at_ss, at_fs = rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH)
        sigma, photons = rng.uniform(0.5, 1.3), 10 ** rng.uniform(0.5, 3.5)
        shape = np.exp(-((ss - at_ss) ** 2 + (fs - at_fs) ** 2) / (2 * sigma**2))
        frame += rng.poisson(photons / (2 * np.pi * sigma**2) * shape)


def count_frames(rng: np.random.Generator) -> np.ndarray:
    """Return photon counts at four background levels, uint16."""
    frames = []
    for background in (0.02, 0.2, 1.5, 12.0):
        frame = rng.poisson(background, (HEIGHT, WIDTH))
        add_spots(frame, rng)
        hot = rng.integers(0, frame.size, 3)
        frame.flat[hot] = (9_000, 59_000, 65_535)
        frame.flat[rng.integers(0, frame.size, 5)] = 7
        frames.append(frame)
    return np.array(frames, np.uint16)


def reading_frames(rng: np.random.Generator) -> np.ndarray:
    """Return readings with noise, in steps of 1/4 so that they compress well, float32."""
    frames = []
    for mean, sigma in ((0.0, 1.0), (20.0, 4.0), (-2.0, 2.5)):
        frame = rng.normal(mean, sigma, (HEIGHT, WIDTH))
        add_spots(frame, rng)
        frame = np.rint(frame * 4) / 4
        frame.flat[rng.integers(0, frame.size, 4)] = np.nan
        frame.flat[rng.integers(0, frame.size, 4)] = -30.0
        frame.flat[rng.integers(0, frame.size, 4)] = 1e6
        frames.append(frame)
    return np.array(frames, np.float32)


def write(name: str, frames: np.ndarray, mask: np.ndarray) -> None:
    """Write one file, compressed."""
    with h5py.File(HERE / name, "w") as file:
        for path, array in (("data", frames), ("mask", mask)):
            file.create_dataset(path, data=array, compression="gzip", shuffle=True)


if __name__ == "__main__":
    generator = np.random.default_rng(20)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[40:44, :] = 1
    mask.flat[generator.integers(0, mask.size, 40)] = 2
    write("counts.h5", count_frames(generator), mask)
    write("readings.h5", reading_frames(generator), mask)
