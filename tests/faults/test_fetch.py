"""Fetching from real servers that misbehave: the next one's file, or a clear error in bounded time."""

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
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.shared.images.dataset_spec import DatasetSpec
from stages.shared.runtime.errors import InputError
from stages.shared.runtime.fetch import Limits, fetch
from tests.faults.marks import all_but, faults
from tests.project import ROOT, Project
from tests.unshare import can_mount

LIMITS = Limits(silence=0.5, total=2, rate=1e9, tries=2)
NAME = "images.gz"
BODY = np.random.default_rng(0).bytes(100_000)
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
MD5 = f"md5:{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    """Answers `/behavior/name` as the function of that name below does."""

    server: "Server"

    def do_GET(self) -> None:
        _, behavior, name = self.path.split("/", 2)
        self.server.asked[behavior, name] += 1
        BEHAVIORS[behavior](self, self.server.contents.get(name, b""))

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
        with suppress(OSError):
            for chunk in chunks:
                self.wfile.write(chunk)

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


def flaky(handler: Handler, body: bytes) -> None:
    """503 the first time, fine the second."""
    handler.answer(body, 503 if handler.server.asked["flaky", handler.path.split("/")[-1]] == 1 else 200)


def silent(handler: Handler, body: bytes) -> None:
    handler.server.closing.wait(60)


def nonsense(handler: Handler, body: bytes) -> None:
    handler.wfile.write(b"\x16\x03\x01 SSH-2.0\r\n\r\n")


def dribble(handler: Handler, body: bytes) -> None:
    """A byte now and then: never silent, never done."""
    handler.send_open(bytes([byte]) for byte in body if not handler.server.closing.wait(0.05))


BEHAVIORS: dict[str, Callable[[Handler, bytes], None]] = {
    "good": lambda handler, body: handler.answer(body),
    "flaky": flaky,
    "missing": lambda handler, body: handler.answer(b"<h1>Sorry</h1>", 404),
    "busy": lambda handler, body: handler.answer(b"", 503, Retry_After="86400"),
    "silent": silent,
    "dribble": dribble,
    "nonsense": nonsense,
    "cut": lambda handler, body: handler.answer(body[:-10], length=len(body)),
    "short": lambda handler, body: handler.answer(body[:-10]),
    "wrong": lambda handler, body: handler.answer(body[:-1] + bytes([body[-1] ^ 1])),
    "endless": lambda handler, body: handler.send_open(iter(lambda: bytes(1 << 20), None)),
    # Packed once more: a client that unpacks it has the wrong bytes, or too many.
    "packed": lambda handler, body: handler.answer(gzip.compress(bytes(1 << 26), 1), Content_Encoding="gzip"),
    "loop": lambda handler, body: handler.answer(b"", 302, Location=handler.path),
    "to-file": lambda handler, body: handler.answer(b"", 302, Location="file:///etc/passwd"),
    "elsewhere": lambda handler, body: handler.answer(b"", 302, Location=f"{handler.server.elsewhere}/good/{NAME}"),
}
SAID = {
    "missing": "404 Client Error",
    "busy": "too many 503 error responses",
    "silent": "Read timed out",
    "dribble": "not complete after 2",
    "nonsense": "",
    "cut": "IncompleteRead|sent [0-9]+ of [0-9]+ bytes",
    "short": "sent [0-9]+ of [0-9]+ bytes",
    "wrong": "SHA256 hash .* does not match",
    "endless": "sends more than the file's [0-9]+ bytes",
    "packed": "sends more than the file's [0-9]+ bytes",
    "loop": "Exceeded 5 redirects",
    "to-file": "No connection adapters were found",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({NAME: BODY}) as server:
        yield server


def bring(urls: list[str], folder: Path, known_hash: str = SHA256, size: int | None = len(BODY)) -> int:
    return fetch(urls, folder / NAME, known_hash, size, "advice", LIMITS)


@pytest.mark.parametrize("behavior", all_but([name for name in SAID if name not in ("silent", "dribble")], list(SAID)))
def test_a_bad_url_is_passed_over_and_alone_is_a_clear_error(behavior: str, server: Server, tmp_path: Path) -> None:
    bad, good = f"{server.url}/{behavior}/{NAME}", f"{server.url}/good/{NAME}"
    assert bring([bad, good], tmp_path / "saved") == 1
    assert (tmp_path / "saved" / NAME).read_bytes() == BODY
    with pytest.raises(InputError) as caught:
        bring([bad], tmp_path / "lost")
    first, why, advice = str(caught.value).splitlines()
    assert (first, advice) == (f"{NAME}: could not be downloaded:", "advice")
    assert why.startswith(f"  {bad}: ")
    assert why.isprintable()
    assert len(why) < 500
    assert re.search(SAID[behavior], why), why
    assert not list((tmp_path / "lost").iterdir())


def test_a_server_that_recovers_gives_it(server: Server, tmp_path: Path) -> None:
    assert bring([f"{server.url}/flaky/{NAME}"], tmp_path) == 0
    assert (tmp_path / NAME).read_bytes() == BODY


def test_an_md5_will_do_and_the_size_may_be_unknown(server: Server, tmp_path: Path) -> None:
    urls = [f"{server.url}/{behavior}/{NAME}" for behavior in ("wrong", "short", "good")]
    assert bring(urls, tmp_path, MD5, None) == 2
    assert (tmp_path / NAME).read_bytes() == BODY
    with pytest.raises(InputError, match=r"MD5 hash .* does not match"):
        bring(urls[:2], tmp_path / "lost", MD5, None)


def test_what_is_there_is_checked_and_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.asked.clear()
    (tmp_path / NAME).write_bytes(b"half")
    for _ in range(2):
        bring([f"{server.url}/good/{NAME}"], tmp_path)
        assert (tmp_path / NAME).read_bytes() == BODY
    assert server.asked == {("good", NAME): 1}


def test_each_url_that_failed_is_named(tmp_path: Path) -> None:
    urls = [
        f"http://127.0.0.1:{free_port()}",
        str(tmp_path / "nowhere"),
        "https://",
        "http://[",
        "~nobody/x",
        "ftp://x",
    ]
    with pytest.raises(InputError) as caught:
        bring(urls, tmp_path / "b")
    assert [line.split(": ")[0].strip() for line in str(caught.value).splitlines()[1:-1]] == urls
    assert "Connection refused" in str(caught.value)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_local_path(tmp_path: Path) -> None:
    path = tmp_path / "mirror" / NAME
    path.parent.mkdir()
    path.write_bytes(BODY)
    bring([str(path)], tmp_path / "a")
    assert (tmp_path / "a" / NAME).read_bytes() == BODY

    def become(make: Callable[[Path], object]) -> str:
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        make(path)
        with pytest.raises(InputError) as caught:
            bring([str(path)], tmp_path / "b")
        return str(caught.value)

    assert "does not match" in become(lambda path: path.write_bytes(bytes(len(BODY))))
    assert "No such file" in become(lambda path: None)
    assert "expected a file" in become(Path.mkdir)
    assert "expected a file" in become(os.mkfifo)  # which nobody writes to
    assert "expected a file" in become(lambda path: path.symlink_to("/dev/zero"))

    def grow(path: Path) -> None:
        path.touch()
        os.truncate(path, 1 << 40)  # a terabyte, sparse

    assert f"has {1 << 40} bytes, expected" in become(grow)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
        "-keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


def test_https_stays_https(certificate: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server({NAME: BODY}, certificate) as secure:
        with pytest.raises(InputError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            bring([f"{secure.url}/good/{NAME}"], tmp_path / "unknown")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        bring([f"{secure.url}/good/{NAME}"], tmp_path / "known")

        secure.elsewhere, server.elsewhere = server.url, secure.url
        server.asked.clear()
        for url in (secure.url, secure.url.replace("https", "HTTPS")):
            with pytest.raises(InputError, match="No connection adapters were found for 'http://"):
                bring([f"{url}/elsewhere/{NAME}"], tmp_path / "down")
        assert not server.asked, "not a byte is asked for over http"
        bring([f"{server.url}/elsewhere/{NAME}"], tmp_path / "up")  # from the http that the user named to https is fine
        secure.elsewhere = secure.url
        bring([f"{secure.url}/elsewhere/{NAME}"], tmp_path / "same")


SAVE = """
import sys
from pathlib import Path
from stages.shared.runtime.errors import explain
from stages.shared.runtime.fetch import fetch

try:
    fetch(sys.argv[2:3], Path(sys.argv[1], "images.gz"), sys.argv[3])
except Exception as error:
    print(explain(error))
"""


@pytest.mark.skipif(not can_mount(), reason="needs Linux and the right to mount")
@pytest.mark.parametrize(("disk", "said"), [("size=4k", "No space left"), ("ro", "Read-only")])
def test_a_disk_that_takes_nothing_is_no_servers_fault(disk: str, said: str, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (tmp_path / "save.py").write_text(SAVE)
    command = f"mount -t tmpfs -o {disk} tmpfs {folder} && exec {sys.executable} {tmp_path}/save.py {folder} $1 $2"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, "sh", f"{server.url}/good/{NAME}", SHA256],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.stdout.startswith(str(folder)), result.stdout + result.stderr
    assert said in result.stdout


# The stage itself. Its own mirrors are out of reach through a proxy that isn't there.

KNOWN = DatasetSpec.load(ROOT / "data/fashion-mnist.yaml").torchvision
assert KNOWN is not None
FILES = KNOWN.files


def run_download(project: Project, mirror: str) -> subprocess.CompletedProcess[str]:
    project.edit({"download": {"source": "data/fashion-mnist.yaml"}})
    nowhere = f"http://127.0.0.1:{free_port()}"
    return project.stage(
        "download",
        {"FASHION_MNIST_MIRROR": mirror, "HTTPS_PROXY": nowhere, "https_proxy": nowhere, "NO_PROXY": "localhost"},
    )


@faults
def test_the_stage_says_what_went_wrong_at_each_mirror_and_leaves_all_as_it_was(project: Project) -> None:
    before = project.contents()
    like_mnist = {name: bytes([0x1F, 0x8B]).ljust(pinned.size or 0, b"\0") for name, pinned in FILES.items()}
    with Server(like_mnist) as other:
        mirror = f"{other.url}/good"
        result = run_download(project, mirror)
        assert len(other.asked) == 1, "a bad mirror is left at its first file"
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0] == f"{next(iter(FILES))}: could not be downloaded:"
    hosts = [mirror, "https://fashion-mnist.s3", "https://github.com/zalandoresearch"]
    assert all(line.strip().startswith(host) for line, host in zip(lines[1:-1], hosts, strict=True))
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
def test_the_originals_from_an_http_mirror_and_again_without_a_network(project: Project) -> None:
    """An edit of params that this data set doesn't use runs the download again, without a mirror."""
    folder = originals()
    with Server({name: (folder / name).read_bytes() for name in FILES}) as other:
        result = run_download(project, f"{other.url}/flaky")
    assert result.returncode == 0, result.stderr
    assert b'"dataset": "fashion-mnist"' in (project.root / "data/download/dataset.json").read_bytes()
    images = np.load(project.root / "data/download/train_images.npy")
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        assert file.read()[16:] == images.tobytes()
    before = project.contents("data/download")
    project.edit({"download": {"test_share": 0.5, "seed": 3}})
    assert run_download(project, "nowhere/at/all").returncode == 0
    assert project.contents("data/download") == before, "it is split already"
    kept = next((project.root / ".download_cache").rglob("t10k-images*"))
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    result = run_download(project, "nowhere/at/all")
    assert result.returncode == 1
    assert result.stderr.startswith("t10k-images-idx3-ubyte.gz: could not be downloaded:"), (
        "what has rotted is not taken"
    )
