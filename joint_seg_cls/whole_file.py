"""Files that appear whole or not at all, whoever is killed while writing them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTIAL_FILES = ".partial-*"
"""Pattern of what a killed process leaves; whoever owns the folder may delete it."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a hidden place beside ``path``, with its suffix; what is written there becomes ``path`` at the end.

    An error in the block leaves ``path`` as it was, and nothing beside it. Two processes that write the same file do
    not disturb each other: the last one stands.
    """
    partial = path.with_name(f"{PARTIAL_FILES[:-1]}{os.getpid()}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, line ends as they are."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write ``record`` in lines that a person can read."""
    write_text(path, json.dumps(record, indent=1))
