"""Whole simulated frames go through the finder, and its candidates get their true names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cxlsfind.models.hit import MOST_CANDIDATES
from cxlsfind.models.peak import PeakModel
from cxlsfind.records import PEAK_DTYPE
from cxlsfind.sim.detector import Detector
from cxlsfind.training.conditions import FRAME_KINDS, draw_settings
from cxlsfind.training.frames import FrameSource
from cxlsfind.training.hit_batches import FrameBatches, turn_candidates
from cxlsfind.training.hit_data import (
    ARTEFACT,
    BLANK,
    CALLED_AT,
    HIT,
    NEITHER,
    FrameSet,
    box_sums,
    describe_frames,
    simulate_frames,
    trained_on,
)
from cxlsfind.training.hit_task import HitTask
from cxlsfind.training.loop import test as score
from cxlsfind.training.mining import keep_hard, label_candidates, mine_frames
from cxlsfind.training.scenes import PatchClass
from cxlsfind.training.seeds import Part, seed_of

TINY = Detector("tiny", "tiny", (1, 1), (200, 220))
#: Salts scatter to wide angles.
WIDE = Detector("wide", "wide", (1, 1), (1100, 1100))
FLAGS = [True, False] * 4


@pytest.fixture(scope="module")
def source() -> FrameSource:
    """Return frames of a small detector with cosmic rays."""
    settings = draw_settings(4, "cosmic", background=(0.02, 0.02), detector=TINY)
    changes = {"photons": 1e9, "crystal_size_m": 1e-5, "clen_m": 0.06, "bandwidth": 0.05}
    return FrameSource(replace(settings, **changes))


def test_experiments_differ_by_seed_and_kind() -> None:
    """Equal seeds, equal experiments; kinds have their faults and no others."""
    assert draw_settings(3).photon_energy_ev == draw_settings(3).photon_energy_ev
    assert draw_settings(3).photon_energy_ev != draw_settings(4).photon_energy_ev
    for kind in FRAME_KINDS:
        settings = draw_settings(5, kind)
        faults = {
            "hot": settings.readout.hot_pixels > 0,
            "cosmic": settings.readout.cosmics > 0,
            "sharing": settings.readout.charge_sharing > 0,
            "streak": settings.background.streak > 0,
            "ice": settings.negatives.ice_spots > 0,
            "salt": settings.negatives.salt > 0,
            "peg": settings.negatives.peg > 0,
        }
        assert [name for name, there in faults.items() if there] == (
            [] if kind == "clean" else [kind]
        )
    assert len({seed_of(seed, part) for seed in range(5) for part in Part}) == 5 * len(Part)


def test_patches_around_found_peaks(source: FrameSource) -> None:
    """Counts, background and mask are the frame's around every peak."""
    found = source.block(0, FLAGS)
    assert [frame.pattern.is_hit for frame in found] == FLAGS
    width = TINY.shape[1]
    for frame in found:
        peaks = frame.result.peaks
        assert frame.patches.counts.shape == (len(peaks), 11, 11)
        image = frame.pattern.counts.reshape(TINY.shape)
        for patch, mask, peak in zip(frame.patches.counts, frame.patches.mask, peaks, strict=True):
            if mask[5, 5]:
                assert patch[5, 5] == image[int(peak["ss"]), int(peak["fs"])]
        np.testing.assert_allclose(
            frame.patches.background[:, 5, 5], np.maximum(peaks["background"], 1e-9), rtol=1e-4
        )
        assert frame.pattern_width == width


def test_candidates_get_their_true_names(source: FrameSource) -> None:
    """Spots lie where they lie; tracks on blanks are tracks; doubt is left out."""
    sets = [label_candidates(frame, "cosmic") for frame in source.block(0, FLAGS)]
    labels = np.concatenate([patches.label for patches in sets])
    assert (labels == PatchClass.SPOT).sum() > 0
    assert (labels == PatchClass.TRACK).sum() > 0
    for patches, is_hit in zip(sets, FLAGS, strict=True):
        spots = patches.label == PatchClass.SPOT
        assert is_hit or not spots.any()
        assert (np.abs(patches.offset[spots]) <= 2.5).all()
        assert (patches.photons[spots] >= 1.0).all()
        assert np.isnan(patches.photons[~spots]).all()


def test_mining_keeps_what_fools_the_model(peak_model: PeakModel) -> None:
    """Spots, and nuisances that the model takes for spots."""
    patches = mine_frames(64, 3, Part.MINE, detector=Detector("half", "half", (1, 1), (512, 514)))
    assert set(np.unique(patches.label)) >= {PatchClass.SPOT, PatchClass.NOISE}
    hard = keep_hard(patches, peak_model)
    assert 0 < len(hard.label) <= len(patches.label)
    spots = (patches.label == PatchClass.SPOT).sum()
    assert (hard.label == PatchClass.SPOT).sum() == spots


def test_frames_as_the_hit_model_sees_them(source: FrameSource) -> None:
    """Candidates, evidence and labels of searched frames."""
    found = source.block(0, FLAGS)
    frames = describe_frames(source, found, "cosmic")
    assert frames.candidates.shape == (8, MOST_CANDIDATES, 9)
    assert np.isfinite(frames.candidates).all()
    hits = np.array(FLAGS)
    assert set(frames.label[hits]) <= {HIT, NEITHER}
    assert HIT not in frames.label[~hits]
    for row, frame in zip(frames.candidates, found, strict=True):
        assert row[:, 8].sum() == min(len(frame.result.peaks), MOST_CANDIDATES)
    turned = turn_candidates(torch.from_numpy(frames.candidates), torch.full((8,), np.pi / 2))
    np.testing.assert_allclose(turned[:, :, 3], -frames.candidates[:, :, 4], atol=1e-3)


def test_salt_frames_show_salt_and_hits_stand_beside_it() -> None:
    """Where salt is drawn, frames that show it are chosen; labels say what is alone."""
    frames = simulate_frames(
        32, 8, Part.TRAIN, kinds=("salt",), detector=WIDE, salts=("KH2PO4", "K2SO4")
    )
    shows = frames.flags[:, 1] > 0
    assert shows.sum() >= 8
    assert set(frames.label[shows]) <= {ARTEFACT, HIT, NEITHER}
    assert (frames.own_p_value[frames.label == ARTEFACT] == 1.0).all()
    beside = shows & (frames.oracle >= 3.0)
    is_hit, stands = frames.label[beside] == HIT, frames.own_p_value[beside] <= CALLED_AT
    np.testing.assert_array_equal(is_hit, stands)
    assert is_hit.any()
    assert not is_hit.all()


def test_sums_around_peaks() -> None:
    """Five by five pixels, cut off at the edges."""
    image = np.random.default_rng(1).random((9, 12)).astype(np.float32)
    peaks = np.zeros(3, PEAK_DTYPE)
    peaks["fs"], peaks["ss"] = [5.7, 0.2, 11.9], [4.1, 0.9, 8.0]
    expected = [image[2:7, 3:8].sum(), image[:3, :3].sum(), image[6:, 9:].sum()]
    np.testing.assert_allclose(box_sums(image, peaks), expected, rtol=1e-6)


def test_training_turns_thins_and_scatters_frames() -> None:
    """Nobody loses all that is sure; frames of crystals and other things lose nothing."""
    n = 400
    generator = np.random.default_rng(3)
    candidates = np.zeros((n, 64, 9), np.float32)
    candidates[:, :10, 0] = -20.0
    candidates[:, :10, 3:5] = generator.uniform(-500.0, 500.0, (n, 10, 2))
    candidates[:, :10, 5] = np.hypot(*candidates[:, :10, 3:5].transpose(2, 0, 1)) / 4000.0
    candidates[:, :10, 8] = 1.0
    label = np.array([HIT, ARTEFACT, HIT, BLANK] * (n // 4))
    flags = np.zeros((n, 4), np.float32)
    flags[2::4, 1] = 1.0
    numbers = np.arange(n, dtype=np.float64)
    frames = FrameSet(
        candidates, np.zeros((n, 4), np.float32), label, flags, numbers, numbers,
        np.zeros(n, np.float32), np.zeros(n, np.int64),
    )  # fmt: skip
    (batch,) = FrameBatches(frames, n).epoch(2)
    order = batch["p_value"].numpy().astype(int)
    found, kinds = batch["candidates"].numpy(), order % 4
    left = found[:, :, 8].sum(axis=1)
    assert left.min() >= 1
    assert (left[kinds >= 2] == 10).all()
    # Half of them lose some, or by chance none.
    assert 0.35 < (left[kinds < 2] < 10).mean() < 0.55
    # Spacings stay those of their places, but for the camera length, by a percent at most.
    there = found[:, :, 8] > 0
    radius = np.hypot(found[:, :, 3], found[:, :, 4])
    ratio = found[there][:, 5] / radius[there] * 4000.0
    assert np.abs(ratio - 1.0).max() < 0.02
    # A quarter of the crystals lie elsewhere.
    before = np.hypot(candidates[order, :, 3], candidates[order, :, 4])
    is_moved = (np.abs(radius - before) * there).max(axis=1) > 1.0
    assert 0.1 < is_moved[kinds == 0].mean() < 0.45
    assert not is_moved[kinds > 0].any()
    (plain,) = FrameBatches(frames, n).epoch(None)
    np.testing.assert_array_equal(plain["candidates"], candidates)


def test_kinds_and_salts_can_be_left_out() -> None:
    """What is left out is not trained on."""
    kinds, salts = trained_on(("peg", "NaCl"))
    assert "peg" not in kinds
    assert "NaCl" not in salts
    assert {"ice", "salt", "streak"} <= set(kinds)
    assert trained_on(("glitch",)) == trained_on(())


def test_the_hit_task_learns_from_frames() -> None:
    """A loss with gradients; frames that are neither are left out; figures are shares."""
    frames = simulate_frames(32, 2, Part.TRAIN, kinds=("clean", "salt"), detector=TINY)
    assert len(frames.label) == 32
    blank = FrameSet(*(np.concatenate([array, array[:1]]) for array in frames))
    blank.label[-1] = NEITHER
    task, batches = HitTask(), FrameBatches(blank, 16)
    assert len(batches.frames.label) == (blank.label != NEITHER).sum()
    assert BLANK in batches.frames.label
    torch.manual_seed(1)
    model = task.build()
    optimiser = task.optimiser.build(model)
    losses = []
    for epoch in range(12):
        for batch in batches.epoch(epoch):
            optimiser.zero_grad()
            loss = task.loss(model, batch)
            loss.backward()
            optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    rows = score(task, model, batches, torch.device("cpu"))
    assert 0.0 <= rows["test_accuracy"] <= 1.0
