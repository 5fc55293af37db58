"""The checkpoints that a training keeps: which epochs, and under names that do not depend on the machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from joint_seg_cls.training.run_folder import RunFolder


@final
class KeptEpochs(ModelCheckpoint):
    """A :class:`ModelCheckpoint` whose checkpoint names no folder of the machine, and which finds its files again.

    Lightning stores the absolute paths of the files that it keeps, and discards what it knows of them when their
    folder was moved. Here every path in the state of any callback is stored by its name alone. A checkpoint that is
    resumed, an older one with absolute paths included, is taken up in the folders that its callbacks write to now.

    An epoch that does not define what is monitored is passed over. An epoch without an optimiser step (of batch
    statistics, after weights were averaged) changes nothing that is kept, in a resumed run too.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the step that was kept last."""
        super().on_train_start(trainer, pl_module)
        self._last_global_step_saved = trainer.global_step

    def _save_topk_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        value = None if self.monitor is None else monitor_candidates.get(self.monitor)
        if self.monitor is None or (value is not None and bool(value.isfinite())):
            super()._save_topk_checkpoint(trainer, monitor_candidates)

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept, without the folder."""
        return _with_paths(super().state_dict(), lambda path: path.name)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what was kept, wherever the folder lay then."""
        super().load_state_dict(_moved(state_dict, self))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Leave the folders out of the states of the user's callbacks too."""
        checkpoint["callbacks"] = _with_paths(checkpoint.get("callbacks", {}), lambda path: path.name)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Give the user's callbacks that keep checkpoints their present folders."""
        states = checkpoint["callbacks"]
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.state_key in states:
                states[callback.state_key] = _moved(states[callback.state_key], callback)


def _with_paths(value: Any, change: Callable[[Path], str]) -> Any:
    """Return plain values with ``change`` of every absolute path in them, keys of mappings included."""
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
    """Return the state of a :class:`ModelCheckpoint` with its files in the folder that it writes to."""

    def path(kept: str) -> str:
        return str(Path(str(callback.dirpath), Path(kept).name)) if kept else kept

    named = {name: path(state[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")}
    kept = {path(one): score for one, score in state["best_k_models"].items()}
    return state | named | {"dirpath": callback.dirpath, "best_k_models": kept}


def keep(run: RunFolder, name: str, monitor: str | None = None, mode: str = "min") -> ModelCheckpoint:
    """Return the callback that keeps ``<name>.ckpt`` of a run: of the last epoch, or of the best one by ``monitor``."""
    return KeptEpochs(
        dirpath=run.checkpoints,
        filename=name,
        monitor=monitor,
        mode=mode,
        save_on_train_epoch_end=monitor is None,  # a score is of the weights that were validated
        enable_version_counter=False,
    )
