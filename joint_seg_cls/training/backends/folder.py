"""Tracking without a service: numbers, pictures and tables as files in the run folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pandas as pd
from lightning.pytorch.loggers import CSVLogger
from matplotlib.image import imsave

from joint_seg_cls.atomic_write import atomic_file
from joint_seg_cls.scan.cells import write_table
from joint_seg_cls.training.tracking import Backend, PanelPicture, PanelPlan, RunCard, Upload

_FOLDER = "tracking"


@final
@dataclass(frozen=True)
class CsvTracking:
    """Write to ``tracking/`` in the run folder.

    ``version_<n>/metrics.csv`` and ``hparams.yaml`` are those of Lightning's ``CSVLogger``; a resumed run adds a
    version. Pictures are PNG files, tables CSV files.
    """

    panel: PanelPlan
    upload: Upload = None

    def open(self, card: RunCard) -> Backend:
        """Create the folder."""
        logger = CSVLogger(card.folder, name=_FOLDER, flush_logs_every_n_steps=1)
        logger.log_hyperparams(dict(card.config))
        return _Folder(logger)


@final
class _Folder:
    """A run's folder of files."""

    def __init__(self, logger: CSVLogger) -> None:
        self.logger = logger
        self._folder = Path(logger.root_dir)

    def log_pictures(self, name: str, pictures: Sequence[PanelPicture], step: int) -> None:
        for one in pictures:
            path = self._folder / name / f"{one.name}_step-{step:07d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as partial:
                imsave(partial, one.pixels, format="png")

    def log_table(self, name: str, rows: pd.DataFrame) -> None:
        path = self._folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(rows, path)

    def log_model(self, path: Path, name: str) -> None:
        pass

    def finish(self, *, failed: bool) -> None:
        self.logger.finalize("failed" if failed else "success")
