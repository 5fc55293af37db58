"""The audit of the data that a run trains on: errors stop it, warnings stand in its log and under its numbers."""

import logging
from collections.abc import Sequence
from pathlib import Path

from joint_seg_cls.audit import AUDIT_FILE, Audit, Finding, audit_folds, audit_store, read_audit, require_checks
from joint_seg_cls.data import JointDataModule
from joint_seg_cls.errors import CohortError
from joint_seg_cls.runs.start import ACCEPT_TRAINED_ON_TEST
from joint_seg_cls.training import ACCEPT_CODE

_log = logging.getLogger(__name__)
#: Warnings of one check that are repeated in full.
_MOST_REPEATED = 3


def refuse_errors(audit: Audit, remedy: str) -> None:
    """Stop where an error stands.

    Raises:
        CohortError: there is one.
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
            remedy=f"{first.remedy} ({remedy}); or accept the errors of these checks with accept=[{accepted}]",
        )


def audit_data(data: JointDataModule, *, accept: Sequence[str]) -> Audit:
    """Look at a prepared store and its folds before they are trained on; say what is suspicious.

    Raises:
        CohortError: an error stands.
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
    """Print again what the audit of a run's data warned of, under the run's numbers."""
    audit = read_audit(run / AUDIT_FILE)
    for line in warning_lines(audit) if audit is not None else []:
        print(line)


def warning_lines(audit: Audit) -> list[str]:
    """Return the warnings as lines, those of one check beyond a few as a count."""
    of_check: dict[str, list[Finding]] = {}
    for finding in audit.of("warning"):
        of_check.setdefault(finding.check, []).append(finding)
    lines = []
    for check, findings in of_check.items():
        lines += [f"warning: {finding.sentence}" for finding in findings[:_MOST_REPEATED]]
        if len(findings) > _MOST_REPEATED:
            lines.append(f"warning: {check}: {len(findings) - _MOST_REPEATED} more; see {AUDIT_FILE}")
    return lines
