"""Anatomies of simulated patients: the average template, or heads from a folder of label maps."""

import zlib
from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from scipy import ndimage

from joint_seg_cls.errors import CohortError, ConfigError, ScanError, examples, reason_of
from joint_seg_cls.phantom.head import Head
from joint_seg_cls.phantom.template_head import template_head
from joint_seg_cls.phantom.tissue import Tissue, from_freesurfer
from joint_seg_cls.scan.grid import bounding_box

SUFFIXES = (".nii.gz", ".nii", ".mgz", ".mgh")
#: Coarser label maps lose the cortex.
_COARSEST_MM = 2.0
#: Minimum volumes in a brain, in mL; the ventricles of young brains are small.
_LEAST_ML = {Tissue.WHITE: 100.0, Tissue.LATERAL_VENTRICLE: 1.0}
_CALLED = {Tissue.WHITE: "white matter (2, 41)", Tissue.LATERAL_VENTRICLE: "lateral ventricles (4, 43)"}
#: Maximum fraction of labelled voxels with numbers unknown to FreeSurfer.
_MOST_UNKNOWN = 0.01
_DAMAGED = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)


class Anatomies(ABC):
    """A numbered set of heads."""

    @abstractmethod
    def count(self) -> int:
        """Return how many heads there are.

        Raises:
            InputError: there are no heads.
        """

    @abstractmethod
    def head(self, number: int) -> Head:
        """Return head ``number``, from 0.

        Raises:
            InputError: the head is invalid.
        """

    @abstractmethod
    def name(self, number: int) -> str:
        """Return the name of head ``number``."""

    @abstractmethod
    def phrase(self) -> str:
        """Return a description of the anatomy, for use in a sentence."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the parameters of :meth:`head`, as plain values."""

    def check(self) -> None:
        """Read every head once.

        Raises:
            InputError: a head is invalid.
        """
        for number in range(self.count()):
            self.head(number)


@final
class TemplateAnatomy(Anatomies):
    """The average brain of the MNI152 template."""

    def count(self) -> int:
        """Return 1."""
        return 1

    def head(self, number: int) -> Head:
        """Return the template's brain as labels."""
        del number
        return template_head()

    def name(self, number: int) -> str:
        """Return the template's name."""
        del number
        return "MNI152"

    def phrase(self) -> str:
        """Return the template's name."""
        return "the MNI152 anatomy"

    def describe(self) -> dict[str, Any]:
        """Return the template's name."""
        return {"anatomy": "template"}


@final
class LabelMaps(Anatomies):
    """Heads from a folder of label maps with FreeSurfer's label numbers (``aseg.mgz`` and similar).

    A map may have any grid not coarser than 2 mm; it is resampled to RAS+ voxels of 1 mm. Labels outside the
    brain (500 to 531, as in SynthSeg's training maps) become skull, skin and other tissue.

    Args:
        path: the folder, including its subfolders.
    """

    def __init__(self, path: str | Path | None) -> None:
        if path is None:
            raise ConfigError(
                "anatomy=label_maps", expected="a folder of label maps", found="none", remedy="add path=FOLDER"
            )
        self.path = Path(path).expanduser().resolve()

    def files(self) -> tuple[Path, ...]:
        """Return the label maps in the order of their names.

        Raises:
            CohortError: the folder is missing or has no label maps.
        """
        if not self.path.is_dir():
            found = "a file" if self.path.is_file() else "no such folder"
            raise CohortError(self.path, expected="a folder of label maps", found=found, remedy="correct path=")
        found = sorted(file for file in self.path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file())
        if not found:
            raise CohortError(
                self.path,
                expected=f"label maps ({', '.join(SUFFIXES)})",
                found="none",
                remedy="set path= to the folder of the label maps",
            )
        return tuple(found)

    def count(self) -> int:
        """Return the number of label maps."""
        return len(self.files())

    def head(self, number: int) -> Head:
        """Return the head of label map ``number``, in the order of names."""
        return read_label_map(self.files()[number])

    def name(self, number: int) -> str:
        """Return the file's name."""
        return self.files()[number].name

    def phrase(self) -> str:
        """Return how many label maps there are."""
        return f"the anatomy of {self.count()} label maps"

    def describe(self) -> dict[str, Any]:
        """Return the maps' names and sizes."""
        return {"anatomy": "label_maps", "maps": [[file.name, file.stat().st_size] for file in self.files()]}


@lru_cache(maxsize=2)
def read_label_map(path: Path) -> Head:
    """Read one label map.

    Raises:
        ScanError: it is unreadable, not 3-D or too coarse, has unknown label numbers, or lacks structures of a brain.
    """
    labels = _on_millimetres(path, _load(path))
    tissue, unknown = from_freesurfer(labels)
    labelled = int(np.count_nonzero(labels))
    if not labelled or np.isin(labels, unknown).sum() > _MOST_UNKNOWN * labelled:
        raise ScanError(
            path,
            expected="a label map with FreeSurfer's numbers",
            found=f"the numbers {examples(unknown, 6)}" if unknown else "an empty one",
            remedy="use the labels of FreeSurfer's aseg.mgz, or remove the file from the folder",
        )
    for kind, least in _LEAST_ML.items():
        volume = np.count_nonzero(tissue == kind) / 1000
        if volume < least:
            raise ScanError(
                path,
                expected=f"a brain with at least {least:g} mL of {_CALLED[kind]}",
                found=f"{volume:.1f} mL",
                remedy="remove the file from the folder, or label these structures",
            )
    return Head(path.name, np.ascontiguousarray(np.pad(tissue[bounding_box(tissue > 0)], 2)))


def _load(path: Path) -> SpatialImage:
    try:
        image = nib.load(path)
    except _DAMAGED as error:
        raise _unreadable(path, error) from error
    if not isinstance(image, SpatialImage) or len([side for side in image.shape if side > 1]) != 3:
        shape = getattr(image, "shape", "?")
        raise ScanError(
            path, expected="a 3-D label map", found=f"shape {shape}", remedy="export the one volume of labels"
        )
    return image


def _on_millimetres(path: Path, image: SpatialImage) -> np.ndarray:
    """Return the labels as integers in RAS+ voxels of 1 mm."""
    affine = np.asarray(image.affine, dtype=float)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or spacing.min() <= 0 or spacing.max() > _COARSEST_MM:
        raise ScanError(
            path,
            expected=f"voxels of at most {_COARSEST_MM:g} mm",
            found=" x ".join(f"{length:.2f}" for length in spacing) + " mm",
            remedy="export the label map on the grid of its T1, or remove the file from the folder",
        )
    try:
        values = np.asarray(image.dataobj).reshape([side for side in image.shape if side > 1])
    except _DAMAGED as error:
        raise _unreadable(path, error) from error
    whole = np.round(values)
    if not np.isfinite(values).all() or np.abs(values - whole).max() > 1e-3:
        raise ScanError(
            path, expected="integer labels", found="other values", remedy="export labels, not probabilities or a scan"
        )
    labels = whole.astype(np.int32)
    corners = np.array(np.meshgrid(*([-0.5, side - 0.5] for side in labels.shape), indexing="ij")).reshape(3, -1)
    world = affine[:3, :3] @ corners + affine[:3, 3:]
    low, high = world.min(axis=1), world.max(axis=1)
    target = np.eye(4)
    target[:3, 3] = low + 0.5
    step = np.linalg.solve(affine, target)
    shape = tuple(round(float(side)) for side in high - low)
    return ndimage.affine_transform(labels, step[:3, :3], step[:3, 3], shape, order=0, mode="constant")


def _unreadable(path: Path, error: Exception) -> ScanError:
    return ScanError(
        path,
        expected="a readable label map",
        found=f"a damaged file or another format ({reason_of(error, 120)})",
        remedy="copy it again, or remove it from the folder",
    )
