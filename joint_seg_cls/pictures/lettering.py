"""Names of users in figures, drawn literally."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.figure import Figure
from matplotlib.text import Text


@contextmanager
def names_as_text(figure: Figure) -> Iterator[None]:
    """In the block, draw the texts of ``figure`` without mathematics, and accept letters that the font lacks."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield
