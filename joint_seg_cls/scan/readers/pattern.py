"""Reader of any folder whose file names follow patterns given by the user."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from joint_seg_cls.errors import CohortError, ConfigError, examples
from joint_seg_cls.scan.cohort import rater_column
from joint_seg_cls.scan.finder import Remark, natural, scan_files
from joint_seg_cls.scan.readers.people import Labels, Meanings, People
from joint_seg_cls.scan.readers.raters import reference_masks
from joint_seg_cls.scan.readers.reader import Found, FoundScan, Reader, visit_order
from joint_seg_cls.scan.readers.templates import PathPattern
from joint_seg_cls.scan.tables import read_table, user_path

_SPECIAL = frozenset({"subject", "session", "disease", "rater"})

#: Values of the named parts.
Parts = dict[str, str]


@final
class PatternReader(Reader):
    """Finds the files of each scan by patterns (:class:`PathPattern`), joined by their shared parts.

    ``{subject}`` and ``{session}`` identify the scan, ``{disease}`` its disease, ``{rater}`` one of several lesion
    masks; any other part becomes a column. A pattern without ``{session}`` gives the same file to every session.

    Args:
        flair: pattern of the FLAIR scans; must contain ``{subject}``.
        lesion_mask: pattern of the lesion masks; with ``{rater}``, of all raters' masks.
        lesion_mask_2: pattern of a second rater's masks, if their names differ in more than one part.
        others: patterns of further modalities, by column.
        labels: a table of subjects (path relative to the folder) with their diseases and further columns; or, as a
            mapping, the class of each name of a disease.
        names: the class of each name of a disease, in addition to a table in ``labels``.
        disease_column: column of the table; None searches for disease, diagnosis, dx.
        columns: further columns with one value for all scans.
    """

    def __init__(
        self,
        flair: str | None,
        lesion_mask: str | None = None,
        lesion_mask_2: str | None = None,
        brain_mask: str | None = None,
        t1: str | None = None,
        t2: str | None = None,
        pd: str | None = None,
        others: Mapping[str, str] | None = None,
        disease: str | None = None,
        labels: str | Meanings | None = None,
        names: Meanings | None = None,
        disease_column: str | None = None,
        columns: Mapping[str, object] | None = None,
    ) -> None:
        if flair is None:
            remedy = "add flair='{subject}/{session}/*_FLAIR.nii.gz' with the names of your folders"
            raise ConfigError("flair", expected="the pattern of the FLAIR scans", found="none", remedy=remedy)
        given = {"lesion_mask": lesion_mask, "lesion_mask_2": lesion_mask_2, "brain_mask": brain_mask}
        given |= {"t1": t1, "t2": t2, "pd": pd, **(others or {})}
        self._flair = PathPattern("flair", flair)
        self._others = tuple(PathPattern(key, text) for key, text in given.items() if text is not None)
        for template in (self._flair, *self._others):
            _require_parts(template, self._flair)
        if lesion_mask_2 is not None and "rater" in PathPattern("lesion_mask", lesion_mask or "x.nii").fields:
            remedy = "leave out lesion_mask_2="
            raise ConfigError(
                "lesion_mask_2", expected="none together with {rater}", found=lesion_mask_2, remedy=remedy
            )
        self._disease = None if disease is None else str(disease)
        self._people = labels if isinstance(labels, str) else None
        self._labels = Labels({**(names or {}), **(labels if isinstance(labels, Mapping) else {})})
        self._disease_column = disease_column
        self._columns = {name: str(value) for name, value in (columns or {}).items()}

    def read(self, path: Path, out: Path) -> Found:
        """Return all files that match the pattern of the FLAIR, with their matching masks and modalities."""
        here = scan_files(path)
        files, remarks = here.names, here.remarks
        root = path.resolve()
        flairs = _matches(self._flair, root, files)
        if not flairs:
            found = f"{len(files)} NIfTI files, none of which match" + (f" ({examples(files)})" if files else "")
            raise CohortError(
                path, expected=f"files named {self._flair.text}", found=found, remedy="correct flair= or path="
            )
        matched = [(template, _matches(template, root, files)) for template in self._others]
        others = [(template, matches, _by_parts(template, matches)) for template, matches in matched]
        people = self._read_people(path, [parts["subject"] for _, parts in flairs])
        used: set[str] = set()
        scans = []
        for (subject, session), (name, parts) in sorted(_by_scan(path, flairs).items(), key=visit_order):
            found_files = {"flair": name}
            for template, _, index in others:
                found_files |= _columns(path, template, index.get(_shared(template, parts), {}), parts, remarks)
            used |= set(found_files.values())
            scans.append(self._scan(root, subject, session, found_files, parts, people))
        for template, matches in matched:
            reported = used | {remark.about for remark in remarks}
            remarks += [
                Remark(f"{template.key} without its FLAIR", name) for name, _ in matches if name not in reported
            ]
        fits = used.union(*({name for name, _ in matches} for _, matches in matched))
        remarks += [Remark("NIfTI files that match no pattern", name) for name in files if name not in fits]
        if people is not None:
            remarks += [Remark(f"subjects in {people.path.name} without a scan", name) for name in people.unused]
        return Found(tuple(scans), tuple(remarks), named=self._labels.given)

    def _scan(
        self, root: Path, subject: str, session: str | None, files: dict[str, str], parts: Parts, people: People | None
    ) -> FoundScan:
        disease, columns = people.about(subject, session) if people else (None, {})
        if self._disease is not None or "disease" in parts:
            disease = self._labels(self._disease if self._disease is not None else parts["disease"])
        columns = {name: value for name, value in parts.items() if name not in _SPECIAL} | columns | self._columns
        paths = {key: root / name for key, name in files.items()}
        return FoundScan(subject, session, paths, disease, columns)

    def _read_people(self, path: Path, scanned: Sequence[str]) -> People | None:
        if self._people is None:
            return None
        file = path / self._people
        file = file if os.path.lexists(file) else user_path(self._people)
        return People(file, read_table(file), self._labels, self._disease_column, scanned)


def _require_parts(template: PathPattern, flair: PathPattern) -> None:
    needed = {"subject"} if template is flair else set()
    extra = set(template.fields) - set(flair.fields) if template is not flair else set()
    extra -= {"rater"} if template.key == "lesion_mask" else set()
    missing = needed - set(template.fields)
    if missing or extra or (template is flair and "rater" in template.fields):
        expected = "the named part {subject}" if missing else f"only named parts that {flair.text} has too"
        raise ConfigError(
            template.key, expected=expected, found=template.text, remedy="use * for parts that differ between files"
        )


def _matches(template: PathPattern, root: Path, files: list[str]) -> list[tuple[str, Parts]]:
    found = ((name, template.match(name, (root / name).as_posix())) for name in files)
    return [(name, parts) for name, parts in found if parts is not None]


def _by_scan(path: Path, flairs: list[tuple[str, Parts]]) -> dict[tuple[str, str | None], tuple[str, Parts]]:
    scans: dict[tuple[str, str | None], tuple[str, Parts]] = {}
    for name, parts in flairs:
        key = (parts["subject"], parts.get("session"))
        if key in scans:
            raise _ambiguous(path, "flair", " ".join(filter(None, key)), scans[key][0], name)
        scans[key] = (name, parts)
    return scans


def _by_parts(template: PathPattern, matches: list[tuple[str, Parts]]) -> dict[tuple[str, ...], dict[str, list[str]]]:
    """Return the files by the parts shared with the FLAIR, then by rater."""
    index: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, parts in matches:
        index[_shared(template, parts)][parts.get("rater", "")].append(name)
    return index


def _shared(template: PathPattern, parts: Parts) -> tuple[str, ...]:
    return tuple(parts[part].casefold() for part in template.fields if part != "rater")


def _columns(
    path: Path, template: PathPattern, by_rater: Mapping[str, list[str]], scan: Parts, remarks: list[Remark]
) -> dict[str, str]:
    """Return the columns of a pattern for one scan: none, one, or one per rater."""
    for names in by_rater.values():
        if len(names) > 1:
            raise _ambiguous(
                path, template.key, " ".join(filter(None, (scan["subject"], scan.get("session")))), *names[:2]
            )
    masks = {by_rater[rater][0]: (rater, by_rater[rater][0]) for rater in sorted(by_rater, key=natural)}
    files, notes = reference_masks(masks)
    remarks += notes
    return {rater_column(number, template.key): file for number, file in enumerate(files, start=1)}


def _ambiguous(path: Path, key: str, scan: str, first: str, second: str) -> CohortError:
    return CohortError(
        path,
        expected=f"one file of {key} for {scan}",
        found=f"{first} and {second}",
        remedy=f"make {key}= match only one of them, or distinguish them with {{session}}",
    )
