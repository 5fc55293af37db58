"""Fitting one fold: callbacks, checkpoints and resuming."""

import logging
import signal
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

from lightning import Callback, LightningDataModule, Trainer
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.training.callbacks import EpochSeed, EpochTable
from joint_seg_cls.training.checked_trainer import checked_trainer
from joint_seg_cls.training.checkpoint import WholeCheckpointIO, read_checkpoint
from joint_seg_cls.training.ending import FitLoop, ended, keep_the_end
from joint_seg_cls.training.kept_epochs import keep
from joint_seg_cls.training.module import JointModule
from joint_seg_cls.training.resume import require_resumable
from joint_seg_cls.training.run_folder import RunFolder
from joint_seg_cls.training.tracking import Tracker

_log = logging.getLogger(__name__)


def fit(
    module: JointModule,
    data: LightningDataModule,
    run: RunFolder,
    *,
    make_trainer: Callable[..., Trainer],
    callbacks: Sequence[Callback] = (),
    weights: Literal["best", "last"],
    validate: bool,
    seed: int,
    logger: Tracker | None,
) -> None:
    """Train to the last epoch. An interrupted run is resumed after its last finished epoch.

    If only the test is missing, nothing is trained.

    Args:
        callbacks: callbacks of the configuration and of the user.
        weights: the tested weights: ``best`` on the inner validation split, or ``last``.
        validate: whether there is an inner validation split.
        logger: tracks the run; None without tracking, and in all processes but the first.

    Raises:
        CheckpointError: the checkpoint is damaged, or lacks a weight or the optimiser's state.
        ConfigError: the Trainer refuses its arguments, or no epoch has a score for selecting weights.
        TrainingError: a loss, a weight or a validation output is NaN or infinite.
        KeyboardInterrupt: the user stopped the training; finished epochs are kept.
        SystemExit: a cluster stopped the training; finished epochs are kept.
    """
    if run.last.is_file():
        read_checkpoint(run.last)  # raises a clear error for a damaged file
    if (content := ended(run)) is not None:
        _log.info("%s is trained", run.path)
        EpochTable(run.metrics).restore(content)
        return
    tracked = [] if logger is None else logger.callbacks
    watching = [EpochSeed(seed), *callbacks, EpochTable(run.metrics), *tracked, *_keeping(run, weights)]
    plugins = [*_several(getattr(make_trainer, "keywords", {}).get("plugins")), *_cluster()]
    arguments: dict[str, Any] = {"callbacks": watching, "plugins": plugins}
    arguments |= {} if validate else {"limit_val_batches": 0}
    trainer = checked_trainer(make_trainer, logger=logger or False, default_root_dir=run.path, **arguments)
    FitLoop.replace(trainer)
    on_gpus = isinstance(trainer.accelerator, CUDAAccelerator)
    module.network = with_synchronised_batch_norm(module.network, trainer.world_size, on_gpus=on_gpus)
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
    except SIGTERMException:  # raised after the current batch; its exit code would be 0
        raise SystemExit(128 + signal.SIGTERM) from None
    except SystemExit as stop:
        # on Ctrl-C Lightning exits with 1 and ignores further Ctrl-C
        if isinstance(stop.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, listening)
            raise KeyboardInterrupt from None
        raise


def _keeping(run: RunFolder, weights: Literal["best", "last"]) -> list[Callback]:
    best: list[Callback] = [keep(run, "best", monitor="val/score", mode="max")] if weights == "best" else []
    return [*best, keep(run, "last")]


def _nothing_to_stop_by(error: RuntimeError) -> ConfigError:
    """Return the error for early stopping on a number that an epoch did not log."""
    return ConfigError(
        "trainer.callbacks",
        expected="an EarlyStopping that monitors a number logged in every epoch",
        found=" ".join(str(error).split()).partition(" Pass in or modify")[0].rstrip("."),
        remedy="monitor train/loss/total, or set strict: false, which ignores such an epoch",
    )


def with_synchronised_batch_norm(network: nn.Module, processes: int, *, on_gpus: bool) -> nn.Module:
    """Return the network with batch normalisation synchronised over all processes.

    Raises:
        ConfigError: there are no GPUs, which synchronised batch normalisation requires.
    """
    if processes < 2 or not any(isinstance(part, _BatchNorm) for part in network.modules()):
        return network
    if not on_gpus:
        raise ConfigError(
            "trainer.devices",
            expected="one process, or GPUs, for a network with batch normalisation",
            found=f"{processes} processes without GPUs",
            remedy="train it with trainer.devices=1",
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)


def _several(argument: Any) -> list[Any]:
    """Return a Trainer argument (one object, a list or None) as a list."""
    return [] if argument is None else list(argument) if isinstance(argument, list | tuple) else [argument]


def _cluster() -> list[SLURMEnvironment]:
    """Keep Lightning from saving a checkpoint within an epoch on signals of Slurm.

    A run is resumed after its last finished epoch, with the numbers of an uninterrupted run.
    """
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def quiet_lightning() -> None:
    """Filter Lightning's advertisements and irrelevant warnings."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        r"`isinstance\(treespec, LeafSpec\)`",  # https://github.com/Lightning-AI/pytorch-lightning/issues/21326
        r"Checkpoint directory .* exists and is not empty",  # a resumed run finds its own checkpoints
        r"The '.*_dataloader' does not have many workers",  # the data module chooses the number of workers
        r"The `srun` command is available on your system but is not used",  # srun is not required
        r"Grad strides do not match bucket view strides",  # dimensions of size one with channels_last_3d
    ):
        warnings.filterwarnings("ignore", message=message)
