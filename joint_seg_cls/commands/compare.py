"""``jsc compare``: what is new, grown and gone between two visits of one person."""

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from joint_seg_cls.casepage import (
    Case,
    VisitComparison,
    compare_visits,
    doubts,
    is_change_table,
    read_case,
    write_change_page,
    write_change_table,
)
from joint_seg_cls.config import keys
from joint_seg_cls.config.build import require
from joint_seg_cls.errors import CohortError, ConfigError, InputError, ScanError
from joint_seg_cls.parallel import watched
from joint_seg_cls.preprocess import image_hash
from joint_seg_cls.scan import Scan, read_cohort, read_scan
from joint_seg_cls.scan.finder import natural, stem
from joint_seg_cls.scan.origin import require_own_files
from joint_seg_cls.scan.tables import SEPARATORS

_log = logging.getLogger(__name__)
#: A visit: the name of its findings, and its images, one for each modality.
_Visit = tuple[str, Sequence[Path]]


def compare(config: DictConfig) -> None:
    """Write a page and a table for each pair of successive visits; a pair that fails does not stop the others."""
    require(config, "compare", "input", "findings")
    findings = keys.path(config, "findings")
    hide_names = keys.flag(config, "hide_names")
    several = isinstance(config.modality, ListConfig)
    names = keys.names(config, "modality", least=1) if several else [str(config.modality)]
    pairs = _pairs(config, names)
    out = findings if config.out is None else keys.folder_to_write(config, "out")
    _require_records(pairs, findings)
    _refuse_foreign_files(pairs, out)
    keys.make_folder(out, "out")
    failures = []
    for earlier, later in watched(iter(pairs), total=len(pairs), label="compare"):
        try:
            _compare(
                _read(earlier, findings, names),
                _read(later, findings, names),
                _page(earlier, later, out),
                hide_names=hide_names,
            )
        except InputError as error:
            error.drop_frames()
            failures.append(error)
    for failure in failures[1:]:
        _log.error("%s", failure)
    if failures:
        raise failures[0]


def _compare(before: tuple[Case, Scan], after: tuple[Case, Scan], page: Path, *, hide_names: bool) -> None:
    found: VisitComparison = compare_visits(before, after)
    old, new = before[0], after[0]
    write_change_table(found, page.with_suffix(".tsv"))
    write_change_page(found, old.record, new.record, page, hide_names=hide_names)
    count = Counter(change.kind for change in found.lesions)
    pair = f"{new.name} since {old.name}"
    _log.info("%s: %d new, %d grown, %d gone; %s", pair, count["new"], count["grown"], count["gone"], page)
    for line in doubts(found, old.record, new.record):
        _log.warning("%s: %s", pair, line)


def _page(earlier: _Visit, later: _Visit, out: Path) -> Path:
    return out / f"{later[0]}_since_{earlier[0]}.html"


def _read(visit: _Visit, findings: Path, modalities: Sequence[str]) -> tuple[Case, Scan]:
    """Return the findings of a visit and its scan, that is, the first modality.

    Raises:
        ScanError: they are damaged, of another scan, or of a network that does not segment lesions.
    """
    name, paths = visit
    scan, *others = (read_scan(path) for path in paths)
    case = read_case(findings / f"{name}.json", scan, others, modalities)
    images = case.record.get("made_from", {}).get("images")
    for path in paths:
        if images is not None and image_hash(path) not in images:
            raise ScanError(
                path,
                expected=f"the scan that {name}.json was predicted from",
                found="another content",
                remedy="name that scan, or predict this one into findings= first",
            )
    if case.labels is None:
        raise ScanError(
            findings / f"{name}.json",
            expected="findings with lesions",
            found="those of a network that only classifies",
            remedy="predict the scans with a network that segments lesions",
        )
    return case, scan


def _refuse_foreign_files(pairs: list[tuple[_Visit, _Visit]], out: Path) -> None:
    """Refuse to write over pages and tables of other origin, before any work.

    Raises:
        CohortError: such a file exists.
    """
    pages = [_page(*pair, out) for pair in pairs]
    require_own_files(pages, "name another folder with out=")
    for table in (page.with_suffix(".tsv") for page in pages):
        if table.exists() and not is_change_table(table):
            raise CohortError(
                table,
                expected="no file, or the table of an earlier comparison",
                found="a file of other origin that the table would replace",
                remedy="name another folder with out=",
            )


def _pairs(config: DictConfig, modalities: Sequence[str]) -> list[tuple[_Visit, _Visit]]:
    """Return the two visits that are named, or successive sessions of each subject of a table.

    Raises:
        InputError: there is no pair.
    """
    if isinstance(config.input, ListConfig):
        visits = [_images_of(item, modalities) for item in config.input]
        if len(visits) != 2:
            raise ConfigError(
                "input", expected="two scans, the earlier first", found=str(len(visits)), remedy="name two files"
            )
        earlier, later = ((stem(paths[0].name), paths) for paths in visits)
        if earlier[0] == later[0]:  # their findings have one name
            raise ConfigError(
                "input",
                expected="two scans of different names",
                found=f"{earlier[0]} twice",
                remedy="name two visits, or give jsc predict and jsc compare a cohort table with the column session",
            )
        return [(earlier, later)]
    path = keys.path(config, "input")
    if path.suffix.lower() not in SEPARATORS:
        raise ConfigError(
            "input",
            expected="two scans or a cohort table",
            found=path.name,
            remedy="write input=[visit1.nii.gz,visit2.nii.gz]",
        )
    sessions: dict[str, list[tuple[str, _Visit]]] = {}
    for case in read_cohort(path, modalities=modalities):
        sessions.setdefault(case.subject, []).append((case.session or "", (case.case, case.images)))
    pairs = [
        pair
        for each in sessions.values()
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


def _images_of(item: object, modalities: Sequence[str]) -> list[Path]:
    """Return the images of one visit: a file, or a list with a file for each modality.

    Raises:
        ConfigError: the numbers of files and modalities differ.
    """
    paths = [keys.path_of(each, "input") for each in (item if isinstance(item, ListConfig) else [item])]
    if len(paths) != len(modalities):
        raise ConfigError(
            "input",
            expected=f"{len(modalities)} file{'s' * (len(modalities) > 1)} a visit: {', '.join(modalities)}",
            found=str(len(paths)),
            remedy="name the modalities of the files, for instance modality=[flair,t1]",
        )
    return paths


def _require_records(pairs: list[tuple[_Visit, _Visit]], findings: Path) -> None:
    """Refuse a folder that lacks the findings of a scan, before any work.

    Raises:
        ConfigError: the findings of a scan are missing.
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
