"""Models in the way of a block: between the finder's results and the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from cxlsfind.config import RunConfig
from cxlsfind.finding.pixel_counts import counts_at
from cxlsfind.finding.poisson.canvas import PlacedFrame, build_canvas
from cxlsfind.finding.poisson.settings import FrameClass, PoissonResult
from cxlsfind.geometry.maps import position_px
from cxlsfind.io.run import Run
from cxlsfind.pipeline.model_choice import ModelChoice
from cxlsfind.records import ModelVerdict, PeakArray, Verdict

if TYPE_CHECKING:
    from cxlsfind.finding.poisson.finder import BlockResult
    from cxlsfind.models.judge import JudgedFrame

#: Class of a frame that would be a hit, were there not artefacts alone in it.
ARTEFACT_CLASS: Final = "artefact"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of a frame.

    Parameters
    ----------
    models
        ``None`` where the statistics decide alone.
    """

    peaks: PeakArray
    is_hit: bool
    verdict: Verdict
    models: ModelVerdict | None = None


def outcome_alone(result: PoissonResult) -> Outcome:
    """Return what the finder makes of a frame."""
    result.peaks["spot_probability"], result.peaks["kind"] = np.nan, -1
    verdict = Verdict(
        n_peaks=result.n_peaks,
        hit_p_value=result.hit_p_value,
        log_bayes_factor=result.hit_log_bayes_factor,
        frame_class=result.frame_class.value,
        expected_false_peaks=result.expected_false,
    )
    return Outcome(result.peaks, result.is_hit, verdict)


class ModelJudge:
    """The models of a run, ready on the device of this rank.

    Parameters
    ----------
    choice
        What rank 0 found to fit.
    rank_on_node
        Number of this rank among those of its node.

    Raises
    ------
    InputError
        A file has changed since, or the device is not there.
    """

    def __init__(self, run: Run, config: RunConfig, choice: ModelChoice, rank_on_node: int) -> None:
        # PyTorch takes a second to load: only a run that uses it does.
        from cxlsfind.models.judge import FrameJudge
        from cxlsfind.models.runtime import choose_device, load_models

        device = choose_device(config.device, rank_on_node)
        self._judge = FrameJudge(load_models(choice.files, device))
        self._run = run
        self._config = config

    def judge(
        self,
        images: Sequence[PlacedFrame],
        shift_m: tuple[float, float],
        found: BlockResult,
    ) -> list[Outcome]:
        """Judge frames of a block that share mask and position of the detector.

        Parameters
        ----------
        shift_m
            Shift (x, y) of the detector, metres.
        found
            What the finder says of them; 1/d of its peaks filled in.
        """
        from cxlsfind.models.cutting import Candidates, FrameArrays, cut_patches
        from cxlsfind.models.hit_inputs import Evidence
        from cxlsfind.models.searched import SearchedFrame

        canvas = build_canvas(self._run.layout)
        patches = cut_patches(
            [
                Candidates(result.peaks[: result.n_peaks], result.background, result.ring_centre_px)
                for result in found.frames
            ],
            FrameArrays(self._run.geometry, self._run.layout, found.usable, shift_m),
            lambda number, pixels: counts_at(images[number], canvas, pixels),
        )
        frames = [
            SearchedFrame(
                peaks=result.peaks,
                n_peaks=result.n_peaks,
                evidence=Evidence(result.hit_log_bayes_factor, result.hit_p_value),
                mean_background=float(result.background.mean()) if len(result.background) else 0.0,
                position_px=position,
                patches=around,
            )
            for result, position, around in zip(
                found.frames, self._positions(found.frames, shift_m), patches, strict=True
            )
        ]
        judged = self._judge.judge(frames, float(np.count_nonzero(found.usable)))
        return [self._conclude(*both) for both in zip(found.frames, judged, strict=True)]

    def _positions(
        self, results: Sequence[PoissonResult], shift_m: tuple[float, float]
    ) -> list[npt.NDArray[np.float64]]:
        """Return where the peaks of every frame lie from the beam, px."""
        from cxlsfind.models.cutting import join_peaks

        peaks = join_peaks([result.peaks for result in results])
        positions = np.empty((len(peaks), 2))
        for panel in np.unique(peaks["panel"]).tolist():
            here = peaks["panel"] == panel
            place = peaks["fs"][here], peaks["ss"][here]
            positions[here] = position_px(self._run.geometry, panel, *place, shift_m)
        return np.split(positions, np.cumsum([len(result.peaks) for result in results[:-1]]))

    def _conclude(self, result: PoissonResult, judged: JudgedFrame) -> Outcome:
        """Decide as the finder does, with what the models left."""
        config, evidence = self._config, judged.evidence
        if config.min_peaks is None:
            would_be = evidence.p_value <= config.hit_fpr
        else:
            would_be = judged.n_peaks >= config.min_peaks
        would_be = would_be and result.frame_class is not FrameClass.BEAM_OFF
        is_hit = would_be and not judged.is_artefact
        # What else a frame is that was a hit to the finder, it does not say.
        is_hit_no_more = result.frame_class is FrameClass.HIT
        kind = FrameClass.BLANK if is_hit_no_more else result.frame_class
        named = FrameClass.HIT.value if is_hit else kind.value
        verdict = Verdict(
            n_peaks=judged.n_peaks,
            hit_p_value=1.0 if judged.is_artefact else evidence.p_value,
            log_bayes_factor=evidence.log_bayes_factor,
            frame_class=ARTEFACT_CLASS if would_be and not is_hit else named,
            expected_false_peaks=result.expected_false,
        )
        return Outcome(judged.peaks, is_hit, verdict, judged.verdict)
