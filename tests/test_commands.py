"""What a user types besides `dvc repro` says something useful."""

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project import ROOT, Project, environment
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
    versioned.repro("train")
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


def test_every_param_is_described() -> None:
    """A section that has its part of the page has a row for each of its keys, with its default and its choices."""
    sections = yaml.safe_load((ROOT / "params.yaml").read_text())
    _, *parts = re.split(r"^## `(\w+)`$", (ROOT / "docs/params.md").read_text(), flags=re.MULTILINE)
    described = {
        name: re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|", text, re.MULTILINE)
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }
    assert described
    for name, rows in described.items():
        assert [key for key, *_ in rows] == list(sections[name])
        choices = choices_of(name)
        for key, default, values in rows:
            assert default == written(sections[name][key]), f"{name}.{key}"
            assert not choices[key] or choices[key] == set(re.findall("`(.+?)`", values)), f"{name}.{key}"


def choices_of(stage: str) -> dict[str, set[str]]:
    """The words that each param of the stage may be; none where it is no choice of words."""
    schema = importlib.import_module(f"stages.{stage}").Params.model_json_schema()["properties"]
    kinds = {key: of.get("anyOf", [of]) for key, of in schema.items()}
    return {key: {choice for kind in of for choice in kind.get("enum", [])} for key, of in kinds.items()}


def test_params_yaml_names_every_choice() -> None:
    """At the key, or in the comment above it."""
    text = (ROOT / "params.yaml").read_text()
    for section in re.split(r"\n\n", text):
        entries = re.findall(r"((?:^  #.*\n)*)^  (\w+):(.*)", section, re.MULTILINE)
        choices = choices_of(re.findall(r"^(\w+):$", section, re.MULTILINE)[0])
        assert set(choices) == {key for _, key, _ in entries}
        for comment, key, value in entries:
            assert choices[key] <= set(re.findall(r"[\w-]+", comment + value)), key


def written(value: Any) -> str:
    """A param's value as the page has it."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        value = str(value).lower()
    return "empty" if value is None else f"`{value}`" if isinstance(value, str) else str(value)


def test_vs_code_finds_the_pictures_of_each_epoch(versioned: Project) -> None:
    versioned.edit({"render": {"count": 3}})
    assert versioned.repro() == {"render"}
    plots = shown(versioned, "plots", "diff", "HEAD", "--split")
    plots = plots.get("data", plots)
    for epoch in (1, 2):
        pictures = plots[f"data/render/reconstructions/{epoch}.png"]
        assert sorted(rev for picture in pictures for rev in picture["revisions"]) == ["HEAD", "workspace"]
        assert len({Path(picture["url"]).read_bytes() for picture in pictures}) == 2
    versioned.edit({"render": {"count": 5}})
    assert versioned.repro() == set()  # out of the run cache


@pytest.fixture
def makefile(tmp_path: Path) -> Project:
    """A folder with the Makefile, what it copies, and an environment whose programs note how they were called."""
    ignored = shutil.ignore_patterns("__pycache__", "*.npy", "*.safetensors")
    for name in ("Makefile", "params.yaml", "dvc.yaml", ".dvcignore", "requirements.txt", ".dvc/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("data", "stages", "tools", "uses", ".dvc/plots"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (tmp_path / ".venv/installed").touch()
    (tmp_path / ".venv/installed-test").touch()
    pytest_ = programs / "pytest"
    pytest_.write_text('#!/bin/sh\necho "$@" >>tried\nexit $FAILS\n')
    pytest_.chmod(0o755)
    return Project(tmp_path)


def make(project: Project, *arguments: str, answer: str = "", env: dict[str, str] | None = None) -> tuple[int, str]:
    result = subprocess.run(
        ["make", *arguments],
        cwd=project.root,
        env=environment(env),
        input=answer,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


def test_make_lists_every_target(makefile: Project) -> None:
    rules = (ROOT / "Makefile").read_text()
    targets = set(rules.split(".PHONY:")[1].splitlines()[0].split()) - {"help"}
    listed = make(makefile)[1]
    assert not [target for target in targets if not re.search(rf"make {target}\b", listed)]


def test_make_clean_keeps_data_and_purge_asks(makefile: Project) -> None:
    kept = [makefile.root / path for path in (".dvc/cache/a", ".dvc/tmp/exps/b", "demo/params.yaml")]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.touch()
    assert make(makefile, "clean")[0] == 0
    assert not (makefile.root / ".venv").exists()
    code, said = make(makefile, "purge", answer="no\n")
    assert code != 0
    assert all(name in said for name in (".dvc/cache", ".dvc/tmp", "demo"))
    assert all(path.exists() for path in kept)
    assert make(makefile, "purge", answer="yes\n")[0] == 0
    assert not [path for path in kept if path.exists()]


def test_the_demo_is_its_users(makefile: Project) -> None:
    code, said = make(makefile, "demo/params.yaml")
    assert code == 0, said
    params = makefile.root / "demo" / "params.yaml"
    assert yaml.safe_load(params.read_text())["download"]["source"] == "data/synthetic.yaml"
    params.write_text(params.read_text() + "# mine\n")
    stage = makefile.root / "demo" / "stages" / "plot.py"
    stage.write_text("# mine\n")
    assert make(makefile, "demo/params.yaml")[0] == 0
    assert params.read_text().endswith("# mine\n")
    assert stage.read_text() == "# mine\n"


def test_torch_from_elsewhere_leaves_the_rest_of_the_lock_file(makefile: Project) -> None:
    (makefile.root / ".venv/installed").unlink()
    pip = '#!/bin/sh\necho "$@" >>tried\n'
    (makefile.root / ".venv/bin/python").write_text(pip)
    (makefile.root / ".venv/bin/python").chmod(0o755)
    code, said = make(makefile, ".venv/installed", "TORCH_INDEX=https://example.org/cpu", "PYTHON=true")
    assert code == 0, said
    from_there, locked = (makefile.root / "tried").read_text().splitlines()
    assert "--index-url https://example.org/cpu torch==" in from_there
    assert "torchvision==" in from_there
    assert "--require-hashes" in locked
    whole = pinned((ROOT / "requirements.txt").read_text())
    rest = pinned((makefile.root / ".venv/requirements.txt").read_text())
    left_out = {name for name in whole if name.split("-")[0] in ("torch", "torchvision", "triton", "nvidia", "cuda")}
    assert {"torch", "torchvision"} < left_out
    assert rest == whole - left_out


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_a_lock_file_holds_each_package_to_hashes_and_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=[a-z0-9])", text.split("make lock\n")[1])
    assert all("--hash=sha256:" in entry for entry in entries)


def pinned(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE))
