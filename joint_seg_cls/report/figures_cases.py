"""Cases shown in figures, and the findings of networks for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from joint_seg_cls.errors import CheckpointError, StoreError
from joint_seg_cls.inference import Findings, Predictor
from joint_seg_cls.pictures import SIDES, Slice, grey, montage, most_lesion, on_black, spread, square_pixels, window
from joint_seg_cls.report.figure import DOTS_PER_INCH
from joint_seg_cls.report.runs import ReportRun
from joint_seg_cls.report.variants import Variant
from joint_seg_cls.scan import PreparedCase
from joint_seg_cls.scan.grid import bounding_box
from joint_seg_cls.training import Checkpoint

#: Rebuilds the network of a run folder with the tested weights.
OpenNetwork = Callable[[Path], tuple[Predictor, Checkpoint]]

#: Height of a drawn slice in pixels, margin around the brain in voxels, and minimum black margin in pixels.
_HEIGHT, _MARGIN, _BESIDE = 360, 3, 28


@final
@dataclass(frozen=True)
class FigureCase:
    """A case in a figure: its test fold, and its DSC by the variant used for the selection.

    ``disease`` is empty if unknown.
    """

    case: str
    fold: str
    disease: str
    dsc: float


def choose_cases(pooled: Variant, shares: Sequence[float], tested: set[str]) -> list[FigureCase]:
    """Return for each class the cases at given quantiles of DSC (0.5 is the median, the lower of two).

    If no case has a known disease, all cases form one class without a name.

    Args:
        pooled: the variant whose DSC orders the cases; ties are ordered by name.
        shares: in [0, 1].
        tested: names of the cases to select from.
    """
    rows = pooled.rows[pooled.rows["dsc"].notna() & pooled.rows["case"].isin(tested)]
    by_class = {disease: rows[rows["disease"] == disease] for disease in pooled.classes}
    if not any(map(len, by_class.values())):
        by_class = {"": rows}
    chosen = []
    for disease, cases in by_class.items():
        own = cases.sort_values(["dsc", "case"], ignore_index=True)
        places = dict.fromkeys(int(share * (len(own) - 1)) for share in shares) if len(own) else {}
        chosen += [
            FigureCase(row.case, row.fold, disease, float(row.dsc)) for row in (own.loc[place] for place in places)
        ]
    return chosen


@final
@dataclass
class Gallery:
    """Cases and the findings of networks for them, each computed once."""

    open_network: OpenNetwork
    _networks: dict[Path, tuple[Predictor, Checkpoint]] = field(default_factory=dict)
    _findings: dict[tuple[Path, str], Findings] = field(default_factory=dict)

    def case(self, run: ReportRun, name: str) -> PreparedCase:
        """Return a prepared case.

        Raises:
            StoreError: the store is missing or has changed.
        """
        cases = run.cases()
        if name not in cases:
            raise StoreError(
                run.folder,
                expected="tested scans that are in its store",
                found=f"{name}, which is not in it",
                remedy="evaluate the run again, or report without pictures",
            )
        return cases[name]

    def network(self, run: ReportRun) -> Predictor:
        """Return the network of a run.

        Raises:
            CheckpointError: its checkpoint is missing or invalid.
        """
        if run.folder not in self._networks:
            self._networks[run.folder] = self.open_network(run.folder)
        return self._networks[run.folder][0]

    def findings(self, run: ReportRun, case: PreparedCase) -> Findings:
        """Return the findings of the network of ``run`` for ``case``, in model space."""
        key = (run.folder, case.case)
        if key not in self._findings:
            self._findings[key] = self.network(run)(np.asarray(case.image()))
        return self._findings[key]

    def lesions(self, run: ReportRun, case: PreparedCase) -> Bool[np.ndarray, "x y z"]:
        """Return the lesions segmented by the network of ``run``.

        Raises:
            CheckpointError: it does not segment.
        """
        found = self.findings(run, case).lesions
        if found is None:
            raise CheckpointError(
                run.folder, expected="a network that segments", found="one that does not", remedy="draw another"
            )
        return found


@final
@dataclass(frozen=True)
class View:
    """One axial slice of a case, cropped to the brain, with square pixels and a fixed height.

    Args:
        cut: the slice with most of the reference.
    """

    case: PreparedCase
    cut: Slice

    @classmethod
    def of(cls, case: PreparedCase) -> "View":
        """Choose the slice."""
        reference = case.lesion_mask()
        mask = None if reference is None else np.asarray(reference, dtype=bool)
        shape: tuple[int, ...] = case.image().shape[1:]
        (cut,) = most_lesion(mask, 1) if mask is not None and mask.any() else spread(shape, 1)
        return cls(case, cut)

    def grey(self) -> Float[np.ndarray, "row column 3"]:
        """Return the first modality."""
        brain = np.asarray(self.case.brain_mask(), dtype=bool)
        image = on_black(np.asarray(self.case.image()[0], dtype=np.float32), brain)
        return grey(self.of_volume(image, order=1), window(image))

    def mask(self, volume: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "row column"]:
        """Return the slice of a mask."""
        return self.of_volume(volume, order=0).astype(bool)

    def of_volume(self, volume: np.ndarray, *, order: int) -> np.ndarray:
        """Return the slice of a volume."""
        rows, columns = self._brain()
        aspect = self.cut.aspect(self.case.geometry.model.spacing_mm)
        return square_pixels(self.cut.of(volume)[rows, columns], aspect, _HEIGHT, order=order)

    def _brain(self) -> tuple[slice, slice]:
        """Return rows and columns of the slice that contain the brain anywhere in the volume."""
        columns, rows, _ = bounding_box(np.asarray(self.case.brain_mask(), dtype=bool), _MARGIN)
        return rows, columns


def save_panels(
    path: Path,
    pictures: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    cases: Sequence[FigureCase],
    notes: Sequence[Sequence[str]],
) -> Path:
    """Write axial pictures as a montage, one row per case, with a note below each picture; return ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [one.disease for one in cases]
    lettered = {"sides": SIDES["axial"], "row_labels": labels, "notes": notes}
    montage(_one_width(pictures), titles, path, dots_per_inch=DOTS_PER_INCH, **lettered)
    return path


def _one_width(pictures: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """Pad pictures with black, left and right, to a common width with space for a letter on both sides."""
    width = max(picture.shape[1] for row in pictures for picture in row) + 2 * _BESIDE

    def padded(picture: np.ndarray) -> np.ndarray:
        left = (width - picture.shape[1]) // 2
        return np.pad(picture, ((0, 0), (left, width - picture.shape[1] - left), (0, 0)))

    return [[padded(picture) for picture in row] for row in pictures]
