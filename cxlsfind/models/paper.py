"""The models of Everett & Kurth (2024), under the paper's names, as baselines.

Layers, kernel sizes and widths are those of the paper and of its text; sizes that follow from the
frame (the fully connected layers) are computed, so that the same models run on full frames of
2163 x 2069 pixels and on frames summed over 4 x 4 pixels. They take photon counts as they are, as
the paper's did: no normalisation.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

#: The paper's frames (ss, fs).
PAPER_SHAPE: Final = (2163, 2069)

#: Photon energies (eV) and camera lengths (m) of the paper's nine datasets.
PAPER_ENERGIES_EV: Final = (6000.0, 7000.0, 8000.0)
PAPER_CLENS_M: Final = (0.15, 0.25, 0.35)


def _convolved(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


class BinaryCNN(nn.Module):
    """Peaks or none, at normal flux: two convolutions with group norm and one linear layer.

    Parameters
    ----------
    shape
        Size (ss, fs) of the frames.
    """

    def __init__(self, shape: tuple[int, int] = PAPER_SHAPE) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=10, padding=1),
            nn.GroupNorm(4, 8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, kernel_size=3, padding=1),
            nn.GroupNorm(4, 16),
            nn.ReLU(),
        )
        pooled = [_convolved(size, 10, 1, 1) // 2 for size in shape]
        self.classify = nn.Linear(16 * pooled[0] * pooled[1], 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits of "peaks", (B, 1), for frames (B, 1, H, W)."""
        logits: Tensor = self.classify(self.features(frames).flatten(1))
        return logits


class BaseCNN(nn.Module):
    """The paper's plain comparison: one convolution and one linear layer."""

    def __init__(self, shape: tuple[int, int] = PAPER_SHAPE) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 2, kernel_size=25, stride=10, padding=1), nn.ReLU()
        )
        strided = [_convolved(size, 25, 10, 1) for size in shape]
        self.classify = nn.Linear(2 * strided[0] * strided[1], 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits of "peaks", (B, 1), for frames (B, 1, H, W)."""
        logits: Tensor = self.classify(self.features(frames).flatten(1))
        return logits


class DualChannelCNN(nn.Module):
    """The paper's model for extreme low flux: a frame, and what it would be without background.

    It needs the clean signal when it is used, which no experiment has.
    """

    def __init__(self, shape: tuple[int, int] = PAPER_SHAPE) -> None:
        super().__init__()
        self.overlay_features = self._branch()
        self.signal_features = self._branch()
        pooled = [_convolved(size, 5, 2, 1) // 2 for size in shape]
        self.classify = nn.Sequential(
            nn.Linear(2 * 32 * pooled[0] * pooled[1], 128), nn.ReLU(), nn.Linear(128, 1)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits of "peaks", (B, 1), for overlay and clean signal (B, 2, H, W)."""
        overlay = self.overlay_features(frames[:, :1]).flatten(1)
        signal = self.signal_features(frames[:, 1:]).flatten(1)
        logits: Tensor = self.classify(torch.cat([overlay, signal], dim=1))
        return logits

    @staticmethod
    def _branch() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=5, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        )


class LinearClassifier(nn.Module):
    """The paper's model of photon energy, and of camera length: one linear layer.

    Parameters
    ----------
    n_classes
        Three in the paper; any number for finer grids.
    """

    def __init__(self, shape: tuple[int, int] = PAPER_SHAPE, n_classes: int = 3) -> None:
        super().__init__()
        self.classify = nn.Linear(shape[0] * shape[1], n_classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits of the classes, (B, n), for frames (B, 1, H, W)."""
        logits: Tensor = self.classify(frames.flatten(1))
        return logits


class ChannelAttention(nn.Module):
    """Weights channels by what their averages and their maxima say, each through layers of its own.

    Parameters
    ----------
    channels, reduction
        Width of the features, and how much narrower the hidden layer is.
    """

    def __init__(self, channels: int = 32, reduction: int = 16) -> None:
        super().__init__()
        hidden = channels // reduction
        self.from_average = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )
        self.from_largest = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return weighted features, (B, C, H, W)."""
        weights = self.from_average(features.mean(dim=(2, 3)))
        weights = weights + self.from_largest(features.amax(dim=(2, 3)))
        return features * torch.sigmoid(weights)[:, :, None, None]


class SpatialAttention(nn.Module):
    """Weights places by the largest and the mean of their channels."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(2, channels, kernel_size=7, padding=6, dilation=2)

    def forward(self, features: Tensor) -> Tensor:
        """Return weighted features, (B, C, H, W)."""
        summary = torch.cat(
            [features.amax(dim=1, keepdim=True), features.mean(dim=1, keepdim=True)], dim=1
        )
        return features * torch.sigmoid(self.weigh(summary))


class AttentionHeatmap(nn.Module):
    """The paper's peak finder: two convolutions, attention to channels and places, a heat map.

    As the paper's text describes it: attention weights the features. (In the code behind the
    paper the spatial attention returned its weights and lost the features.)

    Parameters
    ----------
    dropout
        Share of features dropped in training; the paper tried up to 0.9.
    """

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=5, padding=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.attention = nn.Sequential(ChannelAttention(), SpatialAttention())
        self.draw = nn.Conv2d(32, 1, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor) -> Tensor:
        """Return a heat map of logits, (B, 1, H, W), for frames (B, 1, H, W)."""
        heat = self.draw(self.attention(self.features(frames)))
        heat = nn.functional.interpolate(
            heat, size=frames.shape[2:], mode="bilinear", align_corners=False
        )
        dropped: Tensor = self.dropout(heat)
        return dropped


class Pipeline(nn.Module):
    """The paper's pipeline: where there are peaks, photon energy and camera length.

    Parameters
    ----------
    binary, energy, clen
        Trained models.
    """

    def __init__(self, binary: nn.Module, energy: nn.Module, clen: nn.Module) -> None:
        super().__init__()
        self.binary = binary
        self.energy = energy
        self.clen = clen
        self.register_buffer("energies_ev", torch.tensor(PAPER_ENERGIES_EV))
        self.register_buffer("clens_m", torch.tensor(PAPER_CLENS_M))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is in frames (B, 1, H, W).

        Returns
        -------
        Whether there are peaks (B,), photon energy in eV (B,) and camera length in metres (B,);
        both NaN where there are none.
        """
        has_peaks = torch.sigmoid(self.binary(frames)).squeeze(1) > 0.5
        nothing = torch.full_like(has_peaks, float("nan"), dtype=torch.float32)
        energy = self.energies_ev[self.energy(frames).argmax(dim=1)]  # type: ignore[index]
        clen = self.clens_m[self.clen(frames).argmax(dim=1)]  # type: ignore[index]
        return (
            has_peaks,
            torch.where(has_peaks, energy, nothing),
            torch.where(has_peaks, clen, nothing),
        )


def sum_bins(frames: Tensor, size: int = 4) -> Tensor:
    """Sum frames (B, C, H, W) over squares of ``size`` pixels; lines left over are cut off."""
    height, width = frames.shape[2] // size * size, frames.shape[3] // size * size
    return nn.functional.avg_pool2d(frames[:, :, :height, :width], size) * float(size * size)


def binned_shape(shape: tuple[int, int] = PAPER_SHAPE, size: int = 4) -> tuple[int, int]:
    """Return the size (ss, fs) of frames after :func:`sum_bins`."""
    return shape[0] // size, shape[1] // size
