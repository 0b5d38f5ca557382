"""Each bad input that once ended in a traceback or got no answer is answered with one sentence, at once."""

from pathlib import Path

import numpy as np
import pytest

from dynamics.cli.main import main
from dynamics.trajectories.trajectory import Trajectory

DIGITS = "9" * 20


def refused(capsys, *arguments):
    """What a command says that refuses its arguments."""
    assert main([str(argument) for argument in arguments]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and shown.count("\n") == 1
    return shown


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def nothing_begins(monkeypatch):
    """Whatever takes long fails, so that a refusal came before it."""

    def begun(*arguments, **settings):
        pytest.fail("long work began")

    for place in (
        "dynamics.experiment.run.prepare",
        "dynamics.recipe.run.prepare",
        "dynamics.sweeps.run.ProcessPoolExecutor",
    ):
        monkeypatch.setattr(place, begun)


@pytest.mark.parametrize("command", ["simulate", "compare", "train"])
@pytest.mark.parametrize(
    ("flag", "number"),
    [
        *((flag, DIGITS) for flag in ("width", "dim", "steps", "seed", "depth", "num-pairs")),
        *(("multiplier", number) for number in ("1e300", "1e-300")),
        *(("kernel-memory", "1e300"), ("learning-rate", "1e-300"), ("init-scale", "1e300"), ("init-scale", "nan")),
        *(("steps", "0"), ("steps", "-1"), ("dim", "0")),
    ],
)
def test_numbers_out_of_range(command, flag, number, capsys, nothing_begins):
    shown = refused(capsys, command, f"--{flag}", number)
    assert f"--{flag} is" in shown and "give a" in shown and len(shown) < 200


@pytest.mark.parametrize(
    ("flag", "number"),
    [
        ("clip", "1e-300"),
        ("steps", DIGITS),
        ("batch", "1"),
        ("learning-rate", "1e-300"),
        ("width", "1e300"),
        ("seed", "-1"),
    ],
)
def test_numbers_of_a_recipe_out_of_range(flag, number, capsys, nothing_begins):
    assert f"--{flag} is" in refused(capsys, "train", "--preset", "cpu", f"--{flag}", number)


@pytest.mark.parametrize("objective", ["vicreg", "simclr", "barlow-twins"])
def test_a_batch_of_one_image_is_refused_before_training(objective, capsys, nothing_begins):
    shown = refused(capsys, "train", "--preset", "cpu", "--objective", objective, "--batch", "1")
    assert "--batch is 1; give a whole number from 2" in shown


@pytest.mark.parametrize("flag", ["pairs", "tangent-pairs"])
@pytest.mark.parametrize("number", ["0", "-1", DIGITS])
def test_numbers_of_the_comparison_of_a_recipe(flag, number, capsys, nothing_begins):
    assert f"--{flag} is" in refused(capsys, "compare", "--recipe", "practical", f"--{flag}", number)


STUDIES = {
    "steps 0": ["homomorphic", "--steps", "0"],
    "steps -1": ["simve", "--steps", "-1"],
    "no seeds": ["spectral-embedding", "--num-seeds", "0"],
    "a seed of 20 digits": ["stepwise", "--seed", DIGITS],
    "one pair": ["stepwise", "--num-pairs", "1"],
    "a folder that is none": ["stepwise", "--data-dir", "nowhere"],
    "a folder without CIFAR-10": ["stepwise", "--data-dir", "."],
    "a folder without CIFAR-10 for another study": ["inductive-bias", "--data-dir", "."],
    "a folder without MNIST": ["spectral-embedding", "--data-dir", "."],
}


@pytest.mark.parametrize("kind", STUDIES)
def test_a_study_refuses_before_it_begins(kind, capsys, monkeypatch):
    for first in (
        *("stepwise.study.exact_solution", "spectral_embedding.study.find_twins", "simve.study._exact"),
        *("inductive_bias.study.average_errors", "homomorphic.study._identities"),
    ):
        monkeypatch.setattr(f"dynamics.studies.{first}", lambda *_, **__: pytest.fail("long work began"))
    refused(capsys, "study", *STUDIES[kind], "--out", "o")


@pytest.mark.parametrize(
    "axis",
    [
        *("dataset=nope.npz", "dataset=nope", f"dataset={'x' * 300}", f"dataset={'x' * 300}.npz", "dataset=\udcff"),
        *("width=１６", "width=٣", f"seed={DIGITS}", "steps=0"),
    ],
    ids=ascii,
)
def test_a_sweep_that_cannot_run_is_answered_before_any_process_starts(axis, capsys, nothing_begins):
    refused(capsys, "sweep", axis, "--out", "o")
    assert not Path("o").exists()


@pytest.mark.parametrize("jobs", ["0", "-1", DIGITS])
def test_jobs_out_of_range(jobs, capsys, nothing_begins):
    assert "--jobs is" in refused(capsys, "sweep", "seed=0,1", "--jobs", jobs)


@pytest.mark.parametrize("out", ["folder", "/", "", ".", "x" * 300, "/dev/full", "\udcff", "text/x"], ids=ascii)
def test_a_report_that_cannot_be_written_there(out, capsys):
    Path("folder").mkdir()
    Path("text").write_text("text")
    refused(capsys, "report", "folder", "--out", out)
    assert sorted(path.name for path in Path().rglob("*")) == ["folder", "text"]
    assert not list(Path("/dev").glob("*.partial"))


@pytest.mark.parametrize("more", [["--dim", "15"], ["--dim", "20", "--allow-collapse"]], ids=["narrow", "collapse"])
def test_a_solvable_model_of_the_narrowest_modes_is_solved(more, capsys):
    """The last of the modes takes 1e6 times as long as the first."""
    assert (
        main(["simulate", "--dynamics", "directpred", "--network", "mlp", "--num-pairs", "16", *more, "--out", "o"])
        == 0
    )
    course = Trajectory.load("o/trajectories/directpred.npz")
    half = course.solution.targets / 2
    learned = np.isfinite(course.mode_step_times)
    assert learned.sum() >= 15 and (course.eigenvalues[-1][learned] > half[learned]).all()


def test_a_network_beyond_the_memory_is_refused(capsys):
    shown = refused(capsys, "simulate", "--network", "mlp", "--width", "1000000", "--depth", "3", "--out", "o")
    assert "GB of memory are left; lower --width" in shown


def test_a_forecast_of_too_many_steps_is_refused(capsys):
    small = ["--network", "mlp", "--width", "32", "--num-pairs", "12", "--dim", "2"]
    assert "--learning-rate" in refused(capsys, "simulate", *small, "--learning-rate", "1e-12", "--out", "o")
    assert not list(Path("o").iterdir())
