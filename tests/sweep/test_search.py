"""A search continues after failed trials, repeats none of them, and stores its trials in a database."""

from importlib.metadata import version

import pytest

from joint_seg_cls.commands import train as trainings

#: Optuna 2 cannot store with SQLAlchemy 2 and later.
HAS_DATABASE = int(version("SQLAlchemy").split(".")[0]) < 2


@pytest.fixture
def search(jsc, tiny, store, tmp_path, monkeypatch):
    """Return a function that searches with a training of no time; the guidances trained are ``search.tried``."""

    def fit(plan, tracker):
        guidance = plan.config.network.guidance["_target_"].rpartition(".")[2]
        run.tried.append((guidance, float(plan.config.optimizer.lr)))
        if guidance == run.fails:
            raise MemoryError("the GPU is full")
        plan.run.metrics.write_text(f"epoch,seconds,val/score\n0,1.0,{plan.config.optimizer.lr}\n")

    def run(*words, trials=6):
        run.tried = []
        code, _, run.err = jsc(
            "train", "-m", f"data.store={store}", f"runs={tmp_path / 'runs'}", "hydra/sweeper=optuna",
            "hydra/launcher=basic", f"hydra.sweeper.n_trials={trials}", *tiny, "data.validation_fraction=0.25", *words,
        )  # fmt: skip
        return code

    monkeypatch.setattr(trainings, "_fit", fit)
    monkeypatch.setattr(trainings, "calibrate", lambda *_, **__: None)
    run.fails = None
    return run


def test_a_failed_trial_is_recorded_and_not_repeated(search, tmp_path):
    search.fails = "DotGuidance"
    words = ("network/guidance=choice(dot,concat)",)
    assert search(*words) == 0, search.err
    assert len(search.tried) == 2, search.tried  # each once, however often they were drawn
    assert "1 trials failed and are excluded from the search: network/guidance=dot: the GPU is full" in search.err
    assert (tmp_path / "runs" / "store" / "studies" / "optimization_results.yaml").is_file()


def test_a_search_without_success_ends_with_the_errors(search):
    search.fails = "DotGuidance"
    assert search("network/guidance=choice(dot,dot)") == 1
    assert "no trial succeeded" in search.err
    assert search("optimizer.lr=choice(-1,-2)", trials=2) == 2
    assert search.err.count("error: optimizer: expected valid arguments") == 1
    assert not search.tried


@pytest.mark.slow
@pytest.mark.skipif(not HAS_DATABASE, reason="SQLAlchemy 2 is installed, by which Optuna 2 keeps no study")
def test_a_search_continues_in_its_database(search, tmp_path):
    words = (f"hydra.sweeper.storage=sqlite:///{tmp_path}/Süche.db", "optimizer.lr=tag(log,interval(1e-5,1e-2))")
    search.fails = None
    assert search(*words, trials=2) == 0, search.err
    first = list(search.tried)
    assert search(*words, trials=5) == 0, search.err
    assert len(search.tried) == 3
    assert not set(first) & set(search.tried)
    assert search(*words, trials=5) == 0, search.err
    assert not search.tried


def test_a_database_that_cannot_be_opened_is_one_sentence(search, monkeypatch):
    import optuna

    assert search("hydra.sweeper.storage=sqlit:///a.db", "optimizer.lr=interval(1e-5,1e-2)") == 2
    assert search.err.count("error: hydra.sweeper.storage: expected a database that can be opened") == 1

    def broken(*words, **more):
        raise AssertionError

    monkeypatch.setattr(optuna.storages, "RDBStorage", broken)
    assert search("hydra.sweeper.storage=sqlite:///a.db", "optimizer.lr=interval(1e-5,1e-2)") == 2
    assert 'pip install "sqlalchemy<2"' in search.err
