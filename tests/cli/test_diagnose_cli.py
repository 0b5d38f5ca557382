"""The command `diagnose`: sentences, JSON, figures, exit codes."""

import json

import numpy as np

from dynamics.cli.main import main

STEPS = np.arange(0, 500, 25)


def write(path, covariance):
    rows = (
        json.dumps({"step": step, "covariance": row})
        for step, row in zip(STEPS.tolist(), covariance.tolist(), strict=True)
    )
    path.write_text("\n".join(rows))
    return str(path)


def test_a_collapse_ends_with_code_3(tmp_path, capsys):
    lost = write(tmp_path / "lost.jsonl", np.exp(-0.02 * STEPS)[:, None] * np.array([1.0, 0.5]))
    fine = write(tmp_path / "fine.jsonl", np.ones((20, 1)) * np.array([1.0, 0.5]))
    assert main(["diagnose", fine]) == 0
    assert "Converged: 2 of 2 dimensions" in capsys.readouterr().out
    assert main(["diagnose", fine, lost, "--json", "--out", str(tmp_path / "figures")]) == 3
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["state"] for one in found] == ["converged", "collapsing"]
    assert {path.name for path in (tmp_path / "figures").glob("*.png")} == {"diagnosis-fine.png", "diagnosis-lost.png"}


def test_mistakes_get_a_sentence(tmp_path, capsys):
    assert main(["diagnose"]) == 2
    assert "No log was named" in capsys.readouterr().err
    assert main(["diagnose", str(tmp_path / "nothing.csv")]) == 2
    assert "no such file" in capsys.readouterr().err
