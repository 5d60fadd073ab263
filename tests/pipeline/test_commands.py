"""What a user types besides `dvc repro` says something useful."""

import csv
import importlib
import json
import re
import shlex
import shutil
import subprocess
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project import ALL, ROOT, STAGES, Project, environment
from tests.versioned import IDENTITY, clone, dvc, put_in_git

# Shown as YAML writes it, and what the tables of the guides name.
SETS = ["train.pixels.learning_rate=0.00001", "train.latent_size=2", "train.pixels.schedule=one-cycle", "train.seed=1"]
SETS += ["train.pixels.layers=[8]"]


@pytest.fixture(scope="module")
def experiment(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """The finished pipeline in git after an experiment with other params of `train`, and what DVC printed."""
    project = put_in_git(finished.copy(tmp_path_factory.mktemp("tried") / "project"))
    said = dvc(project, "exp", "run", "--name", "flat", *(part for each in SETS for part in ("-S", each)))
    return project, said


@pytest.fixture(scope="module")
def tried(experiment: tuple[Project, str]) -> Project:
    return experiment[0]


one_experiment = pytest.mark.xdist_group("tried")  # each worker would run its own


def shown(project: Project, *command: str) -> Any:
    result = project.dvc(*command, "--json", check=True, env=IDENTITY)
    return json.loads(result.stdout)


def ran(said: str) -> set[str]:
    return set(re.findall(r"Running stage '(\w+)'", said))


@one_experiment
def test_an_edit_of_train_reruns_what_comes_after_the_download(experiment: tuple[Project, str]) -> None:
    assert ran(experiment[1]) == set(STAGES) - {"download"}


@one_experiment
def test_an_edit_shows_in_metrics_and_params(tried: Project) -> None:
    metrics = shown(tried, "metrics", "show")[""]["data"]
    assert 0 < metrics["data/evaluate/metrics.json"]["data"]["test_mse"] < 1
    change = shown(tried, "metrics", "diff")["data/train/metrics.json"]["test_loss"]
    assert change["old"] != change["new"]
    assert shown(tried, "params", "diff")["params.yaml"]["train.pixels.learning_rate"] == {
        "old": 0.005,
        "new": 0.00001,
        "diff": pytest.approx(-0.00499),
    }


def test_the_metrics_fit_a_screen_and_are_those_of_the_readme(used: Project) -> None:
    """With the uses run as well."""
    lines = used.dvc("metrics", "show", check=True).stdout.splitlines()
    figures = lines[0].split()[1:]
    assert len(figures) <= 8
    assert max(map(len, lines)) <= 150
    assert [line.split()[0] for line in lines[1:]] == ["data/train/metrics.json", "data/evaluate/metrics.json"]
    table = (ROOT / "README.md").read_text().partition("## What comes out")[2].partition("<img")[0]
    named = set(re.findall(r"\(`(\w+)`\)", table))
    assert len(named) == 6
    assert named | {"train_loss", "test_loss"} == set(figures)


@one_experiment
def test_an_experiment_with_params_of_its_own(tried: Project) -> None:
    assert "1e-05" in (tried.root / "params.yaml").read_text()
    header, *rows = csv.reader(dvc(tried, "exp", "show", "--csv").splitlines())
    (row,) = [row for row in rows if "flat" in row]
    assert row[header.index("train.latent_size")] == "2"


CHANGES = re.findall(r"^(dvc exp run -S plot\.style=\w+) +# (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_in_a_fresh_clone_what_is_changed_back_runs_once_more_as_the_footnote_says(
    finished: Project, tmp_path: Path
) -> None:
    """The clone has the committed results, and what `dvc pull` brings; it has run nothing."""
    (changed, said), (back, said_back) = CHANGES
    assert "only `plot` runs" in said
    assert "nothing runs" in said_back
    assert said_back.endswith("(*)")
    footnote = (ROOT / "README.md").read_text().partition("\n(*) ")[2].partition("\n\n")[0]
    assert "In a fresh clone" in footnote
    assert "`plot` runs once more" in footnote

    cloned = clone(put_in_git(finished.copy(tmp_path / "project")), tmp_path / "clone")
    shutil.copytree(finished.root / ".dvc/cache/files", cloned.root / ".dvc/cache/files")
    dvc(cloned, "checkout")
    commands = [shlex.split(command)[1:] for command in (changed, back, changed)]
    assert [ran(dvc(cloned, *command)) for command in commands] == [{"plot"}, {"plot"}, set()]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TABLES = [line for page in PAGES for line in page.read_text().splitlines() if line.startswith("dvc exp show")]


@one_experiment
def test_the_tables_of_the_guides_have_the_columns_that_they_name(tried: Project) -> None:
    assert len(TABLES) == 2
    for line in TABLES:
        shown = dvc(tried, *shlex.split(line)[1:], "--csv").splitlines()
        columns = shown[0].split(",")
        named = re.findall(r"\w+", line.partition(".*(")[2].partition(")")[0])
        assert len(named) > 3
        assert {"Experiment", "State"} <= set(columns)
        for name in named:
            assert any(column.rpartition(".")[2] == name for column in columns), name
        rows = list(csv.DictReader(shown))
        assert not [name for name in set(columns) - {"State"} if len({row[name] for row in rows}) == 1]
        assert any(row.startswith("flat,") for row in shown)


def test_the_graph_names_every_stage(finished: Project) -> None:
    dag = finished.dvc("dag", "--dot", check=True).stdout
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert all(f'"{stage}"' in dag for stage in stages)


def test_every_param_is_described() -> None:
    """A section that has its part of the page has a row for each of its keys, with its default and its choices."""
    page = (ROOT / "docs/params.md").read_text()
    _, *parts = re.split(r"^(?:## )?`([a-z.]+)`(?:$|, the )", page, flags=re.MULTILINE)
    described = {
        name: re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|", text, re.MULTILINE)
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }
    assert {"train.pixels", "train.components"} < described.keys() <= {*ALL, "train.pixels", "train.components"}
    for name, rows in described.items():
        values = reduce(lambda of, key: of[key], name.split("."), yaml.safe_load((ROOT / "params.yaml").read_text()))
        assert [key for key, *_ in rows] == [key for key, value in values.items() if not isinstance(value, dict)]
        choices = choices_of(name)
        for key, default, allowed in rows:
            assert default == written(values[key]), f"{name}.{key}"
            assert not choices[key] or choices[key] == set(re.findall("`(.+?)`", allowed)), f"{name}.{key}"


def choices_of(name: str) -> dict[str, set[str]]:
    """The words that each param of a section, or of a block in it, may be; none where it is no choice of words."""
    stage, *blocks = name.split(".")
    model: Any = importlib.import_module(f"stages.{stage}").Params
    for block in blocks:
        model = model.model_fields[block].annotation
    kinds = {key: of.get("anyOf", [of]) for key, of in model.model_json_schema()["properties"].items()}
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


@one_experiment
def test_vs_code_finds_the_pictures_of_each_epoch(tried: Project) -> None:
    plots = shown(tried, "plots", "diff", "HEAD", "--split")
    plots = plots.get("data", plots)
    for epoch in (1, 2):
        pictures = plots[f"data/render/reconstructions/{epoch}.png"]
        assert sorted(rev for picture in pictures for rev in picture["revisions"]) == ["HEAD", "workspace"]
        assert len({Path(picture["url"]).read_bytes() for picture in pictures}) == 2


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
