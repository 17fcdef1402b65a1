"""Everything that is found out before the first frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cxlsfind import __version__
from cxlsfind.config import PeakMethod, RunConfig
from cxlsfind.errors import FrameError, InputError, InputProblemsError
from cxlsfind.finding.gains import estimate_gain
from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.geometry.model import Geometry
from cxlsfind.geometry.obstacles import geometry_obstacles
from cxlsfind.geometry.shipped import find_geometry
from cxlsfind.io.inputs import InputList, read_inputs, wait_for_files
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import Run, open_run
from cxlsfind.pipeline.blocks import Block, make_blocks
from cxlsfind.pipeline.model_choice import ModelChoice, choose_models
from cxlsfind.pipeline.search import FrameLoader, counts_problem, unmasked_gaps
from cxlsfind.pipeline.skips import skip_lines
from cxlsfind.writers.outputs import OutputSet
from cxlsfind.writers.stream import amended_geometry_text, stream_problems

T = TypeVar("T")

#: Frames that are looked at for the reading of a photon, until one is lit and shows a gain.
_FRAMES_FOR_GAIN = 8

#: Problems of one kind, such as missing files, that are told.
_SHOWN = 20


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A run that can start.

    Parameters
    ----------
    run
        The frames and how to read them.
    blocks
        In input order.
    stream_geometry
        The geometry as it goes into the stream.
    shard_folder
        Where ranks keep their results until they are merged.
    notes
        What the user should know before the first frame; sentences.
    models
        Models that judge what the finder finds.
    """

    run: Run
    blocks: list[Block]
    stream_geometry: str
    shard_folder: Path
    notes: tuple[str, ...]
    models: ModelChoice

    def with_masks(self, masks: tuple[npt.NDArray[np.bool_], ...]) -> Plan:
        """Return the plan with its masks in other memory."""
        return replace(self, run=replace(self.run, masks=masks))

    def announcement(self) -> Iterator[str]:
        """Yield the lines that open the log of a run."""
        run = self.run
        yield (
            f"cxlsfind {__version__}: {len(run.frames)} frames in {len(run.groups)} "
            f"dataset{'s' if len(run.groups) != 1 else ''}, geometry {run.geometry.file}"
        )
        yield from (f"note: {note}" for note in self.notes)
        yield from self.models.lines()
        yield from skip_lines(run.skipped)


def prepare(config: RunConfig) -> Plan:
    """Read geometry and lists, find all frames, and make sure that outputs can be written.

    Raises
    ------
    InputError
        The run cannot start; with all problems that could be found, not just the first.
    """
    problems: list[str] = []
    geometry = _collecting(problems, _read_geometry, config)
    inputs = _collecting(problems, _read_inputs, config)
    outputs = OutputSet(config.output, overwrite=config.overwrite)
    _collecting(problems, outputs.check, _input_files(config, geometry, inputs))
    run = None
    if geometry is not None and inputs is not None:
        run = _collecting(problems, _open, config, geometry, inputs)
    if run is not None:
        _collecting(problems, outputs.refuse_inputs, map(Path, run.data_files()))
    models = _collecting(problems, choose_models, config, geometry, run)
    if problems or run is None or inputs is None or models is None:
        raise InputProblemsError(problems)
    run, gain_remarks = _with_gain(config, run)
    remarks = (*gain_remarks, *_look_at_data(config, run))
    text = _stream_geometry(config, run)
    paths = ("/".join(path) for path in run.frames.paths)
    problems = stream_problems(run.geometry, text, run.frames.filenames, paths)
    if problems:
        raise InputProblemsError(problems)
    return Plan(
        run=run,
        blocks=make_blocks(run.frames, run.groups),
        stream_geometry=text,
        shard_folder=outputs.path(f".{config.output.name}.shards"),
        notes=(*run.geometry.warnings, *inputs.notes, *run.notes, *remarks),
        models=models,
    )


def _collecting(problems: list[str], step: Callable[..., T], *arguments: object) -> T | None:
    """Return the result of a step; ``None`` after noting its problems, up to a bearable number."""
    try:
        return step(*arguments)
    except InputProblemsError as error:
        problems.extend(error.problems[:_SHOWN])
        if len(error.problems) > _SHOWN:
            problems.append(f"and {len(error.problems) - _SHOWN} more problems like the last ones")
    except InputError as error:
        problems.append(str(error))
    return None


def _read_geometry(config: RunConfig) -> Geometry:
    geometry = read_geometry(find_geometry(config.geometry), need_beam=False)
    obstacles = geometry_obstacles(geometry)
    if obstacles:
        raise InputProblemsError(obstacles)
    return geometry


def _read_inputs(config: RunConfig) -> InputList:
    inputs = read_inputs(config.input, prefix=config.prefix, basename=config.basename)
    if inputs.problems:
        raise InputProblemsError(inputs.problems)
    wait_for_files(inputs.items, config.wait_for_file)
    return inputs


def _open(config: RunConfig, geometry: Geometry, inputs: InputList) -> Run:
    return open_run(
        inputs.items,
        geometry,
        channel=config.channel,
        mask_file=config.mask,
        mask_bad=config.mask_bad,
        photon_energy_ev=config.photon_energy_ev,
        camera_length_m=config.camera_length_m,
        copy_headers=config.copy_header,
    )


def _input_files(
    config: RunConfig, geometry: Geometry | None, inputs: InputList | None
) -> list[Path]:
    names = [] if config.input == "-" else [config.input]
    names += [] if geometry is None else [geometry.file]
    if geometry is not None:
        files = (mask.file for panel in geometry.panels for mask in panel.masks)
        names += [file for file in files if file is not None]
    # A mask in an HDF5 file may be given as FILE:/path.
    names += [] if config.mask is None else [config.mask, config.mask.partition(":/")[0]]
    names += [] if inputs is None else [item.filename for item in inputs.items]
    return [Path(name) for name in dict.fromkeys(names)]


def _look_at_data(config: RunConfig, run: Run) -> tuple[str, ...]:
    """Return what is odd about the first frame that can be read; refuse what is no photon count."""
    with FrameLoader(run) as loader:
        for frame in range(len(run.frames)):
            try:
                first = loader.load(frame)
            except FrameError:
                continue
            if config.peaks is PeakMethod.POISSON and (problem := counts_problem(run, first)):
                raise InputError(problem)
            remark = unmasked_gaps(run, first)
            return (remark,) if remark else ()
    return ()


def _with_gain(config: RunConfig, run: Run) -> tuple[Run, tuple[str, ...]]:
    """Return the run with the reading of one photon that its first lit frame shows.

    Of use where the geometry says, or leaves it at, one unit per photon and the data say
    otherwise: the likelihood ratio needs photons.
    """
    panels = run.geometry.panels
    if config.peaks is not PeakMethod.POISSON or any(p.adu_per_photon != 1.0 for p in panels):
        return run, ()
    with RunReader(run) as reader:
        for frame in range(min(len(run.frames), _FRAMES_FOR_GAIN)):
            try:
                raw = reader.read(frame)
            except FrameError:
                continue
            if raw.dtype.kind not in "iu":
                return run, ()
            mask = run.groups[int(run.frames.group[frame])].mask
            gain = estimate_gain(raw, run.masks[mask])
            if gain == 1.0:
                continue
            panels = tuple(replace(panel, adu_per_photon=gain) for panel in panels)
            remark = (
                f"{run.frames.filename(frame)} {run.frames.event(frame)}: the values scatter like "
                f"photons that read {gain:g} each, while the geometry says adu_per_photon = 1: "
                f"{gain:g} is used; write adu_per_photon = {gain:g} into the geometry"
            )
            return replace(run, geometry=replace(run.geometry, panels=panels)), (remark,)
    return run, ()


def _stream_geometry(config: RunConfig, run: Run) -> str:
    """Return the geometry for the stream, with what the data or an option had to add to it."""
    with RunReader(run) as reader:
        first = reader.header(0)
    is_energy_ours = run.geometry.beam is None or config.photon_energy_ev is not None
    is_clen_ours = run.geometry.clen is None or config.camera_length_m is not None
    return amended_geometry_text(
        run.geometry,
        first.photon_energy_ev if is_energy_ours else None,
        first.clen_m if is_clen_ours else None,
    )
