"""`--labels` on the command line: a table after every dimension, a figure, and an error where there are no labels."""

import pytest

from dynamics.cli.main import main

TINY = ("--network", "mlp", "--width", "16", "--depth", "1", "--dim", "2", "--num-pairs", "24", "--lr-fraction", "0.3")


def test_simulate_forecasts_the_accuracy_after_each_dimension(tmp_path, capsys):
    assert main(["simulate", *TINY, "--labels", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    table = printed[printed.index("Accuracy of probes") :].splitlines()
    rows = [line.split() for line in table if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["1", "2"]
    assert all(0 <= float(cell.rstrip("%")) <= 100 for row in rows for cell in row[2:]) and len(rows[0]) == 5
    assert "on 256 images" in printed and "at most 8.5 points from it (Hoeffding)" in printed  # √(ln 40 / 512)
    assert (tmp_path / "labels.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("arguments", [("--dataset", "synthetic"), ("--num-pairs", "1797")], ids=" ".join)
def test_without_labelled_pairs_to_hold_out_there_is_one_sentence(tmp_path, capsys, arguments):
    assert main(["simulate", *TINY, *arguments, "--labels", "--out", str(tmp_path / "run")]) == 2
    assert "error:" in capsys.readouterr().err
