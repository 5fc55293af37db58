"""``jsc phantom``: a simulated cohort of scans, or a store of scenes for training."""

import logging
from collections import Counter

from omegaconf import DictConfig

from joint_seg_cls.config import keys
from joint_seg_cls.config.build import build, plain
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.phantom import Cohort, RandomisedCohort, write_cohort, write_scene_store
from joint_seg_cls.scan import read_cohort

_log = logging.getLogger(__name__)


def phantom(config: DictConfig) -> None:
    """Simulate all subjects that do not exist yet, and log their numbers."""
    if (config.out is None) == (config.store is None):
        found = "neither" if config.out is None else "both"
        raise ConfigError(
            "jsc phantom", expected="a value for out, or for store", found=found, remedy="add out=... to the command"
        )
    cohort: Cohort | RandomisedCohort = build(config.phantom)
    if not isinstance(cohort, RandomisedCohort):
        _refuse_keys_of_randomised(config)
    if config.store is not None and isinstance(cohort, RandomisedCohort):
        _write_store(config, cohort)
    else:
        _write_cohort(config, cohort)


def _refuse_keys_of_randomised(config: DictConfig) -> None:
    """Refuse keys that only ``phantom=randomised`` reads."""
    given = [key for key in ("store", "path", "shapes") if config[key] is not None]
    given += ["anatomy=label_maps"] if "path" in config.anatomy else []
    given += ["skull=labels"] if str(config.skull._target_).endswith("LabelledSkull") else []
    if given:
        raise ConfigError(
            given[0].partition("=")[0],
            expected="none, since only phantom=randomised reads it",
            found=given[0],
            remedy=f"add phantom=randomised, or omit {given[0]}",
        )


def _write_cohort(config: DictConfig, cohort: Cohort | RandomisedCohort) -> None:
    skull = build(config.skull)
    extra = "".join(f" {key}={config[key]}" for key in ("path", "shapes") if config[key] is not None)
    extra = (" anatomy=label_maps" if config.path is not None else "") + extra
    command = (
        f"jsc phantom phantom={cohort.population.name} subjects={cohort.recruitment.subjects()} seed={config.seed} "
        f"spacing_mm={config.spacing_mm} visits={config.visits} raters={config.raters}"
        f"{'' if skull.stripped else f' skull={skull.name}'}{extra}"
    )
    table = write_cohort(
        cohort,
        config.out,
        spacing_mm=config.spacing_mm,
        raters=config.raters,
        workers=config.workers,
        command=command,
        skull=skull,
        brain_masks=config.brain_masks,
    )
    scans = read_cohort(table)
    counts = {name: sum(scan.disease == name for scan in scans) for name in ("MS", "NMOSD")}
    _log.info("%s: %d scans (%s)", table, len(scans), ", ".join(f"{n} {name}" for name, n in counts.items()))


def _write_store(config: DictConfig, cohort: RandomisedCohort) -> None:
    from joint_seg_cls.preprocess import IsotropicPad, Pipeline  # imports torch

    pipeline: Pipeline = build(config.preprocess)
    layout = pipeline.layout
    if not isinstance(layout, IsotropicPad):
        raise ConfigError(
            "preprocess/layout",
            expected="isotropic_pad, since scenes have cubic voxels",
            found=type(layout).__name__,
            remedy="omit preprocess/layout",
        )
    store = write_scene_store(
        cohort,
        keys.folder_to_write(config, "store"),
        shape=layout.model_shape,
        spacing_mm=layout.spacing_mm,
        intensity=pipeline.intensity,
        settings=plain(config.preprocess),
        workers=keys.whole_number(config, "workers"),
    )
    counts = Counter(case.disease for case in store.cases)
    _log.info(
        "%s: %d scenes (%s)", store.path, len(store.cases), ", ".join(f"{n} {name}" for name, n in counts.items())
    )
