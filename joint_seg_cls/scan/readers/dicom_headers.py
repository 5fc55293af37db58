"""Headers of a tree of DICOM files, grouped into series; pixels are not read.

Nothing here is printed or logged: messages to the user name a series by pseudonym, visit and series number.
"""

import logging
import struct
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, final

import numpy as np

from joint_seg_cls.errors import ConfigError

#: Elements read from each file. Only the last line reaches outputs, the line before it only on request.
_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality",
    "StudyDate", "StudyTime", "SeriesDate", "AcquisitionDate", "PatientID", "IssuerOfPatientID", "PatientName",
    "SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName", "BodyPartExamined", "ImageType",
    "Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "NumberOfFrames",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "PatientBirthDate", "PatientAge", "PatientSex",
    "Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "RepetitionTime", "EchoTime", "EffectiveEchoTime",
    "InversionTime", "InversionTimes", "SliceThickness", "BurnedInAnnotation",
)  # fmt: skip
#: A file begins with a preamble of this length and ``DICM``, or in older exports with one of these groups.
_PREAMBLE, _FIRST_GROUPS = 128, (b"\x02\x00", b"\x08\x00")
#: Exceptions of the parser for damaged files and other formats.
_UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError, OverflowError,
    struct.error,
)  # fmt: skip
_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime")
_DESCRIBING = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName", "BodyPartExamined")


@final
@dataclass(frozen=True, repr=False)
class Plane:
    """Position of an image: its first voxel and the directions of rows and columns, in millimetres."""

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    sides: tuple[int, int]


@final
@dataclass(repr=False)
class Series:
    """One series: its files, their planes and study identifiers, and the header of the first file."""

    header: Any
    files: list[Path] = field(default_factory=list)
    planes: list[Plane] = field(default_factory=list)
    studies: set[tuple[str, ...]] = field(default_factory=set)

    def text(self, name: str) -> str:
        """Return an element of the header as text, empty if missing."""
        value = self.header.get(name)
        return "" if value is None else str(value).strip()

    def value(self, name: str) -> float | None:
        """Return a number from the header, including nested ones of enhanced files; the first of several."""
        found = next(_nested(self.header, name), None)
        try:
            return None if found is None else float(found[0] if isinstance(found, Sequence) else found)
        except (TypeError, ValueError):
            return None

    @property
    def number(self) -> int:
        """The series number, 0 if missing."""
        text = self.text("SeriesNumber")
        return int(text) if text.lstrip("-").isdecimal() else 0

    @property
    def description(self) -> str:
        """All descriptions of the series, for matching patterns."""
        return " | ".join(filter(None, map(self.text, _DESCRIBING)))

    @property
    def image_type(self) -> tuple[str, ...]:
        """The words of the image type, in capitals."""
        value = self.header.get("ImageType") or ()
        return tuple(str(word).upper() for word in ([value] if isinstance(value, str) else value))


def require_pydicom() -> None:
    """Check that the packages for DICOM are installed.

    Raises:
        ConfigError: pydicom or dcm2niix is not installed.
    """
    try:
        import_module("dcm2niix")
        import_module("pydicom")
    except ImportError as error:
        raise ConfigError(
            "source=dicom",
            expected="the packages pydicom and dcm2niix",
            found="none",
            remedy='run: pip install "joint_seg_cls[dicom]"',
        ) from error


def read_series(files: Iterable[Path]) -> tuple[list[Series], int]:
    """Return the series in ``files`` without duplicate images, and the number of files that are not DICOM images."""
    series: dict[tuple[str, ...], Series] = {}
    instances: dict[tuple[str, ...], set[str]] = defaultdict(set)
    foreign = 0
    with _quiet():
        for file in files:
            header = _header(file)
            if header is None:
                foreign += 1
                continue
            key = _series_key(header)
            instance = str(header.get("SOPInstanceUID", "")) or str(file)
            if instance in instances[key]:
                continue
            instances[key].add(instance)
            group = series.setdefault(key, Series(header))
            group.files.append(file)
            group.planes += _planes(header)
            group.studies.add(tuple(str(header.get(name)) for name in _STUDY))
    return list(series.values()), foreign


def copy_with_one_study(file: Path, copy: Path) -> None:
    """Copy a file and replace the identifier, date and time of its study by constants."""
    import pydicom

    with _quiet():
        data = pydicom.dcmread(file, force=True)
        data.StudyInstanceUID, data.StudyDate, data.StudyTime = "1.2.3", "19000101", "000000"
        data.save_as(copy)


def is_dicom(file: Path) -> bool:
    """Return whether a file begins as a DICOM file, with or without the usual preamble; needs no package.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as content:
        start = content.read(_PREAMBLE + 4)
    return start[_PREAMBLE:] == b"DICM" or start[:2] in _FIRST_GROUPS


def _header(file: Path) -> Any:
    """Return the header of a DICOM image; None for any other file."""
    import pydicom

    try:
        if not is_dicom(file):
            return None
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
        return header if header.get("Rows") and header.get("Columns") else None
    except _UNREADABLE:
        return None


def _planes(header: Any) -> list[Plane]:
    shared = _first(header.get("SharedFunctionalGroupsSequence"))
    frames = header.get("PerFrameFunctionalGroupsSequence") or [None]
    planes = []
    for frame in frames:
        values = []
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            found = next((v for part in (frame, shared, header) if part is not None for v in _nested(part, name)), ())
            values.append(_numbers(found))
        planes.append(Plane(*values, sides=(int(header.Rows), int(header.Columns))))
    return planes


def _series_key(header: Any) -> tuple[str, ...]:
    """Return what the files of a series share; the study is ignored because some exports give each file its own."""
    names = ("PatientID", "SeriesInstanceUID")
    if not header.get("SeriesInstanceUID"):
        names = ("PatientID", "StudyInstanceUID", "SeriesNumber", "SeriesDescription")
    return tuple(str(header.get(name, "")) for name in names)


def _numbers(values: Any) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in values or ())
    except (TypeError, ValueError):
        return ()


def _nested(header: Any, name: str) -> Iterator[Any]:
    """Yield the values of an element at the top level of a header and in its functional groups."""
    if header.get(name) is not None:
        yield header.get(name)
    for element in header:
        if element.VR == "SQ" and element.keyword != "PerFrameFunctionalGroupsSequence" and element.value:
            yield from _nested(element.value[0], name)
    if frame := _first(header.get("PerFrameFunctionalGroupsSequence")):
        yield from _nested(frame, name)


def _first(sequence: Any) -> Any:
    return sequence[0] if sequence else None


def slice_positions_mm(planes: Sequence[Plane]) -> np.ndarray:
    """Return the positions of the images along the normal of the first one, ascending."""
    row, column = np.array(planes[0].orientation).reshape(2, 3)
    normal = np.cross(row, column)
    return np.sort([float(normal @ plane.position) for plane in planes])


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings and log messages of pydicom, which quote header values."""
    from pydicom.config import disable_value_validation

    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
