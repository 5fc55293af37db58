"""Command line overrides reach the configuration as intended."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from joint_seg_cls.config.grammar import flags_first, readable


def value_of(override):
    parsed = OverridesParser.create().parse_override(override)
    return parsed.key_or_group, parsed.value(), parsed.is_sweep_override()


@pytest.mark.parametrize(
    "path",
    [
        "/data/my scans/a.nii.gz",
        "/data/a=b,c.nii.gz",
        "/data/[site 1]/{x}.nii",
        "it's here.nii",
        "/a:b;c#d&e.nii",
        "C:\\scans\\one",
        "ends with backslash\\",
        "plain/path.nii",
        "two  spaces",
    ],
)
@pytest.mark.parametrize("key", ["input", "data.store", "init_from"])
def test_any_path_is_passed_unchanged(key, path):
    assert value_of(readable(f"{key}={path}", multirun=False)) == (key, path, False)


def test_commas_sweep_in_a_multirun_unless_the_path_exists(tmp_path):
    assert value_of(readable("data.store=a,b", multirun=True))[2]
    odd = tmp_path / "a,b"
    odd.mkdir()
    assert value_of(readable(f"data.store={odd}", multirun=True)) == ("data.store", str(odd), False)


def test_a_list_of_inputs_stays_a_list():
    assert value_of(readable("input=[a.nii,b.nii]", multirun=False))[1] == ["a.nii", "b.nii"]


def test_quoted_values_and_interpolations_are_unchanged():
    assert readable("input='a b'", multirun=False) == "input='a b'"
    assert readable("out=${cohort} x", multirun=False) == "out=${cohort} x"


def test_other_keys_keep_hydras_grammar():
    assert value_of(readable("fold=0,1", multirun=True))[2]
    assert readable("--cfg=job", multirun=False) == "--cfg=job"


def test_trainer_arguments_need_no_plus():
    assert readable("trainer.limit_train_batches=2", multirun=False) == "++trainer.limit_train_batches=2"


def test_a_launcher_whose_package_is_missing_names_the_extra(jsc, store, monkeypatch):
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()  # installed plugins register themselves
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["launcher"], "submitit_slurm.yaml")
    code, _, err = jsc("train", "-m", f"data.store={store}", "hydra/launcher=slurm")
    assert code == 2
    assert 'pip install "joint_seg_cls[slurm]"' in err


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("data.store=s -m fold=0,1", "-m data.store=s fold=0,1"),
        ("fold=0 --config-dir a=b seed=1 --cfg job", "--config-dir a=b --cfg job fold=0 seed=1"),
        ("--info fold=0", "--info=all fold=0"),
        ("fold=0 --info config", "--info=config fold=0"),
        ("fold=0 --cfg=job seed=1", "--cfg=job fold=0 seed=1"),
    ],
)
def test_flags_may_be_anywhere(typed, read):
    assert flags_first(typed.split()) == read.split()


def test_a_flag_between_keys_is_accepted(jsc):
    code, out, err = jsc("train", "data.store=x", "--cfg", "job", "seed=3")
    assert code == 0, err
    assert "seed: 3\n" in out
