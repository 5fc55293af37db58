"""The per-case table is validated when it is read."""

import numpy as np
import pytest

from joint_seg_cls.report.per_case import read_per_case

HEAD = "case,subject,session,fold,disease,p_MS,p_NMOSD,dsc,ltpr\n"
LINES = ["a,None,,0,MS,0.9,0.1,0.5,\n", "b,null,s,0,NMOSD,0.25,0.75,,1\n"]


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "per_case.csv").write_text(text)
        return tmp_path / "per_case.csv"

    return write


def test_names_remain_text_and_empty_cells_are_nan(table):
    rows = read_per_case(table(HEAD + "".join(LINES)), scans=2)
    assert rows["subject"].tolist() == ["None", "null"]
    assert rows["session"].tolist() == ["", "s"]
    np.testing.assert_array_equal(rows["dsc"], [0.5, np.nan])
    np.testing.assert_array_equal(rows["ltpr"], [np.nan, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + LINES[0] + LINES[1][:-4], "ends in the middle of a line"),
        ("", "ends in the middle of a line"),
        (HEAD + LINES[0], "has 1 rows, but 2 scans were tested"),
        (HEAD.replace("subject", "person") + "".join(LINES), "lacks the column subject"),
        (HEAD.replace("p_NMOSD", "q") + "".join(LINES), "do not sum to 1"),
        (HEAD + LINES[0] + LINES[1].replace("0.25", ""), "do not sum to 1"),
        (HEAD + LINES[0] + LINES[1].replace("0.75", "7"), "do not sum to 1"),
        (HEAD + LINES[0] + LINES[1].replace(",,1", ",oops,1"), "line 3: dsc is 'oops', not a number"),
        (HEAD + LINES[0] + LINES[1].replace(",,1", ",inf,1"), "line 3: dsc is 'inf', not a number"),
        (HEAD + LINES[0] + 'b,"\n', "is not a table"),
    ],
)
def test_an_invalid_table_is_refused(table, text, message):
    with pytest.raises(ValueError, match=message):
        read_per_case(table(text), scans=2)


def test_a_missing_table_is_reported(tmp_path):
    with pytest.raises(ValueError, match="missing"):
        read_per_case(tmp_path / "per_case.csv")
