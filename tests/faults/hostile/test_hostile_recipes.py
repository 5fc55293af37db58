"""Recipes with objects, inconsistent entries or excessive sizes are refused in one sentence."""

import math
import resource
import warnings
import zipfile

import pytest
import torch

from joint_seg_cls.config.from_file import check_recorded
from joint_seg_cls.networks import JointNetwork
from joint_seg_cls.training import read_checkpoint

_JOINT = "joint_seg_cls.networks.JointNetwork"


def _hostile(canary, whole):
    """Return recipes in which an allowed name has a hostile argument, by description."""
    evil = {"_target_": "os.system", "command": f"touch {canary}"}
    opened = {"_target_": "builtins.open", "file": str(canary), "mode": "w"}
    own, sharing = whole["network"], whole["network"]["sharing"]
    network, nested = ("network",), ("network", "sharing")
    backbone = {"_target_": "joint_seg_cls.networks.SegmentationBaseline", "in_channels": 1}
    unet = {
        "_target_": "monai.networks.nets.UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 1,
        "channels": [4, 8], "strides": [2],
    }  # fmt: skip
    resnet = {
        "_target_": "joint_seg_cls.networks.ClassificationBaseline",
        "network": {"_target_": "monai.networks.nets.resnet10", "spatial_dims": 3, "n_input_channels": 1},
    }
    flip = {
        "_target_": "joint_seg_cls.data.RandFlipRotated",
        "flip_probability": 0, "rotation_probability": 0, "rotation_degrees": 0,
    }  # fmt: skip
    return {
        "a part among plain arguments": (nested, sharing | {"channels": evil}),
        "a part in a list": ((*network, "image_size"), [evil, 16, 16]),
        "a part in a list of lists": ((*network, "image_size"), [[[evil]]]),
        "a part in a tuple": ((*network, "image_size"), (16, (16, opened))),
        "a part in a list where one part belongs": (nested, [sharing]),
        "a part as a key's mapping": ((*network, "image_size"), {"a": {"b": evil}}),
        "a part of another kind": (nested, {"_target_": "joint_seg_cls.networks.NoGuidance"}),
        "a fold as network": (network, {"_target_": "joint_seg_cls.data.Folds"}),
        "a network in itself": (nested, own),
        "a backbone as network": (network, unet),
        "a network as preprocessing": (("preprocess",), own),
        "a data module as step": (
            ("preprocess", "brain"),
            {"_target_": "joint_seg_cls.data.JointDataModule", "store": str(canary)},
        ),
        "an augmentation as step": (("preprocess", "intensity"), flip),
        "an extractor as brain": (("preprocess", "brain"), {"_target_": "joint_seg_cls.preprocess.Bet"}),
        "a partial": (network, own | {"_partial_": True}),
        "positional arguments": (nested, sharing | {"_args_": [1, 4]}),
        "a switch of Hydra's": (network, own | {"_recursive_": False}),
        "another switch of Hydra's": (network, own | {"_convert_": "object"}),
        "a switch deep inside": (nested, sharing | {"channels": {"_partial_": True}}),
        "an attribute of objects": (nested, sharing | {"__class__": "x"}),
        "an interpolation that builds": ((*network, "channels"), "${oc.create:{_target_: os.system, command: ls}}"),
        "an interpolation of the environment": ((*network, "channels"), "${oc.env:HOME}"),
        "an interpolation of Hydra's": ((*network, "channels"), "${hydra:runtime.cwd}"),
        "an interpolation as name": ((*network, "_target_"), "${oc.env:HOME}"),
        "an interpolation inside a text": (("preprocess", "raters"), "x${oc.decode:1}"),
        "an interpolation as key": (nested, sharing | {"channels": {"${oc.env:HOME}": 1}}),
        "an interpolation as argument": (nested, sharing | {"${oc.env:HOME}": 1}),
        "a list as name": ((*network, "_target_"), ["builtins.open"]),
        "a mapping as name": ((*network, "_target_"), {"_target_": "builtins.open"}),
        "no name": ((*network, "_target_"), None),
        "a number as name": ((*network, "_target_"), 7),
        "bytes as name": ((*network, "_target_"), b"builtins.open"),
        "weights from the web": (("network",), resnet | {"network": resnet["network"] | {"pretrained": True}}),
        "weights from a file": (("network",), resnet | {"network": resnet["network"] | {"pretrained": str(canary)}}),
        "weights from a file by another word": (
            ("network",),
            resnet | {"network": resnet["network"] | {"pretrained": 1}},
        ),
        "a network that loads weights by default": (
            network,
            backbone | {"network": {"_target_": "monai.networks.nets.EfficientNetBN", "model_name": "efficientnet-b0"}},
        ),
        "a part in a MONAI argument": (network, backbone | {"network": unet | {"act": ["prelu", {"a": opened}]}}),
        "a part as a MONAI argument": (network, backbone | {"network": unet | {"norm": opened}}),
        "a callable by name": (network, backbone | {"network": unet | {"act": "os.system"}}),
        "an argument that there is not": (nested, sharing | {"checkpoint": str(canary)}),
        "a path as argument": (nested, sharing | {"channels": str(canary)}),
        "a mapping that is none": (network, []),
        "a tensor as argument": (nested, sharing | {"channels": torch.zeros(3)}),
        "bytes as argument": (nested, sharing | {"channels": b"x"}),
        "a set as argument": (nested, sharing | {"channels": {1, 2}}),
        "a complex number": (nested, sharing | {"channels": 1j}),
        "a data type": (nested, sharing | {"channels": torch.float32}),
        "a number as key": (nested, sharing | {"channels": {1: 2}}),
    }


_EMPTY = {"network": {"sharing": {}}, "preprocess": {}}


@pytest.mark.parametrize("carries", list(_hostile("canary", _EMPTY)))
def test_allowed_names_with_hostile_arguments_are_refused(
    carries, write_checkpoint, use, canary, make_recipe, replaced, refused
):
    place, value = _hostile(canary, make_recipe())[carries]
    path = write_checkpoint(replaced(place, value))
    refused(lambda: use(path), path)


def test_subclasses_of_text_are_not_names(make_recipe, refused):
    own = make_recipe()["network"]

    class Name(str):
        def __eq__(self, other):
            return True

        __hash__ = str.__hash__

    for value in (Name("joint_seg_cls.networks.JointNetwork"), Name("os.system")):
        refused(lambda value=value: check_recorded(own | {"_target_": value}, "f", "network"), "f")
    cyclic = dict(own)
    cyclic["channels"] = cyclic
    refused(lambda: check_recorded(cyclic, "f", "network"), "f")
    bomb = [1]
    for _ in range(20):
        bomb = [bomb] * 9
    refused(lambda: check_recorded(own | {"channels": bomb}, "f", "network"), "f")


#: Values of a wrong type or out of range, for each entry of a recipe.
ODD = [
    None,
    True,
    3,
    -1,
    math.nan,
    math.inf,
    10**6,
    10**30,
    "x",
    "",
    "a\nb",
    "a\u202eb",
    "a\u2028b",
    [],
    {},
    [[]],
    [None],
    b"x",
    {"_target_": 1},
]


@pytest.mark.parametrize(
    "key",
    [
        "network",
        "preprocess",
        "preprocess_format",
        "classes",
        "modalities",
        "model_shape",
        "lesion_threshold",
        "variant",
        "trained_on",
    ],
)
def test_a_recipe_with_an_entry_missing_or_odd_is_refused_in_a_sentence(
    key, write_checkpoint, use, make_recipe, refused
):
    recipe = make_recipe()
    assert use(write_checkpoint(recipe))  # unchanged it is used
    del recipe[key]
    path = write_checkpoint(recipe)
    sentence = refused(lambda: use(path), path)
    assert key in sentence or key == "preprocess_format"
    for value in ODD:
        if key == "variant" and value == "x":
            continue
        path = write_checkpoint(make_recipe() | {key: value})
        refused(lambda path=path: use(path), path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lesion_threshold", 1.5),
        ("lesion_threshold", -0.1),
        ("lesion_threshold", "0.5"),
        ("lesion_threshold", torch.tensor(0.5)),
        ("model_shape", [10**6] * 3),
        ("model_shape", [1024] * 3),
        ("model_shape", [16, 16]),
        ("model_shape", [16, 16, 0]),
        ("model_shape", [16.0, 16, 16]),
        ("model_shape", [24, 16, 16]),
        ("model_shape", [32, 32, 32]),  # fits the network, but not what preprocessing gives
        ("classes", ["MS"]),
        ("classes", ["MS", "NMOSD", "MOGAD"]),
        ("classes", ["MS", "MS"]),
        ("classes", ["MS", 2]),
        ("classes", "MS,NMOSD"),
        ("classes", ["MS", "x" * 501]),
        ("classes", ["MS", "\x1b[31mred"]),
        ("modalities", ["flair", "t1"]),
        ("modalities", ["flair", "flair"]),
        ("trained_on", {"collection": "s", "fold": [0], "seed": 0, "data_hash": "d"}),
        ("trained_on", {"collection": "s", "fold": 0, "seed": "0", "data_hash": "d"}),
        ("trained_on", {"collection": "s", "fold": 0, "seed": 0}),
        ("trained_on", {"collection": {}, "fold": 0, "seed": 0, "data_hash": "d"}),
        ("trained_on", {"collection": "s", "fold": 0, "seed": 0, "data_hash": "d", "more": {1: 2}}),
        ("format", 2),
        ("format", True),
        ("format", "1"),
        ("format", None),
    ],
)
def test_a_recipe_that_does_not_fit_its_network_is_refused_in_a_sentence(
    key, value, write_checkpoint, use, make_recipe, refused
):
    path = write_checkpoint(make_recipe() | {key: value})
    refused(lambda: use(path), path)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("epoch", ...), ("epoch", -1), ("epoch", "3"), ("epoch", 1.0), ("epoch", True), ("epoch", [1]),
        ("epoch", 2**40),
        ("state_dict", ...), ("state_dict", None), ("state_dict", []), ("state_dict", "x"), ("state_dict", {1: 2}),
        ("joint_seg_cls", ...), ("joint_seg_cls", None), ("joint_seg_cls", []), ("joint_seg_cls", {}),
    ],
)  # fmt: skip
def test_a_checkpoint_with_an_entry_missing_or_odd_is_refused_in_a_sentence(
    entry, value, write_checkpoint, use, refused
):
    path = write_checkpoint(**{entry: value})
    refused(lambda: use(path), path)


def _odd_weights():
    one = torch.zeros(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that torch will drop quantised tensors
        quantised = torch.quantize_per_tensor(torch.zeros(4), 1.0, 0, torch.qint8)
    with torch.device("meta"):
        meta = torch.zeros(4)
    return {
        "text": "x",
        "number": 1,
        "list": [1.0],
        "mapping": {"a": 1},
        "none": None,
        "claims 4 TB": one.expand(10**12),
        "claims 4 TB in a shape": one.expand(10**4, 10**4, 10**4),
        "sparse": torch.zeros(4).to_sparse(),
        "quantised": quantised,
        "without memory": meta,
        "complex": torch.zeros(4, dtype=torch.complex64),
        "another shape": torch.zeros(5),
        "NaN": ...,
        "missing": ...,
    }


@pytest.mark.parametrize("kind", list(_odd_weights()))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of quantised tensors
def test_weights_are_tensors_stored_in_the_file(kind, weights, write_checkpoint, use, refused):
    name = next(name for name in weights if name.endswith("bias"))
    value = torch.full_like(weights[name], math.nan) if kind == "NaN" else _odd_weights()[kind]
    state = weights | {name: value}
    if kind == "missing":
        del state[name]
    path = write_checkpoint(state_dict=state)
    refused(lambda: use(path), path)
    if kind != "missing":  # nor may there be one too many
        path = write_checkpoint(state_dict=weights | {"network._extra_state": value})
        refused(lambda: use(path), path)


def test_a_small_file_does_not_allocate_much_memory(tmp_path, write_checkpoint, use, refused):
    shared = torch.zeros(1000)
    path = write_checkpoint(state_dict={f"network.{number}": shared for number in range(1000)})
    refused(lambda: use(path), path)
    whole = write_checkpoint(state_dict={"network.a": torch.zeros(10**6)})
    packed = tmp_path / "packed.ckpt"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.namelist():
            target.writestr(entry, source.read(entry))
    assert packed.stat().st_size < whole.stat().st_size / 10
    refused(lambda: read_checkpoint(packed), packed)


LARGE = {
    "channels": (("network",), {"_target_": _JOINT, "channels": 10**6, "image_size": 16}),
    "channels within bounds": (("network",), {"_target_": _JOINT, "channels": 20_000, "image_size": 16}),
    "image": (("network", "image_size"), [10**6] * 3),
    "width": (
        ("network", "sharing"),
        {"_target_": "joint_seg_cls.networks.GlobalSharing", "channels": 4, "embedding_width": 60_000, "heads": 4},
    ),
    "depth": (
        ("network",),
        {
            "_target_": "joint_seg_cls.networks.SegmentationBaseline",
            "network": {
                "_target_": "monai.networks.nets.UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 1,
                "channels": [4] * 10**6, "strides": [1] * 10**6,
            },
        },
    ),
    "blocks": (
        ("network",),
        {
            "_target_": "joint_seg_cls.networks.ClassificationBaseline",
            "network": {
                "_target_": "monai.networks.nets.DenseNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2,
                "block_config": [60_000], "growth_rate": 1, "init_features": 1,
            },
        },
    ),
    "kernel": (
        ("network",),
        {
            "_target_": "joint_seg_cls.networks.SegmentationBaseline",
            "network": {
                "_target_": "monai.networks.nets.UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 1,
                "channels": [4, 8], "strides": [2], "kernel_size": 9999,
            },
        },
    ),
    "stride": (
        ("network",),
        {
            "_target_": "joint_seg_cls.networks.SegmentationBaseline",
            "network": {
                "_target_": "monai.networks.nets.UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 1,
                "channels": [4, 8], "strides": [5000],
            },
        },
    ),
    "drop rates": (
        ("network",),
        {
            "_target_": "joint_seg_cls.networks.SegmentationBaseline",
            "network": {
                "_target_": "monai.networks.nets.SwinUNETR", "in_channels": 1, "out_channels": 1,
                "depths": [60_000] * 4,
            },
        },
    ),
    "preprocessing": (("preprocess", "layout", "image_size"), 10**6),
    "preprocessing within bounds": (("preprocess", "layout", "image_size"), 1024),
    "bins": (("preprocess", "registration"), {"_target_": "joint_seg_cls.preprocess.Rigid", "bins": 10**6}),
    "iterations": (("preprocess", "bias_field"), {"_target_": "joint_seg_cls.preprocess.N4", "iterations": [10**9]}),
}  # fmt: skip


@pytest.mark.parametrize("what", list(LARGE))
def test_a_size_is_refused_before_it_is_allocated(what, write_checkpoint, use, replaced, refused):
    place, value = LARGE[what]
    path = write_checkpoint(replaced(place, value))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(lambda: use(path), path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024  # kB


def test_the_network_of_a_recipe_gets_its_weights(weights, write_checkpoint, use):
    predictor, pipeline = use(write_checkpoint())
    assert type(predictor.network) is JointNetwork
    assert pipeline.layout.model_shape == (16, 16, 16)
    for name, value in predictor.network.state_dict().items():
        assert torch.equal(value, weights[f"network.{name}"])
