"""Sweeps: every run is planned before the first starts, trained once, and resumed by the same command."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from joint_seg_cls.config import resolvers
from joint_seg_cls.config.compose import register_variants
from joint_seg_cls.config.resolvers import config_folder

#: The rows of the paper's tables 3 to 9.
ROWS = {
    "3": {"unet3d", "vnet", "attention_unet", "joint"},
    "4": {"resnet50", "resnet101", "resnet152", "densenet121", "senet50", "joint"},
    "5": {"only_seg", "joint"},
    "6": {"only_cls", "joint"},
    "7": {"no_share", "only_local", "only_global", "joint"},
    "8": {"no_guidance", "dot", "concat", "add", "joint"},
    "9": {"no_cross", "joint"},
}


@pytest.fixture
def trained(monkeypatch):
    """Replace every training by an instant one; return the variants in the order of training.

    A variant that is called as the attribute ``fails`` fails.
    """
    from joint_seg_cls.commands import train

    class Trained(list):
        fails = None

    order = Trained()

    def fit(plan, tracker):
        order.append(plan.location.base)
        if plan.location.base == order.fails:
            raise MemoryError("the GPU is full")
        plan.run.metrics.write_text("epoch,seconds\n0,1.0\n")

    monkeypatch.setattr(train, "_fit", fit)
    monkeypatch.setattr(train, "calibrate", lambda *_, **__: None)
    return order


@pytest.fixture
def sweep(jsc, tiny, store, tmp_path):
    """Return a function that sweeps in this process, gives the exit code and leaves what was said."""

    def run(*words, tiny=tiny):
        code, _, run.err = jsc(
            "train", "-m", f"data.store={store}", f"runs={tmp_path / 'runs'}", "hydra/launcher=basic", *tiny, *words
        )
        return code

    return run


def folders(tmp_path):
    return sorted(
        str(path.parent.relative_to(tmp_path / "runs" / "store")) for path in (tmp_path / "runs").rglob("DONE")
    )


def studies(tmp_path):
    return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "runs").glob("store/studies/*.json")}


def test_a_repeated_sweep_over_values_skips_finished_runs(sweep, trained, tmp_path):
    assert sweep("optimizer.lr=1e-3,1e-4", "fold=0,1", "study=rates") == 0, sweep.err
    done = folders(tmp_path)
    assert len(done) == len(trained) == 4
    assert sum("optimizer.lr-0.001" in name for name in done) == 2
    assert "4 runs, 0 already done" in sweep.err
    written = studies(tmp_path)["rates"]
    assert sorted(run["folder"] for run in written["runs"]) == done
    assert {run["base"] for run in written["runs"]} == {"joint"}
    assert "optimizer.lr=1e-3,1e-4" in written["created_by"]
    assert sweep("fold=1,0", "optimizer.lr=0.0001,0.001") == 0
    assert "4 runs, 4 already done" in sweep.err
    assert (len(trained), folders(tmp_path)) == (4, done)


@pytest.mark.slow
def test_an_interrupted_sweep_continues_without_repeating_runs(sweep, trained, tmp_path):
    assert sweep("network/guidance=dot,concat") == 0, sweep.err
    assert trained == ["dot", "concat"]
    before = folders(tmp_path)
    assert [name.partition("+")[0] for name in before] == ["concat", "dot"]
    (tmp_path / "runs" / "store" / before[0] / "DONE").unlink()
    assert sweep("ablation=dot,concat", "network/guidance=concat,dot") == 0  # four combinations, two trainings
    assert "2 runs, 1 already done" in sweep.err
    assert trained == ["dot", "concat", "concat"]
    assert folders(tmp_path) == before


@pytest.mark.slow
def test_a_run_shared_by_two_tables_is_trained_once(sweep, trained, tmp_path):
    assert sweep("experiment=table5") == 0, sweep.err
    assert trained == ["only_seg", "only_seg", "joint", "joint"]  # two folds
    assert sweep("experiment=table9") == 0
    assert trained[4:] == ["no_cross", "no_cross"]
    written = studies(tmp_path)
    assert {name: content["tables"] for name, content in written.items()} == {"table5": ["5"], "table9": ["9"]}
    assert [len(content["runs"]) for content in written.values()] == [4, 4]


def test_a_failed_run_does_not_stop_others_and_is_listed_with_its_log(sweep, trained, tmp_path):
    trained.fails = "dot"
    assert sweep("network/guidance=dot,none") == 1
    assert [name.partition("+")[0] for name in folders(tmp_path)] == ["no_guidance"]
    listed = sweep.err[sweep.err.index("1 of 2 runs are unfinished") :]
    assert re.search(r"dot\+\S+: failed: the GPU is full; see (\S+log\.txt)", listed)
    assert Path(re.search(r"see (\S+)", listed)[1]).is_file()
    trained.fails = None
    assert sweep("network/guidance=dot,none") == 0
    assert len(folders(tmp_path)) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ablation=joint,only_cls", "network/guidance=full"), "network has no segmentation"),
        (("ablation=only_seg", "network/guidance=dot"), "network has no classification"),
        (("ablation=only_seg", "loss/cross_task=mse"), "drop loss/cross_task=mse"),
        (("network=unet3d", "loss/cross_task=mse"), "drop loss/cross_task=mse"),
        (("variant=resnet50", "loss/cross_task=mse"), "drop loss/cross_task=mse"),
        (("network=joint,unet3d", "network/guidance=dot"), "only network=joint has"),
        (("network=vnet", "ablation=only_local"), "only network=joint has"),
        (("network=vnet", "ablation=no_cross"), "no ablation"),
        (("network/segmentation=none", "network/classification=none", "network/guidance=none"), "at least one task"),
        (("experiment=table5,table6",), "one study per command"),
        (("experiment=[table5,table6]",), "one study per command"),
        (("fold=0,7",), "fold"),
        (("fold=0,0.0",), "the number of a fold or its name, found 0.0"),
        (("seed=null",), "seed: expected a value"),
        (("variant=dot", "ablation=add"), "no ablation or network beside it, since a variant selects both"),
        (("variant=joint,unet3d", "network=joint"), "no ablation or network beside it"),
        (("experiment=table7", "ablation=dot"), "no ablation or network beside it"),
        (("experiment=table3", "network/guidance=dot"), "network=unet3d: expected no choice of network/guidance"),
        (("study=../mine",), "study: expected a name"),
        (("collection=null",), "collection: expected a value"),
        (("tables=8",), "write tables=[7]"),
        (("tables=[99]",), "tables: expected a list of the paper's tables, 3 to 9, found [99]"),
        (("evaluate=no",), "evaluate: expected true or false, found 'no'"),
        (("ablation=[dot,add]",), "ablation=[dot,add]: expected one option per training, found 2; sweep over them"),
        (("variant=[joint,dot]",), "jsc train -m variant=joint,dot"),
        (("data.store=one,two",), "data.store: expected one store per command, found one,two"),
        (("network=null",), "network: expected one of its options, found none; set network=joint"),
        (("optimizer.lr=interval(0,1)",), "hydra/sweeper=optuna"),
    ],
)  # fmt: skip
def test_an_invalid_sweep_is_one_sentence_before_any_run(sweep, tiny, tmp_path, words, message):
    small = tuple(word for word in tiny if not word.startswith("network."))
    assert sweep(*words, tiny=small) == 2, sweep.err
    assert message in sweep.err
    assert sweep.err.count("error:") == 1
    assert "Traceback" not in sweep.err
    assert not folders(tmp_path)
    assert not studies(tmp_path)


def test_an_experiment_may_define_a_sweep_over_all_folds(sweep, trained, tmp_path):
    own = tmp_path / "own" / "experiment" / "mine.yaml"
    own.parent.mkdir(parents=True)
    params = "hydra:\n  sweeper:\n    params:\n      variant: [dot, joint]\n      fold: range(5)\n"
    own.write_text(f"# @package _global_\nstudy: mine\n{params}")
    assert sweep("--config-dir", str(own.parents[1]), "experiment=mine", "data.folds.held_out=0.25") == 0, sweep.err
    assert trained == ["dot", "dot", "joint", "joint"]  # two folds, as the data are cut


@pytest.mark.slow
def test_options_may_be_selected_by_a_pattern(sweep, trained):
    assert sweep("variant=glob(only_*,exclude=only_s*)", "study=2024") == 0, sweep.err
    assert trained == ["only_cls", "only_global", "only_local"]


@pytest.mark.slow
def test_a_damaged_list_of_a_study_is_renamed(sweep, trained, tmp_path, jsc):
    assert sweep("study=mine") == 0, sweep.err
    path = tmp_path / "runs" / "store" / "studies" / "mine.json"
    path.write_text("garbage")
    code, _, err = jsc("status", "study=mine", f"runs={tmp_path / 'runs'}")
    assert (code, "start the sweep again" in err) == (2, True)
    assert sweep("study=mine") == 0, sweep.err
    assert len(studies(tmp_path)["mine"]["runs"]) == len(trained) == 1
    assert path.with_suffix(".damaged").read_text() == "garbage"


@pytest.mark.slow
def test_an_untested_run_is_tested_on_request(sweep, trained, tmp_path, monkeypatch):
    from joint_seg_cls.commands import train

    tested = []
    monkeypatch.setattr(train, "test_fold", lambda run, *_, **__: tested.append(run.per_case.write_text("case\n")))
    assert sweep("fold=0") == 0, sweep.err
    for _ in range(2):
        assert sweep("fold=0", "evaluate=true") == 0, sweep.err
    assert (len(tested), len(trained)) == (1, 2)  # the training went on from its end


def started(weight):
    """Return the content of a checkpoint with one weight."""
    target = {"_target_": "joint_seg_cls.networks.JointNetwork"}
    trained_on = {"collection": "other", "fold": 0, "seed": 0, "data_hash": "other"}
    recipe = {"format": 1, "network": target, "preprocess": target, "classes": ["MS", "NMOSD"], "modalities": ["flair"]}
    recipe |= {"model_shape": [16, 16, 16], "lesion_threshold": 0.5, "variant": "joint", "trained_on": trained_on}
    return {"epoch": 0, "state_dict": {"network.w": torch.tensor(weight)}, "joint_seg_cls": recipe}


def test_other_initial_weights_are_another_run(sweep, trained, tmp_path, store, make_store, jsc):
    start = tmp_path / "start.ckpt"
    torch.save(started(0.0), start)
    assert sweep(f"init_from={start}") == 0, sweep.err
    torch.save(started(1.0), start)
    assert sweep(f"init_from={start}") == 2
    assert "a run with init_hash =" in sweep.err


def test_an_experiment_with_a_sweep_is_not_a_single_run(jsc, tiny, store, trained, tmp_path):
    where = (f"data.store={store}", f"runs={tmp_path / 'runs'}", *tiny, "experiment=table9")
    code, _, err = jsc("train", *where)
    assert (code, "add -m, or a value for variant and fold" in err) == (2, True)
    code, _, err = jsc("train", *where, "variant=no_cross", "fold=1")
    assert code == 0, err
    assert [name.partition("+")[0] for name in folders(tmp_path)] == ["no_cross"]


@pytest.fixture(scope="module")
def experiments():
    """Every shipped study, as composed."""
    resolvers.register()
    register_variants()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        found = {
            name: compose("train", ["data.store=s", f"experiment={name}"], return_hydra_config=True)
            for name in [*(f"table{table}" for table in ROWS), "paper", "smoke", "cpu"]
        }
    GlobalHydra.instance().clear()
    return found


def swept(config):
    return str(config.hydra.sweeper.params.variant).split(",")


def test_each_table_has_its_rows_on_all_folds(experiments):
    for table, rows in ROWS.items():
        config = experiments[f"table{table}"]
        assert set(swept(config)) == rows
        assert (config.study, list(config.tables)) == (f"table{table}", [int(table)])
        assert config.hydra.sweeper.params.fold == "range(5)"


def test_the_paper_is_all_tables_without_repeats(experiments):
    variants = swept(experiments["paper"])
    assert len(variants) == len(set(variants)) == 19
    assert set(variants) == set().union(*ROWS.values())
    assert experiments["paper"].hydra.sweeper.params.fold == "range(5)"
    assert [str(table) for table in experiments["paper"].tables] == list(ROWS)


def test_the_smoke_experiment_has_every_variant(experiments):
    ablations = {path.stem for path in (config_folder() / "ablation").glob("*.yaml")}
    networks = {path.stem for path in (config_folder() / "network").glob("*.yaml")}
    assert set(swept(experiments["smoke"])) == ablations | networks
    assert experiments["smoke"].hydra.runtime.choices["hydra/launcher"] == "basic"


def test_the_cpu_study_has_the_papers_claims_on_three_folds(experiments):
    config = experiments["cpu"]
    assert set(swept(config)) == {"joint", "only_seg", "only_cls", "no_share", "no_guidance", "no_cross"}
    assert config.hydra.sweeper.params.fold == "0,1,2"
    assert next(iter(config.hydra.sweeper.params)) == "fold", "all rows of a fold before the next fold"


@pytest.mark.parametrize("name", [*(f"table{table}" for table in ROWS), "paper", "smoke", "cpu"])
def test_the_record_of_a_study_has_command_and_runs(experiments, name):
    text = (config_folder() / "experiment" / f"{name}.yaml").read_text()
    head = "".join(line for line in text.splitlines() if line.startswith("#"))
    assert f"jsc train -m experiment={name} data.store=" in head
    runs = len(swept(experiments[name])) * {"smoke": 1, "cpu": 3}.get(name, 5)
    assert f"{runs} runs" in head
    assert re.search(r"\d+ (h|min|s) on ", head)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_variant_takes_a_step_and_is_tested(sweep, make_store, tmp_path):
    shutil.rmtree(tmp_path / "store")
    make_store(tmp_path / "store", side=32)  # the least that the deepest baselines take
    assert sweep("experiment=smoke", tiny=("data.folds.count=2", "data.workers=0", "trainer.accelerator=cpu")) == 0
    assert len(folders(tmp_path)) == 20
    assert len(studies(tmp_path)["smoke"]["runs"]) == 20
