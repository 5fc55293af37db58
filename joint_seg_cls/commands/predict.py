"""``jsc predict``: the lesions and the disease of new scans, in each scan's own grid."""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from joint_seg_cls.commands.build import require
from joint_seg_cls.commands.load import load_pipeline, load_predictor
from joint_seg_cls.errors import CohortError, InputError, ScanError
from joint_seg_cls.inference import write_findings, write_predictions
from joint_seg_cls.parallel import watched
from joint_seg_cls.scan import CohortCase, read_cohort
from joint_seg_cls.training import Checkpoint

_log = logging.getLogger(__name__)
_NIFTI = (".nii", ".nii.gz")


def predict(config: DictConfig) -> None:
    """Predict every scan; one that cannot be used does not stop the others and is named at the end."""
    require(config, "predict", "input", "checkpoint", "out")
    out = Path(config.out).expanduser()
    predictor, checkpoint = load_predictor(config.checkpoint, device=config.device, trust=config.trust)
    pipeline = load_pipeline(checkpoint, config.trust)
    scans = _scans(config, checkpoint)
    model = _model_card(checkpoint)
    records, failures = [], []
    for scan in watched(iter(scans), total=len(scans), label="predict"):
        try:
            seen = pipeline.model_input(scan.images, scan.brain_mask)
            found = predictor.in_native_space(predictor(seen.image), seen.geometry)
            classes = checkpoint.recipe["classes"]
            records.append(write_findings(scan.case, seen, found, out, classes=classes, model=model))
            _log.info("%s", _sentence(records[-1]))
        except InputError as error:
            failures.append(error)
    if records:
        write_predictions(records, out)
        _log.info("%d scans written to %s", len(records), out)
    if failures:
        for failure in failures[1:]:
            _log.error("%s", failure)
        raise failures[0]


def _scans(config: DictConfig, checkpoint: Checkpoint) -> list[CohortCase]:
    inputs = config.input if isinstance(config.input, ListConfig) else [config.input]
    mask = None if config.brain_mask is None else Path(config.brain_mask).expanduser()
    scans = [scan for path in inputs for scan in _scans_of(Path(str(path)).expanduser(), checkpoint, mask)]
    repeated = [name for name, count in Counter(scan.case for scan in scans).items() if count > 1]
    if repeated:
        raise CohortError(
            "input",
            expected="scans whose outputs have different names",
            found=f"{', '.join(repeated[:5])} more than once",
            remedy="predict them into different folders, or name them in a cohort table",
        )
    return scans


def _scans_of(path: Path, checkpoint: Checkpoint, brain_mask: Path | None) -> Sequence[CohortCase]:
    recipe = checkpoint.recipe
    if path.suffix in (".tsv", ".csv"):
        return read_cohort(path, modalities=recipe["modalities"], classes=recipe["classes"])
    files = sorted(file for file in path.iterdir() if file.name.endswith(_NIFTI)) if path.is_dir() else [path]
    if not files:
        raise ScanError(path, expected="NIfTI files in the folder", found="none", remedy="correct input=")
    if len(recipe["modalities"]) > 1:
        raise ScanError(
            path,
            expected=f"a cohort table with {', '.join(recipe['modalities'])}",
            found="single files",
            remedy="name each scan's files in a table and give it as input=",
        )
    return [
        CohortCase(
            case=_stem(file), subject=_stem(file), session=None, images=(file,), brain_mask=brain_mask,
            lesion_masks=(), disease=None, columns={},
        )
        for file in files
    ]  # fmt: skip


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".nii")


def _model_card(checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "variant": checkpoint.recipe["variant"],
        "trained_on": checkpoint.recipe["trained_on"],
        "epoch": checkpoint.epoch,
        "lesion_threshold": checkpoint.recipe["lesion_threshold"],
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
