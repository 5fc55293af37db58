import warnings

import numpy as np
import pytest

from joint_seg_cls.scan.template import load_template


@pytest.mark.parametrize(("spacing_mm", "shape"), [(1, (197, 233, 189)), (2, (99, 117, 95))])
def test_the_template_is_in_mni_space_with_ras_axes(spacing_mm, shape):
    template = load_template(spacing_mm)
    assert template.grid.shape == shape
    assert template.grid.axes == "RAS"
    assert template.grid.spacing_mm == (spacing_mm,) * 3
    assert template.grid.affine[:3, 3].tolist() == [-98, -134, -72]


def test_tissue_maps_are_shares_of_one_voxel():
    template = load_template(1)
    for array in (template.t1, template.white, template.grey):
        assert array.dtype == np.float32
        assert array.shape == template.grid.shape
        assert array.min() == 0
        assert array.max() <= 1
    assert (template.white + template.grey).max() < 1.05
    assert template.brain.dtype == bool
    assert 1600 < template.brain.sum() / 1000 < 2100, "the brain's volume in mL"


def test_known_positions_have_their_tissue():
    template = load_template(1)

    def at(x, y, z):
        return x + 98, y + 134, z + 72

    assert template.white[at(25, 0, 32)] > 0.9, "centrum semiovale"
    assert template.grey[at(26, 4, 2)] > 0.5, "putamen"
    assert template.white[at(12, -10, 22)] + template.grey[at(12, -10, 22)] < 0.2, "lateral ventricle"
    assert template.brain[at(12, -10, 22)], "ventricles count as brain"
    assert not template.brain[at(0, 0, 100)]


def test_is_loaded_once_silently_and_cannot_be_written_to(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_template.cache_clear()
        template = load_template(2)
    assert capsys.readouterr() == ("", "")
    assert load_template(2) is template
    with pytest.raises(ValueError, match="read-only"):
        template.white[0, 0, 0] = 1
