"""TensorBoard: an event file in the run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from joint_seg_cls.training.backends.missing import missing_extra
from joint_seg_cls.training.tracking import Backend, PanelPlan, Picture, RunCard, Upload

_FOLDER = "tensorboard"
#: An event file is called ``events.out.tfevents.<time>.<host>.<process>.<number>``.
_HOST_PART = 4


@final
@dataclass(frozen=True)
class TensorBoardTracking:
    """Track a run with TensorBoard: ``tensorboard --logdir runs`` shows all of them.

    Args:
        panel: the cases that are drawn.
    """

    panel: PanelPlan
    upload: Upload = None

    def open(self, card: RunCard) -> Backend:
        """Open an event file; a resumed run adds one.

        Raises:
            ModuleNotFoundError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise missing_extra("tensorboard") from error
        folder = card.folder / _FOLDER
        _forget_hosts(folder)
        writer = SummaryWriter(str(folder))
        lines = [f"| {key} | {value} |" for key, value in card.config.items()]
        writer.add_text("config", "\n".join(["| key | value |", "|---|---|", *lines]))
        writer.add_text("tags", ", ".join([card.job, *card.tags]))
        return _EventFile(writer, folder)


@final
class _EventFile:
    """An open event file."""

    def __init__(self, writer: Any, folder: Path) -> None:
        self._writer = writer
        self._folder = folder

    def numbers(self, values: Mapping[str, float], step: int | None) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def facts(self, values: Mapping[str, float]) -> None:
        self.numbers(values, None)

    def pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        for one in pictures:
            self._writer.add_image(f"{name}/{one.name}", one.pixels, step, dataformats="HWC")
            self._writer.add_text(f"{name}/{one.name}", one.caption, step)

    def table(self, name: str, rows: pd.DataFrame) -> None:
        head = [f"| {' | '.join(rows.columns)} |", "|---" * len(rows.columns) + "|"]
        lines = [f"| {' | '.join(_text(value) for value in row)} |" for row in rows.itertuples(index=False)]
        self._writer.add_text(name, "\n".join([*head, *lines]))

    def model(self, path: Path, name: str) -> None:
        pass

    def finish(self, *, failed: bool) -> None:
        self._writer.close()
        _forget_hosts(self._folder)


def _forget_hosts(folder: Path) -> None:
    """Take the machine's name, which TensorBoard puts there, out of the names of finished event files."""
    for path in folder.glob("events.out.tfevents.*"):
        parts = path.name.split(".")
        kept = [*parts[:_HOST_PART], *parts[-2:]]
        path.rename(path.with_name(".".join(kept)))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
