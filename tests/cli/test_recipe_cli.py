"""`dynamics train --preset` end to end: what it writes, and what happens to a run that is stopped in any way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import jax
import numpy as np
import pytest
from pictures import assert_shows_something

from dynamics.cli.main import main
from dynamics.cli.tables import probes_line
from dynamics.errors import ConfigError
from dynamics.objectives.registry import OBJECTIVES, Objective
from dynamics.recipe.config import recipe_preset
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import load_images

SMALL = [
    *("train", "--preset", "cpu", "--network", "resnet10", "--width", "0.0625", "--projector", "8", "--dim", "3"),
    *("--batch", "8", "--num-images", "40", "--probe-images", "16", "--records", "12", "--steps", "24"),
    *("--learning-rate", "0.05", "--init-scale", "0.3", "--warmup", "3", "--probes", "2"),
]


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """All runs of this module, those in other processes included, share what is compiled."""
    folder = str(tmp_path_factory.mktemp("compiled"))
    settings = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
        del os.environ[name.upper()]


def run(*arguments):
    return main([str(argument) for argument in (*SMALL, *arguments)])


def load(folder):
    return Trajectory.load(folder / "trajectories" / "recipe.npz")


def same(one, other):
    for name in ("steps", "times", "loss", "eigenvalues", "covariance", "embeddings", "embedding_times"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for kind in ("hidden", "metrics"):
        assert getattr(one, kind).keys() == getattr(other, kind).keys()
        for name, values in getattr(one, kind).items():
            np.testing.assert_array_equal(values, getattr(other, kind)[name], err_msg=name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing stopped."""
    out = tmp_path_factory.mktemp("whole")
    assert run("--out", out) == 0
    return out


def test_a_run_writes_what_it_promises(whole, capsys, tmp_path):
    trajectory = load(whole)
    assert (
        not trajectory.partial
        and trajectory.dim == 3
        and (trajectory.rung, trajectory.objective) == ("recipe", "barlow-twins")
    )
    assert trajectory.steps[0] == 0 and trajectory.steps[-1] == 24
    # three steps of warm-up at a third, two thirds and all of the rate
    np.testing.assert_allclose(trajectory.times[-1], 0.05 * (1 / 3 + 2 / 3 + 22), rtol=1e-6)
    np.testing.assert_allclose(trajectory.metrics["learning_rate"][-1], 0.05, rtol=1e-6)
    assert "features" in trajectory.hidden and {"rankme", "gradient_norm"} <= set(trajectory.metrics)
    accuracy, asked = trajectory.metrics["linear_accuracy"], np.isin(trajectory.steps, [0, 24])
    # what the probes read is compared with scikit-learn in the tests of training
    assert (np.isfinite(accuracy) == asked).all() and ((accuracy[asked] >= 0) & (accuracy[asked] <= 1)).all()
    assert probes_line(trajectory).count("\n") == 1 and "step 24: linear" in probes_line(trajectory)
    settings = json.loads((whole / "config.json").read_text())
    assert (
        settings["config"]["network"] == "resnet10" and settings["kind"] == "recipe" and "jax" in settings["versions"]
    )
    assert list((whole / "checkpoints").glob("*.checkpoint"))
    assert main(["plot", str(whole), "--out", str(tmp_path)]) == 0
    assert_shows_something(tmp_path / "trajectories.png")


def test_own_images_are_trained_on_as_a_data_set_with_a_name(whole, tmp_path):
    """Those of the digits, in a file of one's own, make the run of the digits bit for bit."""
    np.savez(tmp_path / "mine.npz", images=load_images("digits", limit=40).images)
    own = ("--dataset", tmp_path / "mine.npz", "--augmentation", "digits", "--probes", "0")
    assert run(*own, "--out", tmp_path / "run") == 0
    np.testing.assert_array_equal(load(tmp_path / "run").eigenvalues, load(whole).eigenvalues)


def test_a_finished_run_is_not_run_again_without_force(whole, capsys, monkeypatch):
    monkeypatch.setattr("dynamics.recipe.run.train", None)
    assert run("--out", whole) == 0
    assert "trained to its end; --force" in " ".join(capsys.readouterr().out.split())
    assert run("--out", whole, "--batch", "4") == 2
    assert "batch = 8, not 4" in capsys.readouterr().err
    with pytest.raises(TypeError):  # it goes on to train
        run("--out", whole.parent / "forced", "--force")


def test_a_killed_run_goes_on_as_if_nothing_had_happened(whole, tmp_path, capsys):
    slow = "import time, dynamics.training.recorder as r; old = r.SpectrumRecorder.record\n"
    slow += "r.SpectrumRecorder.record = lambda *a, **k: (time.sleep(0.5), old(*a, **k))[1]\n"
    slow += "from dynamics.cli.main import main; main()"
    arguments = [*SMALL, "--checkpoint-seconds", "0.001", "--out", str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-c", slow, *arguments], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not any((tmp_path / "checkpoints").glob("step-*[5-9].checkpoint")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "trajectories" / "recipe.npz").exists()
    assert run("--out", tmp_path) == 0
    assert "goes on from the checkpoint of step" in " ".join(capsys.readouterr().out.split())
    same(load(tmp_path), load(whole))


def test_an_interrupted_run_says_how_to_go_on(whole, tmp_path, capsys, monkeypatch):
    from dynamics.training.recorder import SpectrumRecorder

    record = SpectrumRecorder.record

    def interrupt(self, step, *arguments, **settings):
        record(self, step, *arguments, **settings)
        if step == 12:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SpectrumRecorder, "record", interrupt)
    assert run("--out", tmp_path) == 130
    shown = capsys.readouterr().err
    assert "interrupted after step 13" in shown and "the same command goes on from there" in shown
    assert load(tmp_path).partial and load(tmp_path).steps[-1] <= 13
    monkeypatch.undo()
    assert run("--out", tmp_path) == 0
    assert "step 13" in capsys.readouterr().out
    same(load(tmp_path), load(whole))


def test_a_loss_that_is_not_finite_ends_the_run_with_its_step_and_the_last_good_state(tmp_path, capsys):
    flags = ["--learning-rate", "1e4", "--init-scale", "1", "--checkpoint-seconds", "0.001", "--out", tmp_path]
    assert run(*flags) == 2
    shown = capsys.readouterr().err
    assert "not being finite" in shown or "stopped being finite at step" in shown
    assert "last good checkpoint is of step" in shown
    (last, *_) = sorted((tmp_path / "checkpoints").glob("*.checkpoint"), reverse=True)
    assert int(last.stem.split("-")[1]) <= int(shown.split("finite at step ")[1].split(";")[0])
    assert load(tmp_path).partial


HELP = {
    ("train", "--preset", "gpu"): ["(default: cifar10)", "--init-layers"],
    ("train", "--preset=cpu", "--objective=vicreg"): ["(default: vicreg)", "(default: 12.5)"],
    ("compare", "--recipe", "practical"): ["--tangent-pairs", "(default: digits)"],
    ("train",): ["--preset {cpu,gpu,stl10}", "--lr-fraction"],
    ("compare",): ["--recipe", "--lr-fraction"],
}


@pytest.mark.parametrize("command", HELP, ids=" ".join)
def test_help_shows_the_settings_without_loading_jax(command):
    code = (
        "import sys; from dynamics.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "assert 'jax' not in sys.modules"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, *command, "--help-all"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "80"},
    ).stdout
    assert max(len(line) for line in shown.splitlines() if line.startswith(("│", "╭"))) <= 80
    shown = " ".join(shown.replace("│", " ").split())  # texts wrap
    for words in HELP[command]:
        assert words in shown


def test_a_registered_objective_is_one_of_the_command_line(monkeypatch, capsys):
    record = Objective("dynamics.objectives.spectral:spectral_contrastive", "this test", presets={"cpu": {"steps": 77}})
    monkeypatch.setitem(OBJECTIVES, "mine", record)
    monkeypatch.setenv("COLUMNS", "300")  # so that nothing wraps
    with pytest.raises(SystemExit):
        main(["train", "--preset", "cpu", "--objective", "mine", "--help"])
    shown = capsys.readouterr().out
    assert "mine}" in shown and "(default: mine)" in shown and "(default: 77)" in shown
    begun = []

    def begin(command, recipe, out, force, **_):
        begun.append(recipe)
        raise ConfigError("This test trains nothing.")

    monkeypatch.setattr("dynamics.cli.recipe._trained", begin)
    assert main(["train", "--objective", "mine", "--preset", "cpu", "--dim", "5"]) == 2
    assert begun == [replace(recipe_preset("cpu", "mine"), dim=5)]


MISTAKES = {
    "an unknown preset": (["train", "--preset", "tpu"], ["tpu", "cpu, gpu"]),
    "an unknown objective": (["train", "--preset", "cpu", "--objective", "swav"], ["swav", "vicreg"]),
    "a batch beyond the data": ([*SMALL, "--batch", "64"], ["64 images", "40"]),
    "a negative rate": ([*SMALL, "--learning-rate", "-1"], ["--learning-rate", "1e-12"]),
    "a warm-up beyond the run": ([*SMALL, "--warmup", "99"], ["warm-up of 99"]),
    "a setting of another objective": (
        ["train", "--preset", "cpu", "--temperature", "1"],
        ["--temperature", "--off-diag"],
    ),
    "a seed of many digits": ([*SMALL, "--seed", "9" * 30], ["seed", "(30 digits)", "4,294,967,295"]),
    "momentum of one": ([*SMALL, "--momentum", "1"], ["momentum"]),
    "no channels": ([*SMALL, "--width", "0.001"], ["width", "1/64"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_sentence(mistake, tmp_path, capsys):
    flags, words = MISTAKES[mistake]
    assert main([*flags, "--out", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and shown.count("\n") == 1
    for word in words:
        assert word in shown


def test_compare_lays_the_run_beside_the_kernels_of_its_network(whole, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    flags = ["compare", "--recipe", "practical", *SMALL[1:], "--pairs", "32", "--tangent-pairs", "6", "--out", str(out)]
    assert main(flags) == 0
    shown = capsys.readouterr().out
    assert "trained to its end" in " ".join(shown.split()) and "Overlap with the strongest modes" in shown
    found = json.loads((out / "comparison.json").read_text())["kernel_overlaps"]
    kernels = {f"{kind} kernel, {when}" for kind in ("conjugate", "tangent") for when in ("start", "end")}
    assert set(found["overlaps"]) == kernels and found["chance"] == pytest.approx(3 / 12)
    for name in kernels:
        overlaps = np.array(found["overlaps"][name])
        assert len(overlaps) == len(found["times"]) and (overlaps >= 0).all() and (overlaps <= 1 + 1e-9).all()
    rungs = {path.stem for path in (out / "trajectories").iterdir()}
    assert rungs == {"recipe", "closed_form", "ode", "kernel_start", "kernel_after", "fixed_pairs"}
    for rung in rungs - {"recipe"}:
        trajectory = Trajectory.load(out / "trajectories" / f"{rung}.npz")
        np.testing.assert_allclose(trajectory.times, load(out).times)
    # the last hidden layer's kernel at the start and the function itself are taken on the same views
    ode, frozen = (Trajectory.load(out / "trajectories" / f"{name}.npz") for name in ("ode", "kernel_start"))
    np.testing.assert_allclose(frozen.eigenvalues[0], ode.eigenvalues[0], rtol=1e-3, atol=1e-6)
    assert_shows_something(out / "comparison.png")
    assert main(["plot", str(out), "--out", str(tmp_path / "again")]) == 0
    assert_shows_something(tmp_path / "again" / "comparison.png")
