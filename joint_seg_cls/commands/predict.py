"""``jsc predict``: the lesions and the disease of new scans, in each scan's own grid."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from joint_seg_cls.casepage import refuse_foreign_pages, write_index, write_pages
from joint_seg_cls.config import keys
from joint_seg_cls.config.build import plain, require
from joint_seg_cls.errors import CohortError, ConfigError, InputError
from joint_seg_cls.inference import (
    Limits,
    PredictionOptions,
    finished,
    refuse_foreign_files,
    require_views,
    summary_of,
    write_failures,
    write_findings,
    write_predictions,
)
from joint_seg_cls.parallel import watched
from joint_seg_cls.preprocess import counted_warnings
from joint_seg_cls.runs.model import Model, load_model
from joint_seg_cls.runs.scans import find_scans
from joint_seg_cls.scan import CohortCase, require_mask_geometry
from joint_seg_cls.scan.prediction_record import prediction_record

_log = logging.getLogger(__name__)
#: What accept= may list.
_OTHER_MODEL = "other_model"


def predict(config: DictConfig) -> None:
    """Predict every scan; one that cannot be used does not stop the others and is listed at the end."""
    require(config, "predict", "input", "out", "checkpoint")
    out = keys.folder_to_write(config, "out")
    accept = _accepted(config)
    again, draws, hides = (keys.flag(config, key) for key in ("again", "page", "hide_names"))
    model = load_model(
        _listed(config.checkpoint),
        device=config.device,
        trust=config.trust,
        views=None if config.views is None else require_views(config.views),
        mask_geometry=require_mask_geometry(config.mask_geometry),
        options=_options(config),
    )
    _refuse_other_model(model, out, accept)
    scans, failures = find_scans(_listed(config.input), model.recipe, out)
    scans = _with_brain_mask(config, scans)
    refuse_foreign_files([scan.case for scan in scans], out)
    if draws:
        refuse_foreign_pages([scan.case for scan in scans], out)
    if out.is_dir():
        keys.make_folder(out, "out")  # clears what a killed process left; a new folder is made with the first result
    records: list[dict[str, Any]] = []
    try:
        for scan in watched(iter(scans), total=len(scans), label="predict"):
            try:
                records.append(_record_of(scan, model, out, again=again))
                if draws:
                    write_pages(scan.case, scan.images, model.recipe.modalities, out, hide_name=hides)
            except InputError as error:
                error.drop_frames()  # the next scan needs the memory
                failures.append((scan.case, error))
    finally:  # also after a Ctrl-C, or when the memory is full: the tables list what was written
        _write_tables(records, failures, out)
        if draws and records and (index := write_index(out, hide_names=hides)) is not None:
            _log.info("pages: %s", index)
    _refuse_other_model(model, out, accept)  # of a command that began at the same time
    if failures:
        for _, failure in failures[1:]:
            _log.error("%s", failure)
        raise failures[0][1]


def _record_of(scan: CohortCase, model: Model, out: Path, *, again: bool) -> dict[str, Any]:
    """Return the record of a scan, after predicting it unless it is finished."""
    made_from = model.made_from(scan)
    if not again and (record := finished(scan.case, made_from, out)) is not None:
        _log.info("%s: finished before", scan.case)
        return record
    found = model.predict(scan, made_from)
    if not out.is_dir():
        keys.make_folder(out, "out")
    record = write_findings(found, out)
    _log.info("%s", _sentence(record))
    return record


def _write_tables(records: Sequence[dict[str, Any]], failures: Sequence[tuple[str, InputError]], out: Path) -> None:
    if not out.is_dir():
        return  # nothing was predicted
    write_failures(
        [
            {"id": name, "scan": Path(error.where).name, "reason": f"expected {error.expected}, found {error.found}; "
             f"{error.remedy}"}
            for name, error in failures
        ],
        out,
    )  # fmt: skip
    if records:
        write_predictions(records, out)
        warnings = ((record["id"], warning) for record in records for warning in record["warnings"])
        for line in counted_warnings(warnings):
            _log.warning("%s", line)
        _log.info("%d scan%s in %s", len(records), "s" * (len(records) != 1), out)


def _listed(value: object) -> list[Any]:
    return list(plain(value)) if isinstance(value, ListConfig) else [value]


def _options(config: DictConfig) -> PredictionOptions:
    least = config.least_probability
    if least is not None and type(least) not in (int, float):
        remedy = "correct least_probability="
        raise ConfigError("least_probability", expected="a probability from 0 to 1", found=str(least), remedy=remedy)
    return PredictionOptions(
        keys.flag(config, "trust_grade"),
        keys.flag(config, "explain"),
        Limits() if least is None else Limits(float(least)),
    )


def _accepted(config: DictConfig) -> list[str]:
    accept = keys.names(config, "accept", least=0)
    for word in accept:
        if word != _OTHER_MODEL:
            raise ConfigError("accept", expected=_OTHER_MODEL, found=word, remedy=f"write accept=[{_OTHER_MODEL}]")
    return accept


def _with_brain_mask(config: DictConfig, scans: list[CohortCase]) -> list[CohortCase]:
    if config.brain_mask is None:
        return scans
    if len(scans) > 1:
        raise CohortError(
            "brain_mask",
            expected="one scan that it belongs to",
            found=f"{len(scans)} scans",
            remedy="name each scan's mask in the column brain_mask of a cohort table and give it as input=",
        )
    return [replace(scan, brain_mask=keys.path_of(config.brain_mask, "brain_mask")) for scan in scans]


def _refuse_other_model(model: Model, out: Path, accept: Sequence[str]) -> None:
    """Refuse a folder with findings of another model, since one table would mix both.

    Raises:
        CohortError: there is one.
    """
    if _OTHER_MODEL in accept or not out.is_dir():
        return
    for file in sorted(out.glob("*.json")):
        card = (prediction_record(file) or {}).get("model")
        if isinstance(card, dict) and card.get("sha256", model.card["sha256"]) != model.card["sha256"]:
            raise CohortError(
                out,
                expected=f"findings of this model ({_named(model.card)}) alone",
                found=f"{file.name}, of another one ({_named(card)})",
                remedy=f"name another folder with out=, or add accept=[{_OTHER_MODEL}] for one table of both",
            )


def _named(card: Mapping[str, Any]) -> str:
    """Return the variant of a model and the first digits of its weights, since models of one variant differ."""
    return f"{card.get('variant')}, weights {str(card.get('sha256'))[:6]}"


def _sentence(record: Mapping[str, Any]) -> str:
    cost = record["cost"]
    memory = "" if cost["peak_memory_mb"] is None else f", at most {cost['peak_memory_mb'] / 1000:.1f} GB"
    return f"{summary_of(record)} ({cost['seconds']:.0f} s{memory})"
