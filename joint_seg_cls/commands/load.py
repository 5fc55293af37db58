"""A checkpoint made a predictor, with the preprocessing it was trained on."""

from collections.abc import Sequence
from pathlib import Path

from joint_seg_cls.commands.build import build_trusted
from joint_seg_cls.errors import CheckpointError, ConfigError
from joint_seg_cls.inference import Predictor
from joint_seg_cls.preprocess import Pipeline
from joint_seg_cls.scan import FORMAT
from joint_seg_cls.training import Checkpoint, read_checkpoint


def load_predictor(path: str | Path, *, device: str, trust: Sequence[str] = ()) -> tuple[Predictor, Checkpoint]:
    """Rebuild the network that a checkpoint describes and give it its weights.

    Raises:
        CheckpointError: the checkpoint cannot be used, or names parts from packages that are not trusted.
        ConfigError: there is no such ``device``.
    """
    checkpoint = read_checkpoint(path)
    where = _device(device)
    network = build_trusted(checkpoint.recipe["network"], str(checkpoint.path), trust)
    checkpoint.load_into(network)
    return Predictor(network, checkpoint.recipe["lesion_threshold"], where), checkpoint


def load_pipeline(checkpoint: Checkpoint, trust: Sequence[str] = ()) -> Pipeline:
    """Return the preprocessing that the checkpoint's training data went through.

    Raises:
        CheckpointError: a version that preprocesses otherwise made the training data; or as :func:`load_predictor`.
    """
    made = checkpoint.recipe.get("preprocess_format")
    if made != FORMAT:
        raise CheckpointError(
            checkpoint.path,
            expected=f"a network that was trained on scans preprocessed as now (format {FORMAT})",
            found="scans of an older version" if made is None else f"format {made}",
            remedy="prepare its cohort again and train again, or use the program's version that trained it",
        )
    return build_trusted(checkpoint.recipe["preprocess"], str(checkpoint.path), trust)


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # no such name; no such device, or torch built without it
        reason = str(error).partition("\n")[0].rstrip(".")[:200]
        raise ConfigError(
            "device",
            expected="auto, cpu or a GPU of this machine",
            found=f"{name} ({reason})",
            remedy="correct device=",
        ) from error
    return name
