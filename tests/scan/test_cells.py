"""User text in tables and Markdown: no execution, no rendering, no loss."""

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joint_seg_cls.scan.cells import (
    cell,
    markdown,
    markdown_table,
    path_cell,
    plain,
    read_written,
    shown,
    table_text,
    without_folders,
    write_table,
)

FORMULAS = ['=HYPERLINK("http://x","y")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "'=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_as_text_and_read_back(text):
    assert cell(text) == f"'{text}"
    assert plain(cell(text)) == text


@pytest.mark.parametrize("text", ["-1.5", "+3", "-01", "-1e-5", ".5", "MS", "a=b", "", "'quoted'", "sub-01", "5 - 3"])
def test_numbers_and_harmless_text_are_unchanged(text):
    assert cell(text) == plain(text) == text


@given(st.text())
def test_text_survives_the_round_trip(text):
    assert plain(cell(text)) == text


@given(st.text(alphabet="=+-@'1.e ,\";x|\n", min_size=1))
def test_no_text_cell_is_a_formula(text):
    written = cell(text)
    assert written[0] not in "=+-@\t\r\n" or re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", written)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_table_keeps_its_numbers_and_returns_its_text(tmp_path, suffix):
    table = pd.DataFrame(
        {"=name": ["@x", "-01", "'=a", ""], "n": [-1.5, 2.0, float("nan"), 1e-7], "k": [1, "", -2, None]}
    )
    path = tmp_path / f"table{suffix}"
    write_table(table, path)
    separator = {".csv": ",", ".tsv": "\t"}[suffix]
    rows = list(csv.reader(io.StringIO(path.read_text()), delimiter=separator))
    assert rows[0] == ["'=name", "n", "k"]
    assert [row[1] for row in rows[1:]] == ["-1.5", "2", "", "1e-07"]
    assert [row[2] for row in rows[1:]] == ["1", "", "-2", ""]
    again = read_written(path, separator)
    assert list(again["=name"]) == ["@x", "-01", "'=a", ""]
    assert table_text(again, separator) == path.read_text()


@pytest.mark.parametrize("path", ["-scans/a.nii.gz", "=x.nii", "@x/y.nii", "'=x.nii"])
def test_a_path_is_unchanged(tmp_path, path):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_bytes(b"here")
    written = path_cell(path)
    assert cell(written) == written
    assert (tmp_path / written).read_bytes() == b"here"
    assert path_cell("sub-01/a.nii") == "sub-01/a.nii"


def test_markdown_shows_text_and_renders_none_of_it():
    shown = markdown("a|b\n<script>x</script> [l](http://e.vil) `c` **d** www.e.vil &amp; _f_")
    assert "<" not in shown
    assert re.search(r"(?<!\\)[|`*_\[\]]", shown) is None
    assert "http://" not in shown
    assert "www." not in shown
    assert "&amp;amp;" in shown
    assert markdown("- item") == r"\- item"
    assert markdown("# head") == r"\# head"
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("found no file /Users/Anna Müller/x.nii; correct it", "found no file x.nii; correct it"),
        ("no /Volumes/a/x.nii and /b/c.nii", "no x.nii and c.nii"),
        ("MS/NMOSD, 3/4, https://doi.org/10.1/2/3", "MS/NMOSD, 3/4, https://doi.org/10.1/2/3"),
    ],
)
def test_absolute_paths_are_reduced_to_names(text, expected):
    assert without_folders(text) == expected


def test_an_embedded_picture_is_not_a_path():
    picture = "data:image/png;base64,+/ab/cd/ef="
    assert shown(picture) == picture
    assert shown("in /data/x/y.nii") == "in y.nii"
    assert shown(3) == 3
