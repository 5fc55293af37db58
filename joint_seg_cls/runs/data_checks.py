"""Checks of a training's data: the audit, and whether the network can learn from them and select its weights."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from joint_seg_cls.audit import AUDIT_FILE, Audit, Finding, audit_folds, audit_store, read_audit, require_checks
from joint_seg_cls.config.build import Config, get
from joint_seg_cls.data import Folds, JointDataModule
from joint_seg_cls.errors import CohortError, ConfigError
from joint_seg_cls.networks import tasks_of
from joint_seg_cls.runs.provenance import ACCEPT_TRAINED_ON_TEST
from joint_seg_cls.scan import PreparedCase
from joint_seg_cls.training import ACCEPT_CODE

_log = logging.getLogger(__name__)
#: Warnings per check that are printed in full.
_MOST_REPEATED = 3


def refuse_unlearnable(config: Config, data: JointDataModule, network: Any) -> None:
    """Refuse a network, loss or weight selection that the data cannot support.

    Args:
        network: on the meta device.

    Raises:
        ConfigError: or another input error raised by a part.
    """
    _refuse_lone_scan(config, data, network)
    weights = get(config, "loss.classification.class_weights")
    if weights is not None and len(weights) != len(data.classes):
        raise ConfigError(
            "loss.classification.class_weights",
            expected=f"{len(data.classes)} weights, for {', '.join(data.classes)}",
            found=str(len(weights)),
            remedy="give one weight per class",
        )
    learned = tasks_of(network, len(data.store.modalities), data.image_size)
    if "disease" in learned and isinstance(data.folds, Folds):
        data.folds.refuse_small_classes(data.store.cases)
    cases = {case.case: case for case in data.store.cases}
    if not _labels(learned, (cases[name] for name in data.split.train)):
        raise ConfigError(
            f"fold {data.fold} of {data.path}",
            expected=f"training scans with a label for {' or '.join(sorted(learned))}",
            found="none",
            remedy="choose another variant, or label scans",
        )
    if config.protocol.weights == "best":
        _refuse_no_score(config, data, learned, [cases[name] for name in data.split.validation])
    _refuse_unwatched(config, data)


def _refuse_no_score(
    config: Config, data: JointDataModule, learned: Iterable[str], validated: list[PreparedCase]
) -> None:
    """Refuse weight selection by a score that is never computed."""
    never = _never_validates(config.trainer)
    found = _labels(learned, validated)
    if found and not never:
        return
    raise ConfigError(
        "protocol.weights=best",
        expected="an inner validation split that gives val/score: lesion masks, or patients of two diseases",
        found="no validation (trainer.limit_val_batches or check_val_every_n_epoch)"
        if never
        else f"{len(validated)} unlabelled scans in fold {data.fold}",
        remedy="use protocol=paper, a larger data.validation_fraction, or a split file with a validation part",
    )


def _refuse_unwatched(config: Config, data: JointDataModule) -> None:
    """Refuse a plateau schedule whose monitored value is never computed."""
    monitor = str(config.protocol.monitor)
    is_plateau = str(get(config, "scheduler._target_")).endswith("ReduceLROnPlateau")
    if is_plateau and monitor.startswith("val/") and (_never_validates(config.trainer) or not data.split.validation):
        raise ConfigError(
            f"protocol.monitor={monitor}",
            expected="an inner validation split that is evaluated",
            found="none (trainer.limit_val_batches, check_val_every_n_epoch or data.validation_fraction)",
            remedy="monitor train/loss/total, or choose another scheduler=",
        )


def _never_validates(trainer: Any) -> bool:
    return trainer.get("limit_val_batches") == 0 or _exceeds(trainer, "check_val_every_n_epoch", "max_epochs")


def _refuse_lone_scan(config: Config, data: JointDataModule, network: Any) -> None:
    """Refuse a batch of one scan if batch normalisation would have one value per channel."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    if not any(isinstance(part, _BatchNorm) for part in network.modules()):
        return
    size, scans = data.batch_size, len(data.split.train)
    if size != 1 and not (scans % size == 1 and _reaches_last_batch(config.trainer, math.ceil(scans / size))):
        return
    image = torch.zeros(1, len(data.store.modalities), *data.image_size, device="meta")
    try:
        network.train()(image)
    except ValueError as error:
        raise ConfigError(
            "data.batch_size",
            expected="batches of two scans or more for this network at this image size",
            found=f"a batch of one scan ({scans} training scans, batches of {size})",
            remedy="choose another data.batch_size, or prepare the scans at a larger image_size",
        ) from error


def _reaches_last_batch(trainer: Any, batches: int) -> bool:
    """Return whether an epoch includes its last batch; the limit is a number or a share of batches."""
    limit = trainer.get("overfit_batches") or trainer.get("limit_train_batches")
    if limit is None:
        return True
    return (int(batches * limit) if isinstance(limit, float) else int(limit)) >= batches


def _labels(learned: Iterable[str], cases: Iterable[PreparedCase]) -> bool:
    """Return whether the cases have labels to evaluate one of the tasks."""
    cases = list(cases)
    has = {
        "lesions": any(case.has_lesion_mask for case in cases),
        "disease": len({case.disease for case in cases} - {None}) > 1,
    }
    return any(has[task] for task in learned)


def _exceeds(trainer: Any, key: str, other: str) -> bool:
    values = trainer.get(key), trainer.get(other)
    return all(isinstance(value, int) and value > 0 for value in values) and values[0] > values[1]


def refuse_errors(audit: Audit, remedy: str) -> None:
    """Refuse data with audit errors.

    Raises:
        CohortError: the audit has an error.
    """
    errors = audit.of("error")
    if errors:
        first, more = errors[0], f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        before = [finding for finding in audit.findings if finding.is_accepted]
        accepted = ",".join(dict.fromkeys(finding.check for finding in (*before, *errors)))
        raise CohortError(
            audit.source,
            expected="a cohort without errors",
            found=f"{first.check} of {first.where}: {first.found}{more}",
            remedy=f"{first.remedy} ({remedy}); or accept these checks with accept=[{accepted}]",
        )


def audit_data(data: JointDataModule, *, accept: Sequence[str]) -> Audit:
    """Audit a prepared store and its folds before training, and log the warnings.

    Raises:
        CohortError: the audit has an error.
    """
    require_checks(accept, besides=(ACCEPT_CODE, ACCEPT_TRAINED_ON_TEST))
    audit = audit_store(data.store, workers=data.workers)
    name = data.folds.name(data.validation_fraction)
    audit = audit_folds(audit, data.store, data.frozen.splits, data.folds, name=name, accept=accept)
    for line in warning_lines(audit):
        _log.warning("%s", line)
    refuse_errors(audit, f"run jsc check store={data.store.path} for pictures of them")
    return audit


def repeat_warnings(run: Path) -> None:
    """Print the audit warnings of a run's data again, below its results."""
    audit = read_audit(run / AUDIT_FILE)
    for line in warning_lines(audit) if audit is not None else []:
        print(line)


def warning_lines(audit: Audit) -> list[str]:
    """Return the warnings as lines; beyond a few per check, only their number."""
    of_check: dict[str, list[Finding]] = {}
    for finding in audit.of("warning"):
        of_check.setdefault(finding.check, []).append(finding)
    lines = []
    for check, findings in of_check.items():
        lines += [f"warning: {finding.sentence}" for finding in findings[:_MOST_REPEATED]]
        if len(findings) > _MOST_REPEATED:
            lines.append(f"warning: {check}: {len(findings) - _MOST_REPEATED} more; see {AUDIT_FILE}")
    return lines


def refuse_missing_validation(config: Config, choices: Mapping[str, str | None]) -> None:
    """Refuse options that need an inner validation split if the protocol has none."""
    fraction = get(config, "data.validation_fraction")
    if fraction is None or fraction > 0 or choices.get("data/folds") == "file":
        return
    readers = {
        "the search's objective, val/score": choices.get("hydra/sweeper") == "optuna",
        "protocol.weights=best": get(config, "protocol.weights") == "best",
        f"protocol.monitor={config.protocol.monitor}": str(config.protocol.monitor).startswith("val/"),
    }
    for reader, is_asked in readers.items():
        if is_asked:
            raise ConfigError(
                f"protocol={choices.get('protocol')}",
                expected=f"an inner validation split for {reader}",
                found="none (data.validation_fraction=0)",
                remedy="use protocol=strict, or a larger data.validation_fraction",
            )
