"""Run folders are named by what decides the numbers: different results never share one, the same never has two."""

from hypothesis import given
from hypothesis import strategies as st

from joint_seg_cls.commands.naming import changes_result, identity, run_path, variant_name

keys = st.sampled_from(
    ["optimizer.lr", "network.channels", "loss.weights.cross_task", "++trainer.max_epochs", "protocol"]
)
overrides = st.dictionaries(keys, st.sampled_from(["1", "0.5", "1e-3", "paper", "a/b", "[1,2]"]), max_size=5)


def named(chosen, **choices):
    return variant_name({"network": "joint", "ablation": "joint", **choices}, [f"{k}={v}" for k, v in chosen.items()])


@given(overrides, overrides)
def test_different_overrides_have_different_names_in_any_order(one, two):
    same = one == two
    assert (named(one) == named(two)) is same
    assert named(dict(reversed(one.items()))) == named(one)


@given(overrides)
def test_names_are_short_and_safe_as_folders(chosen):
    name = named(chosen)
    assert len(name) <= 80
    assert "/" not in name
    assert " " not in name


def test_readable_examples():
    assert named({}) == "joint"
    assert named({}, ablation="only_local") == "only_local"
    assert named({}, network="vnet") == "vnet"
    assert named({"optimizer.lr": "0.001"}) == "joint+optimizer.lr-0.001"
    assert named({"++trainer.max_epochs": "3", "experiment": "demo"}) == "joint+experiment-demo+trainer.max_epochs-3"


def test_keys_that_change_no_result_do_not_enter_the_name():
    neutral = {
        "runs": "elsewhere",
        "tracking": "none",
        "tracking.mode": "online",
        "data.workers": "3",
        "data.store": "s",
    }
    assert named(neutral) == "joint"
    assert not any(map(changes_result, neutral))
    assert changes_result("data.batch_size")


def test_fold_and_seed_stand_in_the_path_only():
    assert named({"fold": "3", "seed": "7"}) == "joint"
    assert str(run_path("runs", "store", "joint", 3, 7)) == "runs/store/joint/fold-3_seed-7"


def test_identity_is_flat_and_without_neutral_keys():
    config = {"optimizer": {"lr": 0.1}, "runs": "x", "data": {"store": "s", "batch_size": 2}, "scheduler": {}}
    assert identity(config, data_hash="h") == {
        "optimizer.lr": 0.1,
        "data.batch_size": 2,
        "scheduler": {},
        "data_hash": "h",
    }
