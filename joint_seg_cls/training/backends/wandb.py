"""Weights & Biases: by default offline, and without information about machine or user."""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import pandas as pd
from lightning.pytorch.loggers import WandbLogger

from joint_seg_cls.training.tracking import Backend, PanelPicture, PanelPlan, RunCard, Upload

#: The x axis of all metrics, as in Lightning's logger.
_STEP = "trainer/global_step"
#: Timeouts in seconds for login, start and final upload.
_LOGIN_S, _START_S, _FINISH_S = 10.0, 20.0, 600.0
#: Replaces the names of host, user and program.
_WITHHELD = "-"
#: Maximum lengths in W&B.
_LONGEST_TAG, _LONGEST_NAME = 64, 128
_OLD_MODES = {"dryrun": "offline", "run": "online"}


@final
@dataclass(frozen=True)
class WandbTracking:
    """Track a run with Weights & Biases.

    Environment variables take precedence: ``WANDB_MODE`` over ``mode``, ``WANDB_DIR`` over the run folder for W&B's
    files, and in a sweep (``WANDB_SWEEP_ID``, set by ``wandb agent``) the project of the sweep and the run of the agent
    (``WANDB_RUN_ID``) over this configuration.

    Args:
        entity: the user or team; None for the default of the logged-in user.
        mode: ``offline`` writes to the run folder, for ``wandb sync``; ``online`` uploads during the training.
        upload: the weights that are uploaded as one artifact. Offline, a copy is written beside the run's files, which
            name it relative to the run folder: run ``wandb sync`` there.
        show_machine: let W&B record host, user, program, arguments, git state, packages and system metrics.
    """

    project: str
    entity: str | None
    mode: Literal["offline", "online", "disabled"]
    upload: Upload
    show_machine: bool
    panel: PanelPlan

    def open(self, card: RunCard) -> Backend | None:
        """Open the W&B run, or continue it."""
        mode = os.environ.get("WANDB_MODE") or self.mode
        mode = _OLD_MODES.get(mode, mode)
        if mode == "disabled":
            return None
        if not self.show_machine:
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # crash reports contain the host name
        import wandb

        in_sweep = bool(os.environ.get("WANDB_SWEEP_ID"))
        run_id = os.environ.get("WANDB_RUN_ID") if in_sweep else card.run_id
        place = Path(os.environ.get("WANDB_DIR") or card.folder)
        place.mkdir(parents=True, exist_ok=True)
        try:
            run = wandb.init(
                project=None if in_sweep else self.project,
                entity=None if in_sweep else self.entity,
                mode=mode,  # type: ignore[arg-type]
                group=card.group[:_LONGEST_NAME],
                name=card.name[:_LONGEST_NAME],
                job_type=card.job,
                tags=[tag[:_LONGEST_TAG] for tag in card.tags],
                id=None if in_sweep else run_id,
                resume="allow",
                dir=place,
                config=dict(card.config),
                settings=wandb.Settings(**_settings(show_machine=self.show_machine)),
            )
        finally:  # logs of an earlier killed attempt, and of this one if it fails
            if not self.show_machine and run_id:
                _remove_logs(place.glob(f"wandb/*run-*-{run_id}/logs"))
        run.define_metric(_STEP)
        run.define_metric("*", step_metric=_STEP, step_sync=True)
        return _WandbRun(WandbLogger(experiment=run), run, leave_logs=self.show_machine)


@final
class _WandbRun:
    """An open W&B run."""

    def __init__(self, logger: WandbLogger, run: Any, *, leave_logs: bool) -> None:
        self.logger = logger
        self._run = run
        self._leave_logs = leave_logs

    def log_pictures(self, name: str, pictures: Sequence[PanelPicture], step: int) -> None:
        import wandb

        images: dict[str, Any] = {
            f"{name}/{one.name}": wandb.Image(one.pixels, caption=one.caption) for one in pictures
        }
        self.logger.log_metrics(images, step)

    def log_table(self, name: str, rows: pd.DataFrame) -> None:
        import wandb

        cells = [[_cell(value) for value in row] for row in rows.itertuples(index=False)]
        table = wandb.Table(columns=list(rows.columns), data=cells)
        # An unbound table is also logged as an artifact, with a path in the user's home folder.
        table.bind_to_run(self._run, name, self._run.step)
        self.logger.log_metrics({name: table})  # pyright: ignore[reportArgumentType]

    def log_model(self, path: Path, name: str) -> None:
        import wandb

        artifact = wandb.Artifact(f"model-{self._run.id}", type="model")
        # W&B would copy a "mutable" file to the user's home folder and record that path.
        settings: dict[str, Any] = {"name": "model.ckpt", "policy": "immutable", "skip_cache": True}
        if not self._run.offline:
            artifact.add_file(str(path), **settings)
            self._run.log_artifact(artifact, aliases=[name]).wait(timeout=int(_FINISH_S))
            return
        folder = Path(self._run.dir).parent  # <place>/wandb/offline-run-<time>-<id>
        kept = folder / "weights" / f"{name}.ckpt"
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, kept)
        artifact.add_file(str(kept), **settings).local_path = kept.relative_to(folder.parents[1]).as_posix()
        self._run.log_artifact(artifact, aliases=[name])

    def finish(self, *, failed: bool) -> None:
        logs = Path(self._run.dir).parent / "logs"
        self._run.finish(exit_code=int(failed))
        if not self._leave_logs:
            _remove_logs([logs])


def _remove_logs(folders: Iterable[Path]) -> None:
    """Remove W&B's own logs, which contain local paths; a live run continues to write to the deleted files."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(*, show_machine: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "console": "off",
        "silent": True,
        "symlink": False,
        "reinit": "create_new",  # the next job of this process is another run
        "login_timeout": _LOGIN_S,
        "init_timeout": _START_S,
        "finish_timeout": _FINISH_S,
    }
    if show_machine:
        return settings
    withheld = dict.fromkeys(("host", "username", "email", "program"), _WITHHELD)
    switched_off = ("x_disable_meta", "x_disable_machine_info", "x_disable_stats", "disable_git", "disable_code")
    return settings | withheld | dict.fromkeys(switched_off, True) | {"x_save_requirements": False, "save_code": False}


def _cell(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value.item() if isinstance(value, np.generic) else value
