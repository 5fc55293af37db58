"""Every option in `conf/preprocess` composes and builds, and the defaults are the paper's."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from joint_seg_cls.config import resolvers
from joint_seg_cls.config.build import build
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.preprocess import N4, Bet, ByHeader, CropResize, ExtractedBrain, IsotropicPad, Pipeline

GROUP = config_folder() / "preprocess"
LEAVES = sorted(path.relative_to(GROUP).with_suffix("") for path in GROUP.glob("*/*.yaml"))


@pytest.fixture
def composed():
    resolvers.register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        yield lambda *overrides: compose("prepare", ["cohort=c.tsv", "store=s", *overrides])
    GlobalHydra.instance().clear()


@pytest.mark.parametrize("leaf", LEAVES, ids=str)
def test_every_step_of_preprocessing_can_be_chosen(composed, leaf):
    config = composed(f"preprocess/{leaf.parent}={leaf.name}", "image_size=32")
    assert isinstance(build(config.preprocess), Pipeline)


@pytest.mark.parametrize("name", sorted(path.stem for path in GROUP.glob("*.yaml")))
def test_every_preprocessing_composes(composed, name):
    assert isinstance(build(composed(f"preprocess={name}").preprocess), Pipeline)


def test_the_papers_steps_are_the_defaults(composed):
    config = composed()
    pipeline = build(config.preprocess)
    assert isinstance(pipeline.brain, ExtractedBrain)
    assert isinstance(pipeline.brain.extractor, Bet)
    assert isinstance(pipeline.bias_field, N4)
    assert isinstance(pipeline.layout, CropResize)
    assert isinstance(pipeline.registration, ByHeader)
    assert pipeline.layout.model_shape == (160, 160, 160)
    assert (pipeline.intensity.over, pipeline.raters, pipeline.lesion_value) == ("brain", "intersection", None)


def test_steps_take_their_numbers_from_the_command_line(composed):
    words = "preprocess/layout=isotropic_pad", "preprocess.layout.spacing_mm=1.5", "image_size=[96,128,96]"
    layout = build(composed(*words, "preprocess.raters=union").preprocess).layout
    assert isinstance(layout, IsotropicPad)
    assert (layout.spacing_mm, layout.model_shape) == (1.5, (96, 128, 96))
