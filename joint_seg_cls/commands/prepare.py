"""``jsc prepare``: from a cohort table to a prepared store."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from joint_seg_cls.commands.build import build, plain, require
from joint_seg_cls.preprocess import prepare_cohort
from joint_seg_cls.scan import read_cohort

_log = logging.getLogger(__name__)


def prepare(config: DictConfig) -> None:
    """Check the table, prepare every scan that is not prepared yet, say what there is."""
    require(config, "prepare", "cohort", "store")
    pipeline = build(config.preprocess)
    rows = read_cohort(config.cohort, modalities=config.modalities, classes=config.classes)
    _log.info("%s: %d scans of %d subjects", config.cohort, len(rows), len({row.subject for row in rows}))
    done = prepare_cohort(
        rows,
        Path(config.store),
        pipeline,
        settings=plain(config.preprocess),
        classes=list(config.classes),
        modalities=list(config.modalities),
        workers=config.workers,
    )
    counts = {name: sum(case.disease == name for case in done.store.cases) for name in done.store.classes}
    _log.info(
        "%s: %d prepared now, %d kept; %s; %d with a lesion mask",
        config.store,
        done.new,
        done.kept,
        ", ".join(f"{count} {name}" for name, count in counts.items()),
        sum(case.has_lesion_mask for case in done.store.cases),
    )
