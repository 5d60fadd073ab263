"""Nothing in but the download's mirrors, nothing out but the project's folder and the system's temporary one."""

import re
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stages.shared.images.dataset_spec import DatasetSpec
from stages.shared.runtime.errors import InputError
from tests.conftest import State
from tests.faults.in_one_process import run_stages
from tests.faults.marks import all_but, faults
from tests.project import ALL, ROOT, USES, Project, environment
from tests.unshare import without_network

# Put first on a process's path, this has Python report what it opens, makes, moves, removes and calls up; and so with
# each Python that it starts.
WITNESS = """
import os, sys

_LOG = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {"os.mkdir": 1, "os.rename": 2, "os.remove": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2, "os.chmod": 1,
          "os.chown": 1, "os.truncate": 1, "os.utime": 1, "shutil.rmtree": 1, "sqlite3.connect": 1}
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")

def _report(kind, what):
    os.write(_LOG, (kind + " " + ascii(what) + "\\n").encode())

def _hook(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)) and isinstance(args[2], int) and args[2] & _WRITES:
        _report("write", os.path.abspath(os.fsdecode(args[0])))
    elif event in _PATHS:
        for path in args[: _PATHS[event]]:
            if isinstance(path, (str, bytes, os.PathLike)):
                path = os.fsdecode(path)
                # Relative to a folder that is open, and so was found by its path before.
                if os.path.isabs(path) or (args[-1] if event != "os.utime" else -1) in (-1, None) or "/" in path:
                    _report("write", os.path.abspath(path))
    elif event in _NETWORK:
        where = args[1] if event == "socket.connect" else args[0]
        if not (event == "socket.connect" and isinstance(where, (str, bytes))):  # a socket in the file system
            _report("network", f"{event} {where!r}")

sys.addaudithook(_hook)
"""


class Watch:
    """Runs commands in a project with an empty home folder, a temporary folder of their own, and a witness."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.home, self.temporary, self.log = project, folder / "home", folder / "tmp", folder / "log"
        for path in (self.home, self.temporary, folder / "witness"):
            path.mkdir()
        (folder / "witness" / "sitecustomize.py").write_text(WITNESS)
        kept = {key: value for key, value in environment().items() if not key.startswith(("XDG_", "MPL", "DVC_"))}
        self.environment = kept | {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(folder / "witness"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "WITNESS": str(self.log),
            "HTTPS_PROXY": "http://127.0.0.1:1",
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        return subprocess.run(
            command,
            cwd=self.project.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def reports(self, kind: str) -> list[str]:
        pairs = [line.split(" ", 1) for line in self.log.read_text().splitlines()]
        return [eval(what) for word, what in pairs if word == kind]  # what `ascii` wrote

    def strays(self) -> set[str]:
        """What was written outside the project's folder, the temporary one, and the devices."""
        system = [tempfile.gettempdir(), "/var/tmp"]
        allowed = [self.project.root, self.temporary, Path("/dev"), Path("/proc/self"), *map(Path, system)]
        # Here, the home folder and the project lie in the temporary one themselves.
        own = [self.home, self.project.root.parent]
        inside = {path for path in self.reports("write") if any(Path(path).is_relative_to(root) for root in allowed)}
        astray = {
            path
            for path in self.reports("write")
            if any(Path(path).is_relative_to(root) for root in own)
            and not any(Path(path).is_relative_to(root) for root in (self.project.root, self.temporary, self.log))
        }
        return (set(self.reports("write")) - inside) | astray


@pytest.fixture
def watch(project: Project, tmp_path: Path) -> Watch:
    return Watch(project, tmp_path)


def test_the_witness_sees(watch: Watch) -> None:
    """What the tests below find nothing of, it would find."""
    script = f"""
import os, pathlib, shutil, socket, subprocess, sys, urllib.request
pathlib.Path({str(watch.home / "a")!r}).write_text("")
os.mkdir({str(watch.home / "b")!r})
os.rename({str(watch.home / "a")!r}, {str(watch.home / "c")!r})
subprocess.run([sys.executable, "-c", "open({str(watch.home / "d")!r}, 'w')"])
for call in (lambda: socket.create_connection(("127.0.0.1", 9), 1), lambda: socket.getaddrinfo("localhost", 80)):
    try:
        call()
    except OSError:
        pass
"""
    assert watch.run("python", "-c", script).returncode == 0
    assert watch.strays() == {str(watch.home / name) for name in "abcd"}
    assert {report.split()[0] for report in watch.reports("network")} == {"socket.getaddrinfo", "socket.connect"}


KEPT = ["download", "train"]  # stages that have a process each in both forms


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stage" in metafunc.fixturenames:
        stages = list(ALL) if metafunc.config.getoption("--torture") else KEPT
        metafunc.parametrize("stage", all_but(KEPT, stages))


def test_a_stage_calls_nobody_and_writes_nowhere_else(stage: str, watch: Watch, state: State) -> None:
    """`download` too, of garments that are drawn; without a network at all where that can be had."""
    before = watch.project.contents()
    result = watch.run(*without_network(), "python", "-m", f"stages.{stage}")
    assert result.returncode == 0, result.stderr
    assert watch.reports("network") == []
    assert watch.strays() == set()
    assert len(watch.reports("write")) > 0
    assert not list(watch.home.iterdir())
    assert watch.project.contents() == before
    left = {path.name for path in watch.temporary.iterdir()}
    assert not {name for name in left if not name.startswith("torchinductor_")}
    state("stages that call nobody and write nowhere else", stages=1, without_a_network=bool(without_network()))


@faults
def test_the_other_stages_call_nobody_and_write_nowhere_else(watch: Watch, state: State) -> None:
    """They run in one process; in the long form, the test above also runs each in its own process."""
    before = watch.project.contents()
    others = [stage for stage in ALL if stage not in KEPT]
    run_stages(partial(watch.run, *without_network()), others)
    assert watch.reports("network") == []
    assert watch.strays() == set()
    for stage in others:
        work = str(watch.project.root / "data" / stage / ".partial")
        assert any(path.startswith(work) for path in watch.reports("write")), f"{stage} wrote nothing"
    assert not list(watch.home.iterdir())
    after = {path: content for path, content in watch.project.contents().items() if path.split("/")[1] not in USES}
    assert after == before
    assert all(path.name.startswith("torchinductor_") for path in watch.temporary.iterdir())
    cut_off = len(others) if without_network() else 0
    state("stages that call nobody and write nowhere else", stages=len(others), without_a_network=cut_off)


def test_dvc_repro_calls_nobody_and_writes_nowhere_else(watch: Watch) -> None:
    """DVC itself included: its lock, its cache, its state. (It keeps an index in /var/tmp/dvc.)"""
    watch.project.edit({"plot": {"style": "points"}})
    result = watch.run(*without_network(), "dvc", "repro")
    assert result.returncode == 0, result.stderr
    assert "Running stage 'plot'" in result.stdout
    assert watch.reports("network") == []
    assert watch.strays() == set()
    assert not list(watch.home.iterdir())


def test_the_download_calls_its_mirrors_and_nobody_else(watch: Watch) -> None:
    """Here they are out of reach; which hosts are asked for is seen all the same."""
    watch.project.edit({"download": {"source": "data/fashion-mnist.yaml"}})
    del watch.environment["HTTPS_PROXY"]
    watch.environment |= {"NO_PROXY": "*", "FASHION_MNIST_MIRROR": "https://mirror.invalid"}
    command = without_network()
    if not command:
        pytest.skip("needs a process without a network, to download nothing")
    result = watch.run(*command, "python", "-m", "stages.download")
    assert result.returncode == 1
    hosts = {report.split("'")[1] for report in watch.reports("network") if "getaddrinfo" in report}
    described = DatasetSpec.load(ROOT / "data/fashion-mnist.yaml").torchvision
    assert described
    assert hosts == {"mirror.invalid", *(urlsplit(mirror).hostname for mirror in described.mirrors)}
    assert watch.strays() == set()


def test_every_mirror_is_https() -> None:
    known = [DatasetSpec.load(path) for path in (ROOT / "data").glob("*.yaml")]
    mirrors = [mirror for each in known if each.torchvision for mirror in each.torchvision.mirrors]
    assert mirrors
    assert all(mirror.startswith("https://") for mirror in mirrors)


def test_a_mirror_that_is_not_https_is_refused(tmp_path: Path) -> None:
    text = (ROOT / "data/fashion-mnist.yaml").read_text()
    (tmp_path / "x.yaml").write_text(text.replace("- https://github", "- http://github"))
    with pytest.raises(InputError, match=r"torchvision\.mirrors\.1: .*got 'http://githu"):
        DatasetSpec.load(tmp_path / "x.yaml")


def locked(name: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)==", (ROOT / name).read_text(), re.MULTILINE))


def test_the_license_of_each_dependency_is_listed() -> None:
    text = (ROOT / "docs" / "licenses.md").read_text().lower().replace("_", "-").replace(".", "-")
    licenses = dict(re.findall(r"^\| ([\w-]+) \| ([^|]+) \|$", text, re.MULTILINE))
    wanted = {name.lower().replace("_", "-").replace(".", "-") for name in locked("requirements.txt")}
    wanted |= {name.lower().replace("_", "-").replace(".", "-") for name in locked("requirements-test.txt")}
    assert len(wanted) > 100
    elsewhere = {name for name in wanted - licenses.keys() if f"`{name}`" in text}  # named in the text above the table
    assert wanted - licenses.keys() == elsewhere
    unknown = {name for name, terms in licenses.items() if terms == "unknown"}
    assert {name for name in unknown if f"`{name}`" not in text} == set()
