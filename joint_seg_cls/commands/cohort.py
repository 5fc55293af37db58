"""``jsc cohort``: any hospital's folder made a cohort table, and what of it was not used."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from joint_seg_cls.commands import keys
from joint_seg_cls.commands.build import build, require
from joint_seg_cls.commands.main import config_folder
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.scan import CohortCase
from joint_seg_cls.scan.readers import Found, FoundScan, Reader, Remark, require_out, write_cohort_table

_MOST_NAMED = 10
#: Keys of sources whose values are mappings.
_MAPPINGS = ("labels", "names", "columns", "modalities", "others")


def cohort(config: DictConfig) -> None:
    """Find the scans, write their table, say what there is and what was left."""
    if "source" not in config:
        kinds = ", ".join(sorted(file.stem for file in (config_folder() / "source").glob("*.yaml")))
        raise ConfigError(
            "jsc cohort", expected=f"source= one of {kinds}", found="none", remedy="add it to the command"
        )
    require(config, "cohort", "path", "out")
    out = Path(str(config.out)).expanduser()
    require_out(out)
    for key in _MAPPINGS:
        if not (key == "labels" and "names" in config.source):  # there labels= may be a file
            keys.require_mapping(config, f"source.{key}")
    reader: Reader = build(config.source)
    there = out.exists()
    found = reader.read(Path(str(config.path)).expanduser(), out)
    cases = write_cohort_table(found, out, classes=keys.names(config, "classes", least=2))
    print("\n".join([*_summary(out, cases, found, there=there), *_left(found)]))


def _summary(out: Path, cases: Sequence[CohortCase], found: Found, *, there: bool) -> Iterable[str]:
    people = {case.subject for case in cases}
    state = " (as it was)" if there else ""
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


def _left(found: Found) -> Iterable[str]:
    remarks = [*_gaps(found.scans), *found.remarks]
    if remarks:
        yield "to look at:"
    for what in dict.fromkeys(remark.what for remark in remarks):
        about = [remark.about for remark in remarks if remark.what == what]
        more = f" and {len(about) - _MOST_NAMED} more" if len(about) > _MOST_NAMED else ""
        named = "all" if about == [scan.name for scan in found.scans] else ", ".join(about[:_MOST_NAMED]) + more
        yield f"  {what} ({len(about)}): {named}"


def _gaps(scans: Sequence[FoundScan]) -> Iterable[Remark]:
    for what, lacking in (
        ("FLAIRs without a lesion mask", [scan for scan in scans if "lesion_mask" not in scan.files]),
        ("scans without a disease", [scan for scan in scans if scan.disease is None]),
    ):
        yield from (Remark(what, scan.name) for scan in lacking)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
