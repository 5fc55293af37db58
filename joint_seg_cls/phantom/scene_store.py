"""A prepared store of scenes, from which training simulates a new image in each epoch."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from joint_seg_cls.errors import StoreError
from joint_seg_cls.parallel import mapped
from joint_seg_cls.phantom.appearance import draw_appearance, ventricular_extent
from joint_seg_cls.phantom.cohort import subject_name
from joint_seg_cls.phantom.parameters import stream
from joint_seg_cls.phantom.randomised import RandomisedCohort
from joint_seg_cls.phantom.skull import NoSkull
from joint_seg_cls.scan import (
    DISEASES,
    Geometry,
    Grid,
    PreparedCase,
    PreparedStore,
    read_case,
    write_case,
    write_store_record,
)

Intensity = Callable[[Float32[np.ndarray, "x y z"], Bool[np.ndarray, "x y z"]], Float[np.ndarray, "x y z"]]


def write_scene_store(
    cohort: RandomisedCohort,
    store: str | Path,
    *,
    shape: tuple[int, int, int],
    spacing_mm: float,
    intensity: Intensity,
    settings: dict[str, Any],
    workers: int,
) -> PreparedStore:
    """Write the scene of every subject as a prepared case; return the store.

    A case has one image of the scene, for validation and test, and the labels, from which ``RandomAppearance``
    draws others. Existing cases are kept.

    Args:
        store: the folder; it may contain an earlier, smaller or interrupted store with the same settings, but nothing
            else.
        shape: voxels of the network's grid.
        spacing_mm: edge of a voxel.
        settings: preprocessing of scans for a network trained on this store.
        workers: processes; 0 uses the main process only.

    Raises:
        StoreError: ``store`` contains something else.
    """
    store = Path(store)
    cohort.prepare(1, NoSkull())
    subjects = range(1, cohort.recruitment.subjects() + 1)
    made_of = json.dumps([cohort.settings(), settings, shape, spacing_mm])
    keys = {name: hashlib.sha256(f"{made_of} {name}".encode()).hexdigest()[:32] for name in map(subject_name, subjects)}
    record: dict[str, Any] = {
        "settings": settings,
        "classes": DISEASES,
        "modalities": ("flair",),
        "model_shape": shape,
    }
    there = _there(store, keys)
    missing = sorted((n for n in subjects if subject_name(n) not in there), key=cohort.head_number)
    write_store_record(store, **record)
    grid = Grid(shape, np.diag([spacing_mm] * 3 + [1.0]))
    write = partial(_write_scene, cohort=cohort, store=store, keys=keys, grid=grid, intensity=intensity)
    mapped(write, missing, workers=workers, label="scenes", share=True)
    write_store_record(store, **record, cases=[subject_name(n) for n in subjects])
    return PreparedStore(store)


def _write_scene(
    subject: int, *, cohort: RandomisedCohort, store: Path, keys: dict[str, str], grid: Grid, intensity: Intensity
) -> None:
    """Write the scene of a subject as a prepared case, with one image."""
    name = subject_name(subject)
    scene = cohort.scene(subject, grid.shape, grid.spacing_mm[0])
    drawn = draw_appearance(scene, ventricular_extent(scene), stream(cohort.seed, subject, "appearance", 0))
    columns = cohort.person(subject, 1) | {"skull_stripped": "true"}
    disease = cohort.patient(subject)[1].disease
    write_case(
        PreparedCase(store / name, name, name, None, disease, True, keys[name], Geometry(grid, grid), columns),
        image=intensity(drawn.image, drawn.brain)[None].astype(np.float32),
        brain_mask=drawn.brain,
        lesion_mask=drawn.lesions,
        lesion_mask_native=drawn.lesions,
        labels={"tissue": scene.tissue, "lesions": scene.lesions},
    )


def _there(store: Path, keys: dict[str, str]) -> set[str]:
    """Return the names of the existing cases; refuse a folder with anything else."""
    folders = sorted(store.iterdir()) if store.is_dir() else []
    found = set()
    for folder in folders:
        if folder.name.startswith(".") or folder.is_file() or folder.name == "splits":
            continue
        if not (folder / "case.json").is_file() or read_case(folder).key != keys.get(folder.name):
            raise StoreError(
                store,
                expected="an empty folder or a store of the same scenes",
                found=f"{folder.name}, which belongs to another store",
                remedy="choose another folder with store=",
            )
        found.add(folder.name)
    return found
