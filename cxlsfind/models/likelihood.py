"""The log likelihood ratio of "a spot is here" against "background only", as a layer.

The ratio is what the default finder computes, marginal over spot shapes and intensities: every
count adds a weight that depends on its place in the window and on the background ``b``, and every
usable pixel subtracts what the spot would have put there. The table of weights, background level
by place and component, is close to a matrix of low rank, so that a few convolutions with fixed
filters, weighted by smooth functions of ``b``, give the ratio of a patch or of a whole frame.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

FloatArray = npt.NDArray[np.float64]

#: Terms of the expansion: enough for weights to 2e-4 (0.01 nat on 50 photons).
N_TERMS: Final = 16


class SpotTables(NamedTuple):
    """What the ratio needs, tabulated at ascending backgrounds (nodes), equally spaced in log.

    Parameters
    ----------
    log_background
        Natural logarithm of the nodes, photons per pixel, shape (nodes,).
    log_ratio
        Log likelihood ratio that one count adds, shape (nodes, taps, components).
    photons
        Expected photons of each component at each node, shape (nodes, components).
    taps
        Share of a component's photons per pixel of its square window, (components, taps).
    log_weight
        Natural logarithm of the components' prior weights, (components,).
    forgiving_from
        Background from which the photons that a spot would have put on unusable pixels are
        forgiven; below, unusable pixels count as empty.
    """

    log_background: FloatArray
    log_ratio: FloatArray
    photons: FloatArray
    taps: FloatArray
    log_weight: FloatArray
    forgiving_from: float


class LikelihoodRatio(nn.Module):
    """Log likelihood ratios of all places whose window lies in the given images.

    Parameters
    ----------
    tables
        Shapes, intensities and weights.
    """

    count_filters: Tensor
    shape_filters: Tensor
    whole: Tensor
    under_spot: Tensor
    level_factors: Tensor
    photons: Tensor
    log_weight: Tensor

    def __init__(self, tables: SpotTables) -> None:
        super().__init__()
        n_nodes, n_taps, n_components = tables.log_ratio.shape
        self.side = round(n_taps**0.5)
        self.reach = self.side // 2
        self.n_components = n_components
        self.first = float(tables.log_background[0])
        self.step = float(tables.log_background[1] - tables.log_background[0])
        self.forgiving_from = float(tables.forgiving_from)
        left, values, right = np.linalg.svd(
            tables.log_ratio.reshape(n_nodes, -1), full_matrices=False
        )
        self.n_terms = min(N_TERMS, len(values))
        right = right[: self.n_terms].reshape(self.n_terms, n_taps, n_components)
        filters = right.transpose(0, 2, 1).reshape(-1, 1, self.side, self.side)
        self._keep("count_filters", filters)
        self._keep("level_factors", left[:, : self.n_terms] * values[: self.n_terms])
        self._keep("shape_filters", tables.taps.reshape(-1, 1, self.side, self.side))
        self._keep("whole", tables.taps.sum(axis=1)[:, None, None])
        self._keep("under_spot", np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])[None, None])
        self._keep("photons", tables.photons)
        self._keep("log_weight", tables.log_weight)

    def forward(self, counts: Tensor, background: Tensor, mask: Tensor) -> Tensor:
        """Return the components' log ratios, weights included, (B, K, H - 2 h, W - 2 h).

        The log likelihood ratio itself is ``logsumexp`` over K; ``h`` is half the window.

        Parameters
        ----------
        counts
            Photons, (B, 1, H, W), float32, zero at unusable pixels.
        background
            Expected photons per pixel, (B, 1, H, W), float32, above zero.
        mask
            1 at usable pixels, 0 elsewhere, (B, 1, H, W), float32.
        """
        h = self.reach
        height, width = counts.shape[2] - 2 * h, counts.shape[3] - 2 * h
        level = self.level(background)
        place = ((torch.log(level) - self.first) / self.step).clamp(
            0.0, self.level_factors.shape[0] - 1.0001
        )
        lower = place.to(torch.int64)
        part = (place - lower).unsqueeze(-1)
        factors = torch.lerp(self.level_factors[lower], self.level_factors[lower + 1], part)
        photons = torch.lerp(self.photons[lower], self.photons[lower + 1], part)
        terms = nn.functional.conv2d(counts, self.count_filters).reshape(
            -1, self.n_terms, self.n_components, height, width
        )
        gained = (terms * factors.permute(0, 3, 1, 2).unsqueeze(2)).sum(dim=1)
        held = nn.functional.conv2d(mask, self.shape_filters)
        held = torch.where((level >= self.forgiving_from).unsqueeze(1), held, self.whole)
        return gained - photons.permute(0, 3, 1, 2) * held + self.log_weight[:, None, None]

    def level(self, background: Tensor) -> Tensor:
        """Return the background under a spot in the middle of each window, (B, H - 2 h, W - 2 h).

        It is weighted as a spot is: the middle pixel alone would call the foot of a sharp ring a
        spot.
        """
        c = self.reach - 1
        inner = background[:, :, c : background.shape[2] - c, c : background.shape[3] - c]
        return nn.functional.conv2d(inner, self.under_spot).squeeze(1).clamp(min=1e-12)

    def _keep(self, name: str, values: FloatArray) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)).float())
