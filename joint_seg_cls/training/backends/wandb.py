"""Weights & Biases: offline unless told otherwise, and nothing about the machine or the person unless told so."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import pandas as pd

from joint_seg_cls.training.tracking import Backend, PanelPlan, Picture, RunCard, Upload

#: What every number is drawn over, as Lightning's own logger names it.
_STEP = "trainer/global_step"
#: Seconds to wait for a login, for the service's answer at the start, and for the last upload at the end.
_LOGIN_S, _START_S, _FINISH_S = 30.0, 60.0, 600.0
#: Stands where W&B would name the machine, the person or the program.
_WITHHELD = "-"
#: W&B refuses longer ones.
_LONGEST_TAG, _LONGEST_NAME = 64, 128
_OLD_MODES = {"dryrun": "offline", "run": "online"}


@final
@dataclass(frozen=True)
class WandbTracking:
    """Track a run with Weights & Biases; the environment's ``WANDB_MODE`` wins over ``mode``.

    Args:
        project: the W&B project.
        entity: the user or team that it belongs to; None for the default of whoever is logged in.
        mode: ``offline`` writes to the run folder, for ``wandb sync``; ``online`` sends as it goes.
        upload: the weights that are sent at the end, as one artifact. Offline, the run's file then names the folder in
            the person's home where W&B keeps its copy for ``wandb sync``; what is synced does not.
        show_machine: let W&B record host, user, program, arguments, git state, packages and system metrics.
        panel: the cases that are drawn.
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
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # crash reports name the machine
        import wandb

        run = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=mode,  # type: ignore[arg-type]
            group=card.group[:_LONGEST_NAME],
            name=card.name[:_LONGEST_NAME],
            job_type=card.job,
            tags=[tag[:_LONGEST_TAG] for tag in card.tags],
            id=card.run_id,
            resume="allow",
            dir=card.folder,
            config=dict(card.config),
            settings=wandb.Settings(**_settings(show_machine=self.show_machine)),
        )
        run.define_metric(_STEP)
        run.define_metric("*", step_metric=_STEP, step_sync=True)
        return _WandbRun(run, leave_logs=self.show_machine)


@final
class _WandbRun:
    """An open W&B run."""

    def __init__(self, run: Any, *, leave_logs: bool) -> None:
        self._run = run
        self._leave_logs = leave_logs

    def numbers(self, values: Mapping[str, float], step: int | None) -> None:
        self._run.log({**values, **({} if step is None else {_STEP: step})})

    def facts(self, values: Mapping[str, float]) -> None:
        self._run.summary.update(dict(values))

    def pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        import wandb

        images = {f"{name}/{one.name}": wandb.Image(one.pixels, caption=one.caption) for one in pictures}
        self._run.log({**images, _STEP: step})

    def table(self, name: str, rows: pd.DataFrame) -> None:
        import wandb

        cells = [[_cell(value) for value in row] for row in rows.itertuples(index=False)]
        table = wandb.Table(columns=list(rows.columns), data=cells)
        # A table that is not bound yet is logged as an artifact too, by the path of a file in the person's home.
        table.bind_to_run(self._run, name, self._run.step)
        self._run.log({name: table})

    def model(self, path: Path, name: str) -> None:
        import wandb

        artifact = wandb.Artifact(f"model-{self._run.id}", type="model")
        artifact.add_file(str(path), name="model.ckpt")
        self._run.log_artifact(artifact, aliases=[name])

    def finish(self, *, failed: bool) -> None:
        logs = Path(self._run.dir).parent / "logs"
        self._run.finish(exit_code=int(failed))
        if not self._leave_logs:
            shutil.rmtree(logs, ignore_errors=True)  # W&B's own log names folders of this machine


def _settings(*, show_machine: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "console": "off",
        "silent": True,
        "symlink": False,
        "reinit": "create_new",  # the next job of this process is a run of its own
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
