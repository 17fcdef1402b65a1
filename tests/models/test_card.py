"""Cards survive their file, and say why a model does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cxlsfind.models.card import Card, DataDescription, ModelRefusedError, parse_card

EIGER = DataDescription("uint16", 75e-6, 7000.0, 1000.0)


def test_round_trip(make_card: Callable[..., Card]) -> None:
    """A card read back is equal, ranges and all."""
    card = make_card(priors={"spot_sigma_px": [0.35, 1.6]}, metrics={"test_loss": 0.3})
    assert parse_card(card.to_json(), file="a.pt") == card


def test_a_model_that_fits(make_card: Callable[..., Card]) -> None:
    """EIGER data at CXLS, known energy or not."""
    assert make_card().misfits(EIGER) == []
    assert make_card().misfits(DataDescription("uint32", 75e-6, None, float("inf"))) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DataDescription("float32", 75e-6, 7000.0, 1000.0), "float32"),
        (DataDescription("uint16", 14e-6, 7000.0, 1000.0), "14 um"),
        (DataDescription("uint16", 75e-6, 500.0, 1000.0), "500 eV"),
        (DataDescription("uint16", 75e-6, 7000.0, 1.0), "1 X-ray pulses"),
    ],
)
def test_reasons_for_refusal(
    make_card: Callable[..., Card], data: DataDescription, reason: str
) -> None:
    """Each misfit is named with what was found."""
    (found,) = make_card().misfits(data)
    assert reason in found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no card"),
        ("[]", "no card"),
        ("{}", "no card"),
        ('{"schema": "cxlsfind-card/9"}', "cxlsfind-card/9"),
        ('{"schema": "cxlsfind-card/1", "task": "peak"}', "lacks"),
    ],
)
def test_bad_cards(text: str, reason: str) -> None:
    """What is no card, or one of another version, is refused with the file's name."""
    with pytest.raises(ModelRefusedError, match=reason) as refusal:
        parse_card(text, file="a.pt")
    assert str(refusal.value).startswith("a.pt: ")


def test_cards_hold_no_nan(make_card: Callable[..., Card]) -> None:
    """JSON has no word for it: a figure that is not known is left out."""
    with pytest.raises(ValueError, match="JSON"):
        make_card(metrics={"x": float("nan")}).to_json()
    assert json.loads(make_card().to_json())["schema"] == "cxlsfind-card/1"
