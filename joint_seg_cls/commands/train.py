"""``jsc train``: one fold of one variant, from the prepared store to a finished run folder."""

import hashlib
import logging
import warnings
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from joint_seg_cls.audit import AUDIT_FILE, write_audit
from joint_seg_cls.commands import naming
from joint_seg_cls.commands.build import build, packages, plain, require
from joint_seg_cls.commands.check import audit_data
from joint_seg_cls.commands.evaluate import test_fold
from joint_seg_cls.data import JointDataModule, SplitFile
from joint_seg_cls.scan import FORMAT as STORE_FORMAT
from joint_seg_cls.training import FORMAT, JointModule, RunFolder, finish, fit, read_checkpoint, wandb_tracker

_log = logging.getLogger(__name__)


def train(config: DictConfig) -> float | None:
    """Train, test the fold once, write ``DONE``; return the best ``val/score`` (None where the protocol has no such).

    A run that is done is skipped; one that was interrupted goes on after its last finished epoch.
    """
    require(config, "train", "data.store")
    _quiet_lightning()
    for key in ("data.store", "data.folds.path", "init_from"):  # the run folder must make sense from anywhere
        if (path := OmegaConf.select(config, key)) is not None:
            OmegaConf.update(config, key, str(Path(path).expanduser().resolve()))
    data: JointDataModule = build(config.data)
    data.setup()
    fit_network_to(config, data)
    own_split = [f"split={data.folds.label}"] if isinstance(data.folds, SplitFile) else []
    variant = naming.variant_name(HydraConfig.get().runtime.choices, [*HydraConfig.get().overrides.task, *own_split])
    run = RunFolder(naming.run_path(config.runs, config.collection, variant, config.fold, config.seed))
    facts = {"data_hash": data.store.content_hash, "split_hash": data.split_hash, "folds_hash": data.folds_hash}
    identity = naming.identity(plain(config), **facts)
    run.refuse_other(identity)
    if run.is_done:
        _log.info("%s is done", run.path)
        return run.best_score()
    audit = audit_data(data, accept=list(config.accept))
    with run.recording(identity, OmegaConf.to_yaml(config, resolve=True)):
        write_audit(audit, run.path / AUDIT_FILE)
        _log.info(
            "%s: %d scans to train on, %d to validate, %d to test; folds %s",
            run.path,
            *(len(part) for part in (data.split.train, data.split.validation, data.split.test)),
            data.folds_hash,
        )
        module = make_module(config, data, variant, facts)
        logger = _tracker(config, run, variant)
        try:
            fit(
                module,
                data,
                run,
                make_trainer=build(plain(config.trainer) | {"_partial_": True}),
                weights=config.protocol.weights,
                validate=bool(data.split.validation),
                logger=logger,
            )
        finally:
            finish(logger)
        if config.evaluate:
            test_fold(run, data, trust=[*config.trust, *packages(config.network)])
        run.finish(weights=config.protocol.weights)
    return run.best_score()


def fit_network_to(config: DictConfig, data: JointDataModule) -> None:
    """Give the network the sizes of what it will see, as far as its configuration asks for them."""
    sizes = {"image_size": list(data.image_size), "in_channels": data.in_channels, "classes": len(data.classes)}
    for key, value in sizes.items():
        if key in config.network:
            config.network[key] = value


def make_module(config: DictConfig, data: JointDataModule, variant: str, facts: dict[str, str]) -> JointModule:
    """Build network, loss and optimiser from a seed of their own, and start from ``init_from`` where it is given."""
    import torch
    from lightning import seed_everything

    seed_everything(config.seed, workers=True, verbose=False)
    network = build(config.network)
    network.to(memory_format=torch.channels_last_3d)  # a fifth less time for a step on CPUs
    if config.init_from is not None:
        start = read_checkpoint(config.init_from)
        left = start.initialise(network)
        _log.info("starting from %s%s", start.path, f"; new, since they do not fit: {', '.join(left)}" if left else "")
    recipe: dict[str, Any] = {
        "format": FORMAT,
        "network": plain(config.network),
        "preprocess": data.store.settings,
        "preprocess_format": STORE_FORMAT,
        "classes": list(data.classes),
        "modalities": list(data.store.modalities),
        "model_shape": list(data.image_size),
        "lesion_threshold": float(config.lesion_threshold),
        "variant": variant,
        "trained_on": {"collection": config.collection, "fold": config.fold, "seed": config.seed, **facts},
    }
    return JointModule(
        network=network,
        loss=build(config.loss),
        optimizer=build(config.optimizer),
        scheduler=build(config.scheduler),
        monitor=config.protocol.monitor,
        recipe=recipe,
    )


def _quiet_lightning() -> None:
    """Keep Lightning's advertisements and notes to its own developers out of the log."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        r"`isinstance\(treespec, LeafSpec\)`",  # https://github.com/Lightning-AI/pytorch-lightning/issues/21326
        r"Checkpoint directory .* exists and is not empty",  # a resumed run finds its own checkpoints
        r"The '.*_dataloader' does not have many workers",  # the data module has counted the cores
    ):
        warnings.filterwarnings("ignore", message=message)


def _tracker(config: DictConfig, run: RunFolder, variant: str) -> Any:
    if not config.tracking:
        return None
    name = f"{variant}-f{config.fold}-s{config.seed}"
    shown = {key: value for key, value in naming.identity(plain(config)).items() if key != "init_from"}
    known: dict[str, Any] = {
        "group": str(config.collection),
        "name": name,
        "run_id": hashlib.sha256(str(Path(run.path).resolve()).encode()).hexdigest()[:12],
        "folder": run.path,
        "config": shown,
    }
    return wandb_tracker(**{key: value for key, value in plain(config.tracking).items() if key[0] != "_"}, **known)
