"""Tiny prepared stores."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from joint_seg_cls.scan import Geometry, Grid, PreparedCase, PreparedStore, write_case, write_store_record

SIDE = 16


def blob(seed: int, side: int = SIDE, centre: Sequence[float] | None = None) -> np.ndarray:
    """A smooth, asymmetric bright spot on an exactly zero background."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0.4, 0.6, 3) * side if centre is None else np.asarray(centre)
    offsets = np.moveaxis(np.indices((side,) * 3), 0, -1) - centre
    radius = np.linalg.norm(offsets / np.array([1.0, 0.8, 0.6]), axis=-1) / (0.3 * side)
    return np.where(radius < 1, 1.5 - radius, 0).astype(np.float32)


@pytest.fixture
def case_record(tmp_path: Path) -> Callable[..., PreparedCase]:
    """A case's record without files."""
    grid = Grid((SIDE,) * 3, np.diag([-1.2, 1.1, 0.9, 1.0]))

    def make(name: str, subject: str | None = None, disease: str | None = "MS", mask: bool = False) -> PreparedCase:
        return PreparedCase(
            folder=tmp_path / "store" / name,
            case=name,
            subject=subject or name,
            session=None,
            disease=disease,
            has_lesion_mask=mask,
            key="0",
            geometry=Geometry(grid, grid),
        )

    return make


@pytest.fixture
def make_store(tmp_path: Path, case_record: Callable[..., PreparedCase]) -> Callable[..., PreparedStore]:
    """Write a store of ``(name, subject, disease, lesion voxels or None)``."""

    def make(rows: Sequence[tuple[str, str, str | None, int | None]]) -> PreparedStore:
        folder = tmp_path / "store"
        folder.mkdir()
        kinds = {"classes": ("MS", "NMOSD"), "modalities": ("flair",), "model_shape": [SIDE] * 3}
        write_store_record(folder, settings={}, cases=[row[0] for row in rows], **kinds)
        for number, (name, subject, disease, lesion_voxels) in enumerate(rows):
            image = blob(number)
            mask = None
            if lesion_voxels is not None:
                brightest = np.argsort(-image, axis=None, kind="stable")[:lesion_voxels]
                mask = np.zeros(image.size, dtype=bool)
                mask[brightest] = True
                mask = mask.reshape(image.shape)
            case = case_record(name, subject, disease, mask is not None)
            write_case(case, image=image[None], brain_mask=image > 0, lesion_mask=mask, lesion_mask_native=mask)
        return PreparedStore(folder)

    return make


@pytest.fixture
def store(make_store: Callable[..., PreparedStore]) -> PreparedStore:
    """Ten MS and ten NMOSD cases of as many subjects; one per class has no mask, one scan has no disease."""
    rows = [(f"m{i}", f"m{i}", "MS", 20 + i if i else None) for i in range(10)]
    rows += [(f"n{i}", f"n{i}", "NMOSD", 30 + i if i else None) for i in range(10)]
    return make_store([*rows, ("u0", "u0", None, 25)])
