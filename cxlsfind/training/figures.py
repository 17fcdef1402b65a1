"""Figures of an evaluation, as PNG; the only module of the package that draws."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import nn

from cxlsfind.training.scores import Curve

_DPI = 110


def draw_curves(
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    *,
    title: str = "",
    log_x: bool = False,
    diagonal: bool = False,
) -> bytes:
    """Draw curves into one figure.

    Parameters
    ----------
    diagonal
        Whether to draw what a perfectly honest curve would be.
    """
    figure, axes = _figure(title)
    for curve in curves:
        points = np.isfinite(curve.x) & np.isfinite(curve.y) & ((curve.x > 0) | (not log_x))
        axes.plot(curve.x[points], curve.y[points], marker=".", markersize=3, label=curve.name)
    if diagonal:
        axes.plot([0, 1], [0, 1], color="0.6", linestyle=":")
    if log_x:
        axes.set_xscale("log")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend(fontsize=8)
    return _png(figure)


def draw_confusion(
    matrix: npt.NDArray[np.int64], classes: Sequence[str], *, title: str = ""
) -> bytes:
    """Draw a confusion matrix: shares of each true class, with the counts."""
    figure, axes = _figure(title)
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shares = matrix / totals
    axes.imshow(shares, vmin=0.0, vmax=1.0, cmap="Blues")
    for (row, column), share in np.ndenumerate(shares):
        axes.text(
            column,
            row,
            f"{share:.3g}\n{matrix[row, column]}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if share > 0.5 else "black",
        )
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(classes)), classes, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return _png(figure)


def draw_model(model: nn.Module, *, title: str = "") -> bytes:
    """Draw a model as boxes from top to bottom: its layers with their numbers of weights."""
    layers = [
        (name, layer)
        for name, layer in model.named_modules()
        if name and not list(layer.children())
    ]
    figure = Figure(figsize=(6.0, 0.45 * len(layers) + 0.9))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(-len(layers) - 0.2, 1.2)
    axes.axis("off")
    total = sum(weight.numel() for weight in model.parameters())
    axes.text(0.5, 0.7, f"{title}: {total} weights", ha="center", va="center", fontsize=11)
    for number, (name, layer) in enumerate(layers):
        weights = sum(weight.numel() for weight in layer.parameters())
        text = f"{name}: {_describe(layer)}" + (f" - {weights}" if weights else "")
        axes.text(
            0.5,
            -number,
            text,
            ha="center",
            va="center",
            fontsize=8,
            bbox={"boxstyle": "round", "facecolor": "#e8eef7" if weights else "#f5f5f5"},
        )
        if number:
            axes.annotate(
                "", (0.5, -number + 0.28), (0.5, -number + 0.72), arrowprops={"arrowstyle": "->"}
            )
    return _png(figure)


def _describe(layer: nn.Module) -> str:
    text = repr(layer)
    return text if len(text) < 60 else type(layer).__name__


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No version or time in the file: the same figure is the same bytes.
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
