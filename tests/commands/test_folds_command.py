"""Folds on the command line: leave-one-site-out, held-out cases, a user's split; names and records of runs."""

import json
from pathlib import Path

import pandas as pd
import pytest

SMALL = ("network.channels=4", "tracking=none", "data.workers=0", "trainer.max_epochs=1", "trainer.accelerator=cpu")


@pytest.fixture
def sites(store, edit_case):
    """The store of eight subjects at two sites: s0 to s3 in the north."""
    for number in range(8):
        edit_case(store / f"s{number}", columns={"site": "south" if number > 3 else "north"})
    return store


@pytest.fixture
def train(jsc, sites, tmp_path):
    def run(*words):
        code, _, err = jsc("train", f"data.store={sites}", f"runs={tmp_path / 'runs'}", *SMALL, *words)
        assert code == 0, err
        return max((tmp_path / "runs").glob("*/*/fold-*"), key=lambda path: (path / "DONE").stat().st_mtime)

    return run


def identity(run):
    return json.loads((run / "provenance.json").read_text())["identity"]


def cases_of(run):
    return sorted(pd.read_csv(run / "per_case.csv")["case"])


def test_a_site_is_left_out_and_tested(train, sites):
    run = train("data/folds=leave_one_site_out", "fold=1", "data.validation_fraction=0.3")
    assert cases_of(run) == ["s4", "s5", "s6", "s7"]
    assert "data-folds-leave_one_site_out" in run.parent.name
    frozen = json.loads((sites / "splits" / "leave-one-site-out_seed-0_validation-0.3.json").read_text())
    assert identity(run)["folds_hash"] == frozen["hash"]
    assert sorted(frozen["folds"]["1"]["train"] + frozen["folds"]["1"]["validation"]) == ["s0", "s1", "s2", "s3"]


@pytest.mark.slow
def test_held_out_cases_are_tested_by_their_fold(train, jsc, sites):
    words = ("data.folds.held_out=0.25", "data.folds.count=2", "data.validation_fraction=0.3")
    run, last = train(*words, "fold=0"), train(*words, "fold=held_out")
    assert last.name == "fold-held_out_seed-0"
    assert last.parent == run.parent
    assert identity(run)["folds_hash"] == identity(last)["folds_hash"]
    held_out = cases_of(last)
    assert len(held_out) == 2
    assert not set(held_out) & set(cases_of(run))
    assert set(pd.read_csv(last / "per_case.csv")["fold"]) == {"held_out"}
    code, _, err = jsc("evaluate", f"run={run}", "fold=held_out", "device=cpu")
    assert (code, "was trained on" in err) == (0, False)
    assert sorted(pd.read_csv(run / "evaluations" / "fold-held_out" / "per_case.csv")["case"]) == held_out
    code, _, err = jsc("evaluate", f"run={last}", "device=cpu", "fold=0")
    assert (code, "was trained on" in err) == (0, True)


def test_held_out_cases_by_a_column(train):
    run = train("data.folds.held_out={site: north}", "fold=held_out", "data.folds.count=2", "protocol=paper")
    assert cases_of(run) == ["s0", "s1", "s2", "s3"]


@pytest.mark.slow
def test_a_users_split_names_the_run_by_its_content(train, tmp_path, monkeypatch):
    text = "case\tfold\n" + "".join(f"s{number}\t{number // 4}\n" for number in range(8))
    (tmp_path / "my split.tsv").write_text(text)
    words = ("data/folds=file", "fold=1", "protocol=paper")
    run = train(*words, f"data.folds.path={tmp_path / 'my split.tsv'}")
    assert cases_of(run) == ["s4", "s5", "s6", "s7"]
    assert str(tmp_path) not in run.parent.name
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "my split.tsv").write_text(text)
    monkeypatch.chdir(tmp_path / "here")
    assert train(*words, "data.folds.path=my split.tsv") == run  # equal folds: the run is not repeated
    Path("my split.tsv").write_text(text.replace("s0\t0", "s0\t1").replace("s6\t1", "s6\t0"))
    assert train(*words, "data.folds.path=my split.tsv").parent != run.parent


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data/folds=leave_one_site_out", "data.folds.column=scanner"), "a value of scanner for every case"),
        (("data/folds=file",), "a value for data.folds.path"),
        (("data/folds=file", "data.folds.path=none.tsv"), "no such file"),
        (("fold=held_out", "data.folds.count=2"), "set data.folds.held_out=0.2"),
        (("data.folds.held_out=2", "data.folds.count=2"), "a share between 0 and 1"),
    ],
)
def test_impossible_folds_are_one_sentence_and_write_no_run(jsc, sites, tmp_path, words, message):
    code, out, err = jsc("train", f"data.store={sites}", f"runs={tmp_path / 'runs'}", *SMALL, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "runs").exists()
