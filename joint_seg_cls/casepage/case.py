"""What a page shows of one scan: its image, the record, the lesions and the maps that `jsc predict` wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Num

from joint_seg_cls.errors import ScanError
from joint_seg_cls.lesions import label_lesions, lesion_table
from joint_seg_cls.scan import Grid, Scan, read_volume, reorient, resample_oblique
from joint_seg_cls.scan.cells import read_written
from joint_seg_cls.scan.prediction_record import prediction_record

#: Maps that a prediction may hold, by the end of the file's name.
MAPS = {
    "lesion-probability": "probability",
    "location-map": "location",
    "grad-cam": "grad_cam",
    "disagreement": "disagreement",
}
#: Maximum distance between the centroid in the table and that of the component; they differ by rounding.
_SAME_MM = 1.0
_CENTROID = [f"centroid_{axis}_mm" for axis in "xyz"]
_AGAIN = "predict the scan again, with again=true"


@final
@dataclass(frozen=True, eq=False)
class Case:
    """One predicted scan on its own grid, with axes reordered to RAS+.

    Attributes:
        image: the scan; the first modality if it has several.
        images: all modalities by name, the first as ``image``; empty if the scan has only one.
        table: the lesion table, cells as text; one row per lesion.
        labels: number of the table's row, from 1, of each voxel; 0 outside lesions. None if nothing was segmented.
        maps: further volumes by name, see :data:`MAPS`.
        date: when the prediction was written.
    """

    record: Mapping[str, Any]
    image: Num[np.ndarray, "x y z"]
    grid: Grid
    table: pd.DataFrame
    labels: Int[np.ndarray, "x y z"] | None
    maps: Mapping[str, Float[np.ndarray, "x y z"]] = field(default_factory=dict)
    date: str = ""
    images: Mapping[str, Num[np.ndarray, "x y z"]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The base name of the scan's outputs."""
        return str(self.record["id"])

    @property
    def ids(self) -> list[str]:
        """The lesions' identifiers, row by row."""
        return [str(value) for value in self.table.iloc[:, 0]] if len(self.table) else []

    def cropped(self, margin_mm: float = 4.0) -> "Case":
        """Return the part of the scan that holds the head and every lesion."""
        start, stop = _head(self.image, self.labels, self.grid.spacing_mm, margin_mm)
        box = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
        return replace(
            self,
            image=self.image[box],
            labels=None if self.labels is None else self.labels[box],
            maps={name: volume[box] for name, volume in self.maps.items()},
            images={name: volume[box] for name, volume in self.images.items()},
            grid=self.grid.cropped(start, stop),
        )


def read_case(record_path: Path, scan: Scan, others: Sequence[Scan] = (), modalities: Sequence[str] = ()) -> Case:
    """Read the files beside a prediction's record.

    Args:
        record_path: ``<name>.json``.
        scan: the image that the prediction was made from; the first modality.
        others: its further modalities.
        modalities: names of all modalities.

    Raises:
        ScanError: the record is no prediction's, or its files are missing, damaged or belong to another image.
    """
    record = prediction_record(record_path)
    if record is None:
        raise ScanError(
            record_path, expected="the record of a prediction", found="none", remedy="predict the scan with jsc predict"
        )
    base = record_path.with_suffix("")  # a name may hold dots
    grid = scan.grid.canonical()
    maps = {}
    for end, name in MAPS.items():
        path = base.with_name(f"{base.name}_{end}.nii.gz")
        if path.exists():
            maps[name] = reorient(_volume(path, scan), scan.grid, grid)
    table, labels = pd.DataFrame(), None
    if "lesion_count" in record:
        mask_path = base.with_name(f"{base.name}_lesions.nii.gz")
        mask = _volume(mask_path, scan)
        table = _table(base.with_name(f"{base.name}_lesions.tsv"), record["lesion_count"])
        labels = reorient(_labels_by_row(mask > 0, scan.grid, table, mask_path), scan.grid, grid)
    written = datetime.fromtimestamp(record_path.stat().st_mtime, UTC).date().isoformat()
    image = reorient(scan.data, scan.grid, grid)
    images = _images(record, image, scan, others, modalities) if others else {}
    return Case(record, image, grid, table, labels, maps, written, images)


def _images(
    record: Mapping[str, Any], image: np.ndarray, scan: Scan, others: Sequence[Scan], modalities: Sequence[str]
) -> dict[str, Num[np.ndarray, "x y z"]]:
    """Return all modalities on the first one's canonical grid, moved as in the prediction."""
    images = {modalities[0]: image}
    recorded = record.get("preprocessing", {}).get("modalities", [])
    for number, (name, other) in enumerate(zip(modalities[1:], others, strict=True), start=1):
        entry = recorded[number] if number < len(recorded) else {}
        move = np.array(entry.get("move", np.eye(4)), dtype=np.float64)  # records of earlier versions lack it
        moved, _ = resample_oblique(other.data, other.grid, scan.grid, move, linear=True)
        images[name] = reorient(moved, scan.grid, scan.grid.canonical())
    return images


def _volume(path: Path, scan: Scan) -> Float[np.ndarray, "x y z"]:
    """Return a volume that a prediction wrote for ``scan``."""
    volume, head = read_volume(path, remedy=_AGAIN)
    if head.grid.distance_mm(scan.grid) > min(scan.grid.spacing_mm) / 2:
        raise ScanError(
            path,
            expected=f"a volume on the grid of {scan.path.name}",
            found="another grid",
            remedy="name the scan that the prediction was made from",
        )
    if not np.isfinite(volume).all():
        raise ScanError(path, expected="finite values", found="NaN or infinity", remedy=_AGAIN)
    return volume


def _table(path: Path, count: int) -> pd.DataFrame:
    """Return the lesion table of a prediction, cells as text."""
    names = [*_CENTROID, "volume_ml"]
    try:
        table = read_written(path, "\t").fillna("")
        numbers = table[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    except FileNotFoundError:
        found = "no such file"
    except (OSError, ValueError, KeyError) as error:
        found = f"a damaged table ({type(error).__name__})"
    else:
        if len(table) == count and np.isfinite(numbers).all():
            return table
        found = f"{len(table)} rows" if len(table) != count else "a cell that is no number"
    raise ScanError(path, expected=f"the table of {count} lesions that the record counts", found=found, remedy=_AGAIN)


def _labels_by_row(mask: np.ndarray, grid: Grid, table: pd.DataFrame, path: Path) -> Int[np.ndarray, "x y z"]:
    """Return the lesions of ``mask`` numbered by the rows of ``table``, which are found by their centroids."""
    labels, count = label_lesions(mask)
    found = lesion_table(mask, grid)[_CENTROID].to_numpy(dtype=np.float64)
    fits = len(table) == count
    row_of = np.zeros(count + 1, dtype=np.int32)
    if fits and count:
        rows = table[_CENTROID].apply(pd.to_numeric).to_numpy(dtype=np.float64)
        distance = np.linalg.norm(found[:, None] - rows[None], axis=-1)
        row_of[1:] = distance.argmin(axis=1) + 1
        fits = bool((distance.min(axis=1) <= _SAME_MM).all()) and len(set(row_of[1:])) == count
    if not fits:
        raise ScanError(
            path,
            expected="the lesions of the table beside it",
            found=f"{count} lesions for {len(table)} rows, or other positions",
            remedy=_AGAIN,
        )
    return row_of[labels]


def _head(
    image: np.ndarray, labels: np.ndarray | None, spacing_mm: tuple[float, float, float], margin_mm: float
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the corners of the box around the voxels that are brighter than the background."""
    background = float(np.median(image[:: image.shape[0] - 1, :: image.shape[1] - 1, :: image.shape[2] - 1]))
    bright = image > background + 0.1 * (float(np.percentile(image, 99.5)) - background)
    start, stop = [], []
    for axis, spacing in enumerate(spacing_mm):
        others = tuple(other for other in range(3) if other != axis)
        held = bright.mean(axis=others) > 0.002
        if labels is not None:
            held |= labels.any(axis=others)
        where = np.flatnonzero(held)
        margin = round(margin_mm / spacing)
        low, high = (where[0], where[-1] + 1) if len(where) else (0, image.shape[axis])
        start.append(max(int(low) - margin, 0))
        stop.append(min(int(high) + margin, image.shape[axis]))
    return (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])
