"""Fit one fold: callbacks, checkpoints, and going on where an interrupted run stopped."""

import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, final

from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.training.callbacks import EpochSeed, EpochTable, TrainingProgress
from joint_seg_cls.training.checkpoint import WholeCheckpointIO, read_checkpoint
from joint_seg_cls.training.ending import FitLoop, KeepEpochs, ended, keep_the_end
from joint_seg_cls.training.module import JointModule
from joint_seg_cls.training.refused import make_trainer_or_refuse
from joint_seg_cls.training.resume import require_resumable
from joint_seg_cls.training.run_folder import RunFolder
from joint_seg_cls.training.step_cost import StepCost
from joint_seg_cls.training.tracking import Tracker

_log = logging.getLogger(__name__)


def fit(
    module: JointModule,
    data: LightningDataModule,
    run: RunFolder,
    *,
    make_trainer: Callable[..., Trainer],
    weights: Literal["best", "last"],
    validate: bool,
    seed: int,
    logger: Tracker | None,
) -> None:
    """Train until the last epoch, from the last finished one where the run was interrupted.

    Nothing is trained where the training has ended and only its test is missing.

    Args:
        weights: which weights the protocol tests: ``best`` on the inner validation split, or ``last``.
        validate: whether the data hold an inner validation split.
        seed: of what the network itself draws, such as dropout.
        logger: takes the numbers beside ``metrics.csv``; None in all but the first of several processes.

    Raises:
        CheckpointError: the checkpoint to go on from is damaged, or lacks a weight or the optimiser.
        ConfigError: the Trainer refuses its arguments, or nothing gave a score to choose weights by.
        TrainingError: a loss, a weight or a validation output is NaN or infinite.
        KeyboardInterrupt: the person stopped it; what is finished is kept.
        SystemExit: a cluster stopped it, likewise.
    """
    if run.last.is_file():
        read_checkpoint(run.last)  # reports in a sentence what is wrong with a damaged one
    if (content := ended(run)) is not None:
        _log.info("%s is trained", run.path)
        EpochTable(run.metrics).restore(content)
        return
    asked = getattr(make_trainer, "keywords", {})
    callbacks = [EpochSeed(seed), *_watching(run, logger), *_several(asked.get("callbacks")), *_keeping(run, weights)]
    arguments: dict[str, Any] = {"callbacks": callbacks, "plugins": [*_several(asked.get("plugins")), *_cluster()]}
    arguments |= {} if validate else {"limit_val_batches": 0}
    trainer = make_trainer_or_refuse(make_trainer, logger=logger or False, default_root_dir=run.path, **arguments)
    FitLoop.replace(trainer)
    on_gpus = isinstance(trainer.accelerator, CUDAAccelerator)
    module.network = normalised_together(module.network, trainer.world_size, on_gpus=on_gpus)
    if isinstance(trainer.strategy.checkpoint_io, TorchCheckpointIO):
        trainer.strategy.checkpoint_io = WholeCheckpointIO()
    _run(trainer, module, data, run)
    if trainer.is_global_zero:
        keep_the_end(trainer, module, run, weights)


def _run(trainer: Trainer, module: JointModule, data: LightningDataModule, run: RunFolder) -> None:
    resume = run.last if run.last.is_file() else None
    if resume is not None:
        _log.info("resuming %s", run.path)
        require_resumable(resume, module)
    listening = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    except RuntimeError as error:
        if "Early stopping conditioned on metric" not in str(error):
            raise
        raise _nothing_to_stop_by(error) from error
    except SIGTERMException:  # after the batch in which the signal came; its exit code would be 0
        raise SystemExit(128 + signal.SIGTERM) from None
    except SystemExit as stop:
        # Lightning answers Ctrl-C by exiting with 1, deaf to a second one
        if isinstance(stop.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, listening)
            raise KeyboardInterrupt from None
        raise


def _watching(run: RunFolder, logger: Tracker | None) -> list[Callback]:
    tracked = [] if logger is None else logger.callbacks
    return [StepCost(), EpochTable(run.metrics), TrainingProgress(), *tracked]


def _keeping(run: RunFolder, weights: Literal["best", "last"]) -> list[Callback]:
    best: list[Callback] = [_keep(run, "best", monitor="val/score", mode="max")] if weights == "best" else []
    return [*best, _keep(run, "last")]


def _nothing_to_stop_by(error: RuntimeError) -> ConfigError:
    """Report that an early stopping watches what an epoch did not define."""
    return ConfigError(
        "trainer.callbacks",
        expected="an EarlyStopping that monitors what every epoch defines",
        found=" ".join(str(error).split()).partition(" Pass in or modify")[0].rstrip("."),
        remedy="monitor train/loss/total, or give it strict: false to pass over such an epoch",
    )


def normalised_together(network: nn.Module, processes: int, *, on_gpus: bool) -> nn.Module:
    """Return the network with batch normalisation over the batches of all processes: their number changes no result.

    Raises:
        ConfigError: they have no GPUs, on which alone torch can do that.
    """
    if processes < 2 or not any(isinstance(part, _BatchNorm) for part in network.modules()):
        return network
    if not on_gpus:
        raise ConfigError(
            "trainer.devices",
            expected="one process, or GPUs, for a network with batch normalisation",
            found=f"{processes} processes without",
            remedy="train it with trainer.devices=1",
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)


def _several(asked: Any) -> list[Any]:
    """Return what the Trainer takes as one, several or none."""
    return [] if asked is None else list(asked) if isinstance(asked, list | tuple) else [asked]


def _cluster() -> list[SLURMEnvironment]:
    """Keep Lightning from answering Slurm's signals with a checkpoint in the middle of an epoch.

    A run goes on after its last finished epoch, so that its numbers are those of an uninterrupted one.
    """
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


@final
class _Keep(KeepEpochs):
    """A :class:`ModelCheckpoint` whose checkpoint names no folder of the machine, and which finds its files again.

    Lightning stores the absolute paths of the files that it keeps, and discards what it knows of them when their
    folder was moved. Here every path in the state of any callback is stored by its name alone. A checkpoint that is
    resumed, an older one with absolute paths included, is taken up in the folders that its callbacks write to now.
    """

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


def _keep(run: RunFolder, name: str, monitor: str | None = None, mode: str = "min") -> ModelCheckpoint:
    return _Keep(
        dirpath=run.checkpoints,
        filename=name,
        monitor=monitor,
        mode=mode,
        save_on_train_epoch_end=monitor is None,  # a score is of the weights that were validated
        enable_version_counter=False,
    )
