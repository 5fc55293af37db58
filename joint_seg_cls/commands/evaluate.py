"""``jsc evaluate``: test a trained run on its own fold, another fold, or another cohort."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from omegaconf import DictConfig

from joint_seg_cls.atomic_write import read_json, write_json
from joint_seg_cls.config.build import plain, require
from joint_seg_cls.config.from_file import build_trusted
from joint_seg_cls.config.keys import make_folder, writable
from joint_seg_cls.data import JointDataModule
from joint_seg_cls.errors import ConfigError, InputError
from joint_seg_cls.evaluation import (
    EVALUATION_FILES,
    TestCase,
    evaluate_cases,
    from_cohort,
    from_store,
    print_summary,
    summarise,
    write_evaluation,
)
from joint_seg_cls.preprocess import case_key, image_hash, voxel_hash
from joint_seg_cls.runs.data_checks import repeat_warnings
from joint_seg_cls.runs.load import load_pipeline, load_predictor, read_run_config
from joint_seg_cls.runs.testing import raise_first, split_of
from joint_seg_cls.runs.track import track_evaluation
from joint_seg_cls.scan import CohortCase, read_cohort, read_scan, require_lesion_value, require_mask_geometry
from joint_seg_cls.scan.origin import FILES, checksums_of, require_listed_files
from joint_seg_cls.training import (
    Checkpoint,
    Overlap,
    RunFolder,
    known_marks,
    marks,
    marks_of,
    overlap,
    trained_marks,
)

_log = logging.getLogger(__name__)
#: Record of the data and weights of a test in ``evaluations/``.
_TESTED = "tested.json"


@final
@dataclass(frozen=True)
class _Scans:
    """The test data: name, fingerprint, an iterator over the scans, and how many were trained on (None: unknown)."""

    name: str
    where: str
    total: int
    fold: int | str | None
    cases: Iterator[TestCase]
    trained: dict[str, int] | None


def evaluate(config: DictConfig) -> None:
    """Test a run and write ``evaluations/<name>/`` in its folder."""
    require(config, "evaluate", "run")
    run = RunFolder(Path(config.run).expanduser())
    name = None if config.name is None else str(config.name)
    if name is not None and (Path(name).name != name or name in (".", "..")):
        raise ConfigError("name", expected="the name of a folder in evaluations/", found=name, remedy="omit slashes")
    if not run.path.is_dir():
        raise ConfigError(
            "run",
            expected="a run folder",
            found=str(run.path),
            remedy="name one such as runs/store/joint/fold-0_seed-0",
        )
    if config.cohort is not None and config.fold is not None:
        raise ConfigError("fold", expected="none with cohort=", found=str(config.fold), remedy="drop one of the two")
    predictor, checkpoint = load_predictor(config.checkpoint or run.path, device=config.device, trust=config.trust)
    scans = _of_cohort(config, run, checkpoint) if config.cohort else _of_fold(config, run, checkpoint)
    classes = checkpoint.recipe.classes
    folder = writable(run.path / "evaluations" / (name or _free_name(run, scans)), "run")
    tested = {"on": scans.where, "weights": checkpoint.path.name, "sha256": checkpoint.sha256}
    _refuse_other(folder, tested)
    files = [folder / file for file in EVALUATION_FILES]
    require_listed_files(folder / _TESTED, ("on", "weights"), files, "move it elsewhere to keep it, or add name=...")
    make_folder(folder, "run")
    failures: list[InputError] = []
    rows = evaluate_cases(
        scans.cases, predictor, total=scans.total, classes=classes, fold=scans.fold, failures=failures
    )
    if rows.empty and failures:
        raise failures[0]
    summary = summarise(rows, classes)
    write_json(folder / _TESTED, tested)  # the test is unfinished
    write_evaluation(rows, summary, folder)
    more = {"trained_on": scans.trained} | ({"left_out": [fault.where for fault in failures]} if failures else {})
    written = checksums_of(folder, [file for file in files if file.exists()])
    write_json(folder / _TESTED, tested | more | {FILES: written})
    track_evaluation(config, run, folder, checkpoint, tested_on=folder.name)
    print_summary(rows, summary, f"{run.path} on {folder.name}{split_of(checkpoint)}")
    repeat_warnings(run.path)
    _log.info("written to %s", folder)
    raise_first(failures, scans.total)


def _free_name(run: RunFolder, scans: _Scans) -> str:
    """Return the name of the test data, with a digest if the folder has a test of other data."""
    known = read_json(run.path / "evaluations" / scans.name / _TESTED)
    digest = hashlib.sha256(scans.where.encode()).hexdigest()[:6]
    return scans.name if not known or known.get("on") == scans.where else f"{scans.name}-{digest}"


def _refuse_other(folder: Path, tested: dict[str, str]) -> None:
    """Refuse a folder with a test of other scans or weights."""
    known = read_json(folder / _TESTED)
    if any(known.get(key, value) != value for key, value in tested.items()):
        raise ConfigError(
            folder,
            expected=f"no test, or a test of {tested['weights']} on {tested['on']}",
            found=f"a test of {known.get('weights')} on {known.get('on')}",
            remedy="add name=... for another folder",
        )


def _of_cohort(config: DictConfig, run: RunFolder, checkpoint: Checkpoint) -> _Scans:
    recipe = checkpoint.recipe
    rows = read_cohort(config.cohort, modalities=recipe.modalities, classes=recipe.classes)
    pipeline = load_pipeline(checkpoint, config.trust)
    pipeline.mask_geometry = require_mask_geometry(config.mask_geometry)
    if (lesion_value := plain(config.lesion_value)) is not None:
        require_lesion_value(lesion_value)
        pipeline.lesion_value = lesion_value
    trained = _warn_of_trained(config, run, rows, checkpoint)
    path = Path(config.cohort).expanduser()
    cases = map(partial(from_cohort, pipeline=pipeline), rows)
    return _Scans(path.stem, f"{path.name}, content {_content_of(path, rows)}", len(rows), None, cases, trained)


def _content_of(table: Path, rows: Sequence[CohortCase]) -> str:
    """Return a hash of a cohort's table and of the sizes of its files, independent of its location."""
    content = hashlib.sha256(table.read_bytes())
    for row in rows:
        files = [*row.images, row.brain_mask, *row.lesion_masks]
        content.update(repr([file and file.stat().st_size for file in files]).encode())
    return content.hexdigest()[:12]


def _warn_of_trained(
    config: DictConfig, run: RunFolder, rows: Sequence[CohortCase], checkpoint: Checkpoint
) -> dict[str, int] | None:
    """Warn if the network was trained on scans of the cohort, or on other scans of its subjects; count them."""
    trained = checkpoint.recipe.trained_scans
    if trained is None:
        _log.warning(
            "%s: the training scans of this network are unknown; they may include some of these", config.cohort
        )
        return None
    known, settings = set(trained), checkpoint.recipe.preprocess
    marked = {row.case: _marks_of_row(row, settings) for row in rows}
    people = {row.subject for row in rows if marked[row.case] & known} | _trained_subjects(run, known)
    trained_cases = sorted(row.case for row in rows if marked[row.case] & known)
    others = sorted(row.case for row in rows if row.subject in people and not marked[row.case] & known)
    found = Overlap(tuple(trained_cases), tuple(others))
    if found:
        _log.warning(
            "%s: this network was trained on %s: the test is biased upwards", config.cohort, found.of(len(rows))
        )
    return found.counts()


def _marks_of_row(row: CohortCase, settings: dict[str, Any]) -> set[str]:
    try:
        of_voxels = voxel_hash(read_scan(row.images[0]).data)
    except InputError:  # reported when it is tested
        of_voxels = None
    return marks(case_key(row, settings), image_hash(row.images[0]), of_voxels)


def _trained_subjects(run: RunFolder, trained: set[str]) -> set[str]:
    """Return the training subjects, if the run's store is available and unchanged."""
    from joint_seg_cls.report import ReportRun

    try:
        cases = ReportRun(run.path, "", "", 0, 0).cases().values()
    except InputError:
        return set()
    return {case.subject for case in cases if marks_of(case) & trained}


def _of_fold(config: DictConfig, run: RunFolder, checkpoint: Checkpoint) -> _Scans:
    configured = read_run_config(run, "data")
    if isinstance(configured, dict):  # a test augments nothing, so the augmentation is not built and needs no trust
        configured = {name: value for name, value in configured.items() if name != "augmentation"}
    own: JointDataModule = build_trusted(configured, run.config, "data", config.trust)
    fold = own.fold if config.fold is None else config.fold
    data: JointDataModule = build_trusted(configured | {"fold": fold}, run.config, "data", config.trust)
    data.setup()
    if data.store.content_hash != checkpoint.recipe.trained_on["data_hash"]:
        _log.warning("%s has changed since this run was trained on it", data.store.path)
    names = set(data.split.test)
    facts = {"data_hash": data.store.content_hash, "folds_hash": data.folds_hash}
    trained = known_marks(checkpoint.recipe, data.store.cases, data.frozen.splits, facts)
    if trained is None:
        trained = trained_marks(data.store.cases, own.split)
        _log.warning("fold %s: the training scans of this run's initial weights are unknown", fold)
    is_own = str(fold) == str(own.fold)
    both = (*own.split.train, *own.split.validation) if is_own else ()  # overlap within the split itself
    overlapping = overlap(trained or (), data.store.cases, names, both)
    if overlapping:
        _log.warning(
            "fold %s: this run was trained on %s: the test is biased upwards", fold, overlapping.of(len(names))
        )
    cases = map(from_store, [case for case in data.store.cases if case.case in names])
    return _Scans(f"fold-{fold}", f"fold {fold}", len(names), fold, cases, overlapping.counts())
