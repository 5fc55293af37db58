"""No service: numbers and pictures as plain files in the run folder."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pandas as pd
from matplotlib.image import imsave

from joint_seg_cls.scan.cells import cell, write_table
from joint_seg_cls.training.tracking import Backend, PanelPlan, Picture, RunCard, Upload
from joint_seg_cls.whole_file import whole_file

_FOLDER = "tracking"


@final
@dataclass(frozen=True)
class CsvTracking:
    """Write what a service would be told to ``tracking/`` in the run folder.

    ``numbers.csv`` has one row a number (``step``, ``name``, ``value``); of two rows with one step and name the later
    holds. Pictures are PNG files, tables CSV files.

    Args:
        panel: the cases that are drawn.
    """

    panel: PanelPlan
    upload: Upload = None

    def open(self, card: RunCard) -> Backend:
        """Make the folder."""
        folder = card.folder / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        return _Folder(folder)


@final
class _Folder:
    """A run's folder of files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = folder / "numbers.csv"

    def numbers(self, values: Mapping[str, float], step: int | None) -> None:
        is_new = not self._numbers.is_file()
        with self._numbers.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([("step", "name", "value")] if is_new else [])
            at = "" if step is None else step
            writer.writerows((at, cell(key), f"{value:.8g}") for key, value in values.items())

    def facts(self, values: Mapping[str, float]) -> None:
        self.numbers(values, None)

    def pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        for one in pictures:
            path = self._folder / name / f"{one.name}_step-{step:07d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial:
                imsave(partial, one.pixels, format="png")

    def table(self, name: str, rows: pd.DataFrame) -> None:
        path = self._folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(rows, path)

    def model(self, path: Path, name: str) -> None:
        pass

    def finish(self, *, failed: bool) -> None:
        pass
