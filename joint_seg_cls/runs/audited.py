"""Audit of a run's training data: errors stop the run; warnings are logged and repeated below its results."""

import logging
from collections.abc import Sequence
from pathlib import Path

from joint_seg_cls.audit import AUDIT_FILE, Audit, Finding, audit_folds, audit_store, read_audit, require_checks
from joint_seg_cls.data import JointDataModule
from joint_seg_cls.errors import CohortError
from joint_seg_cls.runs.start import ACCEPT_TRAINED_ON_TEST
from joint_seg_cls.training import ACCEPT_CODE

_log = logging.getLogger(__name__)
#: Warnings per check that are printed in full.
_MOST_REPEATED = 3


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
