"""Checkpoint callbacks that store no local paths."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from joint_seg_cls.training.run_folder import RunFolder


@final
class KeptEpochs(ModelCheckpoint):
    """A :class:`ModelCheckpoint` that stores no absolute paths, so that the run folder can be moved.

    Lightning stores absolute paths, and ignores earlier best scores if the folder was moved. Here the paths in the
    states of all callbacks are reduced to file names and resolved in the present folder on resuming, also for older
    checkpoints.

    An epoch without the monitored number is ignored. An epoch without an optimiser step (batch statistics after weight
    averaging) changes no file.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the step of the last checkpoint."""
        super().on_train_start(trainer, pl_module)
        self._last_global_step_saved = trainer.global_step

    def _save_topk_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        value = None if self.monitor is None else monitor_candidates.get(self.monitor)
        if self.monitor is None or (value is not None and bool(value.isfinite())):
            super()._save_topk_checkpoint(trainer, monitor_candidates)

    def state_dict(self) -> dict[str, Any]:
        """Return the state without folders."""
        return _with_paths(super().state_dict(), lambda path: path.name)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state with the present folder."""
        super().load_state_dict(_moved(state_dict, self))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remove the folders from the states of all callbacks."""
        checkpoint["callbacks"] = _with_paths(checkpoint.get("callbacks", {}), lambda path: path.name)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Set the present folders in the states of all callbacks that keep checkpoints."""
        states = checkpoint["callbacks"]
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.state_key in states:
                states[callback.state_key] = _moved(states[callback.state_key], callback)


def _with_paths(value: Any, change: Callable[[Path], str]) -> Any:
    """Apply ``change`` to every absolute path in plain values, including keys of mappings."""
    if isinstance(value, dict):
        return {_with_paths(key, change): _with_paths(child, change) for key, child in value.items()}
    if isinstance(value, list):
        return [_with_paths(child, change) for child in value]
    if isinstance(value, tuple):
        return tuple(_with_paths(child, change) for child in value)
    if isinstance(value, Path) or (isinstance(value, str) and Path(value).is_absolute()):
        return change(Path(value))
    return value


def _moved(state: dict[str, Any], callback: ModelCheckpoint) -> dict[str, Any]:
    """Return the state of a :class:`ModelCheckpoint` with its files in its present folder."""

    def path(kept: str) -> str:
        return str(Path(str(callback.dirpath), Path(kept).name)) if kept else kept

    named = {name: path(state[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")}
    kept = {path(one): score for one, score in state["best_k_models"].items()}
    return state | named | {"dirpath": callback.dirpath, "best_k_models": kept}


def keep(run: RunFolder, name: str, monitor: str | None = None, mode: str = "min") -> ModelCheckpoint:
    """Return the callback that writes ``<name>.ckpt`` for the last epoch, or for the best one by ``monitor``."""
    return KeptEpochs(
        dirpath=run.checkpoints,
        filename=name,
        monitor=monitor,
        mode=mode,
        save_on_train_epoch_end=monitor is None,  # a score belongs to the validated weights
        enable_version_counter=False,
    )
