"""`dvc.yaml` and `uses/dvc.yaml` tell the truth, and an edit reruns what it touches and nothing else."""

import ast
import json
import shutil
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages import detect
from stages.shared.palette import COLORS
from tests.dry_run import dry_run
from tests.project import ALL, DRAWN, ROOT, STAGES, USES, Project

RUNTIME = "stages/shared/runtime"  # no stage depends on it: no module in it can change the content of an output
EXEMPT = {
    "cores.py": "measures whether other programs run",
    "errors.py": "formats errors",
    "fetch.py": "fetches files and checks their hashes",
    "lock.py": "one run at a time writes to a folder",
    "memory.py": "tells the kernel what is read next",
    "outputs.py": "publishes complete outputs, or none",
    "params.py": "validates params, which DVC tracks",
    "run.py": "starts and ends a stage",
    "signals.py": "ends a process on a signal",
    "torchrun.py": "starts a stage as several processes",
    "yaml_reader.py": "reads YAML as DVC does",
}


def paths(stage: str, *kinds: str) -> list[str]:
    """The paths under those keys of the stage, without their options, and `${…}` filled in as params.yaml has it."""
    entries = [entry for kind in kinds for entry in ALL[stage].get(kind, [])]
    plain = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    values = {"${render.split}": "train", "${extract.split}": "train", "${download.source}": "data/small.yaml"}
    return [reduce(lambda text, pair: text.replace(*pair), values.items(), path) for path in plain]


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
    assert set(ALL) == modules == sections


@pytest.mark.parametrize("stage", ALL)
def test_module_deps_are_the_imports(stage: str) -> None:
    sources = [ROOT / path for path in paths(stage, "deps") if path.startswith("stages/")]
    modules = [module for path in sources for module in ([path] if path.is_file() else path.glob("*.py"))]
    declared = {str(path.relative_to(ROOT)) for path in modules}
    imported = {str(path.relative_to(ROOT)) for path in imported_modules(ROOT / "stages" / f"{stage}.py")}
    assert declared == {path for path in imported if not path.startswith(RUNTIME)}


def test_each_exempt_module_has_its_reason() -> None:
    assert {path.name for path in (ROOT / RUNTIME).glob("*.py")} == set(EXEMPT)


def test_no_folder_imports_upwards() -> None:
    """The folders of stages/shared, lowest first; a module in none of them belongs to the lowest level."""
    order = ["runtime", "images", "model", "latents", "scores", "training"]
    for module in (ROOT / "stages/shared").glob("*/*.py"):
        above = order[order.index(module.parent.name) + 1 :]
        names = list(imported_names(module))
        assert not [name for name in names for folder in above if name.startswith(f"stages.shared.{folder}")], module


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_writes_its_outs_from_its_deps_and_params_alone(stage: str, finished: Project, tmp_path: Path) -> None:
    sandbox = Project(tmp_path)
    section = yaml.safe_load((finished.root / "params.yaml").read_text())[stage]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({name: section if name == stage else None for name in ALL}))
    for path in [*paths(stage, "deps"), RUNTIME]:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(finished.root / path)
    for other in set(ALL) - {stage}:
        (tmp_path / "stages" / f"{other}.py").touch()
    before = set(sandbox.contents("data"))
    if stage == "explore":  # reads more of stages/ than its imports
        result = sandbox.stage(stage)
        assert result.returncode == 0, result.stderr
    else:
        sandbox.play(stage)
    written = {path for path in sandbox.contents("data") if path not in before}
    outs = paths(stage, "outs", "metrics", "plots")
    assert {next((out for out in outs if path == out or path.startswith(f"{out}/")), path) for path in written} == set(
        outs
    )


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_reads_each_of_its_deps(stage: str, damageable: Path) -> None:
    for dep in (path for path in paths(stage, "deps") if path.startswith("data/")):
        kept = (damageable / dep).rename(damageable / "elsewhere")
        assert dep in str(dry_run(stage, damageable))
        kept.rename(damageable / dep)


def test_a_stage_reads_its_own_section_and_all_of_it() -> None:
    assert [entry["params"] for entry in ALL.values()] == [[stage] for stage in ALL]


def test_a_stage_runs_its_module_in_the_root() -> None:
    assert {stage: entry["cmd"] for stage, entry in ALL.items()} == {
        stage: f"PYTHONSAFEPATH= python -m stages.{stage}" for stage in ALL
    }
    assert {entry["wdir"] for entry in USES.values()} == {".."}


def after(stage: str) -> set[str]:
    """The stage, and those that read what it writes, and so on; but the colors of up to ten classes never change."""
    outs = set(paths(stage, "outs", "metrics", "plots")) - {COLORS.as_posix()}
    readers = {other for other in STAGES if outs & set(paths(other, "deps"))}
    return {stage}.union(*map(after, readers))


def users(module: str) -> set[str]:
    """The stages whose deps hold that module."""
    return {stage for stage in STAGES if module in paths(stage, "deps")}


# One after the other, each set back as the next is made; tests/pipeline/test_commands.py edits `train` and `plot`.
EDITS: list[dict[str, Any]] = [
    {"extract": {"split": "test", "selection": "random"}, "render": {"count": 3}},
    {"evaluate": {"neighbors": 5}},
]


def test_an_edit_reruns_what_it_touches(project: Project) -> None:
    before, outputs = (project.root / "params.yaml").read_bytes(), project.contents()
    for edit in EDITS:
        (project.root / "params.yaml").write_bytes(before)
        project.edit(edit)
        touched = set().union(*map(after, edit))
        assert project.repro() == touched, "and what the edit before had rerun is restored from the cache"
    (project.root / "params.yaml").write_bytes(before)
    assert project.repro() == set()
    assert project.contents() == outputs


def test_another_data_set_is_another_download_and_the_same_images_no_other_training(project: Project) -> None:
    """What else reads a download reruns as with an edit of download's params."""
    shutil.copy(project.root / "data/small.yaml", project.root / "data/again.yaml")
    project.edit({"download": {"source": "data/again.yaml"}})
    assert project.repro("train") == {"download"}, "another path is another dep, but the images are the same"
    project.draw(DRAWN | {"seed": 1})
    project.edit({"download": {"source": "data/small.yaml"}})
    assert project.repro("download") == {"download"}
    assert project.repro("--dry", "train") == {"train"}


def reword(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_another_wording_reruns_nothing_and_another_computation_does(project: Project) -> None:
    reword(project.root / RUNTIME / "errors.py", "not enough memory", "too little memory")
    reword(project.root / RUNTIME / "params.py", "missing; add it", "not there; add it")
    reword(project.root / RUNTIME / "signals.py", "128 + signum", "signum + 128")
    assert project.repro() == set()
    reword(project.root / "stages/shared/scores/metrics.py", "COLLAPSED = 0.01", "COLLAPSED = 0.02")
    assert project.repro() == users("stages/shared/scores/metrics.py"), "its figures are the same"


def test_a_use_reruns_alone_and_has_its_plot(used: Project, tmp_path: Path) -> None:
    project = used.copy(tmp_path / "project")
    first = project.contents("data/search")
    project.edit({"search": {"seed": 1}})
    assert project.repro("uses/dvc.yaml") == {"search"}
    assert project.contents("data/search") != first
    shown = json.loads(project.dvc("plots", "show", "--json", check=True).stdout)
    assert not [error for error in shown.get("errors", []) if error["name"].startswith("data/search")]
    for path, methods in (
        ("data/search/search.csv", {"autoencoder", "pca", "pixels"}),
        ("data/detect/detect.csv", set(detect.NAMES)),
    ):
        (plot,) = shown["data"][path]
        assert "<DVC_" not in json.dumps(plot["content"])
        assert {value["method"] for value in plot["content"]["data"]["values"]} == methods
