"""The schema is complete, matches the shipped configuration, and equals the generated page."""

from pathlib import Path

import pytest
import yaml

from joint_seg_cls.cli.help import key_page
from joint_seg_cls.config.build import flatten
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.config.schema import BY_NAME, KEYS, nearest

ROOT = Path(__file__).resolve().parents[2]
GROUPS = (
    "callbacks",
    "data",
    "experiment",
    "loss",
    "network",
    "optimizer",
    "protocol",
    "scheduler",
    "tracking",
    "trainer",
    "width",
)
#: Parts whose arguments are those of other libraries' networks.
ELSEWHERE = ("network.network.",)


def shipped():
    """Yield file, dotted key and value of all entries of a training's configuration."""
    root = config_folder()
    for path in [
        root / "train.yaml",
        *(path for group in (*GROUPS, "width") for path in (root / group).rglob("*.yaml")),
    ]:
        text = path.read_text(encoding="utf-8")
        relative = path.relative_to(root)
        is_global = text.startswith("# @package _global_") or relative.name == "train.yaml"
        prefix = "" if is_global else ".".join(relative.parent.parts)
        content = {
            key: value for key, value in (yaml.safe_load(text) or {}).items() if key not in ("defaults", "hydra")
        }
        yield from ((relative.as_posix(), key, value) for key, value in flatten(content, prefix) if content)


def is_of_a_part(key):
    return "_target_" in key or "_partial_" in key or key.startswith(ELSEWHERE)


def test_every_key_of_the_shipped_configuration_is_listed():
    missing = {key for _, key, _ in shipped() if not is_of_a_part(key) and not is_listed(key)}
    assert not missing


def is_listed(key):
    follows = key.rsplit(".", 1)[-1] in (
        "channels",
        "classes",
        "image_size",
        "in_channels",
    )  # of parts: follow the network's
    return key in BY_NAME or (follows and key.startswith("network."))


def test_every_shipped_value_is_valid():
    wrong = [
        (path, key, value, BY_NAME[key].fault(value))
        for path, key, value in shipped()
        if key in BY_NAME and not (isinstance(value, str) and ("${" in value or value == "???"))
        if BY_NAME[key].fault(value) is not None and not (value is None and key == "scheduler.T_max")
    ]
    assert not wrong


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_each_key_has_one_short_line_of_help(key):
    assert key.help
    assert len(key.help) <= 90
    assert "\n" not in key.help


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", True),
        ("data.batch_size", 0),
        ("lesion_threshold", 1),
        ("loss.cross_task_weight", -0.1),
        ("loss.cross_task_weight", float("nan")),
        ("protocol.weights", "bset"),
        ("protocol.monitor", "val/f1"),
        ("study", "a/b"),
        ("tables", [2]),
        ("fold", True),
        ("fold", None),
    ],
)
def test_invalid_values_are_detected(name, value):
    assert BY_NAME[name].fault(value) is not None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("optimizer.lrr", "optimizer.lr"), ("optimiser", "optimizer"), ("data.batchsize", "data.batch_size")],
)
def test_the_nearest_key_is_found(typed, meant):
    assert nearest(typed) == meant


def test_the_reference_page_is_up_to_date():
    assert (ROOT / "experiments" / "KEYS.md").read_text(encoding="utf-8") == key_page()


def test_a_misspelt_key_is_refused_with_the_nearest_one(jsc):
    code, _, err = jsc("train", "data.store=nowhere", "optimizer.lrr=1")
    assert code == 2
    assert "did you mean optimizer.lr?" in err


def test_help_explains_the_keys(jsc):
    _, out, _ = jsc("train", "--help")
    assert "# probability at or above which a voxel is a lesion (a number above 0 and below 1)" in out
