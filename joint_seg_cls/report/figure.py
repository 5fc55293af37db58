"""A figure of a study, or the reason why it is missing; writing of PNG and PDF files."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from joint_seg_cls.atomic_write import atomic_file
from joint_seg_cls.pictures import names_as_text

#: Pixels per inch of PNG files.
DOTS_PER_INCH = 150
#: Colours of Okabe and Ito, distinguishable by colour-blind readers; black is first, for the joint model.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")


@final
@dataclass(frozen=True)
class Figure:
    """A figure with its caption; without ``png``, ``missing`` is the reason.

    Args:
        name: name of its files, such as ``figure-08``.
        caption: what is shown, how it was selected and computed, and what is omitted.
        png: the picture; line drawings also have a PDF of the same name.
        missing: why there is no picture.
    """

    name: str
    title: str
    caption: str = ""
    png: Path | None = None
    missing: str = ""


def canvas(width_inches: float, height_inches: float) -> Canvas:
    """Return an empty figure that needs no display."""
    made = Canvas(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(drawn: Canvas, out: Path, name: str) -> Path:
    """Write a drawing as PNG and PDF with reproducible bytes; return the path of the PNG."""
    out.mkdir(parents=True, exist_ok=True)
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        with atomic_file(out / f"{name}.{suffix}") as partial, names_as_text(drawn):
            drawn.savefig(partial, format=suffix, metadata=metadata)
    return out / f"{name}.png"
