"""A scratch copy of the pipeline, small and synthetic, that a test may run and break as it likes."""

import atexit
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parent.parent
PIPELINE, USES = (yaml.safe_load((ROOT / path).read_text())["stages"] for path in ("dvc.yaml", "uses/dvc.yaml"))
STAGES, ALL = list(PIPELINE), PIPELINE | USES
SMALL = {
    "download": {"source": "data/small.yaml"},
    "train": {"recipe": "pixels", "epochs": 2, "device": "cpu", "threads": 1},
    "extract": {"count": 40},
    "detect": {"steps": 20},
    "restore": {"sample": 20, "tuned_on": 20, "amounts": [0.1, 0.3], "layers": [16], "latent_size": 4, "epochs": 2},
}
AROUND = {"FASHION_MNIST_MIRROR", "DVC_STAGE", "DVC_ROOT", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
DRAWN = {"train_images": 300, "test_images": 100, "seed": 0}


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, section by section."""
    nested = {key: merge(base[key], value) for key, value in changes.items() if isinstance(value, dict)}
    return base | changes | nested


PIXELS = yaml.safe_load((ROOT / "params.yaml").read_text())["train"]["pixels"]


def nest(train: dict[str, Any]) -> dict[str, Any]:
    """Params of `train` with those of `train.pixels` in their block, among which they may stand beside the others."""
    block = {key: value for key, value in train.items() if key in PIXELS}
    others = {key: value for key, value in train.items() if key not in PIXELS}
    return others | ({"pixels": block | others.get("pixels", {})} if block else {})


@dataclass(frozen=True)
class Project:
    """The folder `root` holds a copy of the project with a DVC repository of its own, without git."""

    root: Path

    @classmethod
    def create(cls, root: Path, changes: dict[str, Any] = SMALL) -> "Project":
        root.mkdir(parents=True)
        shutil.copytree(ROOT / "stages", root / "stages", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "uses", root / "uses", ignore=shutil.ignore_patterns("dvc.lock"))
        (root / "data").mkdir()
        known = [path.relative_to(ROOT) for path in (ROOT / "data").glob("*.yaml")]
        for name in (*map(Path, ("dvc.yaml", "params.yaml", ".dvcignore")), *known):
            shutil.copy(ROOT / name, root / name)
        project = cls(root)
        project.draw(DRAWN)
        project.edit(changes)
        shutil.copytree(ROOT / ".dvc" / "plots", root / ".dvc" / "plots")
        (root / ".dvc/config").write_text("[core]\n    no_scm = True\n")  # as `dvc init --no-scm` does in a second
        return project

    def copy(self, root: Path) -> "Project":
        """Another with the same files, cache and all."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root)

    def draw(self, drawn: dict[str, int]) -> None:
        """Have data/small.yaml, the data set of this project, draw so many garments."""
        known = yaml.safe_load((ROOT / "data/synthetic.yaml").read_text())
        (self.root / "data/small.yaml").write_text(yaml.safe_dump(known | {"synthetic": drawn}, sort_keys=False))

    def edit(self, changes: dict[str, Any]) -> None:
        """Lay `changes` over params.yaml; those of `train` as `nest` takes them."""
        changes = {section: nest(values) if section == "train" else values for section, values in changes.items()}
        path = self.root / "params.yaml"
        path.write_text(yaml.safe_dump(merge(yaml.safe_load(path.read_text()), changes), sort_keys=False))

    def run(
        self, *command: str, check: bool = False, env: dict[str, str] | None = None, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` in the project, with this interpreter's `python` and `dvc` first on the path."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=environment(env),
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
        )

    @contextmanager
    def begun(self, *command: str, until: str, env: dict[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
        """`command`, leader of a session, from when it has said a line that starts so; killed with all it started."""
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=environment({"PYTHONUNBUFFERED": "1"} | (env or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout
            lines: list[str] = []
            while not (lines and lines[-1].startswith(until)):
                lines.append(process.stdout.readline())
                assert lines[-1], "".join(lines)
            try:
                yield process
            finally:
                for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                    child.kill()
                process.kill()

    def stage(self, name: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run one stage alone."""
        return self.run("python", "-m", f"stages.{name}", env=env)

    def dvc(
        self, *arguments: str, check: bool = False, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `dvc` as `run` would, in a fork of a process that has imported it: half of the time is imports."""
        server = dvc_server()
        assert server.stdin
        assert server.stdout
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            out.touch()
            err.touch()
            request = {"command": arguments, "cwd": str(self.root), "env": environment(env)}
            try:
                server.stdin.write(json.dumps(request | {"out": str(out), "err": str(err)}) + "\n")
                server.stdin.flush()
                code = int(server.stdout.readline())
            except BaseException:  # the next command would get this one's answer
                dvc_server.cache_clear()
                for child in psutil.Process(server.pid).children(recursive=True):
                    child.kill()
                server.kill()
                raise
            result = subprocess.CompletedProcess(["dvc", *arguments], code, out.read_text(), err.read_text())
        if check:
            assert code == 0, result.stdout + result.stderr
        return result

    def play(self, *stages: str) -> None:
        """Run the stages in this process, which is quicker; what they refuse is raised."""
        with chdir(self.root):
            for stage in stages:
                importlib.import_module(f"stages.{stage}").main()

    def repro(self, *arguments: str) -> set[str]:
        """Run `dvc repro`, which must end well; give the stages that ran (and were not restored from the cache)."""
        result = self.dvc("repro", *arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return set(re.findall(r"Running stage '(?:\S+:)?(\w+)'", result.stdout))

    def contents(self, folder: str = "data") -> dict[str, bytes]:
        """Every file below `folder`, by its path from the root."""
        paths = sorted((self.root / folder).rglob("*"))
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths if path.is_file()}


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment with its own interpreter first, no mirror, and neither DVC nor make around it."""
    kept = {name: value for name, value in os.environ.items() if name not in AROUND}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "DVC_NO_ANALYTICS": "1"} | (extra or {})


@cache
def dvc_server() -> "subprocess.Popen[str]":
    """The process that `Project.dvc` has fork; it ends with this one."""
    command = [sys.executable, "-P", str(ROOT / "tests/dvc_server.py")]
    pipe = subprocess.PIPE
    server = subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=pipe, stdout=pipe, text=True)
    atexit.register(server.communicate)
    return server


def made_once(
    name: str, make: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Project:
    """The project in a folder that all workers share: the first that asks for it makes it, the others wait for that."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            make(own / "making")
            (own / "making").rename(folder)
    return Project(folder)
