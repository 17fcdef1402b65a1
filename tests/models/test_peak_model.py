"""The peak model starts at the likelihood ratio, takes any counts, and works densely."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cxlsfind.models.peak import PEAK_WINDOW, RESIDUAL_NATS, PeakModel
from cxlsfind.records import PEAK_CLASSES

Patches = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def test_before_training_it_is_the_likelihood_ratio(
    peak_model: PeakModel, patches: Patches
) -> None:
    """The same order, no residual, and no word of artefacts."""
    verdict = peak_model(*patches)
    order = verdict.score.flatten().argsort()
    assert bool((verdict.logit.flatten()[order].diff() >= 0.0).all())
    assert not verdict.residual.any()
    assert float(verdict.artefact.max()) < -5.0


def test_shapes_and_classes(taught_model: PeakModel, patches: Patches) -> None:
    """One verdict per patch, finite, with log odds against a spot for every class."""
    verdict = taught_model(*patches)
    n = len(patches[0])
    assert verdict.logit.shape == (n, 1, 1)
    assert verdict.offset.shape == verdict.log_sigma.shape == (n, 2, 1, 1)
    assert verdict.classes.shape == (n, len(PEAK_CLASSES), 1, 1)
    assert all(bool(torch.isfinite(part).all()) for part in verdict)
    # Against noise, and of artefacts together.
    torch.testing.assert_close(verdict.logit, -verdict.classes[:, 1])
    torch.testing.assert_close(verdict.artefact, torch.logsumexp(verdict.classes[:, 2:], dim=1))
    assert float(verdict.residual.abs().max()) <= RESIDUAL_NATS


def test_on_a_frame_it_says_what_it_says_of_patches(taught_model: PeakModel) -> None:
    """Every place of a heat map is the verdict on the patch around it."""
    generator = np.random.default_rng(5)
    counts = torch.from_numpy(generator.poisson(0.3, (1, 24, 20)).astype(np.uint16))
    background = torch.from_numpy(generator.uniform(0.2, 0.5, (1, 24, 20)).astype(np.float32))
    mask = torch.from_numpy((generator.random((1, 24, 20)) < 0.95).astype(np.uint8))
    whole = taught_model(counts, background, mask)
    assert whole.logit.shape == (1, 24 - PEAK_WINDOW + 1, 20 - PEAK_WINDOW + 1)
    for ss, fs in ((0, 0), (7, 3), (13, 9)):
        window = (slice(None), slice(ss, ss + PEAK_WINDOW), slice(fs, fs + PEAK_WINDOW))
        single = taught_model(counts[window], background[window], mask[window])
        for part, one in zip(whole, single, strict=True):
            torch.testing.assert_close(part[..., ss, fs], one[..., 0, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "int32"])
def test_counts_of_any_integer_type(taught_model: PeakModel, patches: Patches, dtype: str) -> None:
    """Types say the same as long as they hold the counts."""
    counts, background, mask = patches
    expected = taught_model(counts, background, mask)
    other = torch.from_numpy(counts.numpy().astype(dtype))
    for part, one in zip(expected, taught_model(other, background, mask), strict=True):
        assert torch.equal(part, one)


@pytest.mark.parametrize(
    ("dtype", "flag"), [("uint16", 65535), ("uint32", 2**32 - 1), ("int32", -1)]
)
def test_flag_values_under_the_mask_do_not_matter(
    taught_model: PeakModel, patches: Patches, dtype: str, flag: int
) -> None:
    """Whatever a masked pixel reads is not looked at."""
    counts, background, mask = patches
    flagged = counts.numpy().astype(dtype)
    flagged[mask.numpy() == 0] = flag
    verdict = taught_model(torch.from_numpy(flagged), background, mask)
    for part, one in zip(taught_model(counts, background, mask), verdict, strict=True):
        assert torch.equal(part, one)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 2047, 2049, 65534, 65535])
@pytest.mark.parametrize("level", [0.0, 1e-4, 1.0, 1e4])
def test_single_pixels_of_any_brightness(taught_model: PeakModel, count: int, level: float) -> None:
    """No count and no background, not even zero, makes anything but numbers."""
    counts = np.zeros((1, 11, 11), np.uint16)
    counts[0, 5, 5] = count
    mask = torch.ones(1, 11, 11, dtype=torch.uint8)
    verdict = taught_model(torch.from_numpy(counts), torch.full((1, 11, 11), level), mask)
    assert all(bool(torch.isfinite(part).all()) for part in verdict)


def test_position_and_photons_before_training(peak_model: PeakModel) -> None:
    """The centroid and the photons of the box, which are unbiased to a tenth."""
    generator = np.random.default_rng(3)
    n, photons, level = 400, 200.0, 0.1
    centre = generator.uniform(-0.4, 0.4, (n, 2))
    steps = np.arange(11) - 5
    square = (steps[None, None, :] - centre[:, 0, None, None]) ** 2
    square = square + (steps[None, :, None] - centre[:, 1, None, None]) ** 2
    shape = np.exp(-0.5 * square / 0.7**2)
    mean = level + photons * shape / shape.sum(axis=(1, 2), keepdims=True)
    verdict = peak_model(
        torch.from_numpy(generator.poisson(mean).astype(np.uint16)),
        torch.full((n, 11, 11), level),
        torch.ones(n, 11, 11, dtype=torch.uint8),
    )
    miss = verdict.offset[:, :, 0, 0].numpy() - centre
    assert np.abs(miss.mean(axis=0)).max() < 0.02
    assert miss.std() < 0.12
    assert float(verdict.photons.mean()) == pytest.approx(photons, rel=0.1)
