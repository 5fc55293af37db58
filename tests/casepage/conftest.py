"""A prediction of a tiny scan on an oblique grid, written by hand as `jsc predict` writes it."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

SHAPE = (40, 46, 34)
#: LAS axes with a small rotation.
AFFINE = np.array([[-2.0, 0.1, 0, 40], [0.1, 2.1, 0.2, -46], [0, -0.2, 2.2, -30], [0, 0, 0, 1]])
#: Lower corners and sides of box-shaped lesions, in voxels; the first two share an axial layer.
LESIONS = {"L1": ((12, 14, 18), (5, 4, 4)), "L2": ((25, 28, 18), (3, 3, 3)), "L3": ((16, 24, 9), (2, 2, 2))}


def brain():
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    return np.linalg.norm((index - (np.array(SHAPE) - 1) / 2) / (0.44 * np.array(SHAPE)), axis=-1) < 1


def boxes(lesions):
    masks = []
    for corner, sides in (LESIONS[name] if isinstance(name, str) else name for name in lesions):
        mask = np.zeros(SHAPE, bool)
        mask[tuple(slice(low, low + side) for low, side in zip(corner, sides, strict=True))] = True
        masks.append(mask)
    return masks


def centre_mm(mask):
    return (AFFINE @ [*np.argwhere(mask).mean(axis=0), 1])[:3]


def write_prediction(folder, name, lesions=tuple(LESIONS), classes=("MS", "NMOSD"), regions=None, **record):
    """Write a scan beside ``folder`` and its findings into it; return the path of the scan."""
    folder.mkdir(parents=True, exist_ok=True)
    scan = folder.parent / f"{name}.nii.gz"
    rng = np.random.default_rng(0)
    texture = rng.normal(100, 8, SHAPE)
    texture[18:22, 20:26, 12:20] -= 50  # ventricle
    masks = boxes(lesions)
    mask = np.any(masks, axis=0) if masks else np.zeros(SHAPE, bool)
    nib.save(nib.Nifti1Image(np.where(brain(), texture + 60 * mask, 0).astype(np.float32), AFFINE), scan)

    def save(end, data):
        nib.save(nib.Nifti1Image(data, AFFINE), folder / f"{name}_{end}.nii.gz")

    save("lesions", mask.astype(np.uint8))
    save("lesion-probability", (0.9 * mask + 0.05 * brain()).astype(np.float32))
    rows = [
        {
            "lesion": key,
            "volume_ml": each.sum() * abs(np.linalg.det(AFFINE[:3, :3])) / 1000,
            **{f"centroid_{axis}_mm": value for axis, value in zip("xyz", centre_mm(each), strict=True)},
            "region": (regions or {}).get(key, "deep_white_matter"),
        }
        for key, each in zip(lesions, masks, strict=True)
    ]
    names = ["lesion", "volume_ml", *(f"centroid_{axis}_mm" for axis in "xyz"), "region"]
    pd.DataFrame(rows, columns=names).to_csv(folder / f"{name}_lesions.tsv", sep="\t", index=False)
    found = {
        "id": name,
        "scan": scan.name,
        "classes": list(classes),
        "lesion_count": len(masks),
        "lesion_volume_ml": float(sum(row["volume_ml"] for row in rows)),
        "brain_volume_ml": float(brain().sum() * abs(np.linalg.det(AFFINE[:3, :3])) / 1000),
        "model": {"variant": "joint", "sha256": "0123456789abcdef0123"},
        "warnings": [],
    }
    if classes:
        share = np.arange(len(classes), 0, -1) / sum(range(len(classes) + 1))
        found |= {"disease": classes[0], "disease_probability": dict(zip(classes, share.tolist(), strict=True))}
        save("location-map", (mask * 2.0 - 0.1).astype(np.float32))
    (folder / f"{name}.json").write_text(json.dumps(found | record))
    return scan


def write_second_modality(folder, name):
    """Write a T1 of the head of a prediction, shifted by 8 mm and on voxels of 2.5 mm; dark at L1, bright elsewhere."""
    move = np.eye(4)
    move[:3, 3] = (8.0, 0, 0)
    affine = np.diag([2.5, 2.5, 2.5, 1.0])
    affine[:3, 3] = (-42.0, -58.0, -40.0)
    index = np.stack(np.meshgrid(*map(np.arange, (40, 50, 36)), indexing="ij"), axis=-1)
    voxel = (index @ affine[:3, :3].T + affine[:3, 3] - move[:3, 3] - AFFINE[:3, 3]) @ np.linalg.inv(AFFINE[:3, :3]).T
    head = np.linalg.norm((voxel - (np.array(SHAPE) - 1) / 2) / (0.44 * np.array(SHAPE)), axis=-1) < 1
    low, sides = (np.array(part) for part in LESIONS["L1"])
    dark = ((voxel > low - 1) & (voxel < low + sides)).all(axis=-1)
    path = folder.parent / f"{name}_t1.nii.gz"
    nib.save(nib.Nifti1Image(np.where(head, np.where(dark, 20, 90), 0).astype(np.float32), affine), path)
    record = json.loads((folder / f"{name}.json").read_text())
    record["preprocessing"] = {"modalities": [{"move": np.eye(4).tolist()}, {"move": move.tolist()}]}
    (folder / f"{name}.json").write_text(json.dumps(record))
    return path


@pytest.fixture(scope="session")
def tiny():
    """Return the shape, axes and lesion masks of the scan, and what writes one and its second modality."""
    masks = dict(zip(LESIONS, boxes(LESIONS), strict=True))
    return SimpleNamespace(
        shape=SHAPE,
        affine=AFFINE,
        masks=masks,
        centre_mm=centre_mm,
        write=write_prediction,
        write_second=write_second_modality,
    )


@pytest.fixture(scope="session")
def chromium():
    """Return the class that drives a browser, or skip where there is none."""
    path = Path(__file__).with_name("chromium.py")
    spec = importlib.util.spec_from_file_location("chromium", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.program() is None:
        pytest.skip(f"needs a browser: one of {', '.join(module.PROGRAMS)}")
    return module.Chromium


@pytest.fixture
def predicted(tmp_path):
    """Return a function that writes a prediction and gives its case."""
    from joint_seg_cls.casepage import read_case
    from joint_seg_cls.scan import read_scan

    def make(name="p1", folder="findings", **settings):
        scan = write_prediction(tmp_path / folder, name, **settings)
        return read_case(tmp_path / folder / f"{name}.json", read_scan(scan))

    return make
