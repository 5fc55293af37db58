"""Classes that a configuration from a file may build: an explicit table, and classes of packages that the user trusts.

Full names are looked up in :data:`TABLE`, without attribute access along their dots. The table contains classes of this
program and the networks of MONAI in :data:`MONAI_NETWORKS`.
"""

import importlib
import keyword
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, final

from monai.networks import nets
from monai.transforms import Compose
from torch import nn

from joint_seg_cls import data, networks, preprocess
from joint_seg_cls.phantom.random_appearance import RandomAppearance

Kind = Literal[
    "network", "sharing", "segmentation", "guidance", "classification", "backbone",
    "preprocessing", "brain", "extractor", "bias field", "registration", "layout", "intensity",
    "data", "folds", "augmentation",
]  # fmt: skip

#: Kinds of parts with weights; a class of a trusted package must be a torch module to be one.
_WITH_WEIGHTS = frozenset({"network", "sharing", "segmentation", "guidance", "classification", "backbone"})
#: Methods that a class of a trusted package must have to be a part of another kind.
_METHODS: Mapping[str, str] = {"preprocessing": "model_input", "data": "setup", "folds": "splits"}
#: Networks of MONAI that map an image to one map or one score per class, without those that load weights from
#: elsewhere.
MONAI_NETWORKS = (
    "AHNet", "AttentionUnet", "AutoEncoder", "BasicUNet", "Classifier", "DenseNet", "DenseNet121", "DenseNet169",
    "DenseNet201", "DenseNet264", "DynUNet", "EfficientNet", "EfficientNetBN", "FlexibleUNet", "HighResNet", "MedNeXt",
    "MedNeXtLarge", "MedNeXtMedium", "MedNeXtSmall", "RegUNet", "Regressor", "ResNet", "SENet", "SENet154",
    "SEResNet101", "SEResNet152", "SEResNet50", "SEResNext101", "SEResNext50", "SegResNet", "SegResNetDS", "SwinUNETR",
    "UNETR", "UNet", "VNet", "resnet10", "resnet101", "resnet152", "resnet18", "resnet200", "resnet34", "resnet50",
)  # fmt: skip


@final
@dataclass(frozen=True)
class TrustedPart:
    """One entry of the table.

    Args:
        make: the class, or MONAI's factory function.
        kind: the kind of part; None for a class of a trusted package, whose methods decide.
        parts: arguments that are parts, and their kinds.
        most: the largest number in an argument, by argument name.
        most_else: the largest number in any other argument.
        fixed: arguments that must have this value.
        is_ours: whether argument annotations are checked.
    """

    make: Callable[..., Any]
    kind: Kind | None
    parts: Mapping[str, Kind] = field(default_factory=dict)
    most: Mapping[str, int | float] = field(default_factory=dict)
    most_else: int | float = 65_536
    fixed: Mapping[str, object] = field(default_factory=dict)
    is_ours: bool = True


_OF_JOINT: Mapping[str, Kind] = {
    "sharing": "sharing",
    "segmentation": "segmentation",
    "guidance": "guidance",
    "classification": "classification",
}
_OF_PIPELINE: Mapping[str, Kind] = {
    "brain": "brain",
    "bias_field": "bias field",
    "registration": "registration",
    "layout": "layout",
    "intensity": "intensity",
}
_SEED = 2.0**63
_OURS = (
    TrustedPart(networks.JointNetwork, "network", _OF_JOINT),
    TrustedPart(networks.SegmentationBaseline, "network", {"network": "backbone"}),
    TrustedPart(networks.ClassificationBaseline, "network", {"network": "backbone"}),
    *(
        TrustedPart(each, "sharing")
        for each in (
            networks.CrossoverSharing,
            networks.GlobalSharing,
            networks.LocalSharing,
            networks.SeparateStems,
            networks.SingleStem,
        )
    ),
    TrustedPart(networks.SegmentationUNet, "segmentation"),
    TrustedPart(networks.NoSegmentation, "segmentation"),
    *(
        TrustedPart(each, "guidance")
        for each in (
            networks.AddGuidance,
            networks.ConcatGuidance,
            networks.DotGuidance,
            networks.FullGuidance,
            networks.NoGuidance,
        )
    ),
    TrustedPart(networks.ResidualClassifier, "classification"),
    TrustedPart(networks.NoClassification, "classification"),
    TrustedPart(preprocess.Pipeline, "preprocessing", _OF_PIPELINE, most={"lesion_value": 2.0**31}),
    TrustedPart(preprocess.ExtractedBrain, "brain", {"extractor": "extractor"}),
    TrustedPart(preprocess.NoExtraction, "brain"),
    TrustedPart(preprocess.MaskFromTable, "brain"),
    TrustedPart(preprocess.Bet, "extractor"),
    TrustedPart(preprocess.HdBet, "extractor"),
    TrustedPart(preprocess.N4, "bias field"),
    TrustedPart(preprocess.NoBiasField, "bias field"),
    TrustedPart(preprocess.ByHeader, "registration"),
    TrustedPart(preprocess.SameGrid, "registration"),
    TrustedPart(preprocess.Rigid, "registration", most={"samples": 1e9, "bins": 1024, "seed": _SEED}),
    TrustedPart(preprocess.CropResize, "layout", most={"image_size": 1024}),
    TrustedPart(preprocess.IsotropicPad, "layout", most={"image_size": 1024}),
    TrustedPart(preprocess.ZScore, "intensity"),
    TrustedPart(preprocess.TissueMode, "intensity"),
    TrustedPart(data.JointDataModule, "data", {"folds": "folds", "augmentation": "augmentation"}, most={"seed": _SEED}),
    TrustedPart(data.Folds, "folds", most={"seed": _SEED}),
    TrustedPart(data.LeaveOneOut, "folds", most={"seed": _SEED}),
    TrustedPart(data.SplitFile, "folds", most={"seed": _SEED}),
    TrustedPart(data.RandFlipRotated, "augmentation"),
    TrustedPart(data.RandPatchd, "augmentation", most={"size": 1024}),
    TrustedPart(RandomAppearance, "augmentation"),
    TrustedPart(Compose, "augmentation", {"transforms": "augmentation"}, is_ours=False),
)
#: Arguments with which MONAI's networks load other weights; the weights are in the checkpoint.
_NOT_PRETRAINED = MappingProxyType({"pretrained": False})


def _names(make: Callable[..., Any], public: str) -> set[str]:
    """Return the public name and the name of definition; MONAI's lambdas have only the first."""
    return {public, f"{make.__module__}.{make.__qualname__}"} if make.__qualname__.isidentifier() else {public}


#: Names in checkpoints of earlier versions.
EARLIER_NAMES = {
    "joint_seg_cls.preprocess.GivenBrain": "joint_seg_cls.preprocess.NoExtraction",
    "joint_seg_cls.preprocess.TableBrain": "joint_seg_cls.preprocess.MaskFromTable",
}


def _table() -> Mapping[str, TrustedPart]:
    table: dict[str, TrustedPart] = {}
    for part in _OURS:
        module, name = part.make.__module__, part.make.__qualname__
        package = module.rsplit(".", 1)[0]
        is_public = getattr(sys.modules[package], name, None) is part.make
        table |= dict.fromkeys(_names(part.make, f"{package if is_public else module}.{name}"), part)
    for name in MONAI_NETWORKS:
        if (make := getattr(nets, name, None)) is not None:  # some versions of MONAI lack some of them
            part = TrustedPart(make, "backbone", fixed=_NOT_PRETRAINED, is_ours=False)
            table |= dict.fromkeys(_names(make, f"monai.networks.nets.{name}"), part)
    table |= {earlier: table[name] for earlier, name in EARLIER_NAMES.items()}
    return MappingProxyType(table)


#: All names that a file may contain, and their parts.
TABLE = _table()


def find_part(name: str, trust: Sequence[str] = (), *, load: bool = True) -> TrustedPart | None:
    """Return the part with this name; None if a file must not build it.

    Args:
        trust: additional packages whose classes are allowed.
        load: import the module of a trusted class; otherwise only loaded modules are inspected.
    """
    if (part := TABLE.get(name)) is not None:
        return part
    parts = name.split(".")
    if len(parts) < 2 or not all(map(_is_ordinary, parts)):
        return None
    package = next((each for each in trust if _is_within(name, each)), None)
    if package is None:
        return None
    module_name = ".".join(parts[:-1])
    module = sys.modules.get(module_name)
    if module is None and load:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise  # a dependency of the trusted package is missing
    found = None if module is None else vars(module).get(parts[-1])
    if not isinstance(found, type) or not _is_within(f"{found.__module__}.", package):
        return None
    return TrustedPart(found, None, most_else=_SEED, is_ours=False)


def is_of_kind(part: TrustedPart, kind: Kind) -> bool:
    """Return whether ``part`` is a valid part of this kind."""
    if part.kind is not None:
        return part.kind == kind
    assert isinstance(part.make, type)
    if kind in _WITH_WEIGHTS:
        return issubclass(part.make, nn.Module)
    method = _METHODS.get(kind, "__call__")
    return any(method in vars(base) for base in part.make.__mro__)


def suggestion(name: str) -> str | None:
    """Return the package to trust for ``name``; None if trusting it would not help."""
    package = name.partition(".")[0]
    if "." not in name or not all(map(_is_ordinary, name.split("."))):
        return None
    if package in sys.stdlib_module_names or package in ("joint_seg_cls", "hydra", "omegaconf", "builtins"):
        return None
    if package in sys.modules and find_part(name, [package], load=False) is None:
        return None
    return package


def _is_ordinary(part: str) -> bool:
    return part.isidentifier() and not keyword.iskeyword(part) and not part.startswith("__")


def _is_within(name: str, package: str) -> bool:
    return bool(package) and name.startswith(f"{package.rstrip('.')}.")
