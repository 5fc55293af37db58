"""The scans that the input of a prediction names: files, folders of scans, BIDS, DICOM, cohort tables."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from joint_seg_cls.config.build import build
from joint_seg_cls.config.keys import path_of
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.errors import CohortError, InputError, ScanError, examples
from joint_seg_cls.scan import CohortCase, read_cohort
from joint_seg_cls.scan.cohort import checked_case_name
from joint_seg_cls.scan.finder import OUTPUTS, Remark, lines, natural, scan_files, stem, stored_twice, walk
from joint_seg_cls.scan.readers import Found, Reader, is_dicom, write_cohort_table
from joint_seg_cls.scan.tables import SEPARATORS
from joint_seg_cls.training import Recipe

_log = logging.getLogger(__name__)
#: Names of masks; the first group is the scan's name.
_MASK = re.compile(r"(.+)_(?:lesion|brain)[-_]?mask(?:[-_]?[0-9]+)?", re.IGNORECASE)
#: Table of the scans that were converted from DICOM, in the same folder.
_CONVERTED = "dicom.tsv"
#: A folder is one of DICOM images if one of the first files is.
_TRIED = 50

#: A file, a folder or a table; or the files of one scan, one per modality.
Input = str | Path | list[str | Path]


def find_scans(
    inputs: Sequence[Input], recipe: Recipe, out: Path
) -> tuple[list[CohortCase], list[tuple[str, InputError]]]:
    """Return the scans that the inputs name, and the name and error of each scan that lacks a modality.

    Args:
        inputs: files, folders and tables; for several modalities also the files of one scan.
        out: folder of the findings; scans of a DICOM folder are converted into it.

    Raises:
        InputError: there is no scan, a folder or table is unusable, or two scans have one name.
    """
    names = recipe.modalities
    if len(names) > 1 and len(inputs) == len(names) and not any(_is_many(item) for item in inputs):
        inputs = [[item for item in inputs if not isinstance(item, list)]]  # one scan, one file per modality
    failures: list[tuple[str, InputError]] = []
    scans = [scan for item in inputs for scan in _scans_of(item, recipe, out, failures)]
    if not scans and failures:
        raise failures[0][1]
    if not scans:
        raise ScanError("input", expected="at least one scan", found="an empty list", remedy="name a file or a folder")
    counts = Counter(scan.case.casefold() for scan in scans)
    if repeated := [scan.case for scan in scans if counts.pop(scan.case.casefold(), 0) > 1]:
        raise CohortError(
            "input",
            expected="scans whose outputs have different names",
            found=f"{', '.join(repeated[:5])} more than once",
            remedy="predict them into different folders, or name them in a cohort table",
        )
    return scans, failures


def scan_of_files(files: Sequence[Path], modalities: Sequence[str]) -> CohortCase:
    """Return the scan with ``files``, one per modality, named after the first.

    Raises:
        ScanError: the numbers of files and modalities differ.
    """
    if len(files) != len(modalities):
        raise ScanError(
            files[0] if files else "input",
            expected=f"{len(modalities)} file{'s' * (len(modalities) > 1)} for each scan: {', '.join(modalities)}",
            found=f"{len(files)}",
            remedy=f"use input=[{','.join(f'{name}.nii.gz' for name in modalities)}], a list of such lists, "
            "or a cohort table with these columns",
        )
    name = stem(files[0].name)
    return CohortCase(
        case=name, subject=name, session=None, images=tuple(files), brain_mask=None, lesion_masks=(), disease=None,
        columns={},
    )  # fmt: skip


def _is_many(item: Input) -> bool:
    """Return whether an input names more than one file: several modalities, a table or a folder."""
    return isinstance(item, list) or _is_table(item) or path_of(item, "input").is_dir()


def _is_table(item: object) -> bool:
    return Path(str(item)).suffix.lower() in SEPARATORS


def _scans_of(item: Input, recipe: Recipe, out: Path, failures: list[tuple[str, InputError]]) -> Sequence[CohortCase]:
    """Return the scans that one input names."""
    if isinstance(item, list):
        return [scan_of_files([path_of(file, "input") for file in item], recipe.modalities)]
    path = path_of(item, "input")
    if _is_table(item):
        return read_cohort(path, modalities=recipe.modalities, classes=recipe.classes)
    if not path.is_dir():
        return [scan_of_files([path], recipe.modalities)]
    files, left = _files_in(path)
    if files:
        return [scan_of_files([file], recipe.modalities) for file in files]
    if (path / "dataset_description.json").is_file() or any(each.is_dir() for each in path.glob("sub-*")):
        return list(_complete(path, _reader("bids").read(path, out), recipe, failures))
    if _holds_dicom(path):
        return list(_complete(path, _converted(path, recipe, out), recipe, failures))
    raise _nothing(path, left)


def _files_in(folder: Path) -> tuple[list[Path], int]:
    """Return the scans in a folder, without its subfolders, and the number of ignored files, which are logged."""
    here = scan_files(folder, below=False, remedy="correct input=")
    again = stored_twice(folder, here.names)
    masks = [name for name in here.names if _is_mask_beside_its_scan(name, here.names)]
    left = [
        remark for remark in here.remarks if remark.about not in here.missing
    ]  # each of these is reported as a failure
    left += [Remark("files stored twice, as .nii and .nii.gz, ignored", name) for name in again]
    left += [Remark("masks beside their scans, ignored", name) for name in masks]
    names = [name for name in here.names if name not in again and name not in masks]
    left += [Remark("files with names of jsc predict outputs but without its record, used as scans", name)
             for name in names if stem(name).endswith(OUTPUTS)]  # fmt: skip
    _log_remarks(folder, left)
    return [folder / name for name in sorted((*names, *here.missing), key=natural)], len(left)


def _is_mask_beside_its_scan(name: str, names: Sequence[str]) -> bool:
    """Return whether a name is that of another file's mask: ``p1_lesion_mask`` beside ``p1`` or ``p1_flair``."""
    found = _MASK.fullmatch(stem(name))
    return found is not None and any(
        stem(other) in (found[1], f"{found[1]}_flair", f"{found[1]}_FLAIR") for other in names if other != name
    )


def _complete(
    folder: Path, found: Found, recipe: Recipe, failures: list[tuple[str, InputError]]
) -> Iterator[CohortCase]:
    """Yield the scans of a reader that have all modalities; the others become failures."""
    _log_remarks(folder, found.remarks)
    for scan in found.scans:
        case = checked_case_name(str(folder), scan.subject, scan.session)
        if lacking := [name for name in recipe.modalities if name not in scan.files]:
            expected = f"the modalities {', '.join(recipe.modalities)}"
            remedy = "add the missing file, or use a network with fewer modalities"
            error = CohortError(
                f"{folder}, {scan.name}", expected=expected, found=f"no {', '.join(lacking)}", remedy=remedy
            )
            failures.append((case, error))
            continue
        yield CohortCase(
            case=case,
            subject=scan.subject,
            session=scan.session,
            images=tuple(scan.files[name] for name in recipe.modalities),
            brain_mask=scan.files.get("brain_mask"),
            lesion_masks=(),
            disease=None,
            columns=dict(scan.columns),
        )


def _holds_dicom(folder: Path) -> bool:
    def is_one(name: str) -> bool:
        try:
            return is_dicom(folder / name)
        except OSError:
            return False

    return any(map(is_one, walk(folder)[:_TRIED]))


def _converted(folder: Path, recipe: Recipe, out: Path) -> Found:
    """Convert the scans of a DICOM folder into ``out``, under pseudonyms."""
    there = out.exists()
    try:
        found = _reader("dicom").read(folder, out / _CONVERTED)
        write_cohort_table(found, out / _CONVERTED, classes=recipe.classes)
    finally:
        if not there and out.is_dir() and not any(out.iterdir()):
            out.rmdir()
    _log.info("%s: %d scans converted; %s has their pseudonyms", folder, len(found.scans), out / _CONVERTED)
    return found


def _log_remarks(folder: Path, remarks: Sequence[Remark]) -> None:
    for line in lines(remarks):
        _log.warning("%s: %s", folder, line)


def _nothing(folder: Path, left: int) -> ScanError:
    below = [] if left else scan_files(folder, remedy="correct input=").names
    remedy = "write their table with `jsc cohort source=pattern`, and give it as input=" if below else "correct input="
    return ScanError(
        folder,
        expected="NIfTI files in the folder, a BIDS data set or DICOM images",
        found=f"only {left} ignored files"
        if left
        else f"NIfTI files in its subfolders ({examples(below)})"
        if below
        else "none",
        remedy=remedy,
    )


def _reader(source: str) -> Reader:
    """Return the reader of ``jsc cohort source=...`` with its shipped settings."""
    return build(yaml.safe_load((config_folder() / "source" / f"{source}.yaml").read_text(encoding="utf-8")))
