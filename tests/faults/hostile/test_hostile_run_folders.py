"""The configuration of a foreign run folder is plain data, and builds no more than a checkpoint."""

import re
from pathlib import Path

import pytest
import yaml

import joint_seg_cls


def _hostile_data(canary):
    """What a configuration may carry under `data`."""
    return {
        "folds": {"folds": {"_target_": "os.mkdir", "path": str(canary)}},
        "another data module": {"_target_": "pathlib.Path.write_text", "self": str(canary), "data": "x"},
        "composed": {"folds": {"_target_": "joint_seg_cls.data.Folds", "kind": {"_target_": "os.mkdir", "path": "x"}}},
        "list": {"folds": [{"_target_": "builtins.open", "file": str(canary), "mode": "w"}]},
        "interpolation": {"store": "${oc.create:{_target_: os.mkdir, path: canary}}"},
        "environment": {"store": "${oc.env:HOME}"},
        "partial": {"_partial_": True},
        "numbers": {"batch_size": 10**12},
        "types": {"fold": {"a": [1]}},
        "store": {"store": ["a"]},
    }


@pytest.fixture
def run(tmp_path, store, write_checkpoint):
    """A run folder with a checkpoint and a configuration."""
    folder = tmp_path / "runs" / "store" / "joint" / "fold-0_seed-0"
    write_checkpoint(path=folder / "checkpoints" / "best.ckpt")
    config = {
        "data": {
            "_target_": "joint_seg_cls.data.JointDataModule",
            "store": str(store),
            "fold": 0,
            "seed": 0,
            "validation_fraction": 0.0,
            "batch_size": 2,
            "workers": 0,
            "cache": False,
            "folds": {
                "_target_": "joint_seg_cls.data.Folds",
                "kind": "strict",
                "count": 2,
                "seed": 0,
                "held_out": None,
            },
            "augmentation": {"_target_": "monai.transforms.Compose"},
        },
        "study": "${oc.env:HOME}",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_a_foreign_run_folder_is_evaluated_without_running_its_resolvers(run, jsc, monkeypatch):
    monkeypatch.setenv("HOME", "/secret-home")
    code, out, err = jsc("evaluate", f"run={run}", "device=cpu", "tracking=csv")
    assert code == 0, err
    written = [path for path in run.parents[3].rglob("*") if path.is_file() and path.suffix in (".json", ".yaml")]
    assert not any("secret-home" in path.read_text() for path in written)
    assert "secret-home" not in out + err


@pytest.mark.parametrize("carries", list(_hostile_data("canary")))
def test_a_run_folder_is_trusted_no_more_than_a_checkpoint(carries, run, jsc, canary):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"] |= _hostile_data(canary)[carries]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    before = set(run.rglob("*"))
    code, out, err = jsc("evaluate", f"run={run}", "device=cpu")
    assert (code, err.count("error:"), err.count("\n"), out) == (2, 1, 1, ""), err
    assert str(run / "config.yaml") in err
    assert set(run.rglob("*")) == before


@pytest.mark.parametrize("augmentation", ["own_lab.Blur", "builtins.open"])
def test_the_augmentation_of_a_run_is_not_built_for_its_test_and_needs_no_trust(augmentation, run, jsc, canary):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["augmentation"] = {"_target_": augmentation, "file": str(canary), "mode": "w"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    code, _, err = jsc("evaluate", f"run={run}", "device=cpu")
    assert code == 0, err


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    ["", "data", "[]", "data: 3", "data: [1]", "data: {", "\x00", "data: !!python/object/apply:os.mkdir [canary]",
     "data: {_target_: !!python/name:os.system }", f"{BOMB}data: *i\n", "a: " + "[" * 3000, "x" * 2**21],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used_is_refused_in_a_sentence(text, run, jsc, canary):
    (run / "config.yaml").write_text(text)
    code, out, err = jsc("evaluate", f"run={run}", "device=cpu")
    assert (code, err.count("error:"), err.count("\n"), out) == (2, 1, 1, ""), err
    assert str(run / "config.yaml") in err


def test_hydra_builds_nothing_from_a_file():
    source = Path(joint_seg_cls.__file__).parent
    users = {path.name for path in source.rglob("*.py") if re.search(r"\binstantiate\(", path.read_text())}
    assert users == {"build.py", "search.py"}  # the search builds its sweeper from the command's own configuration
    loaded = {path.name for path in source.rglob("*.py") if "OmegaConf.load" in path.read_text()}
    assert not loaded
