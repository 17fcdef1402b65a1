"""Scoring the parameter model: errors against their bound, coverage, and alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.models.parameters import ENERGY_WINDOW_EV, ParameterPosterior, estimate_parameters
from cxlsfind.models.ring_posterior import Header
from cxlsfind.training.reports import Section, Table
from cxlsfind.training.ring_draws import Background, Bound, draw_anywhere, draw_background
from cxlsfind.training.scores import rate

FloatArray = npt.NDArray[np.float64]

#: Photons between the spots: of a frame at 3e8 photons, of ten, of a run.
_PHOTONS: Final = (1e5, 1e6, 1e8)

_CLENS_M: Final = (0.15, 0.25, 0.35)

#: Photon energies that are drawn, eV: uniform, or about what a header says.
_ENERGIES_EV: Final = (6000.0, 8000.0)
_HEADER: Final = Header(7000.0, 600.0)

#: How far good headers are off, eV and metres, and by which shares camera lengths are wrong.
_HEADER_SIGMA: Final = (20.0, 5e-4)
_WRONG: Final = (0.0, 0.02, 0.04)


class _Case(NamedTuple):
    """One background: the truth, what is said, and what could be known at best."""

    energy_ev: float
    clen_m: float
    said: ParameterPosterior
    bound: Bound

    @classmethod
    def of(cls, background: Background, said: ParameterPosterior, photons: float) -> _Case:
        """Return what came of a background."""
        truth = background.energy_ev, background.clen_m
        return cls(*truth, said, background.bound(photons))


_Conditions = dict[tuple[str, float], list[_Case]]


def evaluate_parameters(
    number: int, seed: int, progress: Callable[[str], None]
) -> Iterator[Section]:
    """Yield how photon energy and camera length come out of random backgrounds.

    Parameters
    ----------
    number
        Backgrounds of each kind; three times as many from anywhere, a quarter with a header, an
        eighth for alarms.
    progress
        Takes a word after every step.
    """
    family = (
        "Water, buffer and air of random amounts, with or without air on the way, the scale of q "
        "off by 0.5 % and the scattering by six waves of 0.4 %; an EIGER2 4M."
    )
    anywhere: _Conditions = {}
    for photons in _PHOTONS:
        anywhere["anywhere", photons] = _from_anywhere(photons, 3 * number, seed)
        progress(f"from anywhere, {photons:g} photons")
    yield Section(
        "Photon energy and camera length from anywhere",
        (family, "All is drawn from what the model takes for possible beforehand: photon energies "
         "of 4 to 20 keV and camera lengths of 0.05 to 0.6 m, uniform in the logarithm, and "
         "amounts now and then beyond the usual ones. Intervals must hold what they say.",),
        (_coverage(anywhere), _nearest(anywhere)),
    )  # fmt: skip
    alone, header = (
        _at_places(number, seed, None, progress),
        _at_places(-(-number // 4), seed, _HEADER, progress),
    )
    yield Section(
        "Photon energy and camera length from the background alone",
        (family, "Photon energies uniform from 6 to 8 keV; nothing is known beforehand but "
         "4 to 20 keV and 0.05 to 0.6 m. Bound: Cramer-Rao, with the family's own priors of "
         "everything else and none of energy and camera length."),
        (_errors(alone), _coverage(alone), _nearest(alone)),
    )  # fmt: skip
    yield Section(
        "The same with a rough header",
        (f"Photon energies normal about the header's, {_HEADER.value:g} +- {_HEADER.sigma:g} "
         "eV.",),
        (_coverage(header), _nearest(header)),
    )  # fmt: skip
    yield Section(
        "Headers that are right and wrong",
        (f"Headers with errors of {_HEADER_SIGMA[0]:g} eV and {_HEADER_SIGMA[1] * 1e3:g} mm, "
         "as they say; wrong: camera length too long.",),
        (_alarms(-(-number // 8), seed),),
    )  # fmt: skip


def _from_anywhere(photons: float, number: int, seed: int) -> list[_Case]:
    cases = []
    for k in range(number):
        generator = np.random.default_rng((seed, 4, int(photons), k))
        background = draw_anywhere(generator)
        said = estimate_parameters(background.draw(generator, photons))
        if said is not None:
            cases.append(_Case.of(background, said, photons))
    return cases


def _at_places(
    number: int, seed: int, header: Header | None, progress: Callable[[str], None]
) -> _Conditions:
    cases: _Conditions = {}
    for clen in _CLENS_M:
        for photons in _PHOTONS:
            cases[f"{clen:g} m", photons] = _cases(clen, photons, number, seed, header)
            rough = "" if header is None else ", a rough header"
            progress(f"{clen:g} m, {photons:g} photons{rough}")
    return cases


def _cases(
    clen: float, photons: float, number: int, seed: int, header: Header | None
) -> list[_Case]:
    cases = []
    for k in range(number):
        kind = 0 if header is None else 1
        generator = np.random.default_rng((seed, kind, int(1000 * clen), int(photons), k))
        if header is None:
            energy = generator.uniform(*_ENERGIES_EV)
        else:
            energy = generator.normal(header.value, header.sigma)
        background = draw_background(generator, energy, clen)
        said = estimate_parameters(background.draw(generator, photons), energy=header)
        if said is not None:
            cases.append(_Case.of(background, said, photons))
    return cases


def _errors(cases: _Conditions) -> Table:
    rows = []
    for condition, some in cases.items():
        off = np.array(
            [(c.said.photon_energy_ev - c.energy_ev, c.said.clen_m - c.clen_m) for c in some]
        )
        bound = np.array([c.bound for c in some])
        sigma = np.array([(c.said.sigma_energy_ev, c.said.sigma_clen_m) for c in some])
        error, best, of_bound, of_said = (_rms(a) for a in (off, bound, off / bound, off / sigma))
        rows.append(
            (
                *_names(condition),
                *(f"{error[0]:.0f}", f"{best[0]:.0f}", f"{of_bound[0]:.2f}", f"{of_said[0]:.2f}"),
                *(f"{100 * error[1]:.2f}", f"{100 * best[1]:.2f}"),
                *(f"{of_bound[1]:.2f}", f"{of_said[1]:.2f}"),
            )
        )
    header = ("camera length", "photons", "error of E (eV)", "bound", "error over bound",
              "over said", "error of L (cm)", "bound", "error over bound", "over said")  # fmt: skip
    return Table("Errors and bounds, root mean squares", header, tuple(rows))


def _coverage(cases: _Conditions) -> Table:
    rows = []
    for condition, some in cases.items():
        shares = []
        for truth, ends in (
            ([c.energy_ev for c in some], [c.said.energy_interval_ev for c in some]),
            ([c.clen_m for c in some], [c.said.clen_interval_m for c in some]),
        ):
            true, end = np.array(truth), np.array(ends)
            shares += [
                str(rate((true > end[:, low]) & (true < end[:, high])))
                for low, high in ((1, 2), (0, 3))
            ]
        rows.append((*_names(condition), *shares))
    header = ("camera length", "photons", "68 % of E holds", "95 % of E holds", "68 % of L holds",
              "95 % of L holds")  # fmt: skip
    return Table("What the intervals hold", header, tuple(rows))


def _nearest(cases: _Conditions) -> Table:
    rows = []
    for condition, some in cases.items():
        off = np.array([abs(c.said.photon_energy_ev - c.energy_ev) for c in some])
        length = np.array([abs(c.said.clen_m - c.clen_m) for c in some])
        energy_said = np.array([c.said.is_energy_identified for c in some])
        clen_said = np.array([c.said.is_clen_identified for c in some])
        rows.append(
            (
                *_names(condition),
                *(str(rate(a)) for a in (off < 500.0, length < 0.005, energy_said)),
                str(rate(off[energy_said] < ENERGY_WINDOW_EV)),
                str(rate(clen_said)),
                str(rate(length[clen_said] < 0.005)),
                *_over_bound(
                    [case for case, is_said in zip(some, clen_said, strict=True) if is_said]
                ),
            )
        )
    header = ("camera length", "photons", "nearest keV", "nearest cm", "E called identified",
              "then nearest 0.1 keV", "L called identified", "then nearest cm",
              "then error of E over bound", "of L")  # fmt: skip
    return Table("What is told", header, tuple(rows))


def _over_bound(cases: list[_Case]) -> tuple[str, str]:
    """Return root mean squares of errors over their bounds."""
    if not cases:
        return "-", "-"
    off = [
        ((c.said.photon_energy_ev - c.energy_ev) / c.bound.energy_ev,
         (c.said.clen_m - c.clen_m) / c.bound.clen_m)
        for c in cases
    ]  # fmt: skip
    energy, clen = _rms(np.array(off))
    return f"{energy:.2f}", f"{clen:.2f}"


def _alarms(number: int, seed: int) -> Table:
    rows = []
    for clen in _CLENS_M:
        for photons in _PHOTONS:
            alarms = []
            for wrong in _WRONG:
                raised = []
                for k in range(number):
                    generator = np.random.default_rng((seed, 2, int(1000 * clen), int(photons), k))
                    energy = generator.uniform(*_ENERGIES_EV)
                    profile = draw_background(generator, energy, clen).draw(generator, photons)
                    said = estimate_parameters(
                        profile,
                        energy=Header(generator.normal(energy, _HEADER_SIGMA[0]), _HEADER_SIGMA[0]),
                        clen=Header(
                            (1.0 + wrong) * generator.normal(clen, _HEADER_SIGMA[1]),
                            _HEADER_SIGMA[1],
                        ),
                    )
                    raised.append(said is not None and said.is_in_conflict)
                alarms.append(str(rate(np.array(raised))))
            rows.append((f"{clen:g} m", f"{photons:g}", *alarms))
    wrong_by = (f"{100 * wrong:g} % wrong" for wrong in _WRONG[1:])
    header = ("camera length", "photons", "header right", *wrong_by)
    return Table("How often an alarm is raised", header, tuple(rows))


def _names(condition: tuple[str, float]) -> tuple[str, str]:
    return condition[0], f"{condition[1]:g}"


def _rms(values: FloatArray) -> FloatArray:
    mean: FloatArray = np.sqrt((values**2).mean(axis=0))
    return mean
