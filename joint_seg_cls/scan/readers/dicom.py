"""Reader of DICOM folders: selects series, converts them with dcm2niix, and keeps nothing that identifies a person.

Output: voxels and their grid, pseudonyms, visit numbers in the order of dates, series numbers, and acquisition
parameters (manufacturer, model, field strength, times, slice thickness). Names, identifiers, dates, descriptions, file
names and all other elements are never written to files, tables or messages. A face visible in a scan is not removed.
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final

from joint_seg_cls.atomic_write import clear_partial, partial_path
from joint_seg_cls.errors import CohortError, disk_error
from joint_seg_cls.parallel import watched
from joint_seg_cls.scan.finder import Remark, walk
from joint_seg_cls.scan.readers.dicom_choice import SeriesChoice, is_derived
from joint_seg_cls.scan.readers.dicom_convert import convert, refuse_foreign
from joint_seg_cls.scan.readers.dicom_facts import PERSONAL, acquisition
from joint_seg_cls.scan.readers.dicom_headers import Series, read_series, require_pydicom
from joint_seg_cls.scan.readers.private import write_private
from joint_seg_cls.scan.readers.pseudonyms import PatientPseudonyms, key_text, read_key
from joint_seg_cls.scan.readers.reader import Found, FoundScan, Reader
from joint_seg_cls.scan.tables import user_path


@final
@dataclass(repr=False)
class _Visit:
    """One study of one patient."""

    subject: str
    session: str
    patient: str
    series: list[Series]
    taken: dict[str, Series] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.subject} {self.session}"


@final
class DicomReader(Reader):
    """Selects series among files of any name and converts them into a folder beside the table.

    Args:
        choice: selects the series.
        person: which of age and sex to keep; ages above 89 become 90.
        key: file for the key to the pseudonyms and the description of every series; None writes none.
            An existing key keeps its names.
        salt: enters the hash that orders the pseudonyms.
        disease: the disease of all patients.
    """

    def __init__(
        self,
        choice: SeriesChoice,
        person: Sequence[Literal["age", "sex"]] = (),
        key: str | None = None,
        salt: str = "joint_seg_cls",
        disease: str | None = None,
    ) -> None:
        self._choice, self._person, self._disease = choice, tuple(person), disease
        self._key = None if key is None else user_path(str(key))
        self._salt = salt

    def read(self, path: Path, out: Path) -> Found:
        """Return one scan for each visit with a FLAIR series, converted."""
        require_pydicom()
        folder = out.resolve().parent / f"{out.stem}_scans"
        refuse_foreign(out, folder)
        earlier = read_key(self._key) if self._key else []
        files = _files(path)
        series, foreign = read_series(watched((path / name for name in files), total=len(files), label="headers"))
        remarks = [Remark("files that are not DICOM images", str(foreign))] if foreign else []
        visits = self._visits(series, earlier, remarks)
        for visit in visits:
            remarks += self._pick(visit)
        if not any("flair" in visit.taken for visit in visits):
            self._write_key(visits, earlier)
            raise _nothing(path, series, remarks)
        staged = partial_path(folder)
        scans = self._convert(path, visits, staged, folder, remarks)
        private = None if self._key is None else (self._key, _key_text(visits, earlier))
        return Found(tuple(scans), tuple(remarks), (staged, folder), private)

    def _visits(
        self, series: Sequence[Series], earlier: Sequence[Mapping[str, str]], remarks: list[Remark]
    ) -> list[_Visit]:
        patients: dict[str, dict[str, list[Series]]] = defaultdict(lambda: defaultdict(list))
        for one in series:
            patients[_patient(one)][_study(one)].append(one)
        pseudonyms = PatientPseudonyms(self._salt, {row["patient"]: row["subject"] for row in earlier})
        visits = []
        for patient, subject in pseudonyms(patients).items():
            studies = patients[patient]
            people = {
                (one.text("PatientBirthDate"), one.text("PatientSex")) for all_ in studies.values() for one in all_
            }
            if len(people) > 1:
                remarks.append(Remark("patients whose birth date or sex differs between files: two people?", subject))
            if len(studies) > 1 and not all(_when(all_)[0] for all_ in studies.values()):
                remarks.append(Remark("patients with a study without a date: the order of visits is unknown", subject))
            order = sorted(studies, key=lambda study: (*_when(studies[study]), pseudonyms.digest(study)))
            for number, study in enumerate(order, start=1):
                ordered = sorted(
                    studies[study], key=lambda one: (one.number, pseudonyms.digest(one.text("SeriesInstanceUID")))
                )
                visits.append(_Visit(subject, f"ses-{number:02d}", patient, ordered))
        return visits

    def _pick(self, visit: _Visit) -> list[Remark]:
        remarks, named = [], set()
        for column in self._choice.columns:
            taken, others = self._choice.pick(column, visit.series)
            named |= {id(series) for series, _ in others}
            remarks += [
                Remark(f"{column} series that were not selected", f"{visit.name} series {series.number}: {why}")
                for series, why in others
            ]
            if taken is not None:
                named.add(id(taken))
                visit.taken[column] = taken
                if is_derived(taken):
                    what = f"{column} series marked as derived, selected because their visits have no other"
                    remarks.append(Remark(what, f"{visit.name} series {taken.number}"))
        if "flair" not in visit.taken:
            remarks.append(Remark("visits without a FLAIR series", visit.name))
        unnamed = [series for series in visit.series if id(series) not in named]
        if unnamed:
            numbers = ", ".join(str(series.number) for series in unnamed)
            remarks.append(Remark("series that match no pattern of take=", f"{visit.name} series {numbers}"))
        return remarks

    def _convert(
        self, path: Path, visits: Sequence[_Visit], staged: Path, folder: Path, remarks: list[Remark]
    ) -> list[FoundScan]:
        wanted = [visit for visit in visits if "flair" in visit.taken]
        scans = []
        try:
            clear_partial(folder.parent)
            staged.mkdir(parents=True)
            for visit in watched(iter(wanted), total=len(wanted), label="conversions"):
                files = {}
                for column, series in visit.taken.items():
                    name = f"{visit.subject}_{visit.session}_{column}.nii.gz"
                    fault = convert(series, staged / name)
                    if fault is None:
                        files[column] = folder / name
                    else:
                        about = f"{visit.name} series {series.number}: {fault}"
                        remarks.append(Remark("series that could not be converted", about))
                if "flair" in files:
                    columns = acquisition(visit.taken["flair"]) | self._about(visit.taken["flair"])
                    scans.append(FoundScan(visit.subject, visit.session, files, self._disease, columns))
                else:
                    for file in files.values():
                        (staged / file.name).unlink()
            if not scans:
                raise _nothing(path, [one for visit in visits for one in visit.series], remarks)
        except BaseException as error:
            shutil.rmtree(staged, ignore_errors=True)
            if isinstance(error, OSError):
                full = disk_error(OSError(error.errno, error.strerror, str(folder)))
                raise full or error from None  # the cause may contain file names of a patient
            raise
        return scans

    def _about(self, series: Series) -> dict[str, str]:
        columns = {name: PERSONAL[name](series) for name in self._person}
        return {name: text for name, text in columns.items() if text}

    def _write_key(self, visits: Sequence[_Visit], earlier: Sequence[Mapping[str, str]]) -> None:
        if self._key is not None:
            write_private(self._key, _key_text(visits, earlier))


def _files(path: Path) -> list[str]:
    try:
        return walk(path)
    except CohortError as error:
        if error.where == str(path):
            raise
        found = "an unreadable subfolder"  # not named: its name may identify a patient
        raise CohortError(path, expected="readable folders", found=found, remedy="change its permissions") from None


def _patient(series: Series) -> str:
    number, issuer = series.text("PatientID"), series.text("IssuerOfPatientID")
    if number:
        return f"{number} ({issuer})" if issuer else number
    name = " ".join(filter(None, (series.text("PatientName"), series.text("PatientBirthDate"))))
    return name or f"study {_study(series)}"


def _study(series: Series) -> str:
    named = min(series.studies)[0] if series.text("StudyInstanceUID") else ""
    return named or _date(series) or series.text("SeriesInstanceUID")


def _date(series: Series) -> str:
    return next(filter(None, map(series.text, ("StudyDate", "SeriesDate", "AcquisitionDate"))), "")


def _when(series: Sequence[Series]) -> tuple[str, str]:
    return min((_date(one), one.text("StudyTime")) for one in series)


def _key_text(visits: Sequence[_Visit], earlier: Sequence[Mapping[str, str]]) -> str:
    columns = {id(series): column for visit in visits for column, series in visit.taken.items()}
    rows = [
        (v.subject, v.session, v.patient, _date(s), str(s.number), s.description, columns.get(id(s), ""))
        for v in visits
        for s in v.series
    ]
    return key_text(rows, earlier)


def _nothing(path: Path, series: Sequence[Series], remarks: Sequence[Remark]) -> CohortError:
    why = Counter(
        remark.about.rsplit(": ", 1)[-1] for remark in remarks if "series that" in remark.what and ": " in remark.about
    )
    found = f"{len(series)} series" + "".join(f"; {count}: {reason}" for reason, count in why.most_common(3))
    return CohortError(
        path,
        expected="a FLAIR series" if series else "DICOM images",
        found=found if series else "none",
        remedy="set its pattern with choice.take.flair=[...]; key=FILE lists all series with their descriptions"
        if series
        else "set path= to the folder of the images",
    )
