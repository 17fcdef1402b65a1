"""peakfinder8 written for reading: one pixel at a time, in single precision throughout.

The behaviour is that of CrystFEL 0.12.0-113-g80f24855, found from its documentation and by
comparing peak lists with the program itself; the code is our own.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

F = np.float32
MAX_PEAKS = 2048
NEIGHBOURS = [(ds, df) for ds in (-1, 0, 1) for df in (-1, 0, 1) if (ds, df) != (0, 0)]


@dataclass
class Settings:
    """Options of the search, named as in CrystFEL."""

    threshold: float
    min_snr: float = 5.0
    min_pix_count: int = 2
    max_pix_count: int = 200
    local_bg_radius: int = 3


@dataclass
class Peak:
    """One peak: panel, position from the centre of the panel's first pixel, and contents."""

    panel: int
    fs: float
    ss: float
    intensity: float
    background: float
    snr: float
    n_pixels: int


def ring_limits(values, usable, rings, windows, settings):
    """Return mean and upper limit of every ring after five rounds of clipping."""
    n_rings = int(rings.max()) + 1 if rings.size and rings.max() >= 0 else 0
    mean = np.zeros(n_rings, F)
    lower = np.full(n_rings, -1e9, F)
    upper = np.full(n_rings, 1e9, F)
    for _ in range(5):
        n = np.zeros(n_rings, np.int64)
        total = np.zeros(n_rings, F)
        squares = np.zeros(n_rings, F)
        for start, stride, height, width in windows:
            for pixel in pixels_of(start, stride, height, width):
                ring, value = rings[pixel], F(values[pixel])
                if usable[pixel] and ring > 0 and lower[ring] < value < upper[ring]:
                    n[ring] += 1
                    total[ring] += value
                    squares[ring] += value * value
        for ring in range(n_rings):
            if n[ring] == 0:
                mean[ring], lower[ring], upper[ring] = 0.0, 0.0, np.finfo(F).max
                continue
            mean[ring] = total[ring] / F(n[ring])
            variance = squares[ring] / F(n[ring]) - mean[ring] * mean[ring]
            # Rounding can make the variance negative; the program then takes it for sigma as it is.
            sigma = np.sqrt(variance) if variance > 0 else variance
            lower[ring] = mean[ring] - F(settings.min_snr) * sigma
            upper[ring] = mean[ring] + F(settings.min_snr) * sigma
            upper[ring] = max(upper[ring], F(settings.threshold))
    return mean, upper


def pixels_of(start, stride, height, width):
    """Return the flat indices of a panel's pixels, row after row."""
    return [start + ss * stride + fs for ss in range(height) for fs in range(width)]


def find_peaks(values, usable, rings, windows, settings):
    """Return the peaks of a frame: panel by panel, in order of discovery, 2048 at most."""
    with np.errstate(all="ignore"):
        mean, upper = ring_limits(values, usable, rings, windows, settings)
        peaks = []
        for panel, window in enumerate(windows):
            peaks += search_panel(panel, window, values, usable, rings, mean, upper, settings)
    return peaks[:MAX_PEAKS]


def search_panel(panel, window, values, usable, rings, mean, upper, settings):
    """Return the peaks of one panel, in order of their first pixel."""
    start, stride, height, width = window
    claimed = np.zeros((height, width), bool)

    def at(ss, fs):
        return start + ss * stride + fs

    def is_free(ss, fs):
        pixel = at(ss, fs)
        return usable[pixel] and rings[pixel] > 0 and not claimed[ss, fs]

    def is_quiet(ss, fs):
        return F(values[at(ss, fs)]) < upper[rings[at(ss, fs)]]

    def is_bright(ss, fs):
        return F(values[at(ss, fs)]) > upper[rings[at(ss, fs)]]

    peaks = []
    for ss in range(1, height - 1):
        for fs in range(1, width - 1):
            if not (is_free(ss, fs) and is_bright(ss, fs)):
                continue
            claimed[ss, fs] = True
            queue, pixels = deque([(ss, fs)]), [(ss, fs)]
            while queue:
                s, f = queue.popleft()
                for ds, df in NEIGHBOURS:
                    a, b = s + ds, f + df
                    if not (0 <= a < height and 0 <= b < width):
                        continue
                    if is_free(a, b) and is_bright(a, b):
                        claimed[a, b] = True
                        queue.append((a, b))
                        pixels.append((a, b))
            if not settings.min_pix_count <= len(pixels) <= settings.max_pix_count:
                continue
            peak = measure(panel, window, pixels, is_free, is_quiet, values, rings, mean, settings)
            if peak is not None:
                peaks.append(peak)
    return peaks


def measure(panel, window, pixels, is_free, is_quiet, values, rings, mean, settings):
    """Return the peak made of these pixels, or None when it is refused."""
    start, stride, height, width = window

    def value(ss, fs):
        return F(values[start + ss * stride + fs])

    def ring(ss, fs):
        return rings[start + ss * stride + fs]

    weight, centre_fs, centre_ss = F(0), F(0), F(0)
    for s, f in pixels:
        excess = abs(value(s, f) - mean[ring(s, f)])
        weight += excess
        centre_fs += excess * F(f)
        centre_ss += excess * F(s)
    if weight == 0:
        return None
    centre_fs, centre_ss = int(np.rint(centre_fs / weight)), int(np.rint(centre_ss / weight))

    background, sigma, brightest_around = local_background(
        centre_ss, centre_fs, height, width, is_free, is_quiet, value, settings
    )
    if background is None:
        background, sigma = mean[ring(centre_ss, centre_fs)], F(0.01)

    intensity, raw, raw_fs, raw_ss, brightest = F(0), F(0), F(0), F(0), F(0)
    for s, f in pixels:
        v = value(s, f)
        raw += v
        raw_fs += v * F(f)
        raw_ss += v * F(s)
        intensity += v - background
        brightest = max(brightest, v - background)
    snr = intensity / sigma if sigma > 1e-10 else F(0)
    if snr < F(settings.min_snr) or brightest < brightest_around - background:
        return None
    if raw == 0:
        return None
    # Not a slip: the program divides by the modulus.
    fs, ss = raw_fs / abs(raw), raw_ss / abs(raw)
    if not (0 <= fs <= width - 1 and 0 <= ss <= height - 1):
        return None
    return Peak(panel, fs, ss, intensity, background, snr, len(pixels))


def local_background(centre_ss, centre_fs, height, width, is_free, is_quiet, value, settings):
    """Return mean, sigma and maximum of the quiet pixels round a peak; None without any."""
    radius = 2 * settings.local_bg_radius
    n, total, squares, brightest = 0, F(0), F(0), F(0)
    for ds in range(-radius, radius):
        for df in range(-radius, radius):
            s, f = centre_ss + ds, centre_fs + df
            if ds * ds + df * df > radius * radius:
                continue
            if not (0 <= s < height and 0 <= f < width):
                continue
            if is_free(s, f) and is_quiet(s, f):
                v = value(s, f)
                n += 1
                total += v
                squares += v * v
                brightest = max(brightest, v)
    if n == 0:
        return None, None, brightest
    mean = total / F(n)
    variance = squares / F(n) - mean * mean
    sigma = F(np.sqrt(variance)) if variance >= 0 else F(0.01)
    return mean, sigma, brightest
