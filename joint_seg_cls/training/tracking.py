"""Weights & Biases for a run: offline unless told otherwise, and never a reason for a training to stop."""

import logging
import os
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import WandbLogger

_log = logging.getLogger(__name__)


def wandb_tracker(
    *,
    project: str,
    mode: Literal["offline", "online", "disabled"],
    group: str,
    name: str,
    run_id: str,
    folder: Path,
    config: dict[str, Any],
) -> WandbLogger | None:
    """Return a W&B logger for one run, or None where W&B is disabled, missing or fails to start.

    The environment's ``WANDB_MODE`` wins over ``mode``. A resumed run continues under its ``run_id``. Nothing is
    uploaded but numbers: no code, no git remote, no console output, no checkpoints.
    """
    mode = os.environ.get("WANDB_MODE", mode)  # type: ignore[assignment]
    if mode == "disabled":
        return None
    try:
        import wandb

        settings = wandb.Settings(console="off", disable_git=True, save_code=False, silent=True, reinit="create_new")
        logger = WandbLogger(
            project=project,
            group=group,
            name=name,
            id=run_id,
            job_type="train",
            save_dir=folder,
            offline=mode == "offline",
            resume="allow",
            log_model=False,
            settings=settings,
        )
        logger.experiment.config.update(config, allow_val_change=True)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        _log.warning("Weights & Biases did not start (%s); metrics.csv holds everything", error)
        return None
    return logger


def finish(logger: WandbLogger | None) -> None:
    """Close the run, so that the next one in this process does not log into it."""
    if logger is not None:
        logger.experiment.finish()
