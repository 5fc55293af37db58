import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from joint_seg_cls import pictures
from joint_seg_cls.pictures import Slice, most_lesion, spread, window, with_fill, with_map, with_outline


def test_an_axial_slice_shows_left_at_the_left_and_front_at_the_top():
    volume = np.zeros((5, 7, 3))
    volume[0, 6, 1] = 1
    drawn = Slice("axial", 1).of(volume)
    assert drawn.shape == (7, 5), "rows run along y, columns along x"
    assert np.argwhere(drawn).tolist() == [[6, 0]], "lowest x, the left, is the first column; rows are drawn upwards"


@pytest.mark.parametrize(("plane", "aspect"), [("axial", 2 / 0.5), ("coronal", 3 / 0.5), ("sagittal", 3 / 2)])
def test_pixels_have_the_aspect_of_the_voxels(plane, aspect):
    assert Slice(plane, 0).aspect((0.5, 2.0, 3.0)) == pytest.approx(aspect)


def test_slices_with_most_lesion_are_separate():
    mask = np.zeros((10, 10, 60), dtype=bool)
    mask[:9, :, 30] = mask[:8, :, 31] = True
    mask[:5, :, 40] = True
    mask[0, 0, 50] = True
    assert [cut.index for cut in most_lesion(mask, 3)] == [30, 40, 50]


def test_without_lesions_slices_cover_the_middle():
    empty = np.zeros((8, 9, 40), dtype=bool)
    assert most_lesion(empty, 4) == spread(empty.shape, 4)
    assert [cut.index for cut in spread(empty.shape, 1)] in ([19], [20])
    indices = [cut.index for cut in spread(empty.shape, 4)]
    assert indices == sorted(set(indices))
    assert 10 <= indices[0] < indices[-1] < 30


def test_a_flat_volume_gives_no_more_slices_than_it_has():
    assert [cut.index for cut in most_lesion(np.zeros((4, 4, 2), dtype=bool), 5)] == [0, 1]


def test_grey_levels_exclude_the_background():
    volume = np.zeros((10, 10, 10))
    volume[3:7, 3:7, 3:7] = np.linspace(100, 200, 64).reshape(4, 4, 4)
    black, white = window(volume)
    assert 100 <= black < 105
    assert 195 < white <= 200
    assert window(np.zeros((3, 3, 3))) == (0.0, 1.0)


def test_bright_fat_of_the_scalp_does_not_darken_the_brain():
    volume = np.zeros((40, 40, 40))
    volume[2:38, 2:38, 2:38] = 600
    volume[5:35, 5:35, 5:35] = 100
    volume[5:35, 5:35, 5:10] = 1  # dark fluid
    volume[18:22, 18:22, 18:22] = 180  # lesion
    assert np.percentile(volume[volume > 0], 99.5) == 600
    assert window(volume) == (1, 200)
    centred = (volume - 100) / 50  # no longer zero outside, nor a brain of positive values
    assert window(centred)[1] == 10


def test_an_outline_is_the_border_of_the_mask_and_a_fill_all_of_it():
    picture, mask = np.zeros((7, 7, 3)), np.zeros((7, 7), dtype=bool)
    mask[1:6, 1:6] = True
    outline = with_outline(picture, mask, (1.0, 0.0, 0.0))
    assert outline[..., 0].sum() == 16
    assert outline[3, 3].tolist() == [0, 0, 0]
    assert with_fill(picture, mask, (1.0, 0.0, 0.0), 0.5)[..., 0].sum() == 12.5


def test_a_map_colours_only_high_values():
    picture = np.full((2, 2, 3), 0.25)
    values = np.array([[0.0, -3.0], [1.0, 0.5]])
    drawn = with_map(picture, values, (0.0, 1.0))
    assert np.allclose(drawn[0], 0.25)
    assert drawn[1, 0].sum() > drawn[1, 1].sum() > 0.75


def test_a_case_picture_has_four_columns_and_is_written_without_a_display(tmp_path):
    with_global_state = "matplotlib.pyplot" in sys.modules
    rng = np.random.default_rng(0)
    image = rng.random((20, 24, 16)).astype(np.float32)
    reference, prediction = np.zeros((2, 20, 24, 16), dtype=bool)
    reference[5:9, 5:9, 5:9] = prediction[6:10, 6:10, 6:10] = True
    path = tmp_path / "a case.png"
    pictures.case_picture(path, image, reference, prediction, image, "case", spacing_mm=(1.0, 1.0, 3.0), rows=2)
    drawn = imread(path)
    height, width = drawn.shape[:2]
    assert width == 4 * 240
    assert height > 2 * 240 * 24 / 20
    assert ("matplotlib.pyplot" in sys.modules) == with_global_state


def test_unknown_volumes_have_no_column(tmp_path):
    image = np.random.default_rng(0).random((20, 24, 16)).astype(np.float32)
    prediction = np.zeros(image.shape, dtype=bool)
    pictures.case_picture(tmp_path / "c.png", image, None, prediction, None, "no lesion at all")
    assert imread(tmp_path / "c.png").shape[1] == 2 * 240


def test_a_picture_is_reproducible(tmp_path):
    panels = [[np.linspace(0, 1, 30).reshape(5, 6)]]
    for name in ("a", "b"):
        pictures.montage(panels, ["one"], tmp_path / f"{name}.png", sides=("L", "R"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_names_in_figures_are_text_and_not_mathematics(tmp_path):
    from joint_seg_cls.report.figure import canvas, save

    name = "p$1_{$ \u674e\u660e"  # invalid as mathematics, and letters that the font lacks
    pictures.montage([[np.zeros((8, 8))]], [name], tmp_path / "montage.png", row_labels=[name], heading=name)
    drawn = canvas(2, 2)
    axes = drawn.subplots()
    axes.plot([0, 1], label=name)
    axes.set(title=name, xlabel=name)
    axes.legend()
    assert save(drawn, tmp_path, "figure").is_file()
    figure = Figure()
    volume = np.random.default_rng(0).normal(size=(9, 9, 9))
    pictures.draw_planes(figure, volume, None, spacing_mm=(1.0, 1.0, 1.0), heading="p$1_{$", columns=1)
    figure.savefig(tmp_path / "planes.png")
