"""What a user types besides `dvc repro` says something useful."""

import json
from typing import Any

import pytest
import yaml

from tests.project import ROOT, Project
from tests.versioned import IDENTITY, put_in_git


@pytest.fixture
def versioned(project: Project) -> Project:
    """The finished pipeline in a git repository, committed as a user would."""
    return put_in_git(project)


def shown(project: Project, *command: str) -> Any:
    result = project.run("dvc", *command, "--json", check=True, env=IDENTITY)
    return json.loads(result.stdout)


def test_an_edit_shows_in_metrics_and_params(versioned: Project) -> None:
    metrics = shown(versioned, "metrics", "show")[""]["data"]
    assert metrics["data/train/metrics.json"]["data"]["dataset"] == "synthetic"
    assert 0 < metrics["data/evaluate/metrics.json"]["data"]["test_mse"] < 1
    versioned.edit({"train": {"learning_rate": 0.001}})
    versioned.repro()
    change = shown(versioned, "metrics", "diff")["data/train/metrics.json"]["test_loss"]
    assert change["old"] != change["new"]
    assert shown(versioned, "params", "diff")["params.yaml"]["train.learning_rate"] == {
        "old": 0.005,
        "new": 0.001,
        "diff": pytest.approx(-0.004),
    }


def test_an_experiment_with_params_of_its_own(versioned: Project) -> None:
    sets = ["-S", "train.epochs=1", "-S", "train.learning_rate=0.00001"]
    result = versioned.run("dvc", "exp", "run", *sets, "--name", "slow", env=IDENTITY)
    assert result.returncode == 0, result.stderr
    assert "1e-05" in (versioned.root / "params.yaml").read_text()
    result = versioned.run("dvc", "exp", "show", "--csv", check=True, env=IDENTITY)
    header, *rows = [line.split(",") for line in result.stdout.splitlines()]
    (row,) = [row for row in rows if "slow" in row]
    assert row[header.index("epochs") if "epochs" in header else header.index("train.epochs")] == "1"


def test_the_graph_names_every_stage(finished: Project) -> None:
    dag = finished.run("dvc", "dag", "--dot", check=True).stdout
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert all(f'"{stage}"' in dag for stage in stages)


def test_the_readme_names_every_param_and_target() -> None:
    readme = (ROOT / "README.md").read_text()
    keys = [key for section in yaml.safe_load((ROOT / "params.yaml").read_text()).values() for key in section]
    assert not [
        key for key in keys if f".{key}`" not in readme and f"`{key}" not in readme and f".{key}." not in readme
    ]
    makefile = (ROOT / "Makefile").read_text()
    targets = makefile.split(".PHONY:")[1].splitlines()[0].split()
    assert not [
        target
        for target in targets
        if f"make {target}" not in " ".join(readme.split()) and target not in ("help", "clean")
    ]
