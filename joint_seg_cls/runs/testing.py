"""Testing a finished training on its test fold."""

import logging
from collections.abc import Sequence

from torch import nn

from joint_seg_cls.data import JointDataModule
from joint_seg_cls.errors import InputError
from joint_seg_cls.evaluation import evaluate_cases, from_store, print_summary, summarise, write_evaluation
from joint_seg_cls.runs.audited import repeat_warnings
from joint_seg_cls.runs.load import load_predictor
from joint_seg_cls.training import Checkpoint, RunFolder

_log = logging.getLogger(__name__)


def test_fold(run: RunFolder, data: JointDataModule, *, device: str, network: nn.Module | None) -> None:
    """Test a finished training once on its test fold, with the weights that its protocol selected.

    Args:
        run: the run folder.
        data: the data module, set up.
        device: torch device.
        network: receives the tested weights; None rebuilds it from the checkpoint.
    """
    predictor, checkpoint = load_predictor(run.path, device=device, network=network)
    classes = checkpoint.recipe.classes
    names = set(data.split.test)
    cases = map(from_store, [case for case in data.store.cases if case.case in names])
    failures: list[InputError] = []
    rows = evaluate_cases(cases, predictor, total=len(names), classes=classes, fold=data.fold, failures=failures)
    if rows.empty and failures:
        raise failures[0]
    summary = summarise(rows, classes)
    write_evaluation(rows, summary, run.path)
    title = f"{run.path}, {checkpoint.path.name}, epoch {checkpoint.epoch + 1}{split_of(checkpoint)}"
    print_summary(rows, summary, title)
    repeat_warnings(run.path)
    raise_first(failures, len(names))


def raise_first(failures: Sequence[InputError], total: int) -> None:
    """Raise the first error of single scans and log the others."""
    if failures:
        _log.error("%d of %d scans could not be tested and are not in these tables", len(failures), total)
    for failure in failures[1:]:
        _log.error("%s", failure)
    if failures:
        raise failures[0]


def split_of(checkpoint: Checkpoint) -> str:
    """Return the hash of the checkpoint's folds as a suffix for a title."""
    quoted = checkpoint.recipe.trained_on.get("folds_hash")
    return f", folds {quoted}" if quoted else ""
