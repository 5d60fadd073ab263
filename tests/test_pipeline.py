"""`dvc.yaml` tells the truth, and an edit reruns what it touches and nothing else."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project import ROOT, Project

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = list(PIPELINE)
AFTER_TRAIN = "train render extract plot evaluate explore"


def paths(stage: str, *kinds: str) -> list[str]:
    """The paths under those keys of the stage, without their options, and `${…}` filled in as params.yaml has it."""
    entries = [entry for kind in kinds for entry in PIPELINE[stage].get(kind, [])]
    plain = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    return [path.replace("${render.split}", "train").replace("${extract.split}", "train") for path in plain]


def imported_modules(path: Path) -> set[Path]:
    """The module at `path` and the project's modules that it imports, all the way down, also inside functions."""
    found, fresh = set[Path](), {path}
    while fresh:
        found |= fresh
        names = {name for module in fresh for name in imported_names(module)}
        fresh = {ROOT / f"{name.replace('.', '/')}.py" for name in names if name.startswith("stages.")} - found
        fresh = {module for module in fresh if module.is_file()}
    return found


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_there_is_a_stage_for_each_module_and_section() -> None:
    modules = {path.stem for path in (ROOT / "stages").glob("*.py")}
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    assert set(STAGES) == modules == sections


@pytest.mark.parametrize("stage", STAGES)
def test_module_deps_are_the_imports(stage: str) -> None:
    sources = [ROOT / path for path in paths(stage, "deps") if path.startswith("stages/")]
    modules = [module for path in sources for module in ([path] if path.is_file() else path.glob("*.py"))]
    declared = {str(path.relative_to(ROOT)) for path in modules}
    assert declared == {str(path.relative_to(ROOT)) for path in imported_modules(ROOT / "stages" / f"{stage}.py")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_writes_its_outs_from_its_deps_and_params_alone(stage: str, finished: Project, tmp_path: Path) -> None:
    sandbox = Project(tmp_path)
    section = yaml.safe_load((finished.root / "params.yaml").read_text())[stage]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({name: section if name == stage else None for name in STAGES}))
    for path in paths(stage, "deps"):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(finished.root / path)
    for other in set(STAGES) - {stage}:
        (tmp_path / "stages" / f"{other}.py").touch()
    before = set(sandbox.contents("data"))
    result = sandbox.stage(stage)
    assert result.returncode == 0, result.stderr
    written = {path for path in sandbox.contents("data") if path not in before}
    outs = paths(stage, "outs", "metrics", "plots")
    assert {next((out for out in outs if path == out or path.startswith(f"{out}/")), path) for path in written} == set(
        outs
    )


@pytest.mark.parametrize(
    ("stage", "dep"),
    [(stage, path) for stage in STAGES for path in paths(stage, "deps") if path.startswith("data/")],
)
def test_a_stage_reads_each_of_its_deps(stage: str, dep: str, project: Project) -> None:
    (project.root / dep).rename(project.root / "elsewhere")
    result = project.stage(stage)
    assert result.returncode == 1
    assert dep in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_its_own_section_and_all_of_it(stage: str) -> None:
    assert PIPELINE[stage]["params"] == [stage]


EDITS: list[tuple[dict[str, Any], str]] = [
    ({"plot": {"style": "points"}}, "plot"),
    ({"plot": {"azimuth": 10}}, "plot"),
    ({"render": {"count": 3}}, "render"),
    ({"extract": {"count": 30}}, "extract plot explore"),
    ({"extract": {"split": "test", "selection": "random"}}, "extract plot explore"),
    ({"evaluate": {"neighbors": 5}}, "evaluate explore"),
    ({"explore": {"neighbors": 3}}, "explore"),
    ({"train": {"latent_size": 2}}, AFTER_TRAIN),
    ({"download": {"synthetic": {"seed": 1}}}, f"download {AFTER_TRAIN}"),
]


@pytest.mark.parametrize(("edit", "touched"), EDITS, ids=str)
def test_an_edit_reruns_what_it_touches(edit: dict[str, Any], touched: str, project: Project) -> None:
    before, outputs = (project.root / "params.yaml").read_bytes(), project.contents()
    project.edit(edit)
    assert project.repro() == set(touched.split())
    assert project.repro() == set()
    (project.root / "params.yaml").write_bytes(before)
    assert project.repro() == set(), "setting a param back restores from the cache"
    assert project.contents() == outputs


def test_a_failed_stage_leaves_no_out(project: Project) -> None:
    project.edit({"train": {"learning_rate": 900.0, "epochs": 1, "activation": "silu", "batch_size": 10}})
    project.edit({"train": {"batch_size": 301}})
    result = project.run("dvc", "repro")
    assert result.returncode != 0
    assert "train.batch_size: expected at most 300" in result.stderr
    assert not [path for path in project.contents("data/train") if not path.endswith(".gitignore")]
