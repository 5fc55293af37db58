"""A trained network as a MONAI bundle that runs without this program."""

import copy
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from joint_seg_cls.atomic_write import atomic_folder, write_json, write_text
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.export.card import model_card
from joint_seg_cls.export.carried import ENTRIES, Carried
from joint_seg_cls.export.configs import carried_steps, inference, metadata, modules_of, targets
from joint_seg_cls.export.facts import Facts
from joint_seg_cls.export.onnx import check_onnx, require_onnx, write_onnx
from joint_seg_cls.export.program import ExportedPart, check_programs, parts_of, write_program
from joint_seg_cls.training import Checkpoint, shipped_path

_PREDICTOR = "joint_seg_cls.inference.predictor"
#: Metrics that ``metadata.json`` quotes: the name there, by metric and grid.
_QUOTED = {("DSC", "native"): "mean_dice", ("ACC", "scan"): "accuracy", ("AUC", "scan"): "auc"}


@final
@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        differences: largest relative difference of each output from the network, by file format.
        missing: what of the preprocessing the bundle does not reproduce, as sentences.
    """

    folder: Path
    differences: dict[str, dict[str, float]]
    missing: list[str]


def refuse_filled(out: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        ConfigError: it is not empty.
    """
    if out.is_dir() and (first := next(iter(sorted(out.iterdir())), None)) is not None:
        raise ConfigError(
            "out",
            expected="a folder that is empty or does not exist",
            found=f"{out} with {first.name}",
            remedy="choose another out=, or empty the folder",
        )


def export_bundle(
    network: nn.Module, checkpoint: Checkpoint, facts: Facts, out: Path, *, onnx: bool = False
) -> Exported:
    """Write the bundle; the folder appears when it is complete.

    Files: ``configs/metadata.json``, ``configs/inference.json``, ``models/*.pt2`` (programs of ``torch.export`` with
    their weights) and with ``onnx`` also ``models/*.onnx``, ``scripts/`` (the code of the preprocessing),
    ``docs/README.md`` (the model card), ``requirements.txt``, ``LICENSE``.

    Args:
        network: with its weights, in evaluation mode, on the CPU.
        facts: what is known of it, for the card.
        onnx: whether to write ONNX too.

    Raises:
        ConfigError: ``out`` is not empty, the network cannot be exported, a preprocessing step is not one of this
            program, or a package for ONNX is missing.
        CheckpointError: an exported program gives other numbers than the network.
    """
    refuse_filled(out)
    if onnx:
        require_onnx()
    recipe = checkpoint.recipe
    steps, missing = carried_steps(recipe.preprocess, checkpoint.path.name)
    carried = Carried([*ENTRIES, _PREDICTOR, *modules_of(steps)])
    channels = len(recipe.modalities)
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    parts = parts_of(network, channels, recipe.model_shape, recipe.window)
    classes = [target.rpartition(".")[2] for target in targets(steps)]
    requirements = [_as_new(text) for text in carried.requirements(classes)]
    with atomic_folder(out) as folder:
        for name in ("configs", "models", "docs"):
            (folder / name).mkdir()
        differences = _write_programs(network, parts, channels, folder / "models", onnx=onnx)
        carried.write(folder)
        write_json(folder / "configs" / "inference.json", inference(checkpoint, parts, steps))
        metrics = _quoted(facts)
        write_json(folder / "configs" / "metadata.json", metadata(checkpoint, parts, requirements, metrics))
        card = model_card(
            checkpoint,
            facts,
            parts=parts,
            parameters=sum(weight.numel() for weight in network.parameters()),
            steps=classes,
            missing=missing,
            differences=differences,
            shipped_card=_shipped_card(checkpoint),
        )
        write_text(folder / "docs" / "README.md", card)
        write_text(folder / "requirements.txt", "\n".join(requirements) + "\n")
        write_text(folder / "LICENSE", _licence())
    return Exported(out, differences, missing)


def _write_programs(
    network: nn.Module, parts: Sequence[ExportedPart], channels: int, folder: Path, *, onnx: bool
) -> dict[str, dict[str, float]]:
    """Write the programs, and return their differences from the network by kind and output."""
    for part in parts:
        write_program(network, part, channels, folder)
    differences = {"torch.export": check_programs(network, folder, parts, channels)}
    if onnx:
        differences["ONNX"] = {}
        for part in parts:
            path = write_onnx(network, part, channels, folder)
            differences["ONNX"] |= check_onnx(network, part, channels, path)
    return differences


def _as_new(requirement: str) -> str:
    """Return torch with the installed version as the lower bound: an older one may not read the program."""
    if requirement.startswith("torch"):
        major, minor, *_ = importlib.metadata.version("torch").split(".")
        return f"torch>={major}.{minor}"
    return requirement


def _quoted(facts: Facts) -> dict[str, Any]:
    if not facts.tests:
        return {}
    rows: Sequence[Any] = facts.tests[0].summary.to_dict("records")
    named = {_QUOTED.get((row["metric"], row["space"])): float(row["value"]) for row in rows}
    return {name: round(value, 4) for name, value in named.items() if name is not None and value == value}  # noqa: PLR0124


def _shipped_card(checkpoint: Checkpoint) -> str | None:
    """Return the card that is installed beside the pretrained weights, for these weights."""
    if checkpoint.path.resolve() != shipped_path():
        return None
    card = (shipped_path().parent / "MODEL_CARD.md").read_text(encoding="utf-8")
    return card.replace("\n## ", "\n### ").removeprefix("# Pretrained lesion segmentation\n")


def _licence() -> str:
    """Return the licence of this program, whose code the bundle carries."""
    text = importlib.metadata.distribution("joint_seg_cls").read_text("licenses/LICENSE")
    assert text is not None, "an installation has its licence"
    return text
