"""Training the peak model on simulated candidates."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from cxlsfind.models.peak import PeakModel, PeakVerdict
from cxlsfind.records import PEAK_CLASSES
from cxlsfind.training.batches import Batch
from cxlsfind.training.patches import PatchSet, PatchSimulator, Thresholds, join_patches
from cxlsfind.training.scenes import HELD_OUT, NUISANCES, SHARES, PatchClass
from cxlsfind.training.tables import spot_tables
from cxlsfind.training.tasks import Judgement, Optimiser, Task

#: Parts of a training set: spots, noise, and what is left for the nuisances. Noise takes longest
#: to draw, and the likelihood ratio knows it already.
_SPOTS: Final = 0.55
_NOISE: Final = 0.1

#: Weights of the parts of the loss.
_POSITION: Final = 0.2
_PHOTONS: Final = 0.1


class PeakTask(Task):
    """Spot or not, where, and how many photons.

    Parameters
    ----------
    reference
        Scores that background alone reaches once per frame.
    """

    def __init__(self, reference: Thresholds) -> None:
        self.name = "peak"
        self.classes = PEAK_CLASSES
        self.optimiser = Optimiser("adam", 3e-3, fades=True)
        self.epochs = 18
        self.batch_size = 512
        self.settings = {name: array.tolist() for name, array in reference._asdict().items()}
        self._tables = spot_tables()
        self._reference = reference
        artefacts = [(1.0 - _SPOTS - _NOISE) * share for share in _class_shares()]
        # What is common in training only shall not look likely.
        self._common = torch.tensor([_SPOTS, _NOISE, *artefacts]).log()

    def build(self) -> nn.Module:
        """Return the model that says what the likelihood ratio says."""
        scores = self._reference.at([math.exp(node) for node in self._tables.log_background])
        return PeakModel(self._tables, scores.tolist())

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return cross entropy of the classes, and the likelihood of position and photons."""
        verdict = judge_patches(model, batch)
        device = verdict.classes.device
        loss = nn.functional.cross_entropy(
            verdict.classes + self._common.to(device), batch["label"]
        )
        is_spot = batch["label"] == PatchClass.SPOT
        if bool(is_spot.any()):
            miss = (verdict.offset - batch["offset"])[is_spot]
            log_sigma = verdict.log_sigma[is_spot]
            position = (0.5 * (miss * torch.exp(-log_sigma)) ** 2).clamp(max=50.0) + log_sigma
            photons, level = batch["photons"][is_spot], batch["level"][is_spot]
            spread = torch.sqrt(photons + 13.0 * level + 0.5)
            strength = ((verdict.photons[is_spot] - photons) / spread).abs()
            # Very bright spots are measured to a part of their photons, not to their root.
            strength = strength / (1.0 + 0.05 * torch.sqrt(photons))
            loss = loss + _POSITION * position.mean() + _PHOTONS * strength.mean()
        return loss

    def judge(self, model: nn.Module, batch: Batch) -> Judgement:
        """Return the likeliest class of each candidate, and the log odds of a spot."""
        verdict = judge_patches(model, batch)
        odds = -torch.logaddexp(-verdict.logit, verdict.artefact)
        return Judgement(batch["label"], verdict.classes.argmax(dim=1), odds)

    def figures(self, judgement: Judgement) -> dict[str, float]:
        """Return which part of each kind of candidate stays above the reference."""
        kept = judgement.score > 0.0
        parts = {
            "spots": judgement.truth == PatchClass.SPOT,
            "noise": judgement.truth == PatchClass.NOISE,
            "nuisances": judgement.truth > PatchClass.NOISE,
        }
        return {
            f"kept_{name}": float(kept[rows].float().mean()) if bool(rows.any()) else math.nan
            for name, rows in parts.items()
        }


def judge_patches(model: nn.Module, batch: Batch) -> PeakVerdict:
    """Return the verdicts on patches: shapes (n,) and, with channels, (n, C)."""
    verdict = model(batch["counts"], batch["background"], batch["mask"])
    return PeakVerdict(*(part.squeeze(-1).squeeze(-1) for part in verdict))


def simulate_candidates(
    simulator: PatchSimulator,
    number: int,
    seed: int,
    left_out: tuple[str, ...] = (HELD_OUT,),
) -> PatchSet:
    """Return candidates of all kinds to train or test on.

    Parameters
    ----------
    seed
        Settles them; sets of different seeds have nothing in common.
    left_out
        Nuisances that are not in.
    """
    kinds = [kind for kind in NUISANCES if kind not in left_out]
    rest = (1.0 - _SPOTS - _NOISE) * number / sum(SHARES[kind] for kind in kinds)
    sets = [
        simulator.spots(round(_SPOTS * number), seed),
        simulator.noise(round(_NOISE * number), seed),
        *(simulator.nuisances(kind, round(rest * SHARES[kind]), seed) for kind in kinds),
    ]
    return join_patches(sets)


def _class_shares() -> list[float]:
    """Return which part of the nuisances that are trained on is of each class of artefacts."""
    shares = dict.fromkeys(tuple(PatchClass)[2:], 0.0)
    for kind, (label, _) in NUISANCES.items():
        if kind != HELD_OUT:
            shares[label] += SHARES[kind]
    return [share / sum(shares.values()) for share in shares.values()]
