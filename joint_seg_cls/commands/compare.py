"""``jsc compare``: what is new, grown and gone between two visits of one person."""

import logging
from collections import Counter
from itertools import pairwise
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from joint_seg_cls.casepage import Case, compare_visits, read_case, write_change_page, write_change_table
from joint_seg_cls.config import keys
from joint_seg_cls.config.build import require
from joint_seg_cls.errors import CohortError, ConfigError, InputError
from joint_seg_cls.parallel import watched
from joint_seg_cls.scan import Scan, read_cohort, read_scan
from joint_seg_cls.scan.finder import natural, stem
from joint_seg_cls.scan.tables import SEPARATORS

_log = logging.getLogger(__name__)
#: A visit: the name of its findings, and its scan.
_Visit = tuple[str, Path]


def compare(config: DictConfig) -> None:
    """Write a page and a table for each pair of successive visits; a pair that fails does not stop the others."""
    require(config, "compare", "input", "findings")
    findings = keys.path(config, "findings")
    hide_names = keys.flag(config, "hide_names")
    pairs = _pairs(config)
    out = findings if config.out is None else keys.folder_to_write(config, "out")
    _require_records(pairs, findings)
    keys.make_folder(out, "out")
    failures = []
    for earlier, later in watched(iter(pairs), total=len(pairs), label="compare"):
        try:
            _log.info("%s", _compared(_read(earlier, findings), _read(later, findings), out, hide_names=hide_names))
        except InputError as error:
            error.drop_frames()
            failures.append(error)
    for failure in failures[1:]:
        _log.error("%s", failure)
    if failures:
        raise failures[0]


def _compared(before: tuple[Case, Scan], after: tuple[Case, Scan], out: Path, *, hide_names: bool) -> str:
    found = compare_visits(before, after)
    old, new = before[0], after[0]
    page = out / f"{new.name}_since_{old.name}.html"
    write_change_table(found, page.with_name(f"{new.name}_since_{old.name}.tsv"))
    write_change_page(found, old.record, new.record, page, hide_names=hide_names)
    count = Counter(change.kind for change in found.lesions)
    return f"{new.name} since {old.name}: {count['new']} new, {count['grown']} grown, {count['gone']} gone; {page}"


def _read(visit: _Visit, findings: Path) -> tuple[Case, Scan]:
    name, path = visit
    scan = read_scan(path)
    return read_case(findings / f"{name}.json", scan), scan


def _pairs(config: DictConfig) -> list[tuple[_Visit, _Visit]]:
    """Return the two scans that are named, or successive sessions of each subject of a table.

    Raises:
        InputError: there is no pair.
    """
    if isinstance(config.input, ListConfig):
        paths = [keys.path_of(item, "input") for item in config.input]
        if len(paths) != 2:
            raise ConfigError(
                "input", expected="two scans, the earlier first", found=str(len(paths)), remedy="name two files"
            )
        return [((stem(paths[0].name), paths[0]), (stem(paths[1].name), paths[1]))]
    path = keys.path(config, "input")
    if path.suffix.lower() not in SEPARATORS:
        raise ConfigError(
            "input",
            expected="two scans or a cohort table",
            found=path.name,
            remedy="write input=[visit1.nii.gz,visit2.nii.gz]",
        )
    visits: dict[str, list[tuple[str, _Visit]]] = {}
    for case in read_cohort(path, modalities=[str(config.modality)]):
        visits.setdefault(case.subject, []).append((case.session or "", (case.case, case.images[0])))
    pairs = [
        pair
        for each in visits.values()
        for pair in pairwise(visit for _, visit in sorted(each, key=lambda item: natural(item[0])))
    ]
    if not pairs:
        raise CohortError(
            path,
            expected="a subject with two sessions",
            found="one scan of each subject",
            remedy="fill the column session, or name two scans with input=",
        )
    return pairs


def _require_records(pairs: list[tuple[_Visit, _Visit]], findings: Path) -> None:
    """Refuse a folder that lacks the findings of a scan, before any work.

    Raises:
        ConfigError: it does.
    """
    names = list(dict.fromkeys(name for pair in pairs for name, _ in pair))
    missing = [name for name in names if not (findings / f"{name}.json").is_file()]
    if missing:
        raise ConfigError(
            "findings",
            expected=f"the findings of {len(names)} scans in {findings.name}",
            found=f"none of {', '.join(missing[:5])}",
            remedy="predict these scans into this folder with jsc predict",
        )
