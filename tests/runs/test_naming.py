"""Run folders: different results never share a folder, equal results never have two."""

import functools
import json

import pytest
import torch
from hydra.errors import HydraException
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from joint_seg_cls.config.build import plain
from joint_seg_cls.config.compose import Composer
from joint_seg_cls.config.schema import changes_result
from joint_seg_cls.runs.naming import identity, locate

#: One of these a key: options of groups, defaults among them, and single values that may or may not change anything.
CHOICES = {
    "ablation": ["joint", "dot", "only_seg", "no_cross"],
    "variant": ["joint", "dot", "unet3d"],
    "network": ["joint", "unet3d"],
    "network/guidance": ["full", "dot", "none"],
    "loss/cross_task": ["mse", "none"],
    "loss/segmentation": ["dice", "dice_ce"],
    "experiment": ["demo", "table7"],
    "protocol": ["strict", "paper"],
    "optimizer.lr": ["1e-4", "0.0001", "1.0e-3", "0.001"],
    "network.channels": ["32", "8"],
    "data.folds.count": ["5", "4"],
    "loss.cross_task_weight": ["1", "1.0", "0.5"],
    "++trainer.max_epochs": ["200", "8"],
    "++trainer.limit_train_batches": ["2", "0.5"],
    "data.workers": ["0", "1"],
    "tracking": ["none", "wandb"],
    "fold": ["0", "1"],
    "data.fold": ["0", "${fold}"],
    "seed": ["0", "1"],
}
overrides = st.lists(st.sampled_from(sorted(CHOICES)), max_size=4, unique=True).flatmap(
    lambda keys: st.tuples(*(st.sampled_from([f"{key}={value}" for value in CHOICES[key]]) for key in keys))
)


@functools.cache
def composer():
    return Composer()


def composed(words):
    try:
        return composer()(["data.store=store", *words])
    except HydraException:  # parts of the joint network with another network
        assume(False)


def placed(*words):
    found = composed(words)
    return locate(found.config, found.choices, ["data.store=store", *words], composer())


def decisive(words):
    """Return the identity, resolved, with equal values for whole floats and integers."""
    return json.loads(json.dumps(identity(plain(composed(words).config))))


def share_a_folder(one, two):
    return placed(*one).path == placed(*two).path


quick = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
thorough = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(overrides, overrides)
def test_overrides_share_a_folder_if_and_only_if_their_identity_is_equal(one, two):
    assert share_a_folder(one, two) is (decisive(one) == decisive(two))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@thorough
@given(overrides, overrides)
def test_many_overrides_share_a_folder_if_and_only_if_their_identity_is_equal(one, two):
    assert share_a_folder(one, two) is (decisive(one) == decisive(two))


@quick
@given(overrides)
def test_names_are_independent_of_order_short_and_safe(words):
    name = placed(*words).variant
    assert placed(*reversed(words)).variant == name
    assert len(name) <= 80
    assert not set("/ =,'\"") & set(name)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((), "joint"),
        (("ablation=joint", "network=joint", "optimizer.lr=1e-4"), "joint"),
        (("experiment=table7", "variant=joint"), "joint"),
        (("variant=only_local",), "only_local"),
        (("network/sharing=local",), "only_local"),
        (("network=vnet",), "vnet"),
        (("variant=vnet",), "vnet"),
        (("optimizer.lr=0.001",), "joint+optimizer.lr-0.001"),
        (("network/guidance=dot", "++trainer.max_epochs=3"), "dot+trainer.max_epochs-3"),
        (("network/guidance=dot", "loss/cross_task=none"), "dot+loss-cross_task-none"),
        (("experiment=demo", "++trainer.max_epochs=3"), "joint+experiment-demo+trainer.max_epochs-3"),
        (("experiment=demo", "++trainer.max_epochs=8"), "joint+experiment-demo"),
        (("runs=elsewhere", "tracking=none", "data.workers=3", "study=mine", "++trainer.profiler=simple"), "joint"),
        (("fold=3", "seed=7"), "joint"),
    ],
)
def test_readable_examples(words, name):
    assert placed(*words).variant == name


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("++network.extra='1'", "++network.extra=1"),
        ("++network.extra='[a,b]'", "++network.extra=[a,b]"),
        ("++network.extra=['a,b']", "++network.extra=[a,b]"),
        ("++network.extra=null", "++network.extra='null'"),
        ("++network.extra=a/b", "++network.extra=a-b"),
        ("++network.extra=true", "++network.extra='true'"),
        ("++trainer.limit_train_batches=1", "++trainer.limit_train_batches=1.0"),  # one batch, all of them
    ],
)
def test_similar_values_have_different_names(one, two):
    assert placed(one).variant != placed(two).variant


@pytest.mark.parametrize("has_gpu", [False, True])
def test_an_explicit_precision_is_named_on_any_machine(monkeypatch, has_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_gpu)
    assert placed().variant == placed("++trainer.accelerator=cpu").variant == "joint"
    assert placed("++trainer.precision=32-true").variant.startswith("joint+trainer.precision-32-true")
    assert placed("++trainer.precision=bf16-mixed").variant.startswith("joint+trainer.precision-bf16-mixed")


def test_cpu_training_uses_full_precision(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    found = {
        device: composed([f"++trainer.accelerator={device}"]).config.trainer.precision for device in ("auto", "cpu")
    }
    assert found == {"auto": "bf16-mixed", "cpu": "32-true"}


def test_fold_and_seed_are_only_in_the_path():
    assert str(placed("fold=3", "seed=7").path) == "runs/store/joint/fold-3_seed-7"


def test_long_names_end_in_a_digest():
    long = [f"++trainer.argument_{number}={number}" for number in range(9)]
    one, two = placed(*long), placed(*long[:-1], "++trainer.argument_8=9")
    assert len(one.variant) == len(two.variant) == 80
    assert one.variant[:71] == two.variant[:71]
    assert one.variant != two.variant


def test_neutral_keys_are_those_of_paths_and_speed():
    neutral = ["runs", "tracking", "tracking.mode", "data.workers", "data.store", "hydra/launcher", "study", "tables"]
    assert not any(map(changes_result, neutral))
    assert all(map(changes_result, ["data.batch_size", "trainer.max_epochs", "network/guidance", "data.storeroom"]))


def test_identity_is_flat_and_without_neutral_keys():
    config = {"optimizer": {"lr": 0.1}, "runs": "x", "data": {"store": "s", "batch_size": 2}, "scheduler": {}}
    assert identity(config, data_hash="h") == {
        "optimizer.lr": 0.1,
        "data.batch_size": 2,
        "scheduler": {},
        "data_hash": "h",
    }
