"""Writing a simulated cohort: one folder per subject, a cohort table, a README."""

import gzip
import json
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from joint_seg_cls.atomic_write import PARTIAL_FILES, atomic_folder, clear_partial, read_json, write_text
from joint_seg_cls.errors import CohortError, examples, is_whole, require_valid
from joint_seg_cls.parallel import mapped
from joint_seg_cls.phantom.labelled_skull import LabelledSkull
from joint_seg_cls.phantom.randomised import RandomisedCohort
from joint_seg_cls.phantom.skull import NoSkull, Skull
from joint_seg_cls.phantom.subject import Cohort
from joint_seg_cls.scan import Grid
from joint_seg_cls.scan.cells import write_table
from joint_seg_cls.scan.cohort import rater_column

MOST_RATERS = 4
_RECORD, _TABLE, _PAGE = "simulation.json", "cohort.tsv", "README.txt"
_UNIT_MM = 2
_SCANNER_ANATOMICAL = 1


def write_cohort(
    cohort: Cohort | RandomisedCohort,
    out: str | Path,
    *,
    spacing_mm: int,
    raters: int,
    workers: int,
    command: str,
    skull: Skull | LabelledSkull | None = None,
    brain_masks: bool | None = None,
) -> Path:
    """Write all scans of a cohort and its table below ``out``; return the path of the table.

    Existing subjects with the same settings are kept. The files of a subject are bit-identical
    for any number of subjects and workers.

    Args:
        out: the folder; it may contain an earlier, smaller or interrupted cohort with the same settings, but nothing
            else.
        spacing_mm: 1, or 2 for coarser voxels and a faster simulation.
        workers: processes; 0 uses the main process only.
        skull: surroundings of the brain; None for none.
        brain_masks: whether the table lists brain masks; None lists them for skull-stripped scans only.

    Raises:
        ConfigError: a spacing other than 1 or 2, raters or workers out of range.
        CohortError: ``out`` contains something else.
        OSError: the disk is full or read-only.
    """
    spacing = _checked(spacing_mm, raters, workers)
    out, skull = Path(out), skull or NoSkull()
    settings = cohort.settings() | {"spacing_mm": spacing, "readers": raters}  # the key of existing cohorts
    settings |= {} if skull.stripped else {"skull": skull.name}
    _refuse_others(out, settings)
    cohort.prepare(spacing, skull)
    _claim(out, settings)
    subjects = range(1, cohort.recruitment.subjects() + 1)
    missing = [number for number in subjects if not (out / subject_name(number)).is_dir()]
    make = partial(write_subject, cohort, out=out, spacing_mm=spacing, raters=raters, skull=skull)
    mapped(make, missing, workers=workers, label="subjects", share=True)
    write_text(out / _PAGE, _page(cohort, command, settings, skull))
    hidden = {"brain_mask"} if not (skull.stripped if brain_masks is None else brain_masks) else set()
    rows = [
        {name: cell for name, cell in row.items() if name not in hidden}
        | {"skull_stripped": str(skull.stripped).lower()}
        for number in subjects
        for row in _rows(cohort, number, raters, out)
    ]
    write_table(pd.DataFrame(rows), out / _TABLE)
    return out / _TABLE


def subject_name(subject: int) -> str:
    """Return the folder name of a subject, independent of the number of subjects."""
    return f"sub-{subject:03d}"


def _checked(spacing_mm: int, raters: int, workers: int) -> Literal[1, 2]:
    for key, value, low, high in (
        ("spacing_mm", spacing_mm, 1, 2),
        ("raters", raters, 1, MOST_RATERS),
        ("workers", workers, 0, 1024),
    ):
        require_valid(key, is_whole(value, low, high), f"an integer from {low} to {high}", value)
    return 1 if spacing_mm == 1 else 2


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Take an empty folder for this cohort, or one with the same settings."""
    _refuse_others(out, settings)
    clear_partial(out)
    if not (out / _RECORD).exists():
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / _RECORD, json.dumps(settings, indent=1) + "\n", keep=True)
    _refuse_others(out, settings)  # another process may have been first


def _refuse_others(out: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder with something else than a cohort with the same settings."""
    if out.exists() and not out.is_dir():
        raise CohortError(out, expected="a folder", found="a file", remedy="choose another folder with out=")
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    content = [name for name in names if not fnmatch(name, PARTIAL_FILES)]  # from another process
    if not content:
        return
    if _RECORD not in content:
        raise CohortError(
            out,
            expected="an empty folder or a simulated cohort",
            found=examples(content),
            remedy="choose another folder with out=",
        )
    found = read_json(out / _RECORD)
    if found != settings:
        changed = sorted(key for key in settings if found.get(key) != settings[key])
        raise CohortError(
            out,
            expected="an empty folder or a cohort with the same settings",
            found=f"a cohort that differs in {', '.join(changed) or 'its record'}",
            remedy="choose another folder with out=, or delete this one",
        )


def write_subject(
    cohort: Cohort | RandomisedCohort,
    subject: int,
    out: Path,
    spacing_mm: Literal[1, 2],
    raters: int,
    skull: Skull | LabelledSkull,
) -> None:
    """Write the scans of one subject to a temporary folder and move it into place when complete."""
    name = subject_name(subject)
    scans = cohort.scans(subject, spacing_mm=spacing_mm, raters=raters, skull=skull)
    with atomic_folder(out / name, keep=True) as partial:
        for visit, scan in enumerate(scans, start=1):
            folder = partial / f"ses-{visit:02d}"
            folder.mkdir()
            stem = f"{name}_ses-{visit:02d}"
            _write_volume(folder / f"{stem}_flair.nii.gz", scan.flair, scan.grid)
            _write_volume(folder / f"{stem}_brain-mask.nii.gz", scan.brain_mask.astype(np.uint8), scan.grid)
            for rater, mask in enumerate(scan.lesion_masks, start=1):
                _write_volume(
                    folder / f"{stem}_{rater_column(rater).replace('_', '-')}.nii.gz", mask.astype(np.uint8), scan.grid
                )


def _rows(cohort: Cohort | RandomisedCohort, subject: int, raters: int, out: Path) -> Iterator[dict[str, str]]:
    enrolment, patient = cohort.patient(subject)
    name = subject_name(subject)
    for visit in range(1, enrolment.visits + 1):
        session = f"ses-{visit:02d}"
        files = f"{name}/{session}/{name}_{session}"
        row = {"subject": name, "session": session}
        row |= {"flair": f"{files}_flair.nii.gz", "brain_mask": f"{files}_brain-mask.nii.gz"}
        for rater in range(1, raters + 1):
            row[rater_column(rater)] = f"{files}_{rater_column(rater).replace('_', '-')}.nii.gz"
        row |= {"disease": patient.disease} | cohort.person(subject, visit)
        spacing = np.linalg.norm(_affine(out / row["flair"])[:3, :3], axis=0)
        row["voxel_size_mm"] = "x".join(f"{length:.2f}" for length in spacing)
        yield row


def _affine(path: Path) -> Float[np.ndarray, "4 4"]:
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image)
    return np.asarray(image.affine)


def _write_volume(path: Path, array: Shaped[np.ndarray, "x y z"], grid: Grid) -> None:
    """Write a gzipped NIfTI without time stamp and file name, for reproducible bytes."""
    image = nib.Nifti1Image(array, grid.affine)
    image.header.set_xyzt_units(_UNIT_MM)
    image.set_sform(grid.affine, _SCANNER_ANATOMICAL)
    image.set_qform(grid.affine, _SCANNER_ANATOMICAL)
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=5, mtime=0))


def _page(
    cohort: Cohort | RandomisedCohort, command: str, settings: dict[str, Any], skull: Skull | LabelledSkull
) -> str:
    return (
        "Simulated brain FLAIR scans of patients with MS and NMOSD, "
        f"{'without' if skull.stripped else 'with'} skull, on {cohort.anatomy()}.\n"
        "No real person was scanned.\n\n"
        f"Made with   {command}\n"
        f"Cohort      {cohort.population.name}, {cohort.recruitment.subjects()} subjects, seed {cohort.seed}\n"
        f"Settings    {json.dumps(settings)}\n\n"
        "cohort.tsv has one row per scan. The same seed and settings give the same files.\n"
    )
