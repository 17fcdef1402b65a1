"""What is in the way of the beam beside the crystal."""

from __future__ import annotations

from dataclasses import dataclass

from cxlsfind.errors import UsageError
from cxlsfind.sim.background.rings import MATERIALS


@dataclass(frozen=True, slots=True)
class BackgroundSettings:
    """The background of a run, and how it varies from frame to frame.

    Parameters
    ----------
    water_m
        Thickness of water, metres.
    materials
        Name of a material of :data:`~cxlsfind.sim.background.rings.MATERIALS` and its thickness in
        metres, each.
    air_m
        Path of the direct beam through air, from the sample on, metres.
    flight_in_air
        Whether scattered photons go through air to the detector, which takes some.
    streak
        Photons in the streak of a liquid jet, over those of the round background.
    streak_angle
        Direction of the streak from x, rad; it wanders by some degrees.
    spread
        Standard deviation of the logarithm of the thickness from frame to frame.
    mean
        Mean photons per usable pixel of a frame of average thickness and beam: scales everything
        above. ``None``: what the beam and the thickness give.

    Raises
    ------
    UsageError
        A number has no meaning, or a material is unknown.
    """

    water_m: float = 100e-6
    materials: tuple[tuple[str, float], ...] = ()
    air_m: float = 0.0
    flight_in_air: bool = False
    streak: float = 0.0
    streak_angle: float = 0.0
    spread: float = 0.1
    mean: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        for name, most in (("water_m", 1.0), ("air_m", 100.0), ("streak", 100.0), ("spread", 3.0)):
            value = getattr(self, name)
            if not 0.0 <= value <= most:
                raise UsageError(f"{name} is {value:g}: expected 0 to {most:g}")
        if self.mean is not None and not 0.0 <= self.mean <= 1e6:
            raise UsageError(f"the mean background is {self.mean:g}: expected 0 to 1e6")
        for material, thickness in self.materials:
            if material not in MATERIALS:
                known = ", ".join(MATERIALS)
                raise UsageError(f"the material {material!r} is unknown: expected one of {known}")
            if not 0.0 <= thickness <= 1.0:
                raise UsageError(f"{material} is {thickness:g} m thick: expected 0 to 1")
