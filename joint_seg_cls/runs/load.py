"""Loading a predictor and its preprocessing from a checkpoint, and values from a run's configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from torch import nn

from joint_seg_cls.batch import Views
from joint_seg_cls.errors import CheckpointError, ConfigError, InputError, reason_of
from joint_seg_cls.inference import Predictor
from joint_seg_cls.networks import on_meta_device, prediction_shapes
from joint_seg_cls.preprocess import Pipeline
from joint_seg_cls.scan import FORMAT
from joint_seg_cls.training import Checkpoint, RunFolder, not_plain, read_checkpoint

if TYPE_CHECKING:  # `from_file` imports all classes that a file may name, which a training does not need
    from joint_seg_cls.config.from_file import Recorded

#: Values that a network may hold besides its weights, such as position tables and unsaved buffers.
_BESIDE_WEIGHTS = 2**24
#: Maximum size of a run's configuration in bytes; this program writes about ten thousand.
_MOST_BYTES = 2**20


def load_predictor(
    path: str | Path,
    *,
    device: str,
    trust: Sequence[str] = (),
    network: nn.Module | None = None,
    views: Views | None = None,
) -> tuple[Predictor, Checkpoint]:
    """Rebuild the network of a checkpoint and load its weights.

    Args:
        trust: additional packages whose classes the checkpoint may name.
        network: receives the weights instead of a network rebuilt from the checkpoint.
        views: averaged views, instead of the recorded ones.

    Raises:
        CheckpointError: the checkpoint is invalid, or names classes that are not trusted.
        ConfigError: ``device`` does not exist.
    """
    checkpoint = read_checkpoint(path)
    where = _device(device)
    if network is None:
        from joint_seg_cls.config.from_file import check_recorded

        recorded = check_recorded(checkpoint.recipe.network, checkpoint.path, "network", trust)
        _refuse_misfit(recorded, checkpoint)
        network = recorded.build()
    assert isinstance(network, nn.Module)
    checkpoint.load_into(network)
    recipe = checkpoint.recipe
    predictor = Predictor(
        network,
        recipe.lesion_threshold,
        where,
        views=views or recipe.views,
        least_lesion_mm3=recipe.least_lesion_mm3,
        window=recipe.window,
        temperature=recipe.temperature,
    )
    return predictor, checkpoint


def load_pipeline(checkpoint: Checkpoint, trust: Sequence[str] = ()) -> Pipeline:
    """Return the preprocessing of the checkpoint's training data.

    Raises:
        CheckpointError: the format of the preprocessing differs, its output shape differs from the network's input, or
            as :func:`load_predictor`.
    """
    from joint_seg_cls.config.from_file import build_trusted

    recipe = checkpoint.recipe
    if recipe.preprocess_format != FORMAT:
        made = recipe.preprocess_format
        raise CheckpointError(
            checkpoint.path,
            expected=f"a network trained on scans of preprocessing format {FORMAT}",
            found="an older version" if made is None else f"format {made}",
            remedy="prepare its cohort and train again, or use the version of jsc that trained it",
        )
    pipeline: Pipeline = build_trusted(recipe.preprocess, checkpoint.path, "preprocessing", trust)
    shape = tuple(pipeline.layout.model_shape)
    if shape != recipe.model_shape:
        raise _misfit(checkpoint, f"preprocessing to {_spelled(recipe.model_shape)} voxels", _spelled(shape))
    return pipeline


def _refuse_misfit(recorded: "Recorded", checkpoint: Checkpoint) -> None:
    """Refuse a network larger than its weights or inconsistent with the recipe; allocates no memory.

    If a class of a trusted package cannot run on the meta device, the check ends there.
    """
    from joint_seg_cls.config.from_file import OF_ARGUMENTS, of_file

    recipe = checkpoint.recipe
    stored = sum(weight.numel() for weight in checkpoint.weights.values())
    try:
        with on_meta_device(2 * stored + _BESIDE_WEIGHTS):
            network = recorded.make()
        shapes = prediction_shapes(network, len(recipe.modalities), recipe.model_shape)
    except InputError as error:
        raise of_file(error, checkpoint.path) from error
    except OF_ARGUMENTS as error:
        if not recorded.is_known:
            return
        taken = f"{len(recipe.modalities)} modalities of {_spelled(recipe.model_shape)} voxels"
        found = f"another network ({reason_of(error)})"
        raise _misfit(checkpoint, f"a network that takes {taken}", found) from error
    lesions, disease = shapes["lesion_logits"], shapes["disease_logits"]
    if lesions not in (None, (1, 1, *recipe.model_shape)):
        raise _misfit(checkpoint, f"a lesion map of {_spelled(recipe.model_shape)} voxels", f"the shape {lesions}")
    if disease not in (None, (1, len(recipe.classes))):
        expected = f"a network with one score per class ({len(recipe.classes)})"
        raise _misfit(checkpoint, expected, f"scores of shape {disease}")
    if lesions is None and disease is None:
        raise _misfit(checkpoint, "a network with at least one task", "none")


def _misfit(checkpoint: Checkpoint, expected: str, found: str) -> CheckpointError:
    remedy = "use a checkpoint that jsc train wrote, unchanged"
    return CheckpointError(checkpoint.path, expected=expected, found=found, remedy=remedy)


def _spelled(shape: Any) -> str:
    return "x".join(map(str, shape))


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # unknown name, missing device, or torch built without it
        reason = str(error).partition("\n")[0].rstrip(".")[:200]
        raise ConfigError(
            "device",
            expected="auto, cpu or a GPU of this machine",
            found=f"{name} ({reason})",
            remedy="correct device=",
        ) from error
    return name


def read_run_config(run: RunFolder, key: str) -> Any:
    """Return one key of a run's configuration; None if the key is missing.

    Raises:
        CheckpointError: the file is missing or unreadable, or the value is not plain data.
    """
    try:
        if run.config.stat().st_size > _MOST_BYTES:
            raise _refusal(run, f"a file of more than {_MOST_BYTES:,} bytes")
        content = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            run.path,
            expected="a run folder with config.yaml",
            found="none",
            remedy="name the run folder, or give cohort=",
        ) from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise _refusal(run, f"a damaged file ({type(error).__name__})") from error
    if not isinstance(content, dict):
        raise _refusal(run, "an empty file" if content is None else f"a {type(content).__name__}")
    if (fault := not_plain(content.get(key))) is not None:
        raise _refusal(run, f"{fault} in {key}")
    return content.get(key)


def _refusal(run: RunFolder, found: str) -> CheckpointError:
    return CheckpointError(
        run.config,
        expected="the configuration of a run, as plain values",
        found=found,
        remedy="copy it again from the original run folder",
    )
