"""An exported bundle gives the predictions of `jsc predict` without this program, and holds nothing private."""

import ast
import gzip
import json
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.export.card import model_card
from joint_seg_cls.export.carried import ENTRIES, LAZY, Carried
from joint_seg_cls.export.configs import carried_steps
from joint_seg_cls.export.facts import Facts
from joint_seg_cls.export.program import ExportedPart, check_programs, parts_of, write_program
from joint_seg_cls.networks import JointNetwork, LocalSharing
from joint_seg_cls.training import Checkpoint, Recipe

#: Versions of the packages that all tests are run with.
LOCK = Path(__file__).parents[2] / ".ci" / "requirements.txt"


def test_it_predicts_as_this_program_without_it_and_refuses_a_raw_scan(site, run, bundle, alone, jsc, tmp_path):
    pairs = [[str(site / f"okapiperson{number}_{name}.nii.gz") for name in ("flair", "t1")] for number in (0, 2)]
    given = ",".join(f"[{','.join(pair)}]" for pair in pairs)
    code, _, err = jsc("predict", f"input=[{given}]", f"checkpoint={run}", f"out={tmp_path}/ours", "device=cpu")
    assert code == 0, err
    raw = tmp_path / "raw.nii.gz"
    head = np.random.default_rng(0).normal(100, 5, (40, 40, 40)).astype(np.float32)
    nib.save(nib.Nifti1Image(head, np.diag([5.0, 5, 5, 1])), raw)
    work = {"image": [[str(raw), str(raw)], *pairs], "output_dir": str(tmp_path / "theirs"), "device": "cpu"}
    done = alone(bundle, verify=True, **work)
    assert done.returncode == 2, done.stderr
    assert f"error: {raw}: expected a skull-stripped scan" in done.stderr
    assert not list((tmp_path / "theirs").glob("raw*"))
    for number in (0, 2):
        ours, theirs = (tmp_path / name / f"okapiperson{number}_flair" for name in ("ours", "theirs"))
        for end in ("lesions", "lesion-probability", "location-map"):
            own, other = (nib.load(f"{path}_{end}.nii.gz") for path in (ours, theirs))
            np.testing.assert_allclose(other.get_fdata(), own.get_fdata(), atol=1e-5)
            np.testing.assert_array_equal(other.affine, own.affine)
        own, other = (json.loads(Path(f"{path}.json").read_text()) for path in (ours, theirs))
        assert other["disease"] == own["disease"]
        assert other["lesion_count"] == own["lesion_count"]
        assert other["disease_probability"] == pytest.approx(own["disease_probability"], abs=1e-6)


def test_it_holds_no_name_path_or_header_of_the_site(site, bundle):
    words = [b"zebrafolder", b"okapiperson", b"gnunameinheader", b"kuduclinic", str(site.parent).encode(),
             str(Path(__file__).parents[2]).encode(), str(Path.home()).encode() + b"/", b"site-packages"]  # fmt: skip
    for path in (path for path in bundle.rglob("*") if path.is_file()):
        content = [path.read_bytes(), str(path.relative_to(bundle)).encode()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                content += [archive.read(name) for name in archive.namelist()]
        elif path.suffix == ".gz":
            content.append(gzip.decompress(path.read_bytes()))
        assert [word for word in words if any(word in each for each in content)] == [], path


def test_its_metadata_has_the_keys_and_types_of_monais_schema(bundle):
    """As in the schema that the file names, meta_schema_20240725.json."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["schema"].endswith("/meta_schema_20240725.json")
    texts = ("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors",
             "copyright", "data_source", "data_type", "image_classes", "label_classes", "pred_classes",
             "intended_use")  # fmt: skip
    objects = ("required_packages_version", "network_data_format", "changelog", "eval_metrics", "supported_apps")
    assert {key for key, value in metadata.items() if isinstance(value, str)} >= set(texts)
    assert {key for key, value in metadata.items() if isinstance(value, dict)} >= set(objects)
    assert all(isinstance(each, str) for each in metadata["references"])
    tensor = {"type": str, "format": str, "num_channels": int, "spatial_shape": list, "dtype": str,
              "value_range": list, "is_patch_data": bool, "channel_def": dict}  # fmt: skip
    formats = metadata["network_data_format"]
    for each in (formats["inputs"]["image"], formats["outputs"]["pred"], formats["outputs"]["disease"]):
        assert {key: type(each[key]) for key in tensor} == tensor
        assert all(isinstance(side, int | str) for side in each["spatial_shape"])
        assert set(map(str, range(each["num_channels"]))) == set(each["channel_def"])
    assert formats["inputs"]["image"]["spatial_shape"] == [16, 16, 16]
    assert list(formats["inputs"]["image"]["channel_def"].values()) == ["flair", "t1"]
    assert formats["outputs"]["disease"]["num_channels"] == 3


def test_its_card_has_the_numbers_of_the_runs_test(run, bundle):
    import pandas as pd

    card = (bundle / "docs" / "README.md").read_text()
    summary = pd.read_csv(run / "summary.csv").set_index("metric")
    auc = summary.loc["AUC"]
    assert f"| AUC | scan | {int(auc['n'])} | {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}) |" in card
    assert "6 of 6 people" in card, "scans that were trained on"
    assert "Not a medical device" in card
    assert 'never with "indeterminate"' in card
    assert "| nan" not in card


def test_names_and_values_of_files_are_text_on_the_card():
    hostile = '<img src=x onerror="alert(1)">[a](http://b)'
    modalities = ["flair", '$(touch x)"`']
    trained_on = {"collection": "c", "fold": hostile, "seed": 0, "data_hash": hostile}
    recipe = Recipe({}, {}, 2, ("MS", hostile), tuple(modalities), (16, 16, 16), 0.5, hostile, trained_on)
    provenance = {"joint_seg_cls": hostile, "packages": {"torch": hostile}}
    card = model_card(
        Checkpoint(Path("a.ckpt"), recipe, {}, 3),
        Facts(trained={hostile: 3}, provenance=provenance, calibration=0.1),
        parts=[ExportedPart("model", (16, 16, 16), ("lesion_logits", "disease_logits"))],
        parameters=1,
        steps=["ZScore"],
        missing=[],
        differences={},
    )
    assert card.count("&lt;img") >= 5
    assert "<img" not in card
    assert "[a](" not in card
    (line,) = (line for line in card.splitlines() if "--image" in line)
    words = shlex.split(line)
    assert ast.literal_eval(words[words.index("--image") + 1]) == [f"{name}.nii.gz" for name in modalities]


def test_its_requirements_name_every_package_that_its_code_imports(bundle):
    named = (bundle / "requirements.txt").read_text()
    aliases = {"cc3d": "connected-components-3d", "SimpleITK": "simpleitk"}
    for path in (bundle / "scripts").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [str(node.module)]
            else:
                continue
            for name in {module.partition(".")[0] for module in found}:
                known = name in sys.stdlib_module_names or name == "scripts" or name in LAZY
                assert known or aliases.get(name, name) in named.lower(), f"{path}: {name}"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("out={out}",), "expected a run folder, or weights as checkpoint="),
        (("run={site}", "out={out}"), "expected checkpoints/best.ckpt or last.ckpt"),
        (("run={run}", "out={site}"), "expected a folder that is empty or does not exist"),
        (("run={run}", "out={site}/cohort.tsv"), "expected a writable folder"),
        (("run={run}", "out={out}", "onnx=yes"), "expected true or false"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_any_work(site, run, jsc, tmp_path, words, sentence):
    code, _, err = jsc("export", *(word.format(site=site, run=run, out=tmp_path / "out") for word in words))
    assert code == 2
    assert sentence in err
    assert not (tmp_path / "out").exists()


def test_onnx_without_its_packages_is_refused_with_the_line_to_install(run, jsc, tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    code, _, err = jsc("export", f"run={run}", f"out={tmp_path / 'out'}", "onnx=true")
    assert code == 2
    assert 'pip install "joint_seg_cls[export]"' in err


class Branching(nn.Module):
    tasks = ("disease",)

    def forward(self, image):
        value = image.mean()
        return Prediction(disease_logits=torch.ones(1, 2) if value.item() > 0 else torch.zeros(1, 2))


def test_a_network_that_torch_cannot_export_is_refused_with_the_operation(tmp_path):
    with pytest.raises(ConfigError, match=r"network Branching: expected a forward pass .*(item|data-dependent|guard)"):
        write_program(Branching().eval(), ExportedPart("model", (8, 8, 8), ("disease_logits",)), 1, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_preprocessing_step_of_another_package_is_refused():
    shipped = {"_target_": "joint_seg_cls.preprocess.ZScore"}
    steps = dict.fromkeys(("brain", "bias_field", "registration", "layout", "intensity"), shipped)
    with pytest.raises(ConfigError, match=r"expected steps of joint_seg_cls.*found my_parts.Clip"):
        carried_steps(steps | {"bias_field": {"_target_": "my_parts.Clip"}}, "best.ckpt")


def test_hd_bet_is_replaced_by_the_request_for_a_stripped_scan():
    shipped = {"_target_": "joint_seg_cls.preprocess.ZScore"}
    steps = dict.fromkeys(("bias_field", "registration", "layout", "intensity"), shipped)
    extractor = {"_target_": "joint_seg_cls.preprocess.HdBet"}
    brain = {"_target_": "joint_seg_cls.preprocess.ExtractedBrain", "extractor": extractor}
    carried, missing = carried_steps(steps | {"brain": brain}, "best.ckpt")
    assert carried["brain"] == {"_target_": "joint_seg_cls.preprocess.NoExtraction"}
    assert "give a skull-stripped scan or a brain mask" in missing[0]


def test_a_network_with_a_window_and_a_diagnosis_needs_two_programs():
    torch.manual_seed(0)
    network = JointNetwork(LocalSharing(1, 4), channels=4, image_size=32).eval()
    parts = parts_of(network, 1, (32, 32, 32), (16, 16, 16))
    assert [(part.name, part.size) for part in parts] == [("model", (16,) * 3), ("model_whole", (32,) * 3)]
    assert parts[0].outputs == ("lesion_logits",)
    assert parts[1].outputs[0] == "disease_logits"


def test_the_carried_modules_stay_few(bundle):
    """A step that drew in training, tables or the command line would make a bundle a copy of the program."""
    carried = Carried([*ENTRIES, "joint_seg_cls.preprocess.bet", "joint_seg_cls.preprocess.n4"])
    assert len(carried.sources) <= 40
    assert not {"lightning", "hydra", "omegaconf", "wandb", "torchmetrics"} & carried.packages


@pytest.mark.slow
def test_shifted_windows_are_exported_with_their_masks(tmp_path):
    torch.manual_seed(0)
    network = JointNetwork(channels=4, image_size=96).eval()
    parts = parts_of(network, 1, (96, 96, 96), None)
    write_program(network, parts[0], 1, tmp_path)
    assert max(check_programs(network, tmp_path, parts, 1).values()) <= 1e-4


@pytest.mark.slow
def test_onnx_gives_the_numbers_of_the_network_and_keeps_nothing_of_the_machine(run, jsc, tmp_path):
    import onnx

    code, _, err = jsc("export", f"run={run}", f"out={tmp_path / 'out'}", "onnx=true")
    assert code == 0, err
    assert "ONNX: outputs differ from the network's by at most" in err
    file = tmp_path / "out" / "models" / "model.onnx"
    model = onnx.load(file)
    assert model.opset_import[0].version == 18
    sides = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == [1, 2, 16, 16, 16]
    assert b"site-packages" not in file.read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in file.read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_runs_in_an_environment_of_its_requirements_alone(site, bundle, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    files = ["--requirement", bundle / "requirements.txt", "--constraint", LOCK]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", *files], check=True)
    pair = [str(site / f"okapiperson0_{name}.nii.gz") for name in ("flair", "t1")]
    words = ["run", "--config_file", "configs/inference.json", "--meta_file", "configs/metadata.json",
             "--image", repr(pair), "--output_dir", str(tmp_path / "out")]  # fmt: skip
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([python, "-m", "monai.bundle", *words], cwd=bundle, env=env, check=True)
    assert (tmp_path / "out" / "okapiperson0_flair_lesions.nii.gz").is_file()
