"""The printed sheet of a case: its texts do not overlap, and lesions that do not fit are counted."""

import itertools
import re
from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from joint_seg_cls.casepage import summary_of
from joint_seg_cls.casepage.key_slices import key_slices
from joint_seg_cls.casepage.pdf import drawn_sheet

#: The columns of a classifying network.
MORE = ("mean_probability", "max_probability", "uncertainty", "diagnosis_share", "diagnosis_sum",
        "distance_to_ventricle_mm", "distance_to_cortex_mm")  # fmt: skip


@pytest.fixture
def sheet(predicted):
    """Return the texts and their boxes of the sheet of a case with as many lesions, of any region."""

    def draw(count, **record):
        case = predicted(**record)
        regions = itertools.cycle(("deep_white_matter", "around_third_and_fourth_ventricle", "juxtacortical"))
        rows = [
            {"lesion": number, "region": next(regions), "volume_ml": 10 / number, **dict.fromkeys(MORE, 0.25)}
            for number in range(1, count + 1)
        ]
        figure = drawn_sheet(summary_of(replace(case, table=pd.DataFrame(rows).astype(str))), key_slices(case))
        texts = [text for part in (figure, *figure.axes) for text in part.texts if text.get_text()]
        renderer = FigureCanvasAgg(figure).get_renderer()
        return [(text.get_text(), text.get_window_extent(renderer)) for text in texts], figure.bbox

    return draw


def test_texts_lie_on_the_sheet_and_do_not_overlap(sheet):
    warnings = ["the regions of lesions are withheld, because " + "the template does not fit the scan " * 5] * 6
    texts, page = sheet(40, warnings=warnings, diagnosis="indeterminate", reasons=["MS has 0.55, below 0.60"])
    for text, box in texts:
        assert page.x0 < box.x0 < box.x1 < page.x1, text
        assert page.y0 < box.y0 < box.y1 < page.y1, text
    for (one, here), (other, there) in itertools.combinations(texts, 2):
        across = min(here.x1, there.x1) - max(here.x0, there.x0)
        up = min(here.y1, there.y1) - max(here.y0, there.y0)
        assert across <= 0 or up <= 0.25 * min(here.height, there.height), (one, other)


@pytest.mark.parametrize("count", [3, 12, 90])
def test_lesions_that_do_not_fit_are_counted(sheet, count):
    texts, _ = sheet(count, criteria={"dawson_finger": {"value": "true", "lesions": [2]}})
    words = [text for text, _ in texts]
    more = [int(found[1]) for word in words if (found := re.fullmatch(r"and (\d+) smaller lesions", word))]
    listed = sum(word in ("deep white matter", "around third and fourth ventricle", "juxtacortical") for word in words)
    assert listed + sum(more) == count
    assert bool(more) == (count == 90)
    assert any(word.startswith("Regions (Lesions, Volume (mL)): deep white matter: 1, 10.00") for word in words) or (
        count > 3
    )
    assert any("Dawson's finger: yes, 2" in word for word in words)
