"""What an evaluation has to say: sections of tables and figures, as one page and as files."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_STYLE = """
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 70em; color: #222; }
table { border-collapse: collapse; margin: 0.5em 0 1.5em; }
th, td { border: 1px solid #ccc; padding: 0.2em 0.7em; text-align: right; }
th:first-child, td:first-child { text-align: left; }
caption { text-align: left; font-weight: bold; padding: 0.3em 0; }
figure { display: inline-block; margin: 0 1em 1em 0; vertical-align: top; }
figure img { max-width: 34em; }
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts and numbers.

    Parameters
    ----------
    title
        What it shows.
    header
        Names of the columns.
    rows
        Cells, as they shall be shown.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_text(self) -> str:
        """Return the table as lines of aligned columns."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.header))]
        body = ["  ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)) for x in lines]
        return "\n".join([self.title, *(line.rstrip() for line in body)])


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a page.

    Parameters
    ----------
    title
        Its heading.
    notes
        Sentences.
    tables
        Tables.
    figures
        Name of the file, without ending, and the PNG.
    """

    title: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[tuple[str, bytes], ...] = field(default=())


def write_page(folder: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write all figures as PNG files, all tables as ``tables.json``, and everything as one page.

    Returns
    -------
    The page, which needs no other file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"<h1>{html.escape(title)}</h1>"]
    tables: list[dict[str, Any]] = []
    for section in sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2>")
        parts += [f"<p>{html.escape(note)}</p>" for note in section.notes]
        for table in section.tables:
            parts.append(_table(table))
            tables.append(
                {"section": section.title, "title": table.title, "header": table.header,
                 "rows": table.rows}
            )  # fmt: skip
        for name, png in section.figures:
            (folder / f"{name}.png").write_bytes(png)
            data = base64.b64encode(png).decode("ascii")
            parts.append(
                f'<figure><img alt="{html.escape(name)}" src="data:image/png;base64,{data}">'
                "</figure>"
            )
    (folder / "tables.json").write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")
    page = folder / "index.html"
    page.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n",
        encoding="utf-8",
    )
    return page


def _table(table: Table) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in table.rows)
    return (
        f"<table><caption>{html.escape(table.title)}</caption>{row(table.header, 'th')}{body}"
        "</table>"
    )
