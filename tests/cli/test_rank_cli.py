"""`dynamics rank`: what it asks the library for, and what it prints; the forecasts themselves are made up."""

import json

import pytest

from dynamics.cli.main import main
from dynamics.experiment import Config
from dynamics.ranking import AugmentationForecast, Ranking
from dynamics.runs.settings import RunSettings, write_settings


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for."""
    calls = []

    def rank_augmentations(augmentations, config, *, seeds, held_out, out, report):
        calls.append((augmentations, config, seeds, held_out, str(out)))
        forecasts = [
            AugmentationForecast(name, seed, [2.0, 1.0], [10.0, None], [0.5, 0.1 * k + 0.01 * seed], [0.4], 0.1)
            for k, name in enumerate(augmentations)
            for seed in seeds or [0]
        ]
        for left, forecast in reversed(list(enumerate(forecasts))):
            report(forecast, left, 3.0)
        return Ranking("digits", forecasts)

    monkeypatch.setattr("dynamics.ranking.rank_augmentations", rank_augmentations)
    return calls


def test_a_table_has_the_best_first_and_the_figure_is_beside_it(asked, tmp_path, capsys):
    words = ["augmentations=none,flip,crop:.5+noise:.1", "--dim", "2", "--held-out", "50", "--out", str(tmp_path)]
    assert main(["rank", *words]) == 0
    augmentations, config, seeds, held_out, out = asked[0]
    assert augmentations == ("none", "flip", "crop:.5+noise:.1") and config.dim == 2
    assert (seeds, held_out, out) == (None, 50, str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line.split() and line.split()[0] in augmentations]
    assert names == ["crop:.5+noise:.1", "flip", "none"]
    assert "20.0%" in next(line for line in lines if line.startswith("crop")) and "1 of 2" in lines[-5]
    assert any("Forecast best: crop:.5+noise:.1" in line for line in lines)
    assert (tmp_path / "ranking.png").is_file() and (tmp_path / "ranking.pdf").is_file()


def test_seeds_are_an_axis_and_json_is_one_object(asked, tmp_path, capsys):
    assert main(["rank", "augmentation=none,flip", "seed=3,4", "--json", "--out", str(tmp_path)]) == 0
    assert asked[0][2] == (3, 4)
    found = json.loads(capsys.readouterr().out)
    assert [row["augmentation"] for row in found["augmentations"]] == ["flip", "none"]
    assert found["augmentations"][0]["steps"] == [10.0, None] and found["augmentations"][0]["seeds"] == 2


def test_settings_of_a_saved_run_are_the_defaults_but_for_its_augmentation(asked, tmp_path):
    settings = RunSettings(
        kind="experiment", command="simulate", config=Config(dim=3, augmentation="digits", width=16).to_dict()
    )
    write_settings(tmp_path, settings)
    words = ["augmentations=none", "--config", str(tmp_path), "--width", "32", "--out", str(tmp_path)]
    assert main(["rank", *words]) == 0
    assert asked[0][1] == Config(dim=3, width=32)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "Name the augmentations"),
        (["seed=0,1"], "Name the augmentations"),
        (["augmentations=none", "width=8,16"], "give --width one value"),
        (["augmentations=none", "augmentation=flip"], "give all values at once"),
        (["flip"], "does not say what to vary"),
        (["augmentations="], "has no value"),
        (["augmentations=nose"], "no augmentation `nose`"),
        (["augmentations=none", "--dataset", "synthetic"], "images are needed here"),
    ],
)
def test_mistakes_are_one_sentence(words, complaint, tmp_path, capsys):
    assert main(["rank", *words, "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err and not captured.out
