"""A network as ONNX (opset 18) with a fixed size, compared with the network in onnxruntime."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from torch import nn

from joint_seg_cls.atomic_write import atomic_file
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.export.loaded import named_outputs
from joint_seg_cls.export.program import (
    ExportedPart,
    differences,
    exported,
    noise_ball,
    not_exportable,
    refuse_different,
)

OPSET = 18
#: As :data:`~joint_seg_cls.export.program.TOLERANCE`; onnxruntime sums in another order than torch.
TOLERANCE = 1e-3
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def require_onnx() -> None:
    """Refuse to write ONNX without the packages for it.

    Raises:
        ConfigError: one of them is missing.
    """
    import importlib.util

    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            "onnx",
            expected=f"the packages {', '.join(_PACKAGES)}",
            found=f"no {' and no '.join(missing)}",
            remedy='pip install "joint_seg_cls[export]", or leave out onnx=true',
        )


def write_onnx(network: nn.Module, part: ExportedPart, channels: int, folder: Path) -> Path:
    """Write ``<name>.onnx``: input ``image``, outputs named as those of the program, all of fixed shape, batch of one.

    The masks of the shifted attention windows are constants of the file.

    Raises:
        ConfigError: as :func:`exported`, or an operation has no counterpart in ONNX; the message has torch's reason.
    """
    program = exported(network, part, channels, batch=1)
    try:
        with _quiet():
            made = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=["image"],
                output_names=list(part.outputs),
                verbose=False,
                optimize=True,
            )
    except Exception as error:  # torch and the converters raise errors of any type
        raise not_exportable(network, error) from error
    assert made is not None
    _remove_origin(made.model)
    path = folder / f"{part.name}.onnx"
    with atomic_file(path) as partial:
        made.save(partial)
    return path


def check_onnx(network: nn.Module, part: ExportedPart, channels: int, path: Path) -> dict[str, float]:
    """Return the largest difference of each output as :func:`check_programs` does.

    Raises:
        CheckpointError: a difference above :data:`TOLERANCE`.
    """
    import onnxruntime

    image = noise_ball(channels, part.size)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    arrays = session.run(list(part.outputs), {"image": image.numpy()})
    with torch.inference_mode():
        expected = named_outputs(network(image))
    own = {name: torch.from_numpy(array) for name, array in zip(part.outputs, arrays, strict=True)}
    found = differences({name: expected[name] for name in part.outputs}, own)
    refuse_different(found, TOLERANCE, path.name)
    return found


def _remove_origin(model: object) -> None:
    """Remove the lines of source code and paths of files that torch adds to each node."""
    graphs = [model.graph, *model.functions.values()]  # pyright: ignore[reportAttributeAccessIssue]
    for graph in graphs:
        graph.metadata_props.clear()
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
                value.doc_string = None
        for value in (*graph.inputs, *getattr(graph, "initializers", {}).values()):
            value.metadata_props.clear()
            value.doc_string = None
    model.metadata_props.clear()  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's progress and its messages about packages that this network does not need."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
