"""From the merged results of all ranks to the outputs, and to what the user is told last."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxlsfind.config import PeakMethod, RunConfig
from cxlsfind.geometry.model import Geometry
from cxlsfind.io.run import Run
from cxlsfind.pipeline.hit_rate import hit_probability
from cxlsfind.pipeline.plan import Plan
from cxlsfind.pipeline.ring_light import LightPool
from cxlsfind.pipeline.skips import count_lost, skip_lines
from cxlsfind.writers.blocks import BlockOutput
from cxlsfind.writers.cxi import TableSources
from cxlsfind.writers.outputs import OutputSet, RunPlan, WrittenRun
from cxlsfind.writers.summary import RunFacts

#: Peaks per frame, and hits among frames, from which on something else than crystals is likely.
_TOO_MANY_PEAKS = 100.0
_TOO_MANY_HITS = 0.9

#: Groups of frames with headers of their own whose headers are checked: the brightest.
_CHECKED_GROUPS = 2


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended.

    Parameters
    ----------
    lines
        What the user should read.
    lost_frames
        Frames that were not processed; a file of unknown length counts as one.
    next_command
        The command to run next.
    """

    lines: tuple[str, ...]
    lost_frames: int
    next_command: str


def write_outputs(
    config: RunConfig,
    plan: Plan,
    blocks: Iterable[BlockOutput],
    hit_rate: float | None,
    performance: dict[str, object],
) -> Ending:
    """Write all outputs of a run.

    Parameters
    ----------
    blocks
        Results in input order.
    hit_rate
        Prior of the hit probability; ``None`` for a finder that knows no probability.
    performance
        What differs between runs of the same input.

    Raises
    ------
    NothingProcessedError
        No frame was processed.
    """
    run = plan.run
    run_plan = RunPlan(
        geometry=run.geometry,
        stream_geometry_text=plan.stream_geometry,
        facts=RunFacts(
            command=config.command,
            settings=config.settings(),
            inputs=[config.input],
            notes=plan.notes,
            models=plan.models.summary(),
        ),
        sources=TableSources(
            run.frames, run.groups, run.layout, run.masks, _mask_source(config, run.geometry)
        ),
        skipped=run.skipped,
        search=search_options(config),
        copy_header=config.copy_header,
        jobs=len(os.sched_getaffinity(0)),
    )
    with OutputSet(config.output, overwrite=config.overwrite) as outputs:
        pool = LightPool()
        blocks = pool.take_from(blocks)
        if hit_rate is not None:
            blocks = (_with_probability(block, hit_rate) for block in blocks)
        written = outputs.write(run_plan, blocks)
        _check_beam(pool, run.geometry, written.summary)
        outputs.commit(written, performance)
        lines = (
            *_last_words(config, outputs, written, len(run.skipped)),
            *_advice_without_hits(config, run, written.summary),
            *_advice_with_too_much(config, written.summary),
        )
    return Ending(lines, count_lost(written.skipped), written.next_command)


def _check_beam(pool: LightPool, geometry: Geometry, summary: dict[str, Any]) -> None:
    """Add to a summary what the photons say of its headers and of the geometry."""
    groups = pool.largest(_CHECKED_GROUPS)
    if not groups:
        return
    # It brings more of SciPy along, which ranks that search do not need.
    from cxlsfind.pipeline.beam_check import check_beam

    findings = [check_beam(group, geometry) for group in groups]
    summary["beam"] = [finding.summary() for finding in findings]
    summary["warnings"] += [warning for finding in findings for warning in finding.warnings()]


def search_options(config: RunConfig) -> tuple[str, ...]:
    """Return options for a peak search of CrystFEL's, the same where that is possible."""
    if config.peaks is PeakMethod.POISSON:
        # The counts of a dim frame's spots; CrystFEL has no search that looks after itself.
        return ("--threshold=3", "--min-snr=4")
    return (
        f"--threshold={config.threshold:.9g}",  # the digits of single precision
        f"--min-snr={config.min_snr:.9g}",
        f"--min-pix-count={config.min_pix_count}",
        f"--max-pix-count={config.max_pix_count}",
        f"--local-bg-radius={config.local_bg_radius}",
        f"--min-res={config.min_res}",
        f"--max-res={config.max_res}",
    )


def _with_probability(block: BlockOutput, hit_rate: float) -> BlockOutput:
    return block.with_hit_probability(hit_probability(block.log_bayes_factor, hit_rate))


def _mask_source(config: RunConfig, geometry: Geometry) -> str:
    """Return in words what the masks of a run are made of."""
    named = {
        f"{mask.file or 'the image file'}:{mask.data}"
        for panel in geometry.panels
        for mask in panel.masks
    }
    parts = [f"geometry {geometry.file}", *(sorted(named) or ["the detector's pixel mask, if any"])]
    return ", ".join(parts if config.mask is None else [*parts, f"--mask {config.mask}"])


def _last_words(
    config: RunConfig, outputs: OutputSet, written: WrittenRun, n_told: int
) -> Iterator[str]:
    """Yield what came of the run beside its counts; ``n_told`` skipped items were named before."""
    yield from skip_lines(written.skipped[n_told:])
    yield from (f"warning: {warning}" for warning in written.summary["warnings"])
    if written.table_obstacle:
        yield f"note: no {outputs.names.cxi}: {written.table_obstacle}"
        if config.mask is not None:
            yield (
                f"note: {outputs.names.geometry} does not hold --mask {config.mask}: the command "
                "below looks for peaks in its bad pixels too; name the mask in the geometry"
            )
    names = [name for name in outputs.names.all() if outputs.path(name).exists()]
    yield f"written in {outputs.folder}: {', '.join(names)}"


def _advice_without_hits(config: RunConfig, run: Run, summary: dict[str, Any]) -> Iterator[str]:
    """Yield what tells a run without crystals from one with a wrong setting."""
    if summary["hits"]:
        return
    usable = np.mean([mask.mean() for mask in run.masks])
    yield (
        f"note: no hits. In {summary['processed']} frames there are {summary['peaks']} peaks; a "
        f"usable pixel has {summary['mean_photons_per_pixel']['mean']:.3g} photons on average, "
        f"and {100 * usable:.1f}% of the pixels are usable"
    )
    classes = summary.get("frame_classes", {})
    dark = classes.get("beam_off", 0)
    if dark:
        yield f"note: {dark} of {summary['processed']} frames were taken without a beam, it seems"
    artefacts = summary["models"].get("frames_of_artefacts", 0)
    if artefacts:
        yield (
            f"note: models took {artefacts} frames for artefacts alone; --no-models shows what the "
            "statistics alone say"
        )
    finder = (
        f"--false-peaks={config.false_peaks:g} and --hit-fpr={config.hit_fpr:g}"
        if config.peaks is PeakMethod.POISSON
        else f"--threshold={config.threshold:g}, --min-snr={config.min_snr:g} and --min-peaks"
    )
    energy = summary["photon_energy_eV"]["mean"]
    yield (
        f"note: if there should be hits, look at the beam (photons), the mask (usable pixels), "
        f"{finder} (peaks), and the photon energy of {energy:.5g} eV"
    )


def _advice_with_too_much(config: RunConfig, summary: dict[str, Any]) -> Iterator[str]:
    """Yield what tells a run full of crystals from one with a wrong setting."""
    if config.peaks is not PeakMethod.POISSON or not summary["processed"]:
        return
    per_frame = summary["peaks"] / summary["processed"]
    most = max(_TOO_MANY_PEAKS, 10.0 * config.false_peaks)
    if per_frame < most or summary["hit_rate"] < _TOO_MANY_HITS:
        return
    mean = summary["mean_photons_per_pixel"]["mean"]
    rings = ", ".join(summary["rings"]["frames_with"]) or "none"
    yield (
        f"note: {100 * summary['hit_rate']:.3g}% of the frames are hits, with {per_frame:.3g} "
        "peaks each; if that is too much, look at the mask "
        f"({summary['pixels_left_out_by_finder']} more pixels lie), the units (a usable pixel has "
        f"{mean:.3g} photons on average: adu_per_photon), sharp rings ({rings}) and the beam centre"
    )
