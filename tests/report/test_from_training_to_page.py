"""From trained runs to the page: two variants on two folds, trained for one epoch each."""

import re

import pandas as pd
import pytest

SMALL = (
    "network.channels=4",
    "tracking=none",
    "data.workers=0",
    "data.folds.count=2",
    "protocol=paper",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
)


@pytest.mark.slow
def test_a_report_of_trained_runs_works_without_the_store(jsc, store, tmp_path):
    where = f"runs={tmp_path / 'runs'}"
    for variant in ("ablation=joint", "ablation=only_seg"):
        for fold in (0, 1):
            code, _, err = jsc("train", f"data.store={store}", where, f"fold={fold}", variant, *SMALL)
            assert code == 0, err
    code, out, err = jsc("report", "collection=store", where, "resamples=100")
    assert code == 0, err
    folder = tmp_path / "runs" / "store" / "studies" / "store"
    assert "4 runs, 4 done" in out
    page = (folder / "index.html").read_text()
    for figure in ("Figure 8", "Figure 9", "Figure 10", "Figure 12", "Training of Only Seg Model"):
        assert f"<h3>{figure}" in page
    assert "Protocol: paper (random folds" in page
    assert not re.search(r"""(src|href)=["']https?:""", page)
    table = pd.read_csv(folder / "tables" / "table-5.csv").set_index("base")
    assert table["scans"].to_dict() == {"only_seg": 8, "joint": 8}
    pooled = pd.read_csv(folder / "pooled.csv")
    assert sorted(pooled["case"].unique()) == [f"s{number}" for number in range(8)]
    store.rename(tmp_path / "moved")
    code, _, err = jsc("report", "collection=store", where, "resamples=100", f"out={tmp_path / 'again'}")
    assert code == 0, err
    again = (tmp_path / "again" / "index.html").read_text()
    assert "Figure 8" in again.split("<strong>Missing</strong>")[1].split("</ul>")[0]
    assert (tmp_path / "again" / "tables" / "table-5.csv").read_text() == (
        folder / "tables" / "table-5.csv"
    ).read_text()
