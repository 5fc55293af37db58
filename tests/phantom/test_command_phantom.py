"""``jsc phantom``: its output, and errors for invalid settings."""

import pytest

from joint_seg_cls.scan import read_cohort


def test_phantom_writes_a_cohort_and_reports_it(jsc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, output = jsc("phantom", "out=a folder", "subjects=1", "spacing_mm=2", "phantom=lifelike", "workers=0")
    assert code == 0
    assert "1 scans" in output
    assert len(read_cohort(tmp_path / "a folder" / "cohort.tsv")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a folder"]


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("subjects=0", "subjects"),
        ("subjects=many", "subjects"),
        ("spacing_mm=3", "spacing_mm"),
        ("visits=9", "visits"),
        ("raters=0", "raters"),
        ("workers=-1", "workers"),
        ("seed=-1", "seed"),
        ("phantom.population.atypical.MS=2", "atypical"),
        ("phantom=unclear", "unclear"),
    ],
)
def test_invalid_settings_give_an_error_message(jsc, tmp_path, monkeypatch, override, named):
    monkeypatch.chdir(tmp_path)
    code, _, output = jsc("phantom", "out=cohort", override)
    assert code == 2
    assert named in output
    assert "expected" in output
    assert "Traceback" not in output
    assert len(output.strip().splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_out_is_required(jsc):
    code, _, output = jsc("phantom")
    assert code == 2
    assert "out" in output
