"""``jsc report``: tables, statistics, figures and HTML page of a study, from its run folders."""

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from joint_seg_cls import __version__
from joint_seg_cls.atomic_write import write_json
from joint_seg_cls.audit import AUDIT_FILE, Audit, read_audit
from joint_seg_cls.config.keys import flag, folder_to_write, make_folder, writable
from joint_seg_cls.data import HELD_OUT
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.report import (
    Figure,
    PageRun,
    PageTable,
    ReportRun,
    StudyReport,
    TableMaker,
    about,
    contaminated,
    draw_figures,
    gather,
    published_label,
    region_tables,
    report_files,
    trust_tables,
    verdicts,
)
from joint_seg_cls.run_state import differing_code, run_state
from joint_seg_cls.runs.data_checks import warning_lines
from joint_seg_cls.runs.load import load_predictor
from joint_seg_cls.scan.origin import FILES, checksums_of, require_listed_files
from joint_seg_cls.sweep.progress import headline, runs_of
from joint_seg_cls.sweep.study import FOLDER, Study, StudyRun, find_study

_log = logging.getLogger(__name__)
#: Lists the files of a report; without a list the report is unfinished.
_RECORD = "report.json"
#: Setting of runs that were tested on the held-out cases.
_HELD_OUT = "held-out test"


def report(config: DictConfig) -> None:
    """Write the report of a study, finished or not, and print its conclusions."""
    study = _study(config)
    explained = _explained(config)
    same_cohort, draws_figures = flag(config, "same_cohort"), flag(config, "figures")
    out = _folder(config, study)
    runs = figure_runs(study)
    variants = gather(runs)
    shared = ", ".join(sorted(_shared(study)))
    description = f"{about(variants)} {f'Set in all runs: {shared}.' if shared else ''}".strip()
    maker = TableMaker(variants, description, same_cohort, config.seed, config.resamples)
    tables = maker.tables([str(table) for table in study.tables])
    audits = _audits(runs)
    warnings = list(dict.fromkeys(line for audit in audits for line in warning_lines(audit)))
    warnings += contaminated(runs) + [f"warning: {line}" for line in differing_code(run.folder for run in runs)]
    record = {"made_with": __version__, "study": study.name}
    write_json(out / _RECORD, record)  # the report is unfinished
    figures = _figures(config, runs, out / "figures") if draws_figures else []
    further = region_tables(runs, seed=config.seed, resamples=config.resamples)
    trust, explanations = _trust(config, runs, explained if draws_figures else 0)
    further |= trust
    rows = [_page_run(run) for run in runs]
    audit = audits[0] if audits else None
    made = StudyReport(study.name, variants, tables, figures, rows, audit, warnings, further, explanations)
    made.write(out)
    write_json(out / _RECORD, record | {FILES: checksums_of(out, report_files(out))})
    print(headline(study, [run_state(run.folder) for run in runs]))
    for run, row in zip(runs, rows, strict=True):
        if row.state == "failed" and run.fault:
            print(f"{run.folder} is excluded: {row.detail}")
    for table in tables:
        print(f"{table.title}{f'; {verdicts(table)}' if table.claims else ''}")
        if table.missing:
            print(f"  missing: {table.missing}")
    for part in (*further.values(), *figures):
        if part.missing:
            print(f"{part.title}: missing: {part.missing}")
    for line in warnings:
        print(line)
    _log.info("written to %s", out / "index.html")


def figure_runs(study: Study) -> list[ReportRun]:
    """Return the runs of a study, each with a label that identifies its variant.

    Settings known only from (possibly shortened) folder names are added to labels only if needed. A test on the
    held-out cases is a separate row, since it is not part of a cross-validation.
    """
    shared = _shared(study)
    bases = Counter(base for base, _ in {(run.base, run.variant) for run in study.runs})
    labels: dict[tuple[str, bool], str] = {}
    runs = []
    for run in study.runs:
        own = tuple(each for each in _settings(run) if each not in shared)
        named = [each for each in own if run.settings or bases[run.base] > 1 or each == _HELD_OUT]
        label = published_label(run.base) + (f" ({', '.join(named)})" if named else "")
        row = run.variant, _is_held_out(run)
        taken = {name for other, name in labels.items() if other != row}
        label = labels.setdefault(row, f"{label} [{run.variant}]" if label in taken else label)
        runs.append(ReportRun(study.collection / run.folder, run.base, label, run.fold, run.seed, own))
    tested_on = Counter(run.own_data_hash for run in runs if run.is_done and run.own_data_hash)
    most = max(tested_on, key=lambda each: tested_on[each], default=None)
    return [run.with_data(most) for run in runs]


def _shared(study: Study) -> set[str]:
    """Return the settings common to all runs."""
    return set.intersection(*(set(_settings(run)) for run in study.runs)) if study.runs else set()


def _settings(run: StudyRun) -> list[str]:
    return [*(run.settings or run.variant.split("+")[1:]), *([_HELD_OUT] if _is_held_out(run) else [])]


def _is_held_out(run: StudyRun) -> bool:
    return str(run.fold) == HELD_OUT


def _study(config: DictConfig) -> Study:
    """Return the requested study, or all runs of a collection.

    Raises:
        ConfigError: the study does not exist or has no runs.
    """
    if config.study is not None:
        collection = None if config.collection is None else str(config.collection)
        study = find_study(str(config.study), config.runs, collection)
    elif config.collection is not None:
        study = runs_of(Path(config.runs).expanduser() / str(config.collection))
    else:
        raise ConfigError(
            "jsc report",
            expected="a value for study or collection",
            found="none",
            remedy="add study=... (jsc status lists the names), or collection=... for all its runs",
        )
    if not study.runs:
        raise ConfigError(
            study.collection, expected="run folders", found="none", remedy="use the same runs= as for jsc train"
        )
    return study


def _folder(config: DictConfig, study: Study) -> Path:
    """Create the folder of the report; all runs of a collection and a study of the same name have different folders."""
    is_all = config.study is None and study.path.is_file()
    own = study.collection / FOLDER / (f"{study.name}-all" if is_all else study.name)
    path = folder_to_write(config, "out") if config.out else writable(own, "out")
    remedy = "move it elsewhere to keep it, or name another folder with out="
    require_listed_files(path / _RECORD, ("made_with", "study"), report_files(path), remedy)
    make_folder(path, "out", below=True)
    return path


def _audits(runs: Sequence[ReportRun]) -> list[Audit]:
    """Return the audits of the runs, once for equal data and folds."""
    found: dict[tuple[str | None, str | None], Audit] = {}
    for run in runs:
        if (audit := read_audit(run.folder / AUDIT_FILE)) is not None:
            found.setdefault((audit.data_hash, audit.folds_hash), audit)
    return list(found.values())


def _figures(config: DictConfig, runs: Sequence[ReportRun], out: Path) -> list[Figure]:
    opened = partial(load_predictor, device=config.device, trust=list(config.trust))
    return draw_figures(runs, out, open_network=opened, seed=config.seed)


def _trust(config: DictConfig, runs: Sequence[ReportRun], explained: int) -> tuple[dict[str, PageTable], pd.DataFrame]:
    opened = partial(load_predictor, device=config.device, trust=list(config.trust))
    return trust_tables(runs, open_network=opened, explained=explained, seed=config.seed, resamples=config.resamples)


def _explained(config: DictConfig) -> int:
    if type(config.explained) is not int or config.explained < 0:
        found, remedy = str(config.explained), "correct explained=, or use 0 for none"
        raise ConfigError("explained", expected="a number of scans", found=found, remedy=remedy)
    return config.explained


def _page_run(run: ReportRun) -> PageRun:
    found = run_state(run.folder)
    state, detail = str(found.state), found.reason
    if found.state == "done" and not run.is_done:
        state, detail = "failed", run.fault
    elif found.state == "waiting" and not run.folder.is_dir():
        detail = "no run folder"
    elif found.state in ("running", "interrupted"):
        detail = f"{found.epochs_done} of {found.epochs or '?'} epochs"
    return PageRun(run.label, str(run.fold), str(run.seed), state, detail, run.folder)
