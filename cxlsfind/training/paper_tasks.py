"""Training the paper's models, with the paper's losses, optimisers and schedule, on a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from cxlsfind.datasets.naming import LABELS, OVERLAY, PEAKS
from cxlsfind.datasets.streaming import FrameDataset
from cxlsfind.models.paper import (
    AttentionHeatmap,
    BaseCNN,
    BinaryCNN,
    DualChannelCNN,
    LinearClassifier,
    binned_shape,
    sum_bins,
)
from cxlsfind.training.batches import Batch
from cxlsfind.training.tasks import Judgement, Optimiser, Plateau, Task, class_weight

Parameter = Literal["photon_energy", "clen"]

#: Peak pixels count this much more than others in the paper's heat map.
_PEAK_WEIGHT: Final = 1e5

#: Values of a parameter are one class when they agree to the nearest of these.
_STEPS: Final[dict[Parameter, float]] = {"photon_energy": 1000.0, "clen": 0.01}
_UNITS: Final[dict[Parameter, tuple[float, str]]] = {
    "photon_energy": (1e-3, "keV"),
    "clen": (100.0, "cm"),
}

#: The paper lowered the rate for its binary models only.
_BINARY: Final = Optimiser("adam", 1e-4, Plateau(0.1, 3, 0.1))


class BinnedFrames(Dataset[dict[str, Any]]):
    """Frames of a tree, summed over squares of pixels; what was read once stays in memory.

    Parameters
    ----------
    size
        Edge of the squares, px; 1 leaves the frames as they are, and on disk.
    """

    def __init__(self, frames: FrameDataset, size: int) -> None:
        self.frames = frames
        self.size = size
        self._kept: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frames)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return one frame."""
        if number in self._kept:
            return self._kept[number]
        item = self.frames[number]
        if self.size == 1:
            return item
        for name in self.frames.branches:
            item[name] = sum_bins(item[name][None], self.size)[0]
        if LABELS in item:
            # A square holds a peak if any pixel does, and says nothing if it only holds doubt.
            item[LABELS] = (item[LABELS] > 0).float()
            doubt = sum_bins(item["ignore"][None], self.size)[0] > 0
            item["ignore"] = (doubt & (item[LABELS] == 0)).float()
        self._kept[number] = item
        return item


class BinaryTask(Task):
    """Peaks or none, by one of the paper's classifiers.

    Parameters
    ----------
    kind
        Model.
    shape
        Size (ss, fs) of the frames as the model sees them.
    n_with, n_without
        Training frames with and without peaks: their ratio weighs the loss.
    """

    mixed_precision = True

    def __init__(
        self,
        kind: Literal["binary", "base", "dual"],
        shape: tuple[int, int],
        n_with: int,
        n_without: int,
    ) -> None:
        models: dict[str, Callable[[tuple[int, int]], nn.Module]] = {
            "binary": BinaryCNN,
            "base": BaseCNN,
            "dual": DualChannelCNN,
        }
        self.name = f"paper-{kind}"
        self.classes = ("blank", "hit")
        self.optimiser = _BINARY
        self.epochs = 30
        self.batch_size = 8
        self.branches = (OVERLAY, PEAKS) if kind == "dual" else (OVERLAY,)
        self.settings = {"kind": kind, "shape": list(shape), "n_with": n_with,
                         "n_without": n_without}  # fmt: skip
        self._model = models[kind]
        self._shape = shape
        self._weight = class_weight(n_without, n_with)

    def build(self) -> nn.Module:
        """Return the model."""
        return self._model(self._shape)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted binary cross entropy."""
        logits = self._logits(model, batch)
        weight = torch.tensor(self._weight, device=logits.device)
        return nn.functional.binary_cross_entropy_with_logits(
            logits, batch["peak"], pos_weight=weight
        )

    def judge(self, model: nn.Module, batch: Batch) -> Judgement:
        """Return hit where the logit is above zero."""
        logits = self._logits(model, batch)
        return Judgement(batch["peak"].long(), (logits > 0).long(), logits)

    def _logits(self, model: nn.Module, batch: Batch) -> Tensor:
        frames = torch.cat([batch[branch] for branch in self.branches], dim=1)
        logits: Tensor = model(frames)
        return logits.float().squeeze(1)


class ParameterTask(Task):
    """Photon energy or camera length as a class, by the paper's linear model.

    Parameters
    ----------
    parameter
        Which of them.
    values
        Its values in the training frames, eV or metres: classes are those that occur, to the
        nearest keV or cm.
    """

    mixed_precision = True

    def __init__(
        self, parameter: Parameter, shape: tuple[int, int], values: Sequence[float]
    ) -> None:
        scale, unit = _UNITS[parameter]
        step = _STEPS[parameter]
        steps = sorted({round(value / step) for value in values})
        self.name = "paper-energy" if parameter == "photon_energy" else "paper-clen"
        self.classes = tuple(f"{number * step * scale:g} {unit}" for number in steps)
        rate = 1e-6 if parameter == "photon_energy" else 1e-5
        self.optimiser = Optimiser("sgd", rate, steepest=None)
        self.epochs = 5
        self.batch_size = 8
        self.branches = (OVERLAY,)
        self.settings = {"parameter": parameter, "shape": list(shape),
                         "values": [number * step for number in steps]}  # fmt: skip
        self.parameter = parameter
        self._shape = shape
        self._steps = np.array(steps)

    def build(self) -> nn.Module:
        """Return the model."""
        return LinearClassifier(self._shape, len(self.classes))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the cross entropy."""
        logits: Tensor = model(batch[OVERLAY])
        return nn.functional.cross_entropy(logits.float(), self._labels(batch))

    def judge(self, model: nn.Module, batch: Batch) -> Judgement:
        """Return the likeliest class, and how much likelier it is than the next."""
        logits: Tensor = model(batch[OVERLAY]).float()
        best = logits.topk(min(2, logits.shape[1]), dim=1).values
        return Judgement(self._labels(batch), logits.argmax(dim=1), best[:, 0] - best[:, -1])

    def nearest_class(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the nearest class of values, eV or metres: those never trained on have one too."""
        apart = np.abs(np.asarray(values)[:, None] / _STEPS[self.parameter] - self._steps)
        nearest: npt.NDArray[np.int64] = apart.argmin(axis=1)
        return nearest

    def _labels(self, batch: Batch) -> Tensor:
        values = batch[self.parameter]
        return torch.from_numpy(self.nearest_class(values.cpu().double().numpy())).to(values.device)


class HeatmapTask(Task):
    """Where the peaks are, by the paper's heat map."""

    mixed_precision = True

    def __init__(self) -> None:
        self.name = "paper-heatmap"
        self.classes = ("no peak", "peak")
        self.optimiser = Optimiser("adam", 1e-5)
        self.epochs = 15
        self.batch_size = 4
        self.branches = (OVERLAY, LABELS)
        self.settings = {}

    def build(self) -> nn.Module:
        """Return the model."""
        return AttentionHeatmap()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the cross entropy of the pixels, peaks weighted by 100 000."""
        heat: Tensor = model(batch[OVERLAY]).float()
        losses = nn.functional.binary_cross_entropy_with_logits(
            heat,
            batch[LABELS],
            pos_weight=torch.tensor(_PEAK_WEIGHT, device=heat.device),
            reduction="none",
        )
        counted = 1.0 - batch["ignore"]
        return (losses * counted).sum() / counted.sum().clamp(min=1.0)

    def judge(self, model: nn.Module, batch: Batch) -> Judgement:
        """Return every pixel that says something; the map has as many as the frames."""
        heat: Tensor = model(batch[OVERLAY]).float()
        counted = batch["ignore"] == 0
        truth = batch[LABELS][counted].long()
        return Judgement(truth, (heat[counted] > 0).long(), heat[counted])

    def figures(self, judgement: Judgement) -> dict[str, float]:
        """Return which part of the peak pixels is marked, and how many others are."""
        marked = judgement.predicted == 1
        is_peak = judgement.truth == 1
        found = int((marked & is_peak).sum())
        return {
            "peak_pixels_found": found / max(int(is_peak.sum()), 1),
            "other_pixels_marked": float(int((marked & ~is_peak).sum())),
        }


#: The paper's tasks, by name.
PAPER_TASKS: Final = (
    "paper-binary",
    "paper-base",
    "paper-dual",
    "paper-energy",
    "paper-clen",
    "paper-heatmap",
)

PaperTask = BinaryTask | ParameterTask | HeatmapTask


def make_paper_task(name: str, frames: FrameDataset, binning: int) -> PaperTask:
    """Return one of the paper's tasks for the frames of a training set.

    Parameters
    ----------
    name
        One of :data:`PAPER_TASKS`.
    binning
        Edge of the squares that frames are summed over, px.

    Raises
    ------
    UsageError
        The training set has no frame of a class.
    """
    height, width = frames[0][OVERLAY].shape[1:]
    shape = binned_shape((height, width), binning)
    entries = frames.entries
    if name == "paper-heatmap":
        return HeatmapTask()
    if name == "paper-energy":
        return ParameterTask("photon_energy", shape, [e.photon_energy_ev for e in entries])
    if name == "paper-clen":
        return ParameterTask("clen", shape, [e.clen_m for e in entries])
    n_without = sum(entry.is_empty for entry in entries)
    kinds: dict[str, Literal["binary", "base", "dual"]] = {
        "paper-binary": "binary",
        "paper-base": "base",
        "paper-dual": "dual",
    }
    return BinaryTask(kinds[name], shape, len(entries) - n_without, n_without)


def branches_of(name: str) -> tuple[str, ...]:
    """Return the images that a task of the paper needs."""
    if name == "paper-dual":
        return (OVERLAY, PEAKS)
    return (OVERLAY, LABELS) if name == "paper-heatmap" else (OVERLAY,)
