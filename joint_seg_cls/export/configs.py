"""The two configurations of a MONAI bundle: ``metadata.json`` and ``inference.json``."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

from joint_seg_cls import __version__
from joint_seg_cls.errors import CheckpointError, ConfigError
from joint_seg_cls.export.carried import ENTRIES, carried_name, home_of
from joint_seg_cls.export.program import ExportedPart
from joint_seg_cls.training import Checkpoint, Recipe

#: Schema of MONAI that ``metadata.json`` follows.
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
#: Steps of the preprocessing, in the order of :class:`~joint_seg_cls.preprocess.Steps`.
STEPS = ("brain", "bias_field", "registration", "layout", "intensity")
_PREPROCESS = "joint_seg_cls.preprocess"
#: HD-BET has 290 MB of weights and is not part of a bundle.
_NOT_CARRIED = f"{_PREPROCESS}.HdBet"
_NO_EXTRACTION = {"_target_": f"{_PREPROCESS}.NoExtraction"}
#: With these MONAI marks expressions, references and macros in a configuration.
_MARKS = ("$", "@", "%")


def carried_steps(preprocess: Mapping[str, Any], where: object) -> tuple[dict[str, Any], list[str]]:
    """Return the steps of a recorded preprocessing that a bundle carries, and what it does not reproduce, as sentences.

    Raises:
        ConfigError: a step is no class of this program.
    """
    steps: dict[str, Any] = {name: preprocess[name] for name in STEPS}
    missing: list[str] = []
    brain = steps["brain"]
    if isinstance(brain.get("extractor"), dict) and brain["extractor"].get("_target_") == _NOT_CARRIED:
        steps["brain"] = _NO_EXTRACTION
        missing.append(
            "brain extraction (HD-BET in training): give a skull-stripped scan or a brain mask; a raw scan is refused"
        )
    elif brain["_target_"] == f"{_PREPROCESS}.MaskFromTable":
        missing.append("brain extraction: give a brain mask; a scan without one is refused")
    elif brain["_target_"] == _NO_EXTRACTION["_target_"]:
        missing.append("brain extraction: give a skull-stripped scan or a brain mask; a raw scan is refused")
    for target in targets(steps):
        if not target.startswith(f"{_PREPROCESS}."):
            raise ConfigError(
                f"preprocessing of {where}",
                expected="steps of joint_seg_cls, which a bundle carries",
                found=target,
                remedy="train on a store that was prepared with shipped steps, or share the checkpoint with your code",
            )
    return steps, missing


def targets(config: Any) -> list[str]:
    """Return the names of all classes in a configuration."""
    if isinstance(config, Mapping):
        own = [str(config["_target_"])] if "_target_" in config else []
        return own + [name for each in config.values() for name in targets(each)]
    return [name for each in config for name in targets(each)] if isinstance(config, list | tuple) else []


def modules_of(steps: Mapping[str, Any]) -> list[str]:
    """Return the modules that define the classes of the steps."""
    return [_home(target) for target in targets(steps)]


def inference(checkpoint: Checkpoint, parts: Sequence[ExportedPart], steps: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``inference.json``: what ``python -m monai.bundle run`` executes.

    Raises:
        CheckpointError: a text in the recipe would be an expression of MONAI.
    """
    recipe = checkpoint.recipe
    network, transforms = (carried_name(module) for module in ENTRIES)
    for text in _texts([steps, list(recipe.classes), list(recipe.modalities)]):
        if text.startswith(_MARKS):
            raise CheckpointError(
                checkpoint.path,
                expected=f"names that do not begin with {', '.join(_MARKS)}, which MONAI evaluates",
                found=text[:40],
                remedy="rename that class or modality and train again",
            )
    return {
        "imports": ["$import torch", f"$from {transforms} import predict_scans"],
        "bundle_root": ".",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "image": "scan.nii.gz" if len(recipe.modalities) == 1 else [f"{name}.nii.gz" for name in recipe.modalities],
        "brain_mask": None,
        "output_dir": "$@bundle_root + '/predicted'",
        "modalities": list(recipe.modalities),
        "classes": list(recipe.classes),
        "network": {
            "_target_": f"{network}.LoadedNetwork",
            "folder": "$@bundle_root + '/models'",
            "programs": [part.to_json() for part in parts],
            "device": "@device",
        },
        "network_def": {"_target_": f"{network}.MainOutput", "network": "@network"},
        "predictor": {
            "_target_": "scripts.inference.predictor.Predictor",
            "network": "@network",
            "lesion_threshold": recipe.lesion_threshold,
            "device": "@device",
            "views": recipe.views,
            "least_lesion_mm3": recipe.least_lesion_mm3,
            "window": None if recipe.window is None else list(recipe.window),
            "temperature": recipe.temperature,
        },
        "preprocessing": {
            "_target_": f"{transforms}.PrepareScand",
            "steps": {"_target_": "scripts.preprocess.model_input.Steps", **_located(steps)},
        },
        "inferer": {"_target_": f"{transforms}.FindLesionsd", "predictor": "@predictor"},
        "postprocessing": {
            "_target_": f"{transforms}.WriteFindingsd",
            "folder": "@output_dir",
            "classes": "@classes",
        },
        "run": ["$predict_scans(@image, @brain_mask, @modalities, [@preprocessing, @inferer, @postprocessing])"],
    }


def metadata(
    checkpoint: Checkpoint,
    parts: Sequence[ExportedPart],
    requirements: Sequence[str],
    eval_metrics: Mapping[str, float],
) -> dict[str, Any]:
    """Return ``metadata.json``."""
    recipe = checkpoint.recipe
    segments = any("lesion_logits" in each.outputs for each in parts)
    classifies = any("disease_logits" in each.outputs for each in parts)
    tasks = [*(["lesion segmentation"] if segments else []), *(["diagnosis"] if classifies else [])]
    diseases = ", ".join(recipe.classes)
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported by joint_seg_cls {__version__}"},
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": {
            _name(text): _version(_name(text))
            for text in requirements
            if _name(text) not in ("monai", "torch", "numpy")
        },
        "optional_packages_version": {},
        "supported_apps": {},
        "name": "joint_seg_cls " + " and ".join(tasks),
        "task": f"{' and '.join(tasks)} on brain MRI".capitalize(),
        "description": f"3-D network ({recipe.variant}) for {' and '.join(tasks)} on {', '.join(recipe.modalities)}"
        + (f"; diseases: {diseases}" if classifies else "")
        + ". Research use only; not a medical device.",
        "authors": "not recorded",
        "copyright": "program: Apache-2.0 (LICENSE); the licence of the weights is not recorded",
        "data_source": "not recorded; see docs/README.md",
        "data_type": "nibabel",
        "image_classes": f"{', '.join(recipe.modalities)}, preprocessed as in configs/inference.json",
        "label_classes": "lesion mask: 1 is lesion, 0 is everything else" if segments else diseases,
        "pred_classes": "one channel, the logit of lesion" if segments else f"logits of {diseases}",
        "eval_metrics": dict(eval_metrics),
        "intended_use": "research only; not a medical device, not for diagnosis",
        "references": [
            "Huang et al., A joint model for lesion segmentation and classification of MS and NMOSD, "
            "Front. Neurosci. 18:1351387 (2024), https://doi.org/10.3389/fnins.2024.1351387"
        ],
        "network_data_format": _data_format(recipe, parts[0], segments=segments, classifies=classifies),
    }


def _data_format(recipe: Recipe, part: ExportedPart, *, segments: bool, classifies: bool) -> dict[str, Any]:
    """Return ``network_data_format``."""
    image = {
        **_image(
            part.size, len(recipe.modalities), dict(enumerate(recipe.modalities)), is_patch=recipe.window is not None
        ),
        "format": "magnitude",
        "value_range": [],
    }
    lesion = {
        **_image(part.size, 1, {0: "logit of lesion"}, is_patch=recipe.window is not None),
        "format": "segmentation",
        "value_range": [],
    }
    disease = {
        "type": "probabilities",
        "format": "classes",
        "modality": "n/a",
        "num_channels": len(recipe.classes),
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(code): f"logit of {name}" for code, name in enumerate(recipe.classes)},
    }
    outputs = {"pred": lesion if segments else disease}
    outputs |= {"disease": disease} if segments and classifies else {}
    return {"inputs": {"image": image}, "outputs": outputs}


def _image(size: Sequence[int], channels: int, meaning: Mapping[int, str], *, is_patch: bool) -> dict[str, Any]:
    return {
        "type": "image",
        "modality": "MR",
        "num_channels": channels,
        "spatial_shape": list(size),
        "dtype": "float32",
        "is_patch_data": is_patch,
        "channel_def": {str(number): name for number, name in meaning.items()},
    }


def _located(config: Any) -> Any:
    """Return a configuration whose classes are those of the bundle."""
    if isinstance(config, Mapping):
        return {
            key: f"{carried_name(_home(value))}.{value.rpartition('.')[2]}" if key == "_target_" else _located(value)
            for key, value in config.items()
        }
    return [_located(each) for each in config] if isinstance(config, list | tuple) else config


def _home(target: str) -> str:
    module, _, name = target.rpartition(".")
    return home_of(module, name)


def _texts(config: Any) -> list[str]:
    if isinstance(config, str):
        return [config]
    inner = config.values() if isinstance(config, Mapping) else config if isinstance(config, list | tuple) else ()
    return [text for each in inner for text in _texts(each)]


def _name(requirement: str) -> str:
    for mark in "<>=!~[ ":
        requirement = requirement.partition(mark)[0]
    return requirement


def _version(package: str) -> str:
    """Return the installed version, without a local label such as ``+cpu``."""
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "not installed here"
