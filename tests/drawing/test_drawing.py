from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from pictures import legends_over_panels

from dynamics.drawing.axes import label_log_axis, logarithmic_time
from dynamics.drawing.run import run_figure
from dynamics.drawing.size import fit_width
from dynamics.drawing.solvable import solution_figure
from dynamics.drawing.trajectories import (
    comparison_figure,
    draw_eigenvalues,
    draw_loss,
    draw_step_marks,
    draw_step_times,
    mode_colors,
    style,
    trajectory_figure,
)
from dynamics.modes import contrastive_modes
from dynamics.trajectories.comparison import KernelOverlaps, compare
from dynamics.trajectories.ladder import rung
from dynamics.trajectories.solution import SolvedModes
from dynamics.trajectories.trajectory import Trajectory


def trajectory(centres, rung):
    times = np.linspace(0, 10, 50)
    u = 1 / (1 + np.exp(-3 * (times[:, None] - np.asarray(centres))))
    return Trajectory(times, u, ((1 - u) ** 2).sum(1), rung=rung)


@pytest.fixture
def scene(rng):
    views = rng.normal(size=(12, 30))
    measured = trajectory([2, 4, 99], "network")
    forecasts = {"closed_form": trajectory([2.2, 4, 8], "closed_form"), "ode": trajectory([2.1, 4, 7], "ode")}
    return measured, forecasts, compare(measured, forecasts, contrastive_modes(views @ views.T))


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_the_lines_are_the_data_and_theory_is_dashed(scene):
    measured, forecasts, _ = scene
    ax = draw_loss(plt.subplots()[1], measured, forecasts)
    solid, *dashed = ax.lines
    np.testing.assert_array_equal(solid.get_ydata(), measured.loss)
    assert solid.get_linestyle() == "-" and all(line.get_linestyle() != "-" for line in dashed)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["network", "closed form", "kernel flow"]


def test_a_mode_has_one_colour_in_every_panel(scene):
    measured, forecasts, comparison = scene
    ax = draw_eigenvalues(plt.subplots()[1], measured, forecasts["ode"])
    curves = [line for line in ax.lines if len(line.get_xdata()) == 50]
    for j, color in enumerate(mode_colors(3)):
        assert curves[j].get_color() == curves[j + 3].get_color() == color
    marks = draw_step_marks(plt.subplots()[1], comparison.step_times["ode"]).lines
    assert [line.get_color() for line in marks] == mode_colors(3)


def test_steps_that_were_not_reached_are_left_out_of_the_scatter(scene):
    _, _, comparison = scene
    ax = draw_step_times(plt.subplots()[1], comparison)
    points = ax.collections[1].get_offsets()
    np.testing.assert_allclose(points, [[2, 2.1], [4, 4]], rtol=1e-6)
    assert ax.get_xlim() == ax.get_ylim()


def test_no_step_at_all_is_said_and_not_drawn(rng):
    views = rng.normal(size=(12, 30))
    flat = trajectory([99, 99], "network")
    comparison = compare(flat, {"ode": flat}, contrastive_modes(views @ views.T))
    ax = draw_step_times(plt.subplots()[1], comparison)
    assert "no step was reached" in [text.get_text() for text in ax.texts]


def test_figures_are_put_together_and_the_style_does_not_leak(scene, tmp_path):
    measured, forecasts, comparison = scene
    before = plt.rcParams["font.size"]
    with style():
        figure = comparison_figure(comparison, measured, forecasts, "title")
        figure.savefig(tmp_path / "a.pdf")
        alone, theory = trajectory_figure(measured, {}), trajectory_figure(None, forecasts)
    assert [len(f.axes) for f in (figure, alone, theory)] == [3, 2, 2]
    assert plt.rcParams["font.size"] == before


def test_style_leaves_a_notebook_interactive():
    """Its backend turns this on inside of the block, when the first figure is made."""
    assert not mpl.is_interactive()
    try:
        with style():
            mpl.interactive(True)
        assert mpl.is_interactive()
    finally:
        mpl.interactive(False)


# ---------------------------------------------------------------- which figure belongs to a run


def test_a_run_gets_the_figure_of_what_it_has(scene):
    measured, forecasts, comparison = scene
    times = measured.times[[0, -1]]
    overlaps = KernelOverlaps(times, {"tangent kernel, start": np.array([0.5, 0.4])}, 0.1, {})
    solution = SolvedModes(np.array([1.0, 1.0, 0.5]), np.ones(3), np.ones(3), source="Someone (2020)")
    solved = replace(forecasts["ode"], rung="jepa", solution=solution, mode_step_times=np.array([2.1, 4.0, np.inf]))
    practical = replace(measured, rung="recipe")
    cases = [
        (run_figure(measured, forecasts, comparison, title="t"), "comparison", 3),
        (run_figure(practical, forecasts, replace(comparison, kernel_overlaps=overlaps)), "comparison", 3),
        (run_figure(measured, {}), "trajectories", 2),
        (run_figure(None, forecasts), "trajectories", 2),
        (run_figure(None, {"jepa": solved}, title="of pairs"), "trajectories", 2),
    ]
    for (name, figure), expected, panels in cases:
        assert (name, len(figure.axes)) == (expected, panels)
    assert "subspace overlap" in [ax.get_ylabel() for ax in cases[1][0][1].axes]
    assert cases[-1][0][1].get_suptitle() == "JEPA, Someone (2020)\nof pairs"


def test_a_solvable_model_has_a_ring_at_half_of_each_end_value():
    times, targets = np.array([2.0, 5.0, np.inf]), np.array([1.0, 0.6, 0.0])
    solution = SolvedModes(targets, np.ones(3), np.ones(3), quantity="$q$", loss_name="a loss")
    solved = replace(trajectory([2, 5, 99], "mae"), solution=solution, mode_step_times=times)
    figure = solution_figure(solved)
    left, right = figure.axes
    rings = [line.get_xydata()[0] for line in right.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(rings, [[2.0, 0.5], [5.0, 0.3]])
    assert (left.get_ylabel(), right.get_ylabel()) == ("a loss", "$q$")
    courses = [line for line in right.lines if line.get_marker() != "o"]
    assert len(courses) == 3 and all(line.get_linestyle() != "-" for line in courses)


def test_a_model_without_a_solution_has_no_such_figure(scene):
    with pytest.raises(ValueError, match="not that of a solvable model"):
        solution_figure(scene[0])


def test_the_loss_of_another_objective_is_named_and_may_be_negative(scene):
    measured, _, _ = scene
    other = replace(measured, loss=measured.loss - 5, objective="simclr")
    ax = draw_loss(plt.subplots()[1], other, {})
    assert ax.get_ylabel() == "loss  (simclr)" and ax.get_ylim()[0] < other.loss.min()
    assert draw_loss(plt.subplots()[1], measured, {}).get_ylim()[0] == 0


def test_the_look_of_a_model_is_that_of_its_rung(scene):
    measured, forecasts, _ = scene
    ax = draw_loss(plt.subplots()[1], replace(measured, rung="recipe"), forecasts | {"my_own": forecasts["ode"]})
    for line, name in zip(ax.lines, ["recipe", *forecasts, "my_own"], strict=True):
        assert (line.get_label(), line.get_color()) == (rung(name).label, rung(name).line[0])


# ---------------------------------------------------------------- legends, time, width


@pytest.mark.parametrize("width", [None, "column"])
def test_no_legend_lies_over_the_curves(scene, width):
    measured, forecasts, comparison = scene
    overlaps = KernelOverlaps(measured.times[[0, -1]], {"tangent kernel, start": np.array([0.5, 0.4])}, 0.1, {})
    with style():
        for case in (comparison, replace(comparison, kernel_overlaps=overlaps)):
            figure = run_figure(measured, forecasts, case, title="a title")[1]
            found = list(legends_over_panels(figure if width is None else fit_width(figure, width)))
            assert found and not any(found)


def test_time_is_logarithmic_where_the_first_steps_would_stack(scene):
    measured, forecasts, _ = scene
    for times, scale in (([0.2, 0.4, 3.0], "linear"), ([0.1, 0.2, 9.0], "log")):
        ax = draw_loss(plt.subplots()[1], measured, forecasts)
        logarithmic_time([ax], np.array(times))
        assert ax.get_xscale() == scale and ax.get_xlim()[0] < times[0] < times[-1] < ax.get_xlim()[1]


@pytest.mark.parametrize(("low", "high"), [(1.05, 1.6), (0.9, 12.0), (3.0, 4e4)])
def test_a_logarithmic_axis_has_three_labels_at_least(low, high):
    ax = plt.subplots()[1]
    ax.set(yscale="log", ylim=(low, high))
    label_log_axis(ax.yaxis, low, high)
    assert sum(low <= tick <= high for tick in ax.yaxis.get_majorticklocs()) >= 3


def test_epochs_stand_where_their_steps_are(scene):
    measured = replace(scene[0], steps=np.arange(50) ** 2)  # the learning rate falls
    figure = trajectory_figure(measured, {}, steps_per_epoch=100)
    below = next(ax for ax in figure.axes if ax.get_xlabel() == "epoch")
    labels = [float(label.get_text()) for label in below.get_xticklabels()]
    np.testing.assert_allclose(np.interp(below.get_xticks(), measured.times, measured.steps / 100), labels, atol=1e-9)
    assert len(labels) > 2 and "epoch" not in [ax.get_xlabel() for ax in trajectory_figure(measured, {}).axes]


def test_epochs_of_a_run_over_orders_of_magnitude_stand_on_a_logarithmic_axis():
    times = np.concatenate([[0], np.geomspace(0.01, 500, 80)])
    u = 1 / (1 + 1e3 * np.exp(-np.minimum(times[:, None] * np.array([60.0, 0.1]), 700)))
    measured = Trajectory(times, u, 1 - u[:, 0], rung="recipe", steps=np.arange(81) ** 2, objective="vicreg")
    figure = trajectory_figure(measured, {}, steps_per_epoch=10)
    above, below = figure.axes[0], next(ax for ax in figure.axes if ax.get_xlabel() == "epoch")
    assert above.get_xscale() == below.get_xscale() == "log" and above.get_xlim() == below.get_xlim()
    labels = [float(label.get_text()) for label in below.get_xticklabels()]
    assert labels == [10, 100]
    np.testing.assert_allclose(np.interp(below.get_xticks(), times, measured.steps / 10), labels)
    plt.close(figure)


def test_a_figure_has_the_width_that_is_asked_for(scene):
    measured, forecasts, comparison = scene
    for width, inches, rows in (("column", 3.4, 3), ("page", 7.0, 2), (12.0, 12.0, 1)):
        figure = fit_width(comparison_figure(comparison, measured, forecasts, "a title " * 20), width)
        assert figure.get_size_inches()[0] == pytest.approx(inches)
        assert len({ax.get_subplotspec().rowspan.start for ax in figure.axes}) == rows


def test_a_loss_that_rises_is_explained():
    solution = SolvedModes(np.ones(2), np.ones(2), np.ones(2), loss_name="predictive loss")
    falling = replace(trajectory([2, 5], "jepa"), solution=solution)
    rising = replace(falling, loss=falling.loss[::-1])
    assert ["rises" in solution_figure(run).axes[0].get_title("right") for run in (rising, falling)] == [True, False]
