"""Small scans with unusual geometry (oblique, flipped, anisotropic, odd sizes), and a simulated cohort."""

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


def oblique_affine(spacing=(0.9, 1.1, 3.0), axes="LPS", degrees=(11.0, -7.0, 4.0), origin=(12.0, -30.0, 5.0)):
    """Return an affine that is rotated, scaled and runs along ``axes``."""
    a, b, c = np.radians(degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    flips = np.zeros((3, 3))
    for column, code in enumerate(axes):
        row = next(i for i, pair in enumerate(("LR", "PA", "IS")) if code in pair)
        flips[row, column] = 1 if code in "RAS" else -1
    affine = np.eye(4)
    affine[:3, :3] = rz @ ry @ rx @ flips @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


@pytest.fixture
def affine():
    return oblique_affine()


@pytest.fixture
def save(tmp_path):
    def save_volume(name, data, affine, **header) -> Path:
        image = nib.Nifti1Image(data, affine)
        for key, value in header.items():
            image.header[key] = value
        path = tmp_path / name
        nib.save(image, path)
        return path

    return save_volume


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """Two simulated patients, one oblique scan and two raters each: the folder of their cohort table."""
    from joint_seg_cls.cli.main import main

    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    main(["phantom", f"out={folder}", "subjects=2", "spacing_mm=2", "raters=2", "workers=0"])
    return folder


@pytest.fixture
def put(phantom, tmp_path):
    """Return a function that copies a simulated scan or mask to a place in a new folder."""
    root = tmp_path / "data set"
    root.mkdir()

    def copy(place, kind="flair", subject=1):
        target = root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        (source,) = phantom.glob(f"sub-{subject:03d}/ses-01/*_{kind}.nii.gz")
        if target.name.lower().endswith(".gz"):
            shutil.copy(source, target)
        else:
            target.write_bytes(gzip.decompress(source.read_bytes()))
        return target

    copy.root = root
    return copy
