"""What a training is about: one object that holds model, loss, labels, optimiser and schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from cxlsfind.errors import UsageError
from cxlsfind.training.batches import Batch

#: How the learning rate goes on: as it is, lowered where the loss no longer falls, or fading away.
Schedule = Literal["constant", "plateau", "cosine"]


@dataclass(frozen=True, slots=True)
class Plateau:
    """Lower the learning rate when the loss no longer falls.

    Parameters
    ----------
    factor
        What the rate is multiplied with.
    patience
        Epochs without improvement that are put up with.
    threshold
        Relative improvement that counts as one.
    """

    factor: float = 0.1
    patience: int = 3
    threshold: float = 0.1


@dataclass(frozen=True, slots=True)
class Optimiser:
    """How the weights are changed.

    Parameters
    ----------
    kind
        Method.
    learning_rate
        Step size at the start.
    plateau
        When the rate is lowered; never without.
    fades
        Whether the rate falls to nothing over the epochs, along a cosine.
    steepest
        Norm that longer gradients are cut to; ``None``: never. Plain descent on photon counts,
        with steps as small as the paper's, would not get anywhere with cut ones.
    """

    kind: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    plateau: Plateau | None = None
    fades: bool = False
    steepest: float | None = 5.0

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of a model's weights."""
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        if self.kind == "adam":
            return torch.optim.Adam(weights, self.learning_rate)
        return torch.optim.SGD(weights, self.learning_rate)

    def scheduled(self, schedule: Schedule) -> Optimiser:
        """Return the same optimiser with another schedule."""
        plateau = (self.plateau or Plateau()) if schedule == "plateau" else None
        return replace(self, plateau=plateau, fades=schedule == "cosine")


class Judgement(NamedTuple):
    """Predictions of a batch against the truth.

    Parameters
    ----------
    truth, predicted
        Classes, (n,); int64.
    score
        Score of the class that the task is about, (n,), float32; the higher the more likely.
    """

    truth: Tensor
    predicted: Tensor
    score: Tensor


class Task(ABC):
    """One attribute of the data and how to learn it.

    Attributes
    ----------
    name
        Name on the command line.
    classes
        Names of the classes, in the order of their numbers.
    optimiser
        How the weights are changed.
    epochs, batch_size
        How long, and how many at a time.
    mixed_precision
        Whether half precision will do where there is a GPU. A likelihood ratio needs all digits.
    settings
        What the task was made from: :mod:`cxlsfind.training.registry` makes it anew from them.
    """

    name: str
    classes: tuple[str, ...]
    optimiser: Optimiser
    epochs: int
    batch_size: int
    mixed_precision: bool = False
    settings: dict[str, Any]

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the model before training; random numbers come from torch's generator."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss over a batch."""

    @abstractmethod
    def judge(self, model: nn.Module, batch: Batch) -> Judgement:
        """Return what the model says of a batch."""

    def figures(self, judgement: Judgement) -> dict[str, float]:
        """Return the figures of merit of an epoch, beside loss and accuracy."""
        del judgement
        return {}


def class_weight(n_negative: int, n_positive: int) -> float:
    """Return the weight of the positive class: the paper's, negatives over positives.

    Raises
    ------
    UsageError
        A class is empty.
    """
    if n_negative == 0 or n_positive == 0:
        raise UsageError(
            f"{n_positive} frames with and {n_negative} without peaks: a classifier needs both; "
            "add the missing ones, for instance with 'cxlsfind-dataset empties'"
        )
    return n_negative / n_positive
