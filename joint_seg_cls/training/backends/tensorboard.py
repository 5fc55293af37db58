"""TensorBoard: an event file in the run folder."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import pandas as pd

from joint_seg_cls.scan.cells import markdown, markdown_table
from joint_seg_cls.training.backends.missing import missing_extra
from joint_seg_cls.training.tracking import Backend, PanelPlan, Picture, RunCard, Upload

_FOLDER = "tensorboard"
#: An event file is called ``events.out.tfevents.<time>.<host>.<process>.<number>``.
_HOST_PART = 4
#: Stands where TensorBoard would name the machine.
_WITHHELD = "-"


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
        with _unnamed_host():
            writer = SummaryWriter(str(folder))
        config = [[markdown(key), markdown(value)] for key, value in card.config.items()]
        writer.add_text("config", markdown_table(["key", "value"], config))
        writer.add_text("tags", ", ".join(map(markdown, [card.job, *card.tags])))
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
            self._writer.add_text(f"{name}/{one.name}", markdown(one.caption), step)

    def table(self, name: str, rows: pd.DataFrame) -> None:
        lines = [[markdown(_text(value)) for value in row] for row in rows.itertuples(index=False)]
        self._writer.add_text(name, markdown_table([markdown(column) for column in rows.columns], lines))

    def model(self, path: Path, name: str) -> None:
        pass

    def finish(self, *, failed: bool) -> None:
        self._writer.close()
        _forget_hosts(self._folder)


@contextmanager
def _unnamed_host() -> Iterator[None]:
    """Give TensorBoard another word than the machine's name for the name of an event file that is opened meanwhile."""
    from tensorboard.summary.writer import event_file_writer as opening

    asked = opening.socket
    opening.socket = SimpleNamespace(gethostname=lambda: _WITHHELD)
    try:
        yield
    finally:
        opening.socket = asked


def _forget_hosts(folder: Path) -> None:
    """Take what stands for the machine's name, in older files the name itself, out of the names of event files."""
    for path in folder.glob("events.out.tfevents.*"):
        parts = path.name.split(".")
        kept = [*parts[:_HOST_PART], *parts[-2:]]
        path.rename(path.with_name(".".join(kept)))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
