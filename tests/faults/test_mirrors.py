"""Mirrors that misbehave in every way seen in the wild: the next one's files, or a clear error in bounded time."""

import gzip
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.shared.images.known import Known
from stages.shared.process.errors import InputError
from stages.shared.process.mirrors import Pinned, Timeouts, fetch
from tests.conftest import State
from tests.faults.marks import all_but, faults
from tests.project import ROOT, Project
from tests.unshare import can_mount

KNOWN = Known.load(ROOT / "data/fashion-mnist.yaml").torchvision
assert KNOWN is not None
FILES = KNOWN.files
TIMEOUTS = Timeouts(silence=0.5, total=2, tries=2)
LIMIT = 20  # seconds a test's fetches may take, however busy the machine is; by `TIMEOUTS` they take a few

CONTENTS = {
    "images.gz": gzip.compress(bytes(range(256)) * 800, mtime=0),
    "labels.gz": gzip.compress(b"labels", mtime=0),
}
PINNED = {name: Pinned(len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENTS.items()}
ADVICE = "set FASHION_MNIST_MIRROR"


class Handler(BaseHTTPRequestHandler):
    """Answers `/behaviour/name` as the function of that name below does."""

    server: "Server"

    def do_GET(self) -> None:
        _, behaviour, name = self.path.split("?")[0].split("/", 2)
        self.server.asked[behaviour, name] += 1
        BEHAVIOURS[behaviour](self, self.server.contents.get(name, b""))

    def answer(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def send_open(self, chunks: Iterator[bytes]) -> None:
        """A body of no known length, a chunk at a time."""
        self.send_response(200)
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)

    def wait(self) -> None:
        """Say nothing until the server closes."""
        self.server.closing.wait(60)

    def pause(self) -> bool:
        return not self.server.closing.wait(0.05)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A local server, over TLS where a certificate is given."""

    daemon_threads = True

    def __init__(self, contents: dict[str, bytes], certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents, self.asked, self.closing = contents, Counter[tuple[str, str]](), threading.Event()
        self.url = f"{'https' if certificate else 'http'}://localhost:{self.server_port}"
        self.elsewhere = ""  # where redirects go
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A client that has left is what many of these tests want."""

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: Any) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


def status(code: int) -> Callable[[Handler, bytes], None]:
    return lambda handler, body: handler.answer(b"<h1>Sorry</h1>", code)


def dribble(handler: Handler, body: bytes) -> None:
    """A byte now and then: never silent, never done."""
    with suppress(OSError):
        handler.send_open(bytes([byte]) for byte in body if handler.pause())


def dribble_headers(handler: Handler, body: bytes) -> None:
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while handler.pause():
            handler.wfile.write(b"x")


def endless_headers(handler: Handler, body: bytes) -> None:
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not handler.server.closing.is_set():
            handler.wfile.write(b"X: " + b"x" * 1000 + b"\r\n")


def stop_half_way(handler: Handler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wait()


def endless(handler: Handler, body: bytes) -> None:
    with suppress(OSError):
        handler.send_open(iter(lambda: bytes(1 << 20), None))


def bomb(handler: Handler, body: bytes) -> None:
    """A gigabyte of zeros, as a Content-Encoding."""
    handler.answer(BOMB, Content_Encoding="gzip")


def wrong(handler: Handler, body: bytes) -> None:
    handler.answer(body[:-1] + bytes([body[-1] ^ 1]))


def drop(handler: Handler, body: bytes) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def nonsense(handler: Handler, body: bytes) -> None:
    handler.wfile.write(b"\x16\x03\x01 SSH-2.0\r\n\r\n")


def flaky(handler: Handler, body: bytes) -> None:
    """503 the first time, fine the second."""
    asked = sum(count for (behaviour, name), count in handler.server.asked.items() if handler.path.endswith(name))
    handler.answer(body, 503 if asked == 1 else 200)


def compressed_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(256)]
    return b"".join([*parts, packer.flush()])


BOMB = compressed_bomb()  # 250 KB that unpack to 256 MB
PAGE = b"<!DOCTYPE html><title>Welcome to the hotel's network</title>" * 10

BEHAVIOURS: dict[str, Callable[[Handler, bytes], None]] = {
    "good": lambda handler, body: handler.answer(body),
    "good-open": lambda handler, body: handler.send_open(iter([body])),
    "flaky": flaky,
    "403": status(403),
    "404": status(404),
    "410": status(410),
    "429": status(429),
    "500": status(500),
    "503": status(503),
    "later": lambda handler, body: handler.answer(b"", 503, Retry_After="86400"),
    "silent": lambda handler, body: handler.wait(),
    "half": stop_half_way,
    "dribble": dribble,
    "dribble-headers": dribble_headers,
    "endless-headers": endless_headers,
    "drop": drop,
    "nonsense": nonsense,
    "cut": lambda handler, body: handler.answer(body[:-10], length=len(body)),
    "cut-open": lambda handler, body: handler.send_open(iter([body[:-10]])),
    "cut-honest": lambda handler, body: handler.answer(body[:-10]),
    "empty": lambda handler, body: handler.answer(b""),
    "no-content": lambda handler, body: handler.answer(b"", 204),
    "page": lambda handler, body: handler.answer(PAGE, Content_Type="text/html"),
    "wrong": wrong,
    "mnist": lambda handler, body: handler.answer(body[::-1]),
    "longer": lambda handler, body: handler.answer(body + b"more"),
    "huge-length": lambda handler, body: handler.answer(body[:-10], length=10**15),
    "bad-length": lambda handler, body: handler.answer(body[:-10], Content_Length="ten"),
    "endless": endless,
    "bomb": bomb,
    "loop": lambda handler, body: handler.answer(b"", 302, Location=handler.path),
    "to-file": lambda handler, body: handler.answer(b"", 302, Location="file:///etc/passwd"),
    "to-nowhere": lambda handler, body: handler.answer(b"", 301, Location="http://"),
    "elsewhere": lambda handler, body: handler.answer(
        b"", 302, Location=f"{handler.server.elsewhere}/{handler.path.rsplit('/', 1)[1]}"
    ),
}
GOOD = ["good", "good-open", "flaky"]
BAD = [name for name in BEHAVIOURS if name not in (*GOOD, "elsewhere")]
SAID = {
    "403": "403 Client Error",
    "404": "404 Client Error",
    "429": "too many 429 error responses",
    "500": "too many 500 error responses",
    "503": "too many 503 error responses",
    "silent": "Read timed out",
    "half": "Read timed out",
    "dribble": "not done after 2 s",
    "dribble-headers": "not done after 2 s",
    "cut-open": "sent 24[0-9]* bytes of|sent [0-9]+ bytes of [0-9]+",
    "cut-honest": "sent [0-9]+ bytes of [0-9]+",
    "empty": "sent 0 bytes of [0-9]+",
    "page": "bytes",
    "wrong": "SHA256 hash .* does not match",
    "mnist": "SHA256 hash .* does not match",
    "longer": "sends more than the file's [0-9]+ bytes",
    "endless": "sends more than the file's [0-9]+ bytes",
    "bomb": "bytes|does not match",
    "loop": "Exceeded 5 redirects",
    "to-file": "No connection adapters were found",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(CONTENTS) as server:
        yield server


def bring(mirrors: list[str], folder: Path, timeouts: Timeouts = TIMEOUTS) -> None:
    started = time.monotonic()
    try:
        fetch(PINNED, mirrors, folder, ADVICE, timeouts)
    finally:
        assert time.monotonic() - started < LIMIT


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("behaviour", GOOD)
def test_a_mirror_that_has_them_gives_them(behaviour: str, server: Server, tmp_path: Path) -> None:
    server.asked.clear()
    bring([f"{server.url}/{behaviour}/"], tmp_path)
    assert contents(tmp_path) == CONTENTS


@pytest.mark.parametrize("behaviour", all_but(["404", "503", "cut", "page", "wrong", "silent"], BAD))
def test_a_bad_mirror_is_passed_over_and_alone_is_a_clear_error(
    behaviour: str, server: Server, tmp_path: Path, state: State
) -> None:
    server.asked.clear()
    bad, good = f"{server.url}/{behaviour}", f"{server.url}/good"
    bring([bad, good], tmp_path / "saved")
    assert contents(tmp_path / "saved") == CONTENTS
    with pytest.raises(InputError) as caught:
        bring([bad], tmp_path / "lost")
    first, why, advice = str(caught.value).splitlines()
    assert first == "no mirror gave images.gz, labels.gz:"
    assert why.startswith(f"  {bad}: images.gz: ")
    assert why.isprintable()
    assert len(why) < 500
    assert re.search(SAID.get(behaviour, ""), why), why
    assert advice == ADVICE
    assert contents(tmp_path / "lost") == {}
    assert server.asked[behaviour, "images.gz"] <= 2 * 6, "two fetches, each with at most 5 redirects"
    assert server.asked[behaviour, "labels.gz"] == 0, "a bad mirror is left at its first file"
    state("mirrors that misbehave: passed over for the next, and a clear error alone", kinds=1)


def test_all_of_them_are_named_and_none_is_asked_for_what_came(server: Server, tmp_path: Path) -> None:
    """A mirror that has one of two files is used for that one."""
    with Server({"images.gz": CONTENTS["images.gz"]}) as other:
        server.asked.clear()
        bring([f"{other.url}/good", f"{server.url}/good"], tmp_path / "a")
        assert contents(tmp_path / "a") == CONTENTS
        assert dict(server.asked) == {("good", "labels.gz"): 1}
    closed = f"http://127.0.0.1:{free_port()}"
    mirrors = [closed, f"{server.url}/404", str(tmp_path / "nowhere"), "https://", "http://[", "~nobody/x", "ftp://x"]
    with pytest.raises(InputError) as caught:
        bring(mirrors, tmp_path / "b")
    assert [line.split(": ")[0].strip() for line in str(caught.value).splitlines()[1:-1]] == mirrors
    assert "Connection refused" in str(caught.value)
    assert contents(tmp_path / "b") == {}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_folder_as_a_mirror(tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, data in CONTENTS.items():
        (folder / name).write_bytes(data)
    bring([str(folder)], tmp_path / "a")
    assert contents(tmp_path / "a") == CONTENTS

    def become(make: Callable[[Path], object]) -> str:
        path = folder / "labels.gz"
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        make(path)
        with pytest.raises(InputError) as caught:
            bring([str(folder)], tmp_path / "b")
        assert "labels.gz" in str(caught.value)
        shutil.rmtree(tmp_path / "b")
        return str(caught.value)

    assert "does not match" in become(lambda path: path.write_bytes(bytes(PINNED["labels.gz"].size)))
    assert "No such file" in become(lambda path: None)
    become(Path.mkdir)
    become(os.mkfifo)  # which nobody writes to
    become(lambda path: path.symlink_to("/dev/zero"))

    def grow(path: Path) -> None:
        path.touch()
        os.truncate(path, 1 << 40)  # a terabyte, sparse

    assert f"has {1 << 40} bytes of" in become(grow)


def test_what_lies_there_already_is_checked_too(server: Server, tmp_path: Path) -> None:
    (tmp_path / "labels.gz").write_bytes(b"half")
    bring([f"{server.url}/good"], tmp_path)
    assert contents(tmp_path) == CONTENTS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key."""
    folder = tmp_path_factory.mktemp("certificate")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    try:
        subprocess.run(
            [*command.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("needs openssl, to make a certificate")
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


def test_https_stays_https(certificate: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(CONTENTS, certificate) as secure:
        with pytest.raises(InputError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            bring([f"{secure.url}/good"], tmp_path / "unknown")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        bring([f"{secure.url}/good"], tmp_path / "known")
        assert contents(tmp_path / "known") == CONTENTS

        secure.elsewhere, server.elsewhere = f"{server.url}/good", f"{secure.url}/good"
        server.asked.clear()
        with pytest.raises(InputError, match="No connection adapters were found for 'http://"):
            bring([f"{secure.url}/elsewhere"], tmp_path / "down")
        assert not server.asked, "not a byte is asked for over http"
        bring([f"{server.url}/elsewhere"], tmp_path / "up")  # from the http that the user named to https is fine
        assert contents(tmp_path / "up") == CONTENTS
        secure.elsewhere = f"{secure.url}/good"
        bring([f"{secure.url.upper().replace('LOCALHOST', 'localhost')}/elsewhere"], tmp_path / "same")
        assert contents(tmp_path / "same") == CONTENTS


FETCH = """
import resource, sys
from pathlib import Path
from stages.shared.process.errors import InputError
from stages.shared.process.mirrors import Timeouts, Pinned, fetch

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB

folder, good, *bad = sys.argv[1:]
small = {"labels.gz": Pinned(26, "0" * 64)}
large = {"labels.gz": Pinned(10**9, "0" * 64)}  # so that all of it is taken
for files, mirrors in ((small, [good]), (small, bad), (large, bad)):
    try:
        fetch(files, mirrors, Path(folder), "", Timeouts(0.5, 2))
    except InputError as error:
        print(error, file=sys.stderr)
    print(peak())
"""


SAVE = f"""
import sys
from pathlib import Path
from stages.shared.process.errors import explain
from stages.shared.process.mirrors import Pinned, fetch

try:
    fetch({{"images.gz": {PINNED["images.gz"]}}}, sys.argv[2:], Path(sys.argv[1]), "")
except Exception as error:
    print(explain(error))
""".replace("'", '"')


@faults
def test_memory_is_bounded(server: Server, tmp_path: Path, state: State) -> None:
    """Neither an endless body nor one that unpacks without end takes more than any other."""
    pytest.importorskip("resource")
    bad = [f"{server.url}/{behaviour}" for behaviour in ("bomb", "endless", "endless-headers", "huge-length")]
    command = [sys.executable, "-c", FETCH, str(tmp_path), f"{server.url}/good", *bad]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    first, *others = [float(line) for line in result.stdout.split()]
    assert max(others) - first < 20, f"MiB: {first}, {others}; {result.stderr}"
    assert contents(tmp_path) == {}
    state("mirrors that send without end: memory they take", MiB=max(0, round(max(others) - first)))


# The stage itself. Its own mirrors are out of reach through a proxy that isn't there.


def run_download(project: Project, mirror: str) -> subprocess.CompletedProcess[str]:
    project.edit({"download": {"source": "data/fashion-mnist.yaml"}})
    nowhere = f"http://127.0.0.1:{free_port()}"
    return project.stage(
        "download",
        {"FASHION_MNIST_MIRROR": mirror, "HTTPS_PROXY": nowhere, "https_proxy": nowhere, "NO_PROXY": "localhost"},
    )


MNIST_LIKE = {name: bytes([0x1F, 0x8B]).ljust(pinned.size, b"\0") for name, pinned in FILES.items()}


@faults
@pytest.mark.parametrize("behaviour", ["404", "page", "mnist", "cut", ""])
def test_the_stage_says_what_went_wrong_at_each_mirror_and_leaves_all_as_it_was(
    behaviour: str, project: Project
) -> None:
    before = project.contents()
    with Server(MNIST_LIKE) as other:
        mirror = f"{other.url}/{behaviour}" if behaviour else "nowhere/at/all"
        result = run_download(project, mirror)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert lines[0] == f"no mirror gave {', '.join(FILES)}:"
    assert [line.split(": ")[0].strip() for line in lines[1:-1]] == [
        mirror,
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
    ]
    assert "FASHION_MNIST_MIRROR" in lines[-1]
    assert "make demo" in lines[-1]
    assert project.contents() == before


def originals() -> Path:
    named = os.environ.get("FASHION_MNIST_MIRROR", "")
    folder = Path(named) if named and Path(named).is_dir() else ROOT.parent / "shared" / "fashion-mnist"
    if not folder.is_dir():
        pytest.skip("needs the originals, in FASHION_MNIST_MIRROR or ../shared/fashion-mnist")
    return folder


@faults
@pytest.mark.parametrize("behaviour", ["flaky", "folder"])
def test_the_originals_from_an_http_mirror_that_the_user_names(behaviour: str, project: Project) -> None:
    folder = originals()
    with Server({name: (folder / name).read_bytes() for name in FILES}) as other:
        result = run_download(project, str(folder) if behaviour == "folder" else f"{other.url}/{behaviour}")
    assert result.returncode == 0, result.stderr
    classes = project.contents("data/download")["data/download/dataset.json"]
    assert b'"dataset": "fashion-mnist"' in classes
    images = np.load(project.root / "data/download/train_images.npy")
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        assert file.read()[16:] == images.tobytes()
    assert not list((project.root / "data/download").glob(".partial*"))


@faults
def test_what_was_fetched_once_needs_no_network(project: Project) -> None:
    """An edit of params that this data set doesn't use runs the download again, without a mirror."""
    result = run_download(project, str(originals()))
    assert result.returncode == 0, result.stderr
    before = project.contents("data/download")
    project.edit({"download": {"test_share": 0.5, "seed": 3}})
    assert run_download(project, "nowhere/at/all").returncode == 0
    assert project.contents("data/download") == before, "it is split already"
    kept = next((project.root / ".download_cache").rglob("t10k-images*"))
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    result = run_download(project, "nowhere/at/all")
    assert result.returncode == 1
    assert result.stderr.startswith("no mirror gave t10k-images-idx3-ubyte.gz:"), "what has rotted is not taken"


@pytest.mark.skipif(not can_mount(), reason="needs Linux and the right to mount")
@pytest.mark.parametrize("disk", ["-o size=4k tmpfs {0} && head -c 4096 /dev/zero >{0}/full", "-o ro tmpfs {0}"])
def test_a_disk_that_takes_nothing_is_no_mirrors_fault(disk: str, server: Server, tmp_path: Path) -> None:
    """Neither a full one nor one that is read only."""
    folder = tmp_path / "saved"
    folder.mkdir()
    command = f"exec {sys.executable} -c '{SAVE}' {folder} {server.url}/good"
    script = f"mount -t tmpfs {disk.format(folder)} && {command}"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.stdout.startswith(str(folder)), result.stdout + result.stderr
    assert re.search("No space left|Read-only", result.stdout)
