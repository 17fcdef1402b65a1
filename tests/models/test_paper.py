"""The paper's models have the paper's sizes, at full size and binned, and can learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cxlsfind.models.paper import (
    PAPER_SHAPE,
    AttentionHeatmap,
    BaseCNN,
    BinaryCNN,
    DualChannelCNN,
    LinearClassifier,
    Pipeline,
    binned_shape,
    sum_bins,
)


def n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def on_meta(kind: type[nn.Module], *arguments: object) -> nn.Module:
    with torch.device("meta"):
        return kind(*arguments)


def test_binary_cnn_has_the_papers_linear_layer() -> None:
    """Its linear layer takes 16 x 1078 x 1031 features of a full frame."""
    model = on_meta(BinaryCNN, PAPER_SHAPE)
    assert model.classify.in_features == 17_782_688
    # Two convolutions with biases, two group norms, one linear layer.
    assert n_parameters(model) == (8 * 100 + 8) + 16 + (16 * 72 + 16) + 32 + 17_782_688 + 1


def test_base_cnn_has_the_papers_linear_layer() -> None:
    """Two channels of 215 x 205 features."""
    model = on_meta(BaseCNN, PAPER_SHAPE)
    assert model.classify.in_features == 88_150
    assert n_parameters(model) == 2 * 625 + 2 + 88_150 + 1


def test_dual_channel_cnn_has_two_billion_parameters() -> None:
    """2.29e9 parameters, of which nothing is allocated here."""
    model = on_meta(DualChannelCNN, PAPER_SHAPE)
    assert model.classify[0].in_features == 2 * 32 * 540 * 517
    assert round(n_parameters(model) / 1e9, 2) == 2.29


def test_linear_models_have_13_million_weights() -> None:
    """Three classes on every pixel."""
    model = on_meta(LinearClassifier, PAPER_SHAPE, 3)
    assert n_parameters(model) == 3 * 2163 * 2069 + 3
    assert round(n_parameters(model) / 1e6, 1) == 13.4


def test_heatmap_is_as_large_as_the_frame() -> None:
    """The heat map has the frame's size, from features four times coarser."""
    with torch.device("meta"):
        model = AttentionHeatmap()
        heat = model(torch.empty(1, 1, *PAPER_SHAPE))
    assert heat.shape == (1, 1, *PAPER_SHAPE)
    attention = 2 * (32 * 2 + 2 + 2 * 32 + 32) + (2 * 32 * 49 + 32)
    assert n_parameters(model) == (416 + 32) + (4640 + 64) + attention + (288 + 1)


def test_forward_shapes_at_full_size_without_allocation() -> None:
    """Every classifier gives its logits for full frames."""
    frames = torch.empty(2, 2, *PAPER_SHAPE, device="meta")
    for kind, channels, n_out in (
        (BinaryCNN, 1, 1),
        (BaseCNN, 1, 1),
        (DualChannelCNN, 2, 1),
        (LinearClassifier, 1, 3),
    ):
        assert on_meta(kind, PAPER_SHAPE)(frames[:, :channels]).shape == (2, n_out)


@pytest.mark.parametrize("kind", [BinaryCNN, BaseCNN, LinearClassifier])
def test_the_same_models_learn_on_binned_frames(kind: type[nn.Module]) -> None:
    """A few steps at a small size bring the loss of a plain task down."""
    torch.manual_seed(3)
    shape = binned_shape((163, 139))
    frames = torch.poisson(torch.full((16, 1, *shape), 0.2))
    labels = (torch.arange(16) % 2).float()
    frames[labels == 1, :, 10:12, 10:12] += 20.0
    model = kind(shape)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        logits = model(frames)
        if logits.shape[1] == 1:
            loss = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels)
        else:
            loss = nn.functional.cross_entropy(logits, labels.long())
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_sum_bins_keeps_photons() -> None:
    """Binned frames hold the photons of the lines that are kept."""
    counts = torch.from_numpy(np.random.default_rng(1).poisson(0.5, (1, 1, 11, 14))).float()
    binned = sum_bins(counts)
    assert binned.shape == (1, 1, *binned_shape((11, 14)))
    assert float(binned.sum()) == pytest.approx(float(counts[:, :, :8, :12].sum()))
    assert float(binned[0, 0, 1, 2]) == float(counts[0, 0, 4:8, 8:12].sum())


class _Constant(nn.Module):
    """Logits that do not depend on the frame."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor([logits])

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(frames), -1) + frames.mean(dim=(1, 2, 3))[:, None]


def test_pipeline_gives_parameters_only_with_peaks() -> None:
    """Frames with peaks get energy and camera length, others NaN."""
    pipeline = Pipeline(_Constant([0.0]), _Constant([0, 3, 1]), _Constant([0, 1, 2]))
    frames = torch.stack([torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), -1.0)])
    has_peaks, energy, clen = pipeline(frames)
    assert has_peaks.tolist() == [True, False]
    assert float(energy[0]) == 7000.0
    assert float(clen[0]) == pytest.approx(0.35)
    assert torch.isnan(energy[1])
    assert torch.isnan(clen[1])
