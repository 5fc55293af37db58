"""Every option in `conf/` composes, builds and runs one step."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from joint_seg_cls.batch import Batch
from joint_seg_cls.cli.main import COMMANDS
from joint_seg_cls.config import resolvers
from joint_seg_cls.config.build import build, plain
from joint_seg_cls.config.compose import Composer
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.runs.naming import variant_of
from joint_seg_cls.training import Schedule

FOLDER = config_folder()
SMALL = ["data.store=s", "network.image_size=16", "network.channels=4"]


@pytest.fixture
def composed():
    resolvers.register()
    with initialize_config_dir(str(FOLDER), version_base="1.3"):
        yield lambda *overrides: compose("train", [*SMALL, *overrides])
    GlobalHydra.instance().clear()


def leaves(group):
    return sorted(path.stem for path in (FOLDER / group).glob("*.yaml"))


def batch():
    return Batch(
        image=torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)),
        lesion_mask=torch.ones(2, 1, 16, 16, 16),
        disease=torch.tensor([0, 1]),
        has_lesion_mask=torch.tensor([True, True]),
        has_disease=torch.tensor([True, True]),
        case=["a", "b"],
    )


def one_step(config):
    network, loss = build(config.network), build(config.loss)
    prediction = network(batch().image)
    terms = loss(prediction, batch())
    terms["total"].backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert without == []
    return prediction, terms


@pytest.mark.parametrize("name", leaves("ablation"))
def test_every_ablation_trains_all_its_parameters(composed, name):
    prediction, terms = one_step(composed(f"ablation={name}"))
    assert (prediction.lesion_logits is None) == (name == "only_cls")
    assert (prediction.disease_logits is None) == (name == "only_seg")
    assert (terms["cross_task"].item() == 0) == (name in ("only_seg", "only_cls", "no_cross"))


@pytest.mark.parametrize("name", leaves("ablation"))
@pytest.mark.usefixtures("composed")
def test_every_ablation_of_a_narrow_network_trains_and_has_its_initial_values(name):
    config = compose("train", ["data.store=s", "network.image_size=16", "width=narrow", f"ablation={name}"])
    prediction, _ = one_step(config)
    network = build(config.network)
    assert sum(weight.numel() for weight in network.parameters()) < 500_000
    if prediction.lesion_logits is not None:
        assert [output.bias.item() for output in network.segmentation.outputs] == [-2.0] * 4
    if name in ("joint", "dot", "add", "concat"):
        assert network.guidance.project.convolution.weight.unique().tolist() == [0.5]
    if name in ("joint", "no_guidance"):
        assert float(network.sharing.crossover.weights.detach()[1, 0]) == pytest.approx(0.9)


@pytest.mark.parametrize("network", ["unet3d", "attention_unet", "resnet34", "resnet50", "densenet121"])
@pytest.mark.usefixtures("composed")
def test_baselines_scale_with_the_width(network):
    sizes = [
        sum(weight.numel() for weight in build(compose("train", ["data.store=s", *words]).network).parameters())
        for words in ([f"network={network}"], [f"network={network}", "width=narrow"])
    ]
    assert 10 < sizes[0] / sizes[1] < 17


def test_the_ablations_are_those_of_the_papers_tables():
    assert set(leaves("ablation")) == {
        "joint", "only_seg", "only_cls", "no_share", "only_local", "only_global",
        "no_guidance", "dot", "concat", "add", "no_cross",
    }  # fmt: skip


@pytest.mark.parametrize("name", leaves("loss/segmentation"))
def test_every_segmentation_loss_builds(composed, name):
    _, terms = one_step(composed(f"loss/segmentation={name}"))
    assert 0 < terms["segmentation"].item() < 20


@pytest.mark.parametrize("name", leaves("scheduler"))
def test_every_schedule_follows_the_optimizer(composed, name):
    config = composed(f"scheduler={name}")
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = build(config.optimizer)([weight])
    schedule = Schedule.of(plain(config.scheduler), build).start(optimizer, {"epoch": 100, "step": 100}.__getitem__)
    optimizer.step()
    schedule.step(*([1.0] if name == "plateau" else []))
    assert 0 < optimizer.param_groups[0]["lr"] <= 1e-4


@pytest.mark.parametrize("name", leaves("experiment"))
def test_every_experiment_composes_and_steps(composed, name):
    prediction, _ = one_step(composed(f"experiment={name}", "network.image_size=16"))
    assert prediction.lesion_logits is not None


@pytest.mark.parametrize("protocol", leaves("protocol"))
@pytest.mark.parametrize("augmentation", leaves("data/augmentation"))
def test_every_augmentation_and_protocol_builds(composed, augmentation, protocol):
    data = build(composed(f"data/augmentation={augmentation}", f"protocol={protocol}").data)
    assert data.validation_fraction == (0.2 if protocol == "strict" else 0.0)


def test_the_papers_settings_are_the_defaults(composed):
    config = composed("network.image_size=160", "network.channels=32")
    assert (config.optimizer.lr, config.trainer.max_epochs, config.data.batch_size) == (1e-4, 200, 2)
    assert config.data.folds.count == 5
    assert (config.scheduler.factor, config.scheduler.patience) == (0.5, 10)
    weights = config.loss.segmentation_weight, config.loss.classification_weight, config.loss.cross_task_weight
    assert weights == (1.0, 0.8, 1.0)


def test_paper_protocol_monitors_the_training_loss_and_tests_the_last_weights(composed):
    config = composed("protocol=paper")
    assert (config.protocol.monitor, config.protocol.weights) == ("train/loss/total", "last")
    assert config.data.folds.kind == "random"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_its_groups_and_examples(jsc, command):
    code, out, _ = jsc(command, "--help")
    assert code == 0
    assert f"jsc {command} " in out
    assert "Keys" in out
    assert ("network/guidance: add, concat, dot, full, none" in out) == (command == "train")
    assert ("skull: labels, none, shell" in out) == (command == "phantom")


def test_help_may_be_the_last_word_of_any_command(jsc):
    code, out, _ = jsc("train", "-m", "fold=0,1", "network=unet3d", "--help")
    assert code == 0
    assert "monai.networks.nets.UNet" in out


def test_help_lists_a_users_groups(jsc, tmp_path):
    (tmp_path / "ablation").mkdir()
    (tmp_path / "ablation" / "mine.yaml").write_text("# @package _global_\n")
    assert "joint, mine, no_cross" in jsc("train", f"--config-dir={tmp_path}", "--help")[1]


def test_configuration_can_be_printed_without_running(jsc):
    code, out, _ = jsc("train", "data.store=nowhere", "ablation=dot", "--cfg", "job")
    assert code == 0
    assert OmegaConf.create(out).network.guidance["_target_"].endswith("DotGuidance")


def test_a_users_folder_adds_an_ablation(jsc, tmp_path):
    (tmp_path / "ablation").mkdir()
    (tmp_path / "ablation" / "mine.yaml").write_text("# @package _global_\nloss:\n  cross_task_weight: 0.3\n")
    code, out, _ = jsc("train", "--config-dir", str(tmp_path), "ablation=mine", "data.store=x", "--cfg", "job")
    assert code == 0
    assert OmegaConf.create(out).loss.cross_task_weight == 0.3


def test_a_users_folder_may_have_any_name_but_no_shipped_option(tmp_path):
    folder = tmp_path / "my configs, x=(1)" / "ablation"
    folder.mkdir(parents=True)
    shipped = (config_folder() / "ablation" / "dot.yaml").read_text()
    (folder / "aaa.yaml").write_text(shipped)
    own = Composer([folder.parent])
    composed = own(["ablation=aaa"])
    assert variant_of(["ablation=aaa"], composed.choices, own.options)[0] == "dot"
    (folder / "broken.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"broken\.yaml: expected YAML"):
        variant_of(["network/guidance=dot"], composed.choices, own.options)


def test_a_users_network_is_trained_and_tested(jsc, store, tmp_path, monkeypatch):
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "mine.yaml").write_text("_target_: users_network.Plain\nclasses: 9\n")
    (tmp_path / "users_network.py").write_text(
        "import torch\n"
        "from joint_seg_cls.batch import Prediction\n"
        "class Plain(torch.nn.Module):\n"
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.seg, self.cls = torch.nn.Conv3d(1, 1, 3, padding=1), torch.nn.Linear(1, classes)\n"
        "    def forward(self, image):\n"
        "        return Prediction(self.seg(image), None, self.cls(image.mean((2, 3, 4))), None)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    code, _, err = jsc(
        "train", "--config-dir", str(tmp_path), "network=mine", f"data.store={store}", f"runs={tmp_path / 'runs'}",
        "data.folds.count=2", "data.workers=0", "trainer.max_epochs=1", "tracking=none", "trainer.accelerator=cpu",
    )  # fmt: skip
    assert code == 0, err
    (run,) = (tmp_path / "runs").glob("store/mine*/fold-0_seed-0")
    assert (run / "DONE").is_file()
    code, _, err = jsc("evaluate", f"run={run}", "device=cpu")
    assert (code, "trust=[users_network]" in err) == (2, True)
    assert jsc("evaluate", f"run={run}", "device=cpu", "trust=[users_network]")[0] == 0


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "ablation/mine.yaml",
            "data: {batch_size: 4}",
            "ablation/mine.yaml: expected # @package _global_",
        ),
        ("experiment/mine.yaml", "trainer: {max_epochs: 7}", "experiment/mine.yaml: expected # @package _global_"),
        ("ablation/mine.yaml", "# @package _global_\noptimiser: {lr: 1}", "did you mean optimizer"),
        ("ablation/mine.yaml", "# @package _global_\nprotocol: {weight: last}", "did you mean protocol.weights"),
        ("experiment/mine.yaml", "# @package _global_\nwidth: {chanels: 4}", "did you mean width.channels"),
        (
            "ablation/dot.yaml",
            "# @package _global_\nseed: 7",
            "dot.yaml: expected a name that no shipped",
        ),
    ],
)
def test_a_users_file_that_would_be_ignored_is_refused(jsc, store, tmp_path, file, text, message):
    own = tmp_path / "own" / file
    own.parent.mkdir(parents=True)
    own.write_text(f"{text}\n")
    chosen = f"{own.parent.name}={own.stem}"
    words = ("--config-dir", str(tmp_path / "own"), f"data.store={store}", f"runs={tmp_path / 'runs'}", chosen)
    code, _, err = jsc("train", *words)
    assert (code, message in err, err.count("error:")) == (2, True, 1), err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("prepar",), "did you mean prepare"),
        (("prepare", "store=s"), "a value for cohort"),
        (("prepare", "cohrt=c.tsv"), "did you mean cohort?"),
        (("prepare", "preprocess.layout.image_siz=48"), "did you mean preprocess.layout.image_size?"),
        (("compare", "before=a.nii.gz"), "see jsc compare --help"),
        (("prepare", "cohort=c.tsv", "store=s", "preprocess=unknown"), "preprocess/unknown"),
        (("phantom", "out=o", "phantom=real"), "phantom/real"),
        (("evaluate",), "a value for run"),
        (("evaluate", "run=nowhere"), "nowhere"),
        (("predict", "input=a.nii.gz", "checkpoint=none.ckpt", "out=o"), "none.ckpt"),
        (("prepare", "cohort=nowhere.tsv", "store=s"), "nowhere.tsv"),
        (("prepare", "cohort=nowhere.tsv", "store=s", "image_size=50"), "48 x 48 x 48"),
    ],
)
def test_an_invalid_word_is_one_sentence_and_exit_code_2(jsc, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = jsc(*words)
    assert code == 2
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []
