"""``jsc check``: what is wrong or suspicious in a cohort, its prepared store and its folds."""

import logging
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table as Grid

from joint_seg_cls.audit import (
    AUDIT_FILE,
    Audit,
    Finding,
    Table,
    audit_cohort,
    audit_folds,
    audit_frozen,
    audit_store,
    draw_cases,
    draw_rows,
    folds_table,
    read_audit,
    require_checks,
    write_audit_page,
    write_audits,
)
from joint_seg_cls.commands import keys
from joint_seg_cls.commands.build import build, plain
from joint_seg_cls.commands.start import ACCEPT_TRAINED_ON_TEST
from joint_seg_cls.data import Folds, JointDataModule, folds_hash
from joint_seg_cls.errors import CohortError, ConfigError, SplitError
from joint_seg_cls.pictures import Picture
from joint_seg_cls.scan import PreparedStore, require_lesion_value, require_mask_geometry
from joint_seg_cls.training import ACCEPT_CODE

_log = logging.getLogger(__name__)
_PAGE, _RECORD = "audit.html", "audit.json"
_STYLE = {"error": "bold red", "warning": "yellow", "note": "cyan"}
#: Findings of one severity that the terminal shows; the page has all.
_MOST_SHOWN = 25
#: Warnings of one check that are repeated in full.
_MOST_REPEATED = 3
_FEWEST_FOLDS = 2
#: Columns of text; tables are not squeezed into less.
_NARROWEST = 120

_Part = tuple[Audit, list[Table], list[Picture]]


def check(config: DictConfig) -> None:
    """Look at everything, print a summary, write the page and the record.

    Raises:
        InputError: an error was found (exit code 2), or there is nothing to look at.
    """
    if config.cohort is None and config.store is None:
        raise ConfigError(
            "jsc check", expected="a value for cohort or store", found="none", remedy="add cohort=... or store=..."
        )
    out = keys.folder_to_write(config, "out")
    require_checks(keys.names(config, "accept", least=0))
    parts = [_of_cohort(config)] if config.cohort is not None else []
    parts += [_of_store(config)] if config.store is not None else []
    keys.make_folder(out, "out")
    write_audits([audit for audit, _, _ in parts], out / _RECORD)
    write_audit_page(parts, out / _PAGE)
    for audit, tables, _ in parts:
        print_audit(audit, tables)
    _log.info("written to %s and %s", out / _PAGE, out / _RECORD)
    for audit, _, _ in parts:
        refuse_errors(audit, f"see {out / _PAGE}")


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


def print_audit(audit: Audit, tables: Sequence[Table]) -> None:
    """Print what a person reads first."""
    console = Console(highlight=False, width=max(Console().width, _NARROWEST))
    console.print(
        f"[bold]{audit.source}[/bold]: {audit.scans} scans of {audit.subjects} subjects: {audit.counts()}",
        soft_wrap=True,
    )
    for table in (*audit.tables, *tables):
        if table.rows:
            console.print(_grid(table))
    for severity in _STYLE:
        _print_findings(console, audit.of(severity))


def _print_findings(console: Console, findings: Sequence[Finding]) -> None:
    for finding in findings[:_MOST_SHOWN]:
        style = _STYLE[finding.severity]
        console.print(f"[{style}]{finding.severity}[/{style}] ", end="")
        console.print(finding.sentence, markup=False, soft_wrap=True)
    if len(findings) > _MOST_SHOWN:
        console.print(f"... and {len(findings) - _MOST_SHOWN} more of these, on the page")


def _grid(table: Table) -> Grid:
    grid = Grid(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    grid.caption, grid.caption_justify = table.note, "left"
    for name in table.columns:
        grid.add_column(name)
    for row in table.rows:
        grid.add_row(*(cell.replace("[", "\\[") for cell in row))
    return grid


def _of_cohort(config: DictConfig) -> _Part:
    lesion_value = plain(config.lesion_value)
    require_lesion_value(lesion_value)
    shared = {
        "lesion_value": lesion_value,
        "mask_geometry": require_mask_geometry(config.mask_geometry),
        "workers": keys.workers(config),
    }
    most = keys.whole_number(config, "pictures")
    audit, rows, scans = audit_cohort(
        keys.path(config, "cohort"),
        modalities=keys.names(config, "modalities", least=1),
        classes=keys.names(config, "classes", least=2),
        folds=_fold_count(config),
        accept=list(config.accept),
        **shared,
    )
    return audit, [], draw_rows(rows, scans, audit.findings, most=most, **shared)


def _fold_count(config: DictConfig) -> int:
    """Return how many folds the cohort will be dealt into; 2, the fewest, where a file or a column decides that."""
    folds = build(config.data.folds)
    return folds.count if isinstance(folds, Folds) else _FEWEST_FOLDS


def _of_store(config: DictConfig) -> _Part:
    workers, most = keys.workers(config), keys.whole_number(config, "pictures")
    store = PreparedStore(config.store)
    audit = audit_store(store, workers=workers)
    folds, fraction = build(config.data.folds), config.data.validation_fraction
    name = folds.name(fraction)
    tables = []
    others = audit_frozen(store, but=name)
    try:
        splits = folds.splits(store.cases, fraction)
        audit = audit_folds(audit, store, splits, folds, name=name, accept=config.accept)
        tables = [folds_table(splits, store.cases, name, folds_hash(splits))]
    except SplitError as error:
        others.append(Finding("error", "folds", error.expected, error.found, error.remedy, (), error.where))
    audit = audit.with_findings(others, accept=config.accept)
    pictures = draw_cases(store.cases, audit.findings, most=most, workers=workers)
    return audit, tables, pictures
