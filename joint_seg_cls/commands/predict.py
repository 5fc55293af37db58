"""``jsc predict``: the lesions and the disease of new scans, in each scan's own grid."""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from joint_seg_cls.config import keys
from joint_seg_cls.config.build import require
from joint_seg_cls.errors import CohortError, InputError, ScanError, enough_memory
from joint_seg_cls.inference import require_views, write_findings, write_predictions
from joint_seg_cls.parallel import watched
from joint_seg_cls.preprocess import counted_warnings
from joint_seg_cls.runs.load import load_pipeline, load_predictor
from joint_seg_cls.scan import CohortCase, read_cohort, require_mask_geometry
from joint_seg_cls.scan.finder import (
    OUTPUTS,
    Remark,
    lines,
    natural,
    prediction_record,
    scan_files,
    stem,
    stored_twice,
)
from joint_seg_cls.scan.tables import SEPARATORS
from joint_seg_cls.training import Checkpoint

_log = logging.getLogger(__name__)
_MORE_MEMORY = "close other programs or take a machine with more memory, and predict this scan again"
#: Names of masks: what stands before them is the scan's name.
_MASK = re.compile(r"(.+)_(?:lesion|brain)[-_]?mask(?:[-_]?[0-9]+)?", re.IGNORECASE)


def predict(config: DictConfig) -> None:
    """Predict every scan; one that cannot be used does not stop the others and is named at the end."""
    require(config, "predict", "input", "out")
    out = keys.folder_to_write(config, "out")
    views = None if config.views is None else require_views(config.views)
    predictor, checkpoint = load_predictor(config.checkpoint, device=config.device, trust=config.trust, views=views)
    pipeline = load_pipeline(checkpoint, config.trust)
    pipeline.mask_geometry = require_mask_geometry(config.mask_geometry)
    scans = _scans(config, checkpoint)
    _refuse_foreign_files(scans, out)
    keys.make_folder(out, "out")
    model, classes = _model_card(checkpoint), list(checkpoint.recipe.classes)

    def found_in(scan: CohortCase) -> dict[str, Any]:
        with enough_memory(scan.images[0], remedy=_MORE_MEMORY):
            seen = pipeline.model_input(scan.images, scan.brain_mask)
            found = predictor.in_native_space(predictor(seen.image, scan.images[0]), seen.geometry)
            return write_findings(
                scan.case, seen, found, out, classes=classes, model=model, intensities=checkpoint.recipe.intensities
            )

    records, failures = [], []
    try:
        for scan in watched(iter(scans), total=len(scans), label="predict"):
            try:
                records.append(found_in(scan))
                _log.info("%s", _sentence(records[-1]))
            except InputError as error:
                error.drop_frames()  # the next scan needs the memory
                failures.append(error)
    finally:  # what was written before a Ctrl-C, or before the memory was full, stands in the table
        if records:
            write_predictions(records, out)
            warnings = ((record["id"], warning) for record in records for warning in record["warnings"])
            for line in counted_warnings(warnings):
                _log.warning("%s", line)
            _log.info("%d scans written to %s", len(records), out)
    if failures:
        for failure in failures[1:]:
            _log.error("%s", failure)
        raise failures[0]


def _scans(config: DictConfig, checkpoint: Checkpoint) -> list[CohortCase]:
    inputs = list(config.input) if isinstance(config.input, ListConfig) else [config.input]
    modalities = checkpoint.recipe.modalities
    if len(modalities) > 1 and len(inputs) == len(modalities) and not any(_is_many(item) for item in inputs):
        inputs = [inputs]  # one scan, a file a modality
    scans = [scan for item in inputs for scan in _scans_of(item, checkpoint)]
    if not scans:
        raise ScanError("input", expected="at least one scan", found="an empty list", remedy="name a file or a folder")
    repeated = [name for name, count in Counter(scan.case for scan in scans).items() if count > 1]
    if repeated:
        raise CohortError(
            "input",
            expected="scans whose outputs have different names",
            found=f"{', '.join(repeated[:5])} more than once",
            remedy="predict them into different folders, or name them in a cohort table",
        )
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


def _is_many(item: object) -> bool:
    """Whether an input names more than one file: several modalities, a table or a folder."""
    return isinstance(item, ListConfig) or _is_table(item) or keys.path_of(item, "input").is_dir()


def _is_table(item: object) -> bool:
    return Path(str(item)).suffix.lower() in SEPARATORS


def _scans_of(item: object, checkpoint: Checkpoint) -> Sequence[CohortCase]:
    """Return the scans that one input names: a file, one scan's files, a folder of files, or a table."""
    recipe = checkpoint.recipe
    if isinstance(item, list | ListConfig):
        return [_scan([keys.path_of(file, "input") for file in item], recipe.modalities)]
    path = keys.path_of(item, "input")
    if _is_table(item):
        return read_cohort(path, modalities=recipe.modalities, classes=recipe.classes)
    files = _files_in(path) if path.is_dir() else [path]
    return [_scan([file], recipe.modalities) for file in files]


def _files_in(folder: Path) -> list[Path]:
    """Return the scans that lie in a folder, not below it, and say what was left out."""
    here = scan_files(folder, below=False, remedy="correct input=")
    again = stored_twice(folder, here.names)
    masks = [name for name in here.names if _is_mask_beside_its_scan(name, here.names)]
    left = [remark for remark in here.remarks if remark.about not in here.missing]  # those fail one by one
    left += [Remark("files stored twice, as .nii and .nii.gz, left out", name) for name in again]
    left += [Remark("masks beside their scans, left out", name) for name in masks]
    names = [name for name in here.names if name not in again and name not in masks]
    left += [Remark("files named as jsc predict names its own, without its record: taken for scans", name)
             for name in names if stem(name).endswith(OUTPUTS)]  # fmt: skip
    for line in lines(left):
        _log.warning("%s: %s", folder, line)
    files = [folder / name for name in sorted((*names, *here.missing), key=natural)]
    if not files:
        found = f"none but {len(left)} that were left out" if left else "none"
        raise ScanError(folder, expected="NIfTI files in the folder", found=found, remedy="correct input=")
    return files


def _is_mask_beside_its_scan(name: str, names: Sequence[str]) -> bool:
    """Whether a file is named as the mask of another one: ``p1_lesion_mask`` beside ``p1`` or ``p1_flair``."""
    found = _MASK.fullmatch(stem(name))
    return found is not None and any(
        stem(other) in (found[1], f"{found[1]}_flair", f"{found[1]}_FLAIR") for other in names if other != name
    )


def _refuse_foreign_files(scans: Sequence[CohortCase], out: Path) -> None:
    """Refuse to write over files of these names that the program did not write: a scan's side-car, a manual mask.

    Raises:
        CohortError: there is one.
    """
    if not out.is_dir():
        return
    ours = {remark.about for remark in scan_files(out, below=False).remarks}
    for scan in scans:
        record = out / f"{scan.case}.json"
        foreign = [record] if record.exists() and prediction_record(record) is None else []
        foreign += [
            file for end in OUTPUTS if (file := out / f"{scan.case}{end}.nii.gz").exists() and file.name not in ours
        ]
        if foreign:
            raise CohortError(
                foreign[0],
                expected="no file, or what an earlier prediction wrote",
                found="a file of other origin that the prediction would replace",
                remedy="name another folder with out=",
            )


def _scan(files: Sequence[Path], modalities: Sequence[str]) -> CohortCase:
    """Return the scan that is made of ``files``, a file a modality, named after the first."""
    if len(files) != len(modalities):
        raise ScanError(
            files[0] if files else "input",
            expected=f"{len(modalities)} files a scan: {', '.join(modalities)}",
            found=f"{len(files)}",
            remedy=f"use input=[{','.join(f'{name}.nii.gz' for name in modalities)}], a list of such lists, "
            "or a cohort table with these columns",
        )
    name = stem(files[0].name)
    return CohortCase(
        case=name, subject=name, session=None, images=tuple(files), brain_mask=None, lesion_masks=(), disease=None,
        columns={},
    )  # fmt: skip


def _model_card(checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "variant": checkpoint.recipe.variant,
        "trained_on": checkpoint.recipe.trained_on,
        "epoch": checkpoint.epoch,
        "lesion_threshold": checkpoint.recipe.lesion_threshold,
        "least_lesion_mm3": checkpoint.recipe.least_lesion_mm3,
        "sha256": hashlib.sha256(checkpoint.path.read_bytes()).hexdigest(),
    }


def _sentence(record: dict[str, object]) -> str:
    parts = [str(record["id"])]
    probability = record.get("disease_probability")
    if isinstance(probability, dict):
        parts.append(", ".join(f"{name} {value:.2f}" for name, value in probability.items()))
    if "lesion_count" in record:
        parts.append(f"{record['lesion_count']} lesions, {record['lesion_volume_ml']:.1f} mL")
    return ": ".join([parts[0], "; ".join(parts[1:])])
