"""What DVC itself writes into params.yaml and dvc.yaml: both stay whole, and no more changes than was asked for."""

import shutil
from collections import Counter
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

from stages.shared.runtime.yaml_reader import read_document
from tests.project import ROOT, Project
from tests.versioned import IDENTITY, typed


def assert_changed(before: str, after: str, went: list[str], came: list[str]) -> None:
    """Of the lines those went and those came; comments and blank lines stand in their order."""
    old, new = before.splitlines(), after.splitlines()
    assert (Counter(old) - Counter(new), Counter(new) - Counter(old)) == (Counter(went), Counter(came))
    prose = [[line for line in lines if not line or "#" in line] for lines in (old, new)]
    assert prose[0] == prose[1]


LAYERS = ["    - 128", "    - 64", "    - 12"]
SETS: list[tuple[list[str], list[str], list[str]]] = [
    (["train.pixels.learning_rate=0.00001"], ["    learning_rate: 0.005"], ["    learning_rate: 1e-05"]),
    (["train.pixels.layers=[]"], ["    layers:", *LAYERS], ["    layers: []"]),
    (["train.pixels.layers=[512,256]"], LAYERS, ["    - 512", "    - 256"]),
    (
        ["train.pixels.layers=[32]", "train.latent_size=2"],
        [*LAYERS, "  latent_size: 3"],
        ["    - 32", "  latent_size: 2"],
    ),
    (["train.pixels.layers=null"], LAYERS, []),
    (["render.indices=[7]", "render.count=3"], ["  count: 5"], ["  - 7", "  count: 3"]),
    (["render.indices=null"], [], []),
    (["download.height=14", "download.width=14"], ["  height:", "  width:"], ["  height: 14", "  width: 14"]),
]


@pytest.mark.parametrize(("sets", "went", "came"), SETS, ids=str)
def test_a_param_set_by_dvc_changes_its_own_lines(
    sets: list[str], went: list[str], came: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    path.write_text(text)
    expected = read_document(path)
    for each in sets:
        key, value = each.split("=")
        *sections, name = key.split(".")
        reduce(getitem, sections, expected)[name] = load_yaml_text(value)
    apply_overrides(path, sets)
    assert_changed(text, path.read_text(), went, came)
    assert read_document(path) == expected
    apply_overrides(path, ["train.pixels.layers=[128,64,12]", "render.indices=null", "render.count=5"])
    for key in (each.split("=")[0] for each in sets):
        before = reduce(getitem, key.split("."), yaml.safe_load(text))
        apply_overrides(path, [f"{key}={before or 'null'}".replace(" ", "")])
    assert path.read_text() == text, "set back, it is the file that it was"


def load_yaml_text(text: str) -> object:
    return yaml.safe_load(text.replace("0.00001", "1.0e-05"))


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """The project's params and stages in git, with nothing made."""
    project = Project(tmp_path / "project")
    project.root.mkdir()
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, project.root)
    (project.root / ".gitignore").write_text("/.dvc/tmp\n")
    project.run("git", "init", "-q", check=True)
    (project.root / ".dvc").mkdir()
    for name in ("config", ".gitignore"):  # as `dvc init` does in a second
        shutil.copy(ROOT / ".dvc" / name, project.root / ".dvc")
    for command in (["add", "-A"], ["commit", "-q", "-m", "first"]):
        project.run("git", *command, check=True, env=IDENTITY)
    return project


def test_an_experiment_with_lists_and_nulls(bare: Project) -> None:
    """Of a pipeline that does nothing: it is the file that counts."""
    (bare.root / "dvc.yaml").write_text("stages:\n  nothing:\n    cmd: echo\n    params: [train]\n")
    sets = ["-S", "train.pixels.layers=[]", "-S", "render.indices=[7,42]", "-S", "download.seed=null"]
    result = bare.dvc("exp", "run", *sets, env=IDENTITY)
    assert result.returncode == 0, result.stderr
    params = load_yaml(bare.root / "params.yaml")
    assert (params["train"]["pixels"]["layers"], params["render"]["indices"], params["download"]["seed"]) == (
        [],
        [7, 42],
        None,
    )
    went, came = ["    layers:", *LAYERS, "  seed: 0"], ["    layers: []", "  - 7", "  - 42", "  seed:"]
    assert_changed((ROOT / "params.yaml").read_text(), (bare.root / "params.yaml").read_text(), went, came)


def test_freeze_and_unfreeze(bare: Project) -> None:
    before = (bare.root / "dvc.yaml").read_text()
    stages = yaml.safe_load(before)["stages"]
    freezable = [stage for stage in stages if "${" not in str(stages[stage])]  # DVC refuses the others
    assert freezable
    bare.dvc("freeze", *freezable, check=True)
    assert_changed(before, (bare.root / "dvc.yaml").read_text(), [], ["    frozen: true"] * len(freezable))
    bare.dvc("unfreeze", *freezable, check=True)
    assert (bare.root / "dvc.yaml").read_text() == before


def test_a_stage_added_by_dvc(bare: Project) -> None:
    before = (bare.root / "dvc.yaml").read_text()
    added = ["-n", "trial", "-d", "data/extract/latents.csv", "-o", "data/trial/groups.csv", "-p", "plot"]
    bare.dvc("stage", "add", *added, "python -m stages.trial", check=True)
    after = (bare.root / "dvc.yaml").read_text()
    assert not Counter(before.splitlines()) - Counter(after.splitlines()), "nothing went"
    assert len(after.splitlines()) - len(before.splitlines()) < 12
    stages = yaml.safe_load(after)["stages"]
    assert stages.pop("trial")["cmd"] == "python -m stages.trial"
    assert stages == yaml.safe_load(before)["stages"]
    assert yaml.safe_load(after)["artifacts"] == yaml.safe_load(before)["artifacts"]


def test_descriptions_of_data_sets_are_read_as_dvc_reads_them() -> None:
    for path in (ROOT / "data").glob("*.yaml"):
        assert read_document(path) == load_yaml(path), path


def test_the_model_alone_comes_by_its_tag_and_by_its_path(bare: Project, tmp_path: Path) -> None:
    """By the lines of docs/teams.md, from a repository whose `train` writes next to nothing."""
    model, text = bare.root / "data/train/autoencoder.safetensors", (bare.root / "dvc.yaml").read_text()
    stage = {"cmd": "echo weights >data/train/autoencoder.safetensors", "outs": ["data/train/autoencoder.safetensors"]}
    document = {"stages": {"train": stage}, "artifacts": yaml.safe_load(text)["artifacts"]}
    (bare.root / "dvc.yaml").write_text(yaml.safe_dump(document))
    model.parent.mkdir(parents=True)
    block = (ROOT / "docs/teams.md").read_text().partition("## The model alone\n")[2].split("```")[1]
    tag, *ways = block.splitlines()[1:]
    for command in (
        f"dvc remote add --default team {tmp_path / 'remote'}",
        "dvc repro",
        "dvc push",
        "git add -A",
        "git commit -m model",
        tag.partition(" && ")[0],
    ):
        typed(bare, command)
    for number, way in enumerate(ways):
        elsewhere = Project(tmp_path / str(number))
        elsewhere.root.mkdir()
        command = way.replace("https://example.org/team/repository", str(bare.root))
        typed(elsewhere, command)
        assert elsewhere.contents(".") == {"autoencoder.safetensors": model.read_bytes()}
