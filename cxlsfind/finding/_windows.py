"""The windows of a layout's panels, as kernels take them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.layout import Layout


def window_table(layout: Layout) -> npt.NDArray[np.int64]:
    """Return one row per panel: start, stride, height, width, in pixels of the frame array."""
    rows = [(w.start, w.stride, w.height, w.width) for w in layout.windows]
    return np.array(rows, np.int64).reshape(-1, 4)
