"""Training the hit model on searched frames of random experiments."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cxlsfind.models.hit import FINEST_LINE, HitModel, HitVerdict
from cxlsfind.sim.crystals.salts import SALT_NAMES, salt_lines
from cxlsfind.training.batches import Batch
from cxlsfind.training.hit_data import ARTEFACT, BLANK, FRAME_CLASSES, HIT
from cxlsfind.training.tasks import Judgement, Optimiser, Task


class HitTask(Task):
    """Crystal, nothing, or artefacts alone; and which artefacts there are.

    Parameters
    ----------
    salts
        Whose lines the model knows.
    """

    def __init__(self, salts: tuple[str, ...] = SALT_NAMES) -> None:
        self.name = "hit"
        self.classes = FRAME_CLASSES[:3]
        self.optimiser = Optimiser("adam", 3e-3, fades=True)
        self.epochs = 40
        self.batch_size = 64
        self.settings = {"salts": list(salts)}

    def build(self) -> nn.Module:
        """Return the model that says what the finder says."""
        return HitModel(_lines(self.settings["salts"]))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return cross entropy of the classes, and of every flag."""
        verdict: HitVerdict = model(batch["candidates"], batch["frames"])
        loss = nn.functional.cross_entropy(_class_logits(verdict), batch["label"])
        flags = nn.functional.binary_cross_entropy_with_logits(verdict.flags, batch["flags"])
        return loss + flags

    def judge(self, model: nn.Module, batch: Batch) -> Judgement:
        """Return the likeliest class, and how unlike artefacts the frame is."""
        verdict: HitVerdict = model(batch["candidates"], batch["frames"])
        predicted = _class_logits(verdict).argmax(dim=1)
        return Judgement(batch["label"], predicted, -verdict.artefact)

    def figures(self, judgement: Judgement) -> dict[str, float]:
        """Return how many artefacts pass when two in a hundred hits are given away."""
        hits = judgement.score[judgement.truth == HIT]
        artefacts = judgement.score[judgement.truth == ARTEFACT]
        if not len(hits) or not len(artefacts):
            return {"artefacts_passed": math.nan}
        limit = torch.quantile(hits, 0.02)
        return {"artefacts_passed": float((artefacts >= limit).float().mean())}


def _lines(salts: list[str]) -> Tensor:
    """Return the spacings of lines of salts, angstrom, filled up with zeros."""
    spacings = [torch.from_numpy(salt_lines(name, FINEST_LINE)) for name in salts]
    return nn.utils.rnn.pad_sequence(spacings, batch_first=True).float()


def _class_logits(verdict: HitVerdict) -> Tensor:
    """Return log odds against a hit, in the order of the classes."""
    columns = torch.zeros(len(verdict.evidence), 3, device=verdict.evidence.device)
    columns[:, BLANK] = -verdict.evidence
    columns[:, ARTEFACT] = verdict.artefact
    return columns
