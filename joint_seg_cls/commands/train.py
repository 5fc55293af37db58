"""``jsc train``: train and test one fold of one variant, from a prepared store."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from lightning import Callback, Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf
from torch import nn

from joint_seg_cls.audit import AUDIT_FILE, write_audit
from joint_seg_cls.config.build import build, flatten, plain
from joint_seg_cls.config.compose import composer_of
from joint_seg_cls.cpu import CpuUse, available_cores
from joint_seg_cls.networks import memory_format
from joint_seg_cls.runs.data_checks import audit_data
from joint_seg_cls.runs.plan import PLAN, Plan, Planner
from joint_seg_cls.runs.testing import calibrate, test_fold
from joint_seg_cls.runs.track import track_training
from joint_seg_cls.scan import FORMAT as STORE_FORMAT
from joint_seg_cls.sweep.job import children_repeat_this_job, is_first_process
from joint_seg_cls.sweep.planned import list_in_study, refuse_one_of_a_sweep
from joint_seg_cls.training import (
    FORMAT,
    MARKS,
    JointModule,
    Schedule,
    Tracker,
    checked_trainer,
    fit,
    quiet_lightning,
    read_checkpoint,
    refuse_other_state,
    trained_marks,
)

_log = logging.getLogger(__name__)


def train(config: DictConfig) -> float | None:
    """Train, test the fold once, write ``DONE``; return the best ``val/score`` (None without validation).

    A finished run is skipped; an interrupted run is resumed after its last finished epoch.
    """
    quiet_lightning()
    cpu = CpuUse()
    plan = _planned(config)
    run, data = plan.run, plan.data
    if plan.is_done():  # on any machine, since this machine's default precision is not compared
        _log.info("%s is done", run.path)
        return run.best_score()
    identity = plan.identity()
    run.refuse_other(identity, accept_code=plan.accepts_code)
    checked_trainer(_trainer(config), logger=False, callbacks=_callbacks(config))  # before writing files
    audit = audit_data(data, accept=list(config.accept))  # in all processes, so that all stop at an error
    if not is_first_process():  # only the first of several processes writes files
        _fit(plan, None)
        return None
    text = OmegaConf.to_yaml(config, resolve=True)
    cores = _use_idle_cores(plan, cpu)
    with run.recording(identity, text, more={**plan.provenance(), **cores}, accept_code=plan.accepts_code):
        if PLAN not in os.environ:  # the sweep has listed the runs that it planned
            list_in_study(plan, HydraConfig.get())
        write_audit(audit, run.path / AUDIT_FILE)
        _log_start(plan, cores)
        with track_training(config, run, data, plan.location.variant, identity) as tracker:
            with children_repeat_this_job():
                network = _fit(plan, tracker)
            device = "cpu" if config.trainer.get("accelerator") == "cpu" else "auto"
            temperature = calibrate(run, data, device=device, network=network)
            if config.evaluate:
                test_fold(run, data, device=device, network=network)
        run.finish(weights=config.protocol.weights, scans=len(data.split.test), temperature=temperature)
    return run.best_score()


def _use_idle_cores(plan: Plan, cpu: CpuUse) -> dict[str, int]:
    """Set the threads of torch and the loader processes by the idle cores, unless they are given; return the numbers.

    Sums of several threads differ in the last digits, so a resumed run uses the number of its first start.
    """
    idle = cpu.idle_cores()
    if plan.config.data.workers is None:
        plan.data.workers = min(plan.data.workers, idle - 1)
    if "OMP_NUM_THREADS" not in os.environ and not _is_on_gpu(plan.config):
        torch.set_num_threads(plan.run.threads() or idle)
    return {"idle_cores": idle, "threads": torch.get_num_threads(), "workers": plan.data.workers}


def _is_on_gpu(config: DictConfig) -> bool:
    return config.trainer.get("accelerator") != "cpu" and torch.cuda.is_available()


def _fit(plan: Plan, tracker: Tracker | None) -> nn.Module:
    """Build the parts of a training from their config groups, and train; return the network."""
    config, data = plan.config, plan.data
    seed_everything(config.seed, workers=True, verbose=False)
    network = _network(plan)
    loss = build(config.loss)
    module = JointModule(
        network=network,
        loss=loss,
        optimizer=build(config.optimizer),
        scheduler=Schedule.of(plain(config.scheduler), build),
        monitor=config.protocol.monitor,
        recipe=_recipe(plan),
    )
    fit(
        module,
        data,
        plan.run,
        callbacks=_callbacks(config),
        logger=tracker,
        make_trainer=_trainer(config),
        weights=config.protocol.weights,
        validate=bool(data.split.validation),
        seed=config.seed,
    )
    return module.network


def _network(plan: Plan) -> nn.Module:
    """Build the network, with the weights of ``init_from`` if given."""
    config = plan.config
    network = build(config.network)
    network.to(memory_format=memory_format("cuda" if _is_on_gpu(config) else "cpu"))
    if plan.initial_weights is not None:
        checkpoint = read_checkpoint(config.init_from)
        left = Counter(name.partition(".")[0] for name in checkpoint.initialise(network))
        parts = ", ".join(f"{count} of {part}" for part, count in left.items())
        _log.info("starting from %s%s", checkpoint.path, f"; weights that do not match: {parts}" if left else "")
        plan.initial_weights.warn_of_other_preprocessing(plan.data.store.settings)
    refuse_other_state(network)
    return network


def _callbacks(config: DictConfig) -> list[Callback]:
    """Build the callbacks of the group and of ``trainer.callbacks``."""
    listed = plain(config.trainer.get("callbacks")) or []
    named = [each for each in plain(config.callbacks).values() if each is not None]
    return [build(each) for each in [*named, *(listed if isinstance(listed, list) else [listed])]]


def _trainer(config: DictConfig) -> Callable[..., Trainer]:
    """Return the Trainer of the group, which :func:`fit` completes."""
    arguments = {key: value for key, value in plain(config.trainer).items() if key != "callbacks"}
    return build(arguments | {"_partial_": True})


def _recipe(plan: Plan) -> dict[str, Any]:
    """Return the recipe for the checkpoints, with which the network can be used without this run."""
    config, data, initial = plan.config, plan.data, plan.initial_weights
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
        MARKS: trained_marks(data.store.cases, data.split, () if initial is None else initial.marks),
        "trained_on": {"collection": collection, "fold": config.fold, "seed": config.seed, **plan.facts},
    }
    if config.window is not None:
        recipe["window"] = list(config.window)
    _warn_of_paths(recipe)
    return recipe


def _planned(config: DictConfig) -> Plan:
    """Return the plan of this run, from the sweep if it was handed over."""
    hydra, handed = HydraConfig.get(), os.environ.get(PLAN)
    if handed is None and is_first_process():
        refuse_one_of_a_sweep(hydra)
    choices, words = dict(hydra.runtime.choices), list(hydra.overrides.task)
    return Planner(lambda: composer_of(hydra)).plan(config, choices, words, handed)


def _log_start(plan: Plan, cores: Mapping[str, int]) -> None:
    """Log the sizes of the data, and the cores that are used."""
    data = plan.data
    _log.info(
        "%s: %d scans to train on, %d to validate, %d to test; folds %s",
        plan.run.path,
        *(len(part) for part in (data.split.train, data.split.validation, data.split.test)),
        data.folds_hash,
    )
    text = "idle cores: %d of %d; threads: %d; loader processes: %d"
    _log.info(text, cores["idle_cores"], available_cores(), cores["threads"], cores["workers"])


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
