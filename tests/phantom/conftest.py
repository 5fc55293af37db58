"""A small cohort on disk, and the shipped presets."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from joint_seg_cls.config.build import build
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.phantom import Cohort, write_cohort


@pytest.fixture(scope="session")
def preset() -> Callable[..., Cohort]:
    """Return a function that composes a shipped preset with overrides."""

    def composed(name: str, *overrides: str) -> Cohort:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = compose("phantom", [f"phantom={name}", "out=unused", *overrides])
        return build(config.phantom)

    return composed


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """Return a function that writes a cohort with the arguments that matter here."""

    def written(cohort: Cohort, out: Path, *, raters: int = 1, workers: int = 0, spacing_mm: int = 2) -> Path:
        return write_cohort(
            cohort,
            out,
            spacing_mm=spacing_mm,
            raters=raters,
            workers=workers,
            command="jsc phantom",
        )

    return written


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """Return a function that hashes every file below a folder."""

    def hashed(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return hashed


@pytest.fixture(scope="session")
def visits_table(preset, write, tmp_path_factory) -> Path:
    """Return the table of three lifelike subjects with two visits and two raters each."""
    return write(preset("clear", "subjects=3", "visits=2", "seed=4"), tmp_path_factory.mktemp("visits"), raters=2)


def draw_labels(scale: float = 1.0) -> np.ndarray:
    """Return a head of ellipsoids: skin, fluid, cortex, white matter, ventricles, brain stem, cerebellum, deep grey."""
    side = tuple(round(n * scale) for n in (110, 130, 116))
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in side), indexing="ij")
    mm = (55 * x, 65 * y, 58 * z)

    def ball(centre, radii):
        return sum(((a - c) / r) ** 2 for a, c, r in zip(mm, centre, radii, strict=True)) < 1

    found = np.zeros(side, dtype=np.int16)
    for number, radii in ((507, (54, 64, 57)), (24, (50, 60, 53)), (3, (47, 57, 50)), (2, (42, 52, 45))):
        found[ball((0, 0, 0), radii)] = number
    found[(found == 3) & (mm[0] > 0)] = 42
    found[(found == 2) & (mm[0] > 0)] = 41
    for side_x, lateral, thalamus in ((-1, 4, 10), (1, 43, 49)):
        found[ball((9 * side_x, -2, 10), (5, 26, 8))] = lateral
        found[ball((10 * side_x, -4, -4), (6, 9, 6))] = thalamus
    found[ball((0, -2, -4), (2, 7, 6))] = 14
    found[ball((0, -10, -34), (8, 8, 16))] = 16
    found[ball((0, -34, -32), (28, 16, 13))] = 8
    found[ball((0, -34, -32), (14, 8, 7))] = 7
    found[ball((0, -21, -30), (3, 3, 6))] = 15
    return found


def save_labels(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Write labels in the format of the file's suffix."""
    kind = nib.MGHImage if path.suffix == ".mgz" else nib.Nifti1Image
    nib.save(kind(array.astype(np.int32), np.eye(4) if affine is None else affine), path)


@pytest.fixture(scope="session")
def labels() -> Callable[..., np.ndarray]:
    """Return a function that draws a small head as labels."""
    return draw_labels


@pytest.fixture(scope="session")
def write_labels() -> Callable[..., None]:
    """Return a function that writes labels to a file."""
    return save_labels
