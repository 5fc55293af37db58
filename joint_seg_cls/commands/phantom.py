"""``jsc phantom``: a simulated cohort on disk."""

import logging

from omegaconf import DictConfig

from joint_seg_cls.commands.build import build, require
from joint_seg_cls.phantom import write_cohort
from joint_seg_cls.scan import read_cohort

_log = logging.getLogger(__name__)


def phantom(config: DictConfig) -> None:
    """Decide who is in the cohort, make every subject that is not there yet, say what there is."""
    require(config, "phantom", "out")
    cohort, skull = build(config.phantom), build(config.skull)
    command = (
        f"jsc phantom phantom={cohort.population.name} subjects={cohort.recruitment.subjects()} seed={config.seed} "
        f"spacing_mm={config.spacing_mm} visits={config.visits} raters={config.raters}"
        f"{'' if skull.stripped else f' skull={skull.name}'}"
    )
    table = write_cohort(
        cohort,
        config.out,
        spacing_mm=config.spacing_mm,
        readers=config.raters,
        workers=config.workers,
        command=command,
        skull=skull,
        brain_masks=config.brain_masks,
    )
    scans = read_cohort(table)
    counts = {name: sum(scan.disease == name for scan in scans) for name in ("MS", "NMOSD")}
    _log.info("%s: %d scans (%s)", table, len(scans), ", ".join(f"{n} {name}" for name, n in counts.items()))
