"""Names of parts in files: only entries of the table and classes of trusted packages are built."""

import importlib
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import joint_seg_cls
from joint_seg_cls.config.from_file import build_trusted, check_recorded
from joint_seg_cls.config.trusted import EARLIER_NAMES, TABLE, find_part

#: What executed code, or could have: names that walk through modules of ours, of MONAI, of Hydra and of Python.
NAMES = [
    "joint_seg_cls.training.checkpoint.torch.load",
    "joint_seg_cls.training.checkpoint.torch.save",
    "joint_seg_cls.training.checkpoint.os.system",
    "joint_seg_cls.training.checkpoint.Path.write_text",
    "joint_seg_cls.training.checkpoint.atomic_file",
    "joint_seg_cls.training.checkpoint.WholeCheckpointIO",
    "joint_seg_cls.training.archive.pickle.loads",
    "joint_seg_cls.training.archive.zipfile.ZipFile",
    "joint_seg_cls.training.archive.torch.hub.load",
    "joint_seg_cls.training.module.torch.compile",
    "joint_seg_cls.training.run_folder.RunFolder",
    "joint_seg_cls.training.run_folder.platform.os.system",
    "joint_seg_cls.training.published.tempfile.mkdtemp",
    "joint_seg_cls.training.published.publish_weights",
    "joint_seg_cls.scan.prepared.np.load",
    "joint_seg_cls.scan.prepared.np.save",
    "joint_seg_cls.scan.prepared.shutil.copy",
    "joint_seg_cls.scan.prepared.shutil.rmtree",
    "joint_seg_cls.scan.prepared.write_json",
    "joint_seg_cls.scan.PreparedStore",
    "joint_seg_cls.scan.cohort.pd.read_pickle",
    "joint_seg_cls.scan.readers.dicom_headers.import_module",
    "joint_seg_cls.atomic_write.write_text",
    "joint_seg_cls.atomic_write.os.popen",
    "joint_seg_cls.atomic_write.Path.unlink",
    "joint_seg_cls.parallel.over_processes",
    "joint_seg_cls.run_state.yaml.unsafe_load",
    "joint_seg_cls.report.runs.yaml.load",
    "joint_seg_cls.sweep.slots._start",
    "joint_seg_cls.sweep.job.main",
    "joint_seg_cls.sweep.local.pickle.loads",
    "joint_seg_cls.cli.main.main",
    "joint_seg_cls.cli.main.run_command",
    "joint_seg_cls.cli.main.importlib.import_module",
    "joint_seg_cls.config.build.build",
    "joint_seg_cls.config.build.instantiate",
    "joint_seg_cls.runs.checks.get_method",
    "joint_seg_cls.config.trusted.importlib.import_module",
    "joint_seg_cls.config.from_file.build_trusted",
    "joint_seg_cls.preprocess.store.prepare_cohort",
    "joint_seg_cls.preprocess.pipeline.Path",
    "joint_seg_cls.preprocess.Pipeline.prepare",
    "joint_seg_cls.preprocess.hd_bet.importlib.import_module",
    "joint_seg_cls.preprocess.hd_bet._hd_bet",
    "joint_seg_cls.networks.JointNetwork.load_state_dict",
    "joint_seg_cls.networks.JointNetwork.__init__",
    "joint_seg_cls.networks.JointNetwork.__class__",
    "joint_seg_cls.networks.joint.JointNetwork.__init__.__globals__",
    "joint_seg_cls.networks.joint.nn.Module",
    "joint_seg_cls.networks.joint.nn.modules.module.torch.load",
    "joint_seg_cls.networks.baselines.nn.Sequential",
    "joint_seg_cls.networks.__builtins__.eval",
    "joint_seg_cls.networks.__loader__.load_module",
    "joint_seg_cls.data.frozen._write_once",
    "joint_seg_cls.data.frozen.os.replace",
    "joint_seg_cls.data.datamodule.torch.load",
    "joint_seg_cls.data.JointDataModule.load_from_checkpoint",
    "joint_seg_cls.__main__.main",
    "joint_seg_cls",
    "monai.networks.nets.torch.load",
    "monai.networks.nets.unet.torch.load",
    "monai.networks.nets.unet.torch.hub.load",
    "monai.networks.nets.resnet.torch.hub.load_state_dict_from_url",
    "monai.networks.nets.resnet.get_pretrained_resnet_medicalnet",
    "monai.networks.nets.senet.load_state_dict_from_url",
    "monai.networks.nets.transchex.BertPreTrainedModel.from_pretrained",
    "monai.networks.nets.transchex.tarfile.open",
    "monai.networks.nets.transchex.shutil.rmtree",
    "monai.networks.nets.hovernet.os.system",
    "monai.networks.nets.UNet.load_state_dict",
    "monai.networks.nets.TorchVisionFCModel",
    "monai.networks.nets.MILModel",
    "monai.networks.nets.ResNetFeatures",
    "monai.networks.nets.Transchex",
    "monai.networks.nets.NetAdapter",
    "monai.bundle.ConfigParser",
    "monai.bundle.run",
    "monai.apps.download_url",
    "monai.transforms.Lambda",
    "monai.transforms.SaveImage",
    "monai.utils.optional_import",
    "hydra.utils.get_method",
    "hydra.utils.get_class",
    "hydra.utils.get_object",
    "hydra.utils.instantiate",
    "hydra.utils.call",
    "hydra._internal.utils._locate",
    "omegaconf.OmegaConf.load",
    "omegaconf.OmegaConf.save",
    "omegaconf.OmegaConf.register_new_resolver",
    "builtins.open",
    "builtins.exec",
    "builtins.eval",
    "builtins.__import__",
    "builtins.getattr",
    "__builtin__.open",
    "os.system",
    "os.mkdir",
    "posix.system",
    "nt.system",
    "subprocess.Popen",
    "subprocess.run",
    "shutil.copy",
    "pathlib.Path",
    "pickle.loads",
    "runpy.run_path",
    "code.interact",
    "webbrowser.open",
    "urllib.request.urlopen",
    "ctypes.CDLL",
    "antigravity.geohash",
    "torch.load",
    "torch.hub.load",
    "torch.nn.Module",
    "torch.jit.load",
    "numpy.load",
    "pandas.read_pickle",
    "nibabel.load",
    "lightning.Trainer",
    "lightning.pytorch.callbacks.LambdaCallback",
    "functools.partial",
    "operator.methodcaller",
    "types.FunctionType",
    # names that are nearly right
    "joint_seg_cls.networks.JointNetw\u043erk",
    "joint_seg_cls.networks.Joint\u200bNetwork",
    "joint_seg_cls.networks.\uff2aointNetwork",
    "joint_seg_cls.networks.JointNetwork ",
    " joint_seg_cls.networks.JointNetwork",
    "joint_seg_cls.networks..JointNetwork",
    ".joint_seg_cls.networks.JointNetwork",
    "joint_seg_cls.networks.JointNetwork.",
    "joint_seg_cls.networks.joint.CrossoverSharing",
    "joint_seg_cls.networks:JointNetwork",
    "joint_seg_cls/networks/JointNetwork",
    "JOINT_SEG_CLS.networks.JointNetwork",
    "joint_seg_cls.evil.Network",
    "monai.networks.nets.evil.Network",
    "../../evil.Network",
    "",
    ".",
    "x" * 5000,
    "\x1b[2J",
]
#: Where a hostile part may stand in a recipe.
PLACES = [("network",), ("network", "sharing"), ("network", "classification"), ("preprocess",), ("preprocess", "brain")]
#: Arguments by which open, write_text, system and others would leave the canary.
ARGUMENTS = [
    lambda canary: {"file": str(canary), "mode": "w"},
    lambda canary: {"path": str(canary), "text": "x", "exist_ok": True},
    lambda canary: {"command": f"touch {canary}", "args": f"touch {canary}", "shell": True},
]


def test_the_list_of_hostile_names_is_complete():
    assert len(set(NAMES)) >= 84


@pytest.mark.parametrize("name", NAMES)
def test_no_name_outside_the_table_is_built(name, canary, replaced, refused):
    for place in PLACES:
        for arguments in ARGUMENTS:
            recipe = replaced(place, {"_target_": name, **arguments(canary)})
            kind = {"network": "network", "preprocess": "preprocessing"}[place[0]]
            refused(lambda part=recipe[place[0]], kind=kind: check_recorded(part, "f", kind), "f")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if k % 12 else []) for k, name in enumerate(NAMES)]
)
def test_no_checkpoint_with_such_a_name_is_used(name, write_checkpoint, use, canary, replaced, refused):
    for arguments in ARGUMENTS:
        path = write_checkpoint(replaced(("network", "sharing"), {"_target_": name, **arguments(canary)}))
        refused(lambda path=path: use(path), path)


def _roots():
    ours = [sys.modules[name] for name in sorted(sys.modules) if name.split(".")[0] == joint_seg_cls.__name__]
    return [*ours, sys.modules["monai.networks.nets"], sys.modules["monai.transforms"], sys.modules["monai"]]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_names_along_attributes_give_only_entries_of_the_table(data):
    here = data.draw(st.sampled_from(_roots()))
    path, allowed = here.__name__, {id(part.make) for part in TABLE.values()}
    for _ in range(data.draw(st.integers(1, 5))):
        names = sorted(name for name in getattr(here, "__dict__", {}) if isinstance(name, str))
        if not names:
            break
        name = data.draw(st.sampled_from(names))
        here, path = vars(here)[name], f"{path}.{name}"
        found = find_part(path)
        assert found is None or (found.make is here and id(here) in allowed and path in TABLE)
        for package in ("joint_seg_cls", "monai", "torch"):
            trusted = find_part(path, [package], load=False)
            if trusted is not None and path not in TABLE:
                assert trusted.make is here
                assert isinstance(here, type)
                assert f"{here.__module__}.".startswith(f"{package}.")


def test_every_entry_of_the_table_is_what_python_imports_by_its_name():
    assert all(TABLE[earlier] is TABLE[name] for earlier, name in EARLIER_NAMES.items())
    for name, part in TABLE.items():
        if name in EARLIER_NAMES:
            continue
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute) is part.make
        assert name.startswith(("joint_seg_cls.", "monai.networks.nets.", "monai.transforms."))


PACKAGE = """
import os
import subprocess
import torch
from os import system
from subprocess import Popen
from torch import nn
from torch.nn import Sequential
from joint_seg_cls.batch import Prediction

class Net(nn.Module):
    def __init__(self, channels=1, inner=None):
        super().__init__()
        self.inner = inner
        self.seg, self.cls = nn.Conv3d(1, 1, 3, padding=1), nn.Linear(1, 2)

    def forward(self, image):
        return Prediction(self.seg(image), None, self.cls(image.mean((2, 3, 4))), None)

class NoNetwork:
    def __init__(self, **given):
        open({canary!r}, "w")

class Brain:
    def __call__(self, scan, given):
        return None

def make(**given):
    open({canary!r}, "w")

net = Net
instance = Net()
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a user's own."""
    name = "own_networks_of_a_user"
    (tmp_path / name).mkdir()
    text = PACKAGE.replace("{canary!r}", repr(str(tmp_path / "canary")))
    (tmp_path / name / "nets.py").write_text(text)
    (tmp_path / name / "__init__.py").write_text("from .nets import *\nfrom .nets import Net\n")
    (tmp_path / f"{name}_too.py").write_text("class Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[module]
    assert not (tmp_path / "canary").exists()


def test_trust_allows_classes_that_a_package_defines(package, write_checkpoint, use, make_recipe, refused):
    recipe = make_recipe()
    state = {"seg.weight": torch.zeros(1, 1, 3, 3, 3), "seg.bias": torch.zeros(1)}
    state |= {"cls.weight": torch.zeros(2, 1), "cls.bias": torch.zeros(2)}
    state = {f"network.{name}": value for name, value in state.items()}
    for target in (f"{package}.Net", f"{package}.nets.Net"):
        path = write_checkpoint(recipe | {"network": {"_target_": target, "channels": 3}}, state_dict=state)
        sentence = refused(lambda path=path: use(path), path)
        assert f"add trust=[{package}]" in sentence  # and typed so, it works:
        predictor, _ = use(path, [package])
        assert type(predictor.network).__name__ == "Net"
    module = importlib.import_module(package)
    assert build_trusted(
        {"_target_": f"{package}.Net", "inner": [recipe["network"]["sharing"]]}, "f", "network", [package]
    )
    brain = {"_target_": f"{package}.Brain"}
    pipeline = build_trusted(recipe["preprocess"] | {"brain": brain}, "f", "preprocessing", [package])
    assert type(pipeline.brain) is module.Brain


@pytest.mark.parametrize(
    "name",
    [
        "system", "Popen", "os.system", "subprocess.Popen", "torch.load", "nn.Module", "Sequential", "make",
        "NoNetwork", "Brain", "instance", "nets.make", "nets.Popen", "nets.torch.nn.Conv3d", "nets.Net.forward",
        "nets.Net.__init__",
        "__init__.Net", "nets", "Net.__class__", "absent", "absent.Net", "nets.__builtins__",
    ],
)  # fmt: skip
def test_trust_allows_neither_imported_classes_nor_other_objects(package, name, tmp_path, refused):
    config = {"_target_": f"{package}.{name}", "args": f"touch {tmp_path / 'canary'}", "shell": True}
    sentence = refused(lambda: check_recorded(config, "f", "network", [package]), "f")
    assert "add trust" not in sentence


@pytest.mark.parametrize("trust", [[], ["own"], ["own_networks"], [""], ["."], ["os"], ["joint_seg_cls"], ["monai"]])
def test_trust_applies_to_whole_packages_and_imports_no_other(package, trust, refused):
    refused(lambda: check_recorded({"_target_": f"{package}.Net"}, "f", "network", trust), "f")
    assert package not in sys.modules
    refused(lambda: check_recorded({"_target_": f"{package}_too.Net"}, "f", "network", [package]), "f")
    assert f"{package}_too" not in sys.modules


def test_a_trusted_class_gets_plain_data_only(package, refused):
    for value in ({"_target_": "os.system"}, {"_partial_": True}, "${oc.env:HOME}", [{"a": {"_target_": "os.getcwd"}}]):
        config = {"_target_": f"{package}.Net", "inner": value}
        refused(lambda config=config: check_recorded(config, "f", "network", [package]), "f")
