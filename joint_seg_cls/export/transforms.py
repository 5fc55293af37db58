"""The work of an exported bundle as transforms of a dictionary: prepare a scan, bring findings back, write them."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from joint_seg_cls.atomic_write import write_json
from joint_seg_cls.errors import InputError, ScanError
from joint_seg_cls.inference import Findings, Predictor
from joint_seg_cls.lesions import label_lesions
from joint_seg_cls.preprocess import ModelInput, Steps
from joint_seg_cls.scan import write_volume

Item = dict[str, Any]


def scans(image: str | Sequence[Any], brain_mask: str | None, modalities: Sequence[str]) -> list[Item]:
    """Return one item per scan, with the list of its files.

    Args:
        image: a file, or the files of several scans; with several modalities the files of one scan in their order, or
            a list of such lists.
        brain_mask: of a single scan.

    Raises:
        ScanError: a scan has another number of files; a mask for several scans; two scans of one name.
    """
    given = [image] if isinstance(image, str) else list(image)
    if len(modalities) > 1 and all(isinstance(each, str) for each in given):
        given = [given]
    items = [[each] if isinstance(each, str) else list(each) for each in given]
    for files in items:
        if len(files) != len(modalities):
            raise ScanError(
                files[0] if files else "image",
                expected=f"{len(modalities)} file{'s' * (len(modalities) > 1)} for each scan: {', '.join(modalities)}",
                found=str(len(files)),
                remedy="correct --image",
            )
    names = [_name(files[0]) for files in items]
    if len(set(names)) < len(names) or (brain_mask is not None and len(items) > 1):
        expected = "scans of different names" if brain_mask is None else "one scan that the brain_mask belongs to"
        raise ScanError("image", expected=expected, found=", ".join(names), remedy="run them one by one")
    return [{"name": name, "image": files, "brain_mask": brain_mask} for name, files in zip(names, items, strict=True)]


@final
class PrepareScand:
    """Read and preprocess a scan as for the training; adds ``prepared``."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def __call__(self, data: Item) -> Item:
        """Return the item with a :class:`ModelInput`.

        Raises:
            ScanError: a file or step refuses the scan; a raw scan where the bundle cannot extract the brain.
        """
        mask = data["brain_mask"]
        prepared = self.steps.model_input([Path(file) for file in data["image"]], None if mask is None else Path(mask))
        return {**data, "prepared": prepared}


@final
class FindLesionsd:
    """Apply the network; adds ``findings`` in the scan's own grid."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def __call__(self, data: Item) -> Item:
        """Return the item with :class:`Findings`."""
        prepared: ModelInput = data["prepared"]
        found = self.predictor(prepared.image, data["image"][0])
        return {**data, "findings": self.predictor.in_native_space(found, prepared.geometry)}


@final
class WriteFindingsd:
    """Write the findings: volumes in the scan's own grid and a JSON record, which is written last."""

    def __init__(self, folder: str | Path, classes: Sequence[str]) -> None:
        self.folder = Path(folder)
        self.classes = list(classes)

    def __call__(self, data: Item) -> Item:
        """Return the item with its ``record``."""
        found: Findings = data["findings"]
        prepared: ModelInput = data["prepared"]
        self.folder.mkdir(parents=True, exist_ok=True)
        record: dict[str, Any] = {"id": data["name"], "brain_volume_ml": prepared.brain_ml}
        if (doubt := prepared.figures["brain_doubt"]) != "":
            record["warnings"] = [doubt]
        if found.disease_probability is not None:
            record["disease"] = self.classes[int(found.disease_probability.argmax())]
            record["disease_probability"] = dict(zip(self.classes, found.disease_probability.tolist(), strict=True))
        if found.lesions is not None:
            record["lesion_count"] = label_lesions(found.lesions)[1]
            record["lesion_volume_ml"] = float(found.lesions.sum()) * prepared.geometry.native.voxel_ml
        volumes = {
            "lesions": None if found.lesions is None else found.lesions.astype(np.uint8),
            "lesion-probability": found.lesion_probability,
            "location-map": found.location_map,
        }
        for name, volume in volumes.items():
            if volume is not None:
                write_volume(self.folder / f"{data['name']}_{name}.nii.gz", volume, prepared.scan)
        record["use"] = "research only; not a medical device"
        write_json(self.folder / f"{data['name']}.json", record)
        return {**data, "record": record}


def predict_scans(
    image: str | Sequence[Any],
    brain_mask: str | None,
    modalities: Sequence[str],
    steps: Sequence[Callable[[Item], Item]],
) -> list[Mapping[str, Any]]:
    """Apply the steps to each scan and print its record; a scan that cannot be used does not stop the others.

    Args:
        image: as for :func:`scans`.
        steps: transforms of an item, the last of which adds ``record``.

    Raises:
        SystemExit: with status 2, if a scan could not be used.
    """
    records: list[Mapping[str, Any]] = []
    failures: list[InputError] = []
    try:
        given = scans(image, brain_mask, modalities)
    except InputError as error:
        given, failures = [], [error]
    for item in given:
        try:
            done = item
            for step in steps:
                done = step(done)
            records.append(done["record"])
            sys.stdout.write(json.dumps(done["record"]) + "\n")
        except InputError as error:
            failures.append(error)
    for error in failures:
        sys.stderr.write(f"error: {error}\n")
    if failures:
        sys.exit(2)
    return records


def _name(file: str) -> str:
    """Return the name of a scan: its file's without the endings of NIfTI."""
    name = Path(file).name
    for end in (".nii.gz", ".nii"):
        if name.lower().endswith(end):
            return name[: -len(end)]
    return name
