"""Templates, styles, scripts and the viewer's library, put together into one HTML file."""

import base64
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from joint_seg_cls import __version__
from joint_seg_cls.pictures.page import template

#: Largest size of a page in bytes.
LARGEST_PAGE = 15_000_000


def render(name: str, /, **content: Any) -> str:
    """Return a page. All text is escaped, and absolute paths are reduced to file names."""
    script = "\n".join(_text(each) for each in ("page.js", "viewer.js"))
    return template("joint_seg_cls.casepage", name).render(
        version=__version__,
        css=Markup(_text("page.css")),  # noqa: S704 -- a file of this package
        script=Markup(script),  # noqa: S704 -- likewise
        raw=Markup,
        **content,
    )


@cache
def niivue() -> str:
    """Return the viewer's library, compressed and in base64."""
    return base64.b64encode(_package_file("niivue", "niivue.umd.js.gz").read_bytes()).decode("ascii")


def _text(name: str) -> str:
    return _package_file(name).read_text(encoding="utf-8")


def _package_file(*parts: str) -> Any:
    return files("joint_seg_cls.casepage").joinpath(*parts)
