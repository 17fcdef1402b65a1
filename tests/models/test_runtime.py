"""The peak model in the main job: what fits is used, in batches that change nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cxlsfind.errors import InputProblemsError, UsageError
from cxlsfind.models.card import Card, DataDescription, ModelRefusedError
from cxlsfind.models.company import Company, odds_in_company
from cxlsfind.models.loading import BATCH_SIZE, make_golden, padded_batches
from cxlsfind.models.peak import PeakModel
from cxlsfind.models.peak_runner import PeakRunner
from cxlsfind.models.runtime import choose_device, examine_models, load_models
from cxlsfind.models.torchscript import save_model, script_model
from cxlsfind.records import PEAK_CLASSES

CPU = torch.device("cpu")
EIGER = DataDescription("uint16", 75e-6, 7000.0, 1000.0)
Patches = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

#: Log odds of an artefact from which the taught model's candidates are cut.
LIMIT = -10.5


@pytest.fixture
def card(taught_model: PeakModel, patches: Patches, make_card: Callable[..., Card]) -> Card:
    """Return a complete card of the taught model."""
    few = [part[:4] for part in patches]
    names = ("counts", "background", "mask")
    inputs = {name: part.numpy() for name, part in zip(names, few, strict=True)}
    golden = make_golden(inputs, taught_model(*few))
    return make_card(calibration={"artefact_odds": LIMIT}, golden=golden)


@pytest.fixture
def peak_file(tmp_path: Path, taught_model: PeakModel, card: Card) -> Path:
    """Return a file as it is exported."""
    save_model(tmp_path / "peak.pt", script_model(taught_model), card)
    return tmp_path / "peak.pt"


def arrays(patches: Patches) -> list[np.ndarray]:
    return [part.numpy() for part in patches]


def inputs_of(patches: Patches) -> list[np.ndarray]:
    """Return patches as candidates that are alone in their frames, of one block."""
    n = len(patches[0])
    return [*arrays(patches), np.ones(n, np.intp)]


def test_verdicts_are_the_models(
    peak_file: Path, taught_model: PeakModel, patches: Patches
) -> None:
    """What comes out is what the model says, whatever number of patches comes in."""
    runner = PeakRunner(peak_file, EIGER, CPU)
    expected = taught_model(*patches)
    found = runner.judge(*inputs_of(patches))
    np.testing.assert_allclose(found.logit, expected.logit.flatten(), rtol=1e-4, atol=1e-4)
    n = len(found.artefact)
    said = expected.classes.flatten(1).double().numpy()
    artefact = odds_in_company(said, Company(np.arange(n), np.zeros(n, np.intp)))
    np.testing.assert_allclose(found.artefact, artefact, rtol=1e-4, atol=1e-4)
    assert 0 < found.is_artefact.sum() < len(found.is_artefact)
    np.testing.assert_array_equal(found.is_artefact, artefact > LIMIT)
    np.testing.assert_allclose(found.fs, expected.offset[:, 0].flatten(), atol=1e-4)
    np.testing.assert_allclose(found.ss, expected.offset[:, 1].flatten(), atol=1e-4)
    sigma = expected.log_sigma[:, 0].exp().flatten()
    np.testing.assert_allclose(found.sigma_fs, sigma, rtol=1e-4)
    np.testing.assert_allclose(found.photons, expected.photons.flatten(), rtol=1e-4)
    np.testing.assert_array_equal(found.kind, expected.classes.argmax(dim=1).flatten())
    assert found.kind.max() < len(PEAK_CLASSES)
    assert ((found.spot_probability > 0) & (found.spot_probability < 1)).all()


def test_batches_do_not_matter(peak_file: Path, patches: Patches) -> None:
    """A patch gets the same verdict, to the last bit, among others or alone."""
    runner = PeakRunner(peak_file, EIGER, CPU)
    together = runner.judge(*inputs_of(patches))
    for part in (slice(0, 1), slice(7, 20)):
        some = runner.judge(*(array[part] for array in inputs_of(patches)))
        np.testing.assert_array_equal(some.logit, together.logit[part])
        np.testing.assert_array_equal(some.photons, together.photons[part])
    assert len(runner.judge(*(array[:0] for array in inputs_of(patches))).logit) == 0


def test_unknown_backgrounds_are_left_to_the_finder(peak_file: Path, patches: Patches) -> None:
    """Beyond the card's range there is no verdict, and nothing is an artefact."""
    counts, background, *rest = inputs_of(patches)
    verdicts = PeakRunner(peak_file, EIGER, CPU).judge(counts, background * 0 + 500.0, *rest)
    assert np.isnan(verdicts.logit).all()
    assert not verdicts.is_artefact.any()


def test_heat_map_is_the_patches_verdicts(peak_file: Path, taught_model: PeakModel) -> None:
    """A frame larger than a band of rows, at its edges and in the middle."""
    generator = np.random.default_rng(2)
    counts = generator.poisson(0.2, (150, 30)).astype(np.uint16)
    background = np.full((150, 30), 0.2, np.float32)
    mask = np.ones((150, 30), np.uint8)
    heat = PeakRunner(peak_file, EIGER, CPU).draw_heat_map(counts, background, mask)
    assert heat.shape == counts.shape
    for ss, fs in ((5, 5), (128, 10), (144, 24)):
        window = (slice(ss - 5, ss + 6), slice(fs - 5, fs + 6))
        patch = [torch.from_numpy(image[window])[None] for image in (counts, background, mask)]
        logit, artefact, *_ = (float(part.flatten()[0]) for part in taught_model(*patch))
        assert heat[ss, fs] == pytest.approx(-np.logaddexp(-logit, artefact), abs=1e-3)
    assert np.isfinite(heat).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "hit"}, "expected 'peak'"),
        ({"dtypes": ("uint8",)}, "does not fit the data: the data are uint16"),
        ({"calibration": {}}, "does not say from which odds on something is an artefact"),
        ({"golden": {}}, "no inputs to check it with"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, taught_model: PeakModel, card: Card, changes: dict, reason: str
) -> None:
    """Each with its reason and the file's name."""
    save_model(tmp_path / "odd.pt", script_model(taught_model), replace(card, **changes))
    with pytest.raises(ModelRefusedError, match=reason) as refusal:
        PeakRunner(tmp_path / "odd.pt", EIGER, CPU)
    assert "odd.pt" in str(refusal.value)


def test_a_model_that_computes_something_else_is_refused(
    tmp_path: Path, taught_model: PeakModel, card: Card
) -> None:
    """The card's example must come out as the card says."""
    golden = json.loads(json.dumps(card.golden))
    golden["output"][2] += 0.5
    save_model(tmp_path / "odd.pt", script_model(taught_model), replace(card, golden=golden))
    with pytest.raises(ModelRefusedError, match=r"differ by 0\.5"):
        PeakRunner(tmp_path / "odd.pt", EIGER, CPU)
    golden["output"] = golden["output"][:3]
    save_model(tmp_path / "odd.pt", script_model(taught_model), replace(card, golden=golden))
    with pytest.raises(ModelRefusedError, match="8 log odds where its card has 3"):
        PeakRunner(tmp_path / "odd.pt", EIGER, CPU)


def test_batches_are_of_one_size() -> None:
    """The last is filled up with its own first, to parts of 64 if it is large."""
    batches = [batch[0].tolist() for batch in padded_batches(np.arange(5), size=4)]
    assert batches == [[0, 1, 2, 3], [4, 4, 4, 4]]
    last, first = ([*padded_batches(np.arange(n))] for n in (BATCH_SIZE + 70, 3))
    assert [len(batch[0]) for batch in (*last, *first)] == [BATCH_SIZE, 128, 64]
    assert last[1][0].tolist() == [*range(BATCH_SIZE, BATCH_SIZE + 70), *(58 * [BATCH_SIZE])]


def test_models_of_a_folder(tmp_path: Path, peak_file: Path) -> None:
    """What is there and fits is loaded; a folder without models is refused."""
    files = examine_models(peak_file.parent, [EIGER])
    assert [file.task for file in files] == ["peak"]
    assert files[0].sha256 == hashlib.sha256(peak_file.read_bytes()).hexdigest()
    models = load_models(files, CPU)
    assert models.peak is not None
    assert models.hit is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputProblemsError, match=r"neither peak\.pt nor hit\.pt"):
        examine_models(tmp_path / "empty", [EIGER])
    with pytest.raises(InputProblemsError, match="no such folder"):
        examine_models(tmp_path / "nowhere", [EIGER])
    # Another file under the same name, as when somebody exports while a run begins.
    peak_file.write_bytes(peak_file.read_bytes() + b"1")
    with pytest.raises(ModelRefusedError, match="not the file that was there"):
        load_models(files, CPU)


def test_all_data_of_a_run_must_fit(peak_file: Path) -> None:
    """Every reason is said once, whichever data it concerns."""
    other = replace(EIGER, photon_energy_ev=50e3)
    assert examine_models(peak_file.parent, [])
    with pytest.raises(InputProblemsError) as refusal:
        examine_models(peak_file.parent, [EIGER, other, replace(other, dtype="float32")])
    (problem,) = refusal.value.problems
    assert problem.count("50000 eV") == 1
    assert "the data are float32" in problem


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks take the node's GPUs in turn; without any there is the CPU, or an error."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_device("auto", rank).index for rank in range(4)] == [0, 1, 0, 1]
    assert choose_device("cpu", 1) == CPU
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device("auto", 3) == CPU
    with pytest.raises(UsageError, match="--device=cuda"):
        choose_device("cuda", 0)
