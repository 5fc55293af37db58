"""``jsc prepare``: preprocess the scans of a cohort table into a prepared store."""

import logging

from omegaconf import DictConfig

from joint_seg_cls.config import keys
from joint_seg_cls.config.build import build, plain, require
from joint_seg_cls.preprocess import Pipeline, Prepared, bytes_a_case, bytes_of, prepare_cohort, summary
from joint_seg_cls.scan import read_cohort, require_lesion_value, require_mask_geometry

_log = logging.getLogger(__name__)
#: Maximum number of remarks in the log; quality.tsv has all.
_SHOWN = 20


def prepare(config: DictConfig) -> None:
    """Check the table, prepare all new scans, and log a summary."""
    require(config, "prepare", "cohort", "store")
    modalities, classes = keys.names(config, "modalities", least=1), keys.names(config, "classes", least=2)
    workers = keys.whole_number(config, "workers")
    store = keys.folder_to_write(config, "store")
    require_lesion_value(plain(config.lesion_value))
    pipeline: Pipeline = build(config.preprocess)
    settings = plain(config.preprocess)
    pipeline.mask_geometry = require_mask_geometry(config.mask_geometry)
    if pipeline.mask_geometry != "header":  # the default is not recorded, so that older stores remain valid
        settings["mask_geometry"] = pipeline.mask_geometry
    rows = read_cohort(config.cohort, modalities=modalities, classes=classes)
    size = bytes_a_case(len(modalities), pipeline.layout.model_shape)
    _log.info(
        "%s: %d scans of %d subjects; about %.1f MB per case, %.2f GB in all",
        config.cohort,
        len(rows),
        len({row.subject for row in rows}),
        size / 1e6,
        size * len(rows) / 1e9,
    )
    done = prepare_cohort(
        rows,
        store,
        pipeline,
        settings=settings,
        classes=classes,
        modalities=modalities,
        workers=workers,
    )
    _summarise(done)


def _summarise(done: Prepared) -> None:
    """Log the content of the store and remarks to check."""
    store, cases = done.store, done.store.cases
    diseases = [case.disease for case in cases]
    _log.info(
        "%s: %d prepared now, %d kept; %s; %d with a lesion mask; %.1f MB per case on disk",
        store.path,
        done.new,
        done.kept,
        ", ".join(f"{diseases.count(name)} {name}" for name in store.classes),
        sum(case.has_lesion_mask for case in cases),
        bytes_of(cases) / len(cases) / 1e6,
    )
    remarks = summary(cases, store.model_shape)
    for remark in remarks[:_SHOWN]:
        _log.warning("%s", remark)
    if len(remarks) > _SHOWN:
        _log.warning("%d more remarks in %s", len(remarks) - _SHOWN, store.path / "quality.tsv")
