"""Audit of a prepared store and its folds: fast, and stored with the store so that a sweep does it once."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from filelock import FileLock

from joint_seg_cls.audit.audit import Audit, audit_scans, read_audit, write_audit
from joint_seg_cls.audit.finding import Finding, from_refusal
from joint_seg_cls.audit.labels import check_sizes
from joint_seg_cls.audit.leakage import check_leakage
from joint_seg_cls.audit.prepared import measure_case
from joint_seg_cls.data import FoldMaker, FoldName, Folds, Split, SplitFile, folds_hash, frozen_files, read_frozen
from joint_seg_cls.errors import SplitError
from joint_seg_cls.parallel import mapped
from joint_seg_cls.preprocess import lost_lesions
from joint_seg_cls.scan import PreparedStore

_log = logging.getLogger(__name__)
AUDIT_FILE = "audit.json"


def audit_store(store: PreparedStore, *, workers: int = 0) -> Audit:
    """Check the prepared cases, or read the stored audit if the store has not changed since.

    Raises:
        StoreError: a case cannot be opened.
    """
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(store.path / f".{AUDIT_FILE}.lock"))  # jobs of a sweep wait for the first one
        except (OSError, NotImplementedError) as error:  # NotImplementedError: a disk without locks
            _log.info("%s cannot be locked (%s): jobs that start together audit it separately", store.path, error)
        audit = _known(store)
        if audit is None:
            audit = _audit_cases(store, workers)
            try:
                write_audit(audit, store.path / AUDIT_FILE)
            except OSError as error:
                _log.info("%s is not writable (%s): it is audited again in each run", store.path, error)
        return audit


def _known(store: PreparedStore) -> Audit | None:
    known = read_audit(store.path / AUDIT_FILE)
    if known is None or known.data_hash != store.content_hash:
        return None
    return replace(known, source=str(store.path))  # the store may have been moved


def _audit_cases(store: PreparedStore, workers: int) -> Audit:
    scans = mapped(measure_case, store.cases, workers=workers, label="check", share=True)
    lost = lost_lesions(store.cases, store.model_shape)
    remedy = "if they matter, prepare another store with a larger image_size="
    more = [Finding("note", "preparation", "all lesions kept on the network's grid", lost, remedy)] if lost else []
    return replace(audit_scans(str(store.path), scans, store.classes, more), data_hash=store.content_hash)


def audit_folds(
    audit: Audit,
    store: PreparedStore,
    splits: Mapping[FoldName, Split],
    folds: FoldMaker,
    *,
    name: str,
    accept: Sequence[str] = (),
) -> Audit:
    """Return the store's audit with findings about its folds.

    A subject on both sides is a warning if the split allows it (``protocol=paper``, or the user's own
    file with ``allow=[leakage]``), otherwise an error.
    """
    sizes = check_sizes(store.cases, store.classes, folds.count) if isinstance(folds, Folds) else []
    is_allowed = isinstance(folds, Folds) or (isinstance(folds, SplitFile) and "leakage" in folds.allow)
    findings = check_leakage(
        splits, store.cases, audit.duplicates, name=name, severity="warning" if is_allowed else "error"
    )
    return audit.with_findings([*sizes, *findings], accept=accept, folds_hash=folds_hash(splits))


def audit_frozen(store: PreparedStore, *, but: str) -> list[Finding]:
    """Check that the other frozen splits of a store still match its cases."""
    findings = []
    for path in frozen_files(store):
        if path.stem == but:
            continue
        try:
            read_frozen(path, store)
        except SplitError as error:
            findings.append(replace(from_refusal(error, "folds", ""), severity="warning"))
    return findings
