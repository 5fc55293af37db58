"""TensorBoard: an event file in the run folder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import pandas as pd
from lightning.pytorch.loggers import TensorBoardLogger

from joint_seg_cls.scan.cells import markdown, markdown_table
from joint_seg_cls.training.backends.missing import not_installed
from joint_seg_cls.training.tracking import Backend, PanelPicture, PanelPlan, RunCard, Upload

_FOLDER = "tensorboard"
#: The name of an event file is ``events.out.tfevents.<time>.<host>.<process>.<number>``.
_HOST_PART = 4
#: Replaces the host name.
_WITHHELD = "-"


@final
@dataclass(frozen=True)
class TensorBoardTracking:
    """Track a run with TensorBoard: ``tensorboard --logdir runs`` shows all of them."""

    panel: PanelPlan
    upload: Upload = None

    def open(self, card: RunCard) -> Backend:
        """Open an event file; a resumed run opens another one.

        Raises:
            ModuleNotFoundError: TensorBoard is not installed.
        """
        try:
            logger = TensorBoardLogger(card.folder, name=_FOLDER, version="", default_hp_metric=False)
            _remove_host_names(Path(logger.log_dir))
            with _unnamed_host():
                writer = logger.experiment
        except ModuleNotFoundError as error:
            raise not_installed("tensorboard") from error
        config = [[markdown(key), markdown(value)] for key, value in card.config.items()]
        writer.add_text("config", markdown_table(["key", "value"], config))
        writer.add_text("tags", ", ".join(map(markdown, [card.job, *card.tags])))
        return _EventFile(logger)


@final
class _EventFile:
    """An open event file."""

    def __init__(self, logger: TensorBoardLogger) -> None:
        self.logger = logger

    def log_pictures(self, name: str, pictures: Sequence[PanelPicture], step: int) -> None:
        for one in pictures:
            self.logger.experiment.add_image(f"{name}/{one.name}", one.pixels, step, dataformats="HWC")
            self.logger.experiment.add_text(f"{name}/{one.name}", markdown(one.caption), step)

    def log_table(self, name: str, rows: pd.DataFrame) -> None:
        lines = [[markdown(_text(value)) for value in row] for row in rows.itertuples(index=False)]
        self.logger.experiment.add_text(name, markdown_table([markdown(column) for column in rows.columns], lines))

    def log_model(self, path: Path, name: str) -> None:
        pass

    def finish(self, *, failed: bool) -> None:
        self.logger.finalize("failed" if failed else "finished")  # "success" would write an empty hparams.yaml
        _remove_host_names(Path(self.logger.log_dir))


@contextmanager
def _unnamed_host() -> Iterator[None]:
    """Keep the host name out of the names of event files that are opened in the block."""
    from tensorboard.summary.writer import event_file_writer as opening

    original = opening.socket
    opening.socket = SimpleNamespace(gethostname=lambda: _WITHHELD)
    try:
        yield
    finally:
        opening.socket = original


def _remove_host_names(folder: Path) -> None:
    """Remove the host name or its replacement from the names of event files."""
    for path in folder.glob("events.out.tfevents.*"):
        parts = path.name.split(".")
        kept = [*parts[:_HOST_PART], *parts[-2:]]
        path.rename(path.with_name(".".join(kept)))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
