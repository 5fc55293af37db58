"""``jsc train``: train and test one fold of one variant, from a prepared store."""

import logging
import os
import shlex
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning import Callback, Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf
from torch import nn

from joint_seg_cls.audit import AUDIT_FILE, write_audit
from joint_seg_cls.config.build import build
from joint_seg_cls.config.compose import composer_of
from joint_seg_cls.config.schedule import schedule_of
from joint_seg_cls.config.tree import flatten, plain
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.networks import memory_format
from joint_seg_cls.runs.audited import audit_data
from joint_seg_cls.runs.calibrated import calibrate
from joint_seg_cls.runs.plan import PLAN, Plan, Planner
from joint_seg_cls.runs.testing import test_fold
from joint_seg_cls.runs.track import track_training
from joint_seg_cls.scan import FORMAT as STORE_FORMAT
from joint_seg_cls.sweep.planned import study_run
from joint_seg_cls.sweep.ranks import children_repeat_this_job, is_first_process
from joint_seg_cls.sweep.study import Study
from joint_seg_cls.training import (
    FORMAT,
    MARKS,
    JointModule,
    Recipe,
    Tracker,
    fit,
    make_trainer_or_refuse,
    read_checkpoint,
    trained_marks,
)

_log = logging.getLogger(__name__)


def train(config: DictConfig) -> float | None:
    """Train, test the fold once, write ``DONE``; return the best ``val/score`` (None without validation).

    A finished run is skipped; an interrupted run is resumed after its last finished epoch.
    """
    _quiet_lightning()
    plan = _planned(config)
    run, data = plan.run, plan.data
    if plan.is_done():  # on any machine, since this machine's default precision is not compared
        _log.info("%s is done", run.path)
        return run.best_score()
    identity = plan.identity()
    run.refuse_other(identity, accept_code=plan.accepts_code)
    make_trainer_or_refuse(_trainer(config), logger=False, callbacks=_callbacks(config))  # before writing files
    audit = audit_data(data, accept=list(config.accept))  # in all processes, so that all stop at an error
    if not is_first_process():  # only the first of several processes writes files
        _fit(plan, None)
        return None
    text = OmegaConf.to_yaml(config, resolve=True)
    with run.recording(identity, text, more=plan.provenance(), accept_code=plan.accepts_code):
        _list_in_study(plan)
        write_audit(audit, run.path / AUDIT_FILE)
        _log_sizes(plan)
        with track_training(config, run, data, plan.location.variant, identity) as tracker:
            with children_repeat_this_job():
                network = _fit(plan, tracker)
            device = "cpu" if config.trainer.get("accelerator") == "cpu" else "auto"
            temperature = calibrate(run, data, device=device, network=network)
            if config.evaluate:
                test_fold(run, data, device=device, network=network)
        run.finish(weights=config.protocol.weights, scans=len(data.split.test), temperature=temperature)
    return run.best_score()


def _fit(plan: Plan, tracker: Tracker | None) -> nn.Module:
    """Build all parts of a training from their config groups, and train; return the network."""
    config, data, run = plan.config, plan.data, plan.run
    network = _network(plan)
    module = JointModule(
        network=network,
        loss=build(config.loss),
        optimizer=build(config.optimizer),
        scheduler=schedule_of(config),
        monitor=config.protocol.monitor,
        recipe=_recipe(plan),
    )
    fit(
        module,
        data,
        run,
        make_trainer=_trainer(config),
        callbacks=_callbacks(config),
        weights=config.protocol.weights,
        validate=bool(data.split.validation),
        seed=config.seed,
        logger=tracker,
    )
    return module.network


def _network(plan: Plan) -> nn.Module:
    """Build the network from the run's seed, with the weights of ``init_from`` if given."""
    config = plan.config
    seed_everything(config.seed, workers=True, verbose=False)
    network = build(config.network)
    on_gpu = config.trainer.get("accelerator") != "cpu" and torch.cuda.is_available()
    network.to(memory_format=memory_format("cuda" if on_gpu else "cpu"))
    if config.init_from is not None:
        start = read_checkpoint(config.init_from)
        left = start.initialise(network)
        _log.info("starting from %s%s", start.path, f"; weights that do not match: {', '.join(left)}" if left else "")
        _warn_of_other_preprocessing(start.recipe, plan.data.store.settings)
    _refuse_other_state(network)
    return network


def _callbacks(config: DictConfig) -> list[Callback]:
    """Build the callbacks of the group and of ``trainer.callbacks``."""
    listed = plain(config.trainer.get("callbacks")) or []
    named = [each for each in plain(config.callbacks).values() if each is not None]
    return [build(each) for each in [*named, *(listed if isinstance(listed, list) else [listed])]]


def _trainer(config: DictConfig) -> Callable[..., Trainer]:
    arguments = {key: value for key, value in plain(config.trainer).items() if key != "callbacks"}
    return build(arguments | {"_partial_": True})


def _recipe(plan: Plan) -> dict[str, Any]:
    """Return the recipe for the checkpoints, with which the network can be used without this run."""
    config, data, start = plan.config, plan.data, plan.start
    collection = Path(str(config.collection)).name
    recipe: dict[str, Any] = {
        "format": FORMAT,
        "network": plain(config.network),
        "preprocess": data.store.settings,
        "preprocess_format": STORE_FORMAT,
        "classes": list(data.classes),
        "modalities": list(data.store.modalities),
        "model_shape": list(data.image_size),
        "lesion_threshold": float(config.lesion_threshold),
        "variant": plan.location.variant,
        MARKS: trained_marks(data.store.cases, data.split, () if start is None else start.marks),
        "trained_on": {"collection": collection, "fold": config.fold, "seed": config.seed, **plan.facts},
    }
    if config.window is not None:
        recipe["window"] = list(config.window)
    _warn_of_paths(recipe)
    return recipe


def _planned(config: DictConfig) -> Plan:
    """Return the plan of this run, from the sweep if it was handed over."""
    hydra = HydraConfig.get()
    if is_first_process():
        _refuse_one_of_a_sweep(hydra)
    choices, words = dict(hydra.runtime.choices), list(hydra.overrides.task)
    return Planner(composer_of(hydra)).plan(config, choices, words, os.environ.get(PLAN))


def _list_in_study(plan: Plan) -> None:
    """Add a run to its study if no study sweep has listed it: a single run, or a trial of a search."""
    hydra = HydraConfig.get()
    is_alone = hydra.mode is RunMode.RUN and plan.config.study is not None
    if is_alone or (hydra.mode is RunMode.MULTIRUN and hydra.runtime.choices["hydra/sweeper"] != "study"):
        name = "search" if plan.config.study is None else str(plan.config.study)
        words = shlex.join(["jsc", "train", *plan.overrides])
        tables = tuple(map(str, plan.config.tables))
        Study(plan.location.collection_path, name, words, (study_run(plan),), tables).record(keep="all")


def _log_sizes(plan: Plan) -> None:
    data = plan.data
    _log.info(
        "%s: %d scans to train on, %d to validate, %d to test; folds %s",
        plan.run.path,
        *(len(part) for part in (data.split.train, data.split.validation, data.split.test)),
        data.folds_hash,
    )


def _refuse_one_of_a_sweep(hydra: Any) -> None:
    """Refuse a single run of an experiment that defines a sweep, unless the command sets all swept keys."""
    swept = OmegaConf.select(hydra, "sweeper.params") or {}
    typed = {word.lstrip("+").partition("=")[0] for word in hydra.overrides.task}
    open_keys = [str(key) for key in swept if str(key) not in typed]
    if hydra.mode is RunMode.RUN and open_keys:
        raise ConfigError(
            f"experiment={hydra.runtime.choices['experiment']}",
            expected="a sweep, since this experiment defines one",
            found="a single run",
            remedy=f"add -m, or a value for {' and '.join(open_keys)}",
        )


def _warn_of_other_preprocessing(recipe: Recipe, settings: Mapping[str, Any]) -> None:
    """Warn if preprocessing steps that determine the network's image differ from those of the initial weights."""
    steps = [step for step in ("layout", "intensity") if recipe.preprocess.get(step) != settings.get(step)]
    if steps:
        _log.warning(
            "init_from: the weights were trained on scans prepared with another %s; prepare the cohort in the same way "
            "(the pretrained weights: preprocess=real_scans image_size=[112,128,112])",
            " and ".join(steps),
        )


def _warn_of_paths(recipe: dict[str, Any]) -> None:
    """Warn of absolute paths in the recipe, which only a user's class can have."""
    named = [
        key
        for part in ("network", "preprocess")
        for key, value in flatten(recipe[part], part)
        if isinstance(value, str) and Path(value).expanduser().is_absolute()
    ]
    if named:
        _log.warning("the checkpoints of this run contain a path of this machine, the value of %s", ", ".join(named))


def _refuse_other_state(network: Any) -> None:
    """Refuse a network with non-tensor state, which is not read from checkpoints."""
    other = {name: value for name, value in network.state_dict().items() if not isinstance(value, torch.Tensor)}
    for name, value in other.items():
        raise ConfigError(
            "network",
            expected="a state_dict of tensors",
            found=f"{name} of type {type(value).__name__}",
            remedy="return a tensor from get_extra_state, or remove the value from the state",
        )


def _quiet_lightning() -> None:
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
