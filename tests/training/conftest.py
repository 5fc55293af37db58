"""A small training from the command line."""

import pytest

SMALL = (
    "network.channels=4",
    "tracking=none",
    "data.workers=0",
    "data.folds.count=2",
    "optimizer.lr=0.01",
    "trainer.accelerator=cpu",
)


@pytest.fixture
def train(jsc, store, tmp_path):
    """Return a function that runs a small training and returns the run folder; ``out`` and ``err`` are the output."""

    def run(*words, epochs=3, runs="runs", code=0):
        found, out, err = jsc(
            "train", f"data.store={store}", f"runs={tmp_path / runs}", f"trainer.max_epochs={epochs}", *SMALL, *words
        )
        assert found == code, err
        run.out, run.err = out, err
        paths = sorted((tmp_path / runs).glob("*/*/fold-*"))
        return paths[-1] if paths else None

    run.small = SMALL
    return run
