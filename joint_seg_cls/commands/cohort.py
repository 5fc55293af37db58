"""``jsc cohort``: the cohort table of a folder of scans, and a list of unused files."""

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from joint_seg_cls.config import keys
from joint_seg_cls.config.build import build, require
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.scan import CohortCase
from joint_seg_cls.scan.diseases import class_named
from joint_seg_cls.scan.finder import lines
from joint_seg_cls.scan.readers import Found, FoundScan, Reader, Remark, require_out, write_cohort_table

#: Keys of sources whose values are mappings.
_MAPPINGS = ("labels", "names", "columns", "modalities", "others")


def cohort(config: DictConfig) -> None:
    """Find the scans, write their table, and print a summary and the unused files."""
    if "source" not in config:
        kinds = ", ".join(sorted(file.stem for file in (config_folder() / "source").glob("*.yaml")))
        raise ConfigError(
            "jsc cohort", expected=f"source= one of {kinds}", found="none", remedy="add it to the command"
        )
    require(config, "cohort", "path", "out")
    out = keys.path(config, "out")
    require_out(out)
    for key in _MAPPINGS:
        _unpack(config, key)
        if not (key == "labels" and "names" in config.source):  # with names=, labels= may be a file
            keys.require_mapping(config, f"source.{key}")
    classes = keys.names(config, "classes", least=2)
    _require_class(config, classes)
    reader: Reader = build(config.source)
    exists = out.exists()
    found = reader.read(keys.path(config, "path"), out)
    cases = write_cohort_table(found, out, classes=classes)
    print("\n".join([*_summary(out, cases, found, exists=exists), *_left(found, cases)]))


def _unpack(config: DictConfig, key: str) -> None:
    """Replace a mapping in JSON text, since Hydra's grammar accepts only plain words as keys."""
    value = OmegaConf.select(config, f"source.{key}")
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            OmegaConf.update(config, f"source.{key}", json.loads(value), force_add=True)


def _require_class(config: DictConfig, classes: Sequence[str]) -> None:
    """Refuse a disease of all scans that is not a class, if there is no ``labels=`` to translate it.

    Raises:
        ConfigError: the disease is not a class.
    """
    disease = OmegaConf.select(config, "source.disease")
    if disease is not None:
        OmegaConf.update(config, "source.disease", str(disease))  # names of classes may be numbers
    if disease is not None and "labels" not in config.source and class_named(str(disease), classes) is None:
        raise ConfigError(
            "disease",
            expected=f"one of {', '.join(classes)}, or null",
            found=str(disease),
            remedy=f"write disease={classes[0]} or another of them, or name all classes with classes=[...]",
        )


def _summary(out: Path, cases: Sequence[CohortCase], found: Found, *, exists: bool) -> Iterable[str]:
    people = {case.subject for case in cases}
    state = " (unchanged)" if exists else ""
    yield f"{out}{state}: {_count(len(cases), 'scan')} of {_count(len(people), 'subject')}"
    raters = [len(case.lesion_masks) for case in cases if case.lesion_masks]
    several = f" ({sum(count > 1 for count in raters)} by several raters)" if any(n > 1 for n in raters) else ""
    yield f"  lesion mask  {len(raters)}{several}"
    columns = dict.fromkeys(name for scan in found.scans for name in scan.files)
    for name in sorted(name for name in columns if name != "flair" and not name.startswith("lesion_mask")):
        yield f"  {name.replace('_', ' '):11}  {sum(name in scan.files for scan in found.scans)}"
    classes = dict.fromkeys(case.disease for case in cases if case.disease)
    by_class = (
        f"{name} {sum(case.disease == name for case in cases)} "
        f"({_count(len({case.subject for case in cases if case.disease == name}), 'subject')})"
        for name in sorted(classes)
    )
    known = sum(case.disease is not None for case in cases)
    yield f"  disease      {known}" + (f": {', '.join(by_class)}" if known else "")


def _left(found: Found, cases: Sequence[CohortCase]) -> Iterable[str]:
    remarks = [*_gaps(found.scans, cases), *found.remarks]
    if remarks:
        yield "to check:"
    yield from (f"  {line}" for line in lines(remarks, everyone=[scan.name for scan in found.scans]))


def _gaps(scans: Sequence[FoundScan], cases: Sequence[CohortCase]) -> Iterable[Remark]:
    for what, lacking in (
        ("FLAIRs without a lesion mask", [scan for scan in scans if "lesion_mask" not in scan.files]),
        ("scans without a disease", [s for s, case in zip(scans, cases, strict=True) if case.disease is None]),
    ):
        yield from (Remark(what, scan.name) for scan in lacking)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
