"""Bad regions and panel groups of a geometry file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cxlsfind.errors import GeometryError
from cxlsfind.geometry.cnumbers import NAN, wrap_int32
from cxlsfind.geometry.lexer import Notes, Statement, shorten
from cxlsfind.geometry.model import BadRegion
from cxlsfind.geometry.panels import PanelDraft, read_float, read_integer

DATA_LIMITS: Final = ("min_fs", "max_fs", "min_ss", "max_ss")
LAB_LIMITS: Final = ("min_x", "max_x", "min_y", "max_y")
_MAX_NAME_BYTES: Final = 1023
_MAX_MEMBERS: Final = 64
_MAX_GROUPS: Final = 512


@dataclass(slots=True)
class BadRegionDraft:
    """A bad region while its file is being read."""

    name: str
    line: int
    panel: str | None = None
    data_limits: dict[str, int] = field(default_factory=dict)
    lab_limits: dict[str, float] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def new_bad_region(statement: Statement) -> BadRegionDraft:
    """Start a bad region at its first mention.

    Raises
    ------
    GeometryError
        The name is longer than CrystFEL has room for.
    """
    name = statement.scope or ""
    if len(name.encode(errors="surrogateescape")) > _MAX_NAME_BYTES:
        raise statement.refusal(
            f"found a bad region with a name of {len(name)} characters; at most {_MAX_NAME_BYTES} "
            "bytes are possible"
        )
    return BadRegionDraft(name, statement.line)


def apply_bad_region_directive(region: BadRegionDraft, statement: Statement, notes: Notes) -> None:
    """Apply one line to a bad region.

    Raises
    ------
    GeometryError
        Limits of both kinds are given.
    """
    key = statement.key
    if key == "panel":
        region.panel = statement.value
    elif key in DATA_LIMITS:
        region.data_limits[key] = read_integer(statement, notes)
    elif key in LAB_LIMITS:
        region.lab_limits[key] = read_float(statement, notes)
    else:
        notes.add(statement.line, f"unknown key {shorten(statement.full_key)!r} is ignored")
        return
    if region.data_limits and region.lab_limits:
        raise statement.refusal(
            f"bad region {region.name} has limits in x/y and in fs/ss; expected one kind"
        )
    if key in region.lines:
        notes.add(
            statement.line,
            f"{statement.full_key} replaces the value of line {region.lines[key]}; "
            "a second region needs a name of its own",
        )
    region.lines[key] = statement.line


def finish_bad_region(
    region: BadRegionDraft, panels: Mapping[str, PanelDraft], file: str, notes: Notes
) -> BadRegion:
    """Turn what was read of a bad region into the record.

    Raises
    ------
    GeometryError
        The region has no limits, no panel where one is needed, or lies outside its panel.
    """
    if region.lab_limits:
        missing = [key for key in LAB_LIMITS if key not in region.lab_limits]
        if missing:
            notes.add(
                region.line,
                f"bad region {region.name} masks nothing: {', '.join(missing)} not given",
            )
        low_x, high_x, low_y, high_y = (region.lab_limits.get(key, NAN) for key in LAB_LIMITS)
        return BadRegion(region.name, None, (low_x, high_x, low_y, high_y))
    if not region.data_limits:
        raise GeometryError(
            f"bad region {region.name} has no limits; expected min_fs, max_fs, min_ss and max_ss, "
            "or min_x, max_x, min_y and max_y",
            file=file,
            line=region.line,
        )
    missing = [key for key in DATA_LIMITS if key not in region.data_limits]
    if missing:
        notes.add(
            region.line, f"bad region {region.name}: {', '.join(missing)} not given, 0 is used"
        )
    return _finish_data_region(region, panels, file, notes)


def _finish_data_region(
    region: BadRegionDraft, panels: Mapping[str, PanelDraft], file: str, notes: Notes
) -> BadRegion:
    low_fs, high_fs, low_ss, high_ss = (region.data_limits.get(key, 0) for key in DATA_LIMITS)
    if region.panel is None:
        if len(panels) != 1:
            raise GeometryError(
                f"bad region {region.name} names no panel; add {region.name}/panel = NAME",
                file=file,
                line=region.line,
            )
        (panel,) = panels.values()
        # CrystFEL counts these limits from the corner of the panel, and does not check them.
        fs0, ss0 = panel.ranges["min_fs"], panel.ranges["min_ss"]
        if fs0 or ss0:
            notes.add(
                region.line,
                f"bad region {region.name} names no panel: its limits are counted from the corner "
                f"of panel {panel.name}, not of the data array",
            )
        low_fs, high_fs = wrap_int32(low_fs + fs0), wrap_int32(high_fs + fs0)
        low_ss, high_ss = wrap_int32(low_ss + ss0), wrap_int32(high_ss + ss0)
        return BadRegion(region.name, panel.name, (low_fs, high_fs, low_ss, high_ss))
    if region.panel not in panels:
        raise GeometryError(
            f"bad region {region.name} names panel {region.panel!r}, which does not exist",
            file=file,
            line=region.lines["panel"],
        )
    limits = (low_fs, high_fs, low_ss, high_ss)
    if not fits_panel(limits, panels[region.panel].ranges):
        raise GeometryError(
            f"bad region {region.name} (fs {low_fs} to {high_fs}, ss {low_ss} to {high_ss}) "
            f"reaches outside panel {region.panel}",
            file=file,
            line=region.line,
        )
    return BadRegion(region.name, region.panel, limits)


def fits_panel(limits: tuple[float, float, float, float], ranges: Mapping[str, int]) -> bool:
    """Return whether CrystFEL's check of a bad region against its panel passes."""
    low_fs, high_fs, low_ss, high_ss = limits
    return (
        low_fs >= ranges["min_fs"]
        and high_fs <= ranges["max_fs"]
        and low_ss >= ranges["min_ss"]
        and high_ss <= ranges["max_ss"]
    )


def finish_groups(
    lines: Sequence[Statement], panels: Mapping[str, PanelDraft], notes: Notes
) -> dict[str, tuple[str, ...]]:
    """Read the group lines of a file, after all its panels.

    Raises
    ------
    GeometryError
        A group is defined twice, or has too many, unknown, repeated or no members.
    """
    groups: dict[str, tuple[str, ...]] = {}
    circular: set[str] = set()
    for statement in lines:
        name = statement.key.removeprefix("group_")
        if name in groups or name in panels:
            raise statement.refusal(f"group {name!r} is defined already")
        if len(panels) + len(groups) >= _MAX_GROUPS:
            raise statement.refusal(
                f"found a group too many; there can be {_MAX_GROUPS}, one per panel included"
            )
        # A group counts as known in its own definition.
        known = {name, *groups}
        groups[name] = _members(statement, name, known, panels)
        if name in groups[name]:
            circular.add(name)
    if _reaches("all", groups, circular):
        top = next(statement for statement in lines if statement.key == "group_all")
        raise top.refusal("group 'all' holds a group that is a member of itself")
    if groups and "all" not in groups and "all" not in panels:
        notes.add(lines[0].line, "there are groups but no group 'all': refinement is not possible")
    return groups


def _reaches(start: str, groups: Mapping[str, tuple[str, ...]], goals: set[str]) -> bool:
    """Return whether a group is, or holds at any depth, one of ``goals``."""
    waiting, seen = [start], {start}
    while waiting:
        name = waiting.pop()
        if name in goals:
            return True
        new = set(groups.get(name, ())) - seen
        seen |= new
        waiting += new
    return False


def _members(
    statement: Statement, name: str, known: set[str], panels: Mapping[str, PanelDraft]
) -> tuple[str, ...]:
    members = tuple(member for member in statement.value.split(",") if member)
    if not members:
        raise statement.refusal(f"group {name!r} has no members")
    if len(members) > _MAX_MEMBERS:
        raise statement.refusal(
            f"group {name!r} has {len(members)} members; there can be {_MAX_MEMBERS}"
        )
    if len(set(members)) < len(members):
        raise statement.refusal(f"group {name!r} names a member twice")
    for member in members:
        if member not in known and member not in panels:
            raise statement.refusal(
                f"group {name!r} has the unknown member {member!r}; expected panels or groups of "
                "earlier lines, separated by commas without blanks"
            )
    return members
