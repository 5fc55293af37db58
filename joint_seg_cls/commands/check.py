"""``jsc check``: errors and suspicious findings in a cohort, its prepared store and its folds."""

import logging
from collections.abc import Sequence

from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table as Grid

from joint_seg_cls.audit import (
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
    require_checks,
    write_audit_page,
    write_audits,
)
from joint_seg_cls.config import keys
from joint_seg_cls.config.build import build, plain
from joint_seg_cls.data import Folds, folds_hash
from joint_seg_cls.errors import ConfigError, SplitError
from joint_seg_cls.pictures import Picture
from joint_seg_cls.runs.data_checks import refuse_errors
from joint_seg_cls.scan import PreparedStore, require_lesion_value, require_mask_geometry
from joint_seg_cls.scan.origin import require_own_files

_log = logging.getLogger(__name__)
_PAGE, _RECORD = "audit.html", "audit.json"
_STYLE = {"error": "bold red", "warning": "yellow", "note": "cyan"}
#: Maximum number of findings per severity on the terminal; the page has all.
_MOST_SHOWN = 25
_FEWEST_FOLDS = 2
#: Minimum width of tables in characters.
_NARROWEST = 120

_Part = tuple[Audit, list[Table], list[Picture]]


def check(config: DictConfig) -> None:
    """Audit a cohort or a store, print a summary, and write page and record.

    Raises:
        InputError: the audit has an error, or there is neither cohort nor store.
    """
    if config.cohort is None and config.store is None:
        raise ConfigError(
            "jsc check", expected="a value for cohort or store", found="none", remedy="add cohort=... or store=..."
        )
    out = keys.folder_to_write(config, "out")
    require_own_files((out / _PAGE, out / _RECORD), "name another folder with out=")
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


def print_audit(audit: Audit, tables: Sequence[Table]) -> None:
    """Print tables and findings of an audit."""
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
        console.print(f"... and {len(findings) - _MOST_SHOWN} more (see the page)")


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
        "workers": keys.whole_number(config, "workers"),
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
    """Return the planned number of folds; 2, the minimum, if a file or a column defines the folds."""
    folds = build(config.data.folds)
    return folds.count if isinstance(folds, Folds) else _FEWEST_FOLDS


def _of_store(config: DictConfig) -> _Part:
    workers, most = keys.whole_number(config, "workers"), keys.whole_number(config, "pictures")
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
