"""A self-contained HTML page with text, tables and pictures."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from joint_seg_cls import __version__
from joint_seg_cls.atomic_write import write_text
from joint_seg_cls.scan.cells import shown

#: Words with their own colour if they fill a cell.
KINDS = ("error", "warning", "note")


class Count(NamedTuple):
    """A number at the head of a page; ``kind`` may be one of :data:`KINDS`."""

    number: int
    name: str
    kind: str = ""


@final
@dataclass(frozen=True)
class Picture:
    """A PNG with its caption; ``alt`` is its alternative text."""

    png: bytes
    name: str
    caption: str
    alt: str

    @property
    def source(self) -> str:
        """Return the picture as a data URL."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


@final
@dataclass(frozen=True)
class Section:
    """A part of a page: lines of text, then a table, a note under it, then pictures; each may be empty."""

    title: str
    lines: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    note: str = ""
    pictures: Sequence[Picture] = field(default=(), repr=False)


def write_page(
    path: Path,
    *,
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    counts: Sequence[Count] = (),
    footer: str = "",
) -> None:
    """Write a page. All text is escaped, and absolute paths are reduced to file names. Atomic."""
    text = template("joint_seg_cls.pictures", "page.html.j2").render(
        version=__version__,
        title=title,
        subtitle=subtitle,
        sections=sections,
        counts=counts,
        footer=footer,
        kinds=KINDS,
    )
    write_text(path, text)


def template(package: str, name: str) -> Template:
    """Return a template of a package, which escapes all text and reduces absolute paths to file names."""
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else shown(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
