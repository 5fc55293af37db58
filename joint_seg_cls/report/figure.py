"""A figure of a study, or what keeps it from being drawn; and how the vector and pixel files of one are written."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from joint_seg_cls.whole_file import whole_file

#: Pixels an inch of what is drawn for the screen.
DOTS_PER_INCH = 150
#: Okabe and Ito's colours, apart for colour-blind readers; black comes first, for the joint model.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")


@final
@dataclass(frozen=True)
class Figure:
    """A figure with its caption; one without ``png`` says in ``missing`` what it waits for.

    Args:
        name: of its files, such as ``figure-08``.
        title: one line.
        caption: what is shown, how it was chosen and computed, and what is left out.
        png: the picture; a PDF of the same name lies beside those that are drawn as lines.
        missing: why there is no picture.
    """

    name: str
    title: str
    caption: str = ""
    png: Path | None = None
    missing: str = ""


def canvas(width_inches: float, height_inches: float) -> Canvas:
    """Return an empty figure that knows no display."""
    made = Canvas(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(drawn: Canvas, out: Path, name: str) -> Path:
    """Write a drawing as PNG and as PDF, the same bytes each time; return the PNG's path."""
    out.mkdir(parents=True, exist_ok=True)
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        with whole_file(out / f"{name}.{suffix}") as partial:
            drawn.savefig(partial, format=suffix, metadata=metadata)
    return out / f"{name}.png"
