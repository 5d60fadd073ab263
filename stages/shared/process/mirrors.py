"""Files of known size and SHA-256, fetched from the first mirror that has them right."""

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import pooch
import requests
import urllib3
from tqdm import tqdm

from stages.shared.process.errors import InputError

_CHUNK = 1 << 16  # bytes
# What only writing fails with: a full disk, a quota, one that is read only.
_NO_MIRRORS_FAULT = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


@dataclass(frozen=True)
class Pinned:
    """What a file must be: its size in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Timeouts:
    """When a mirror is given up: seconds of silence, seconds a file, tries before the body begins."""

    silence: float = 15
    total: float = 900
    tries: int = 3


def fetch(
    files: Mapping[str, Pinned], mirrors: Sequence[str], folder: Path, advice: str, timeouts: Timeouts = Timeouts()
) -> None:
    """Bring `files` into `folder`, each checked against its hash, from `mirrors`: URLs or folders, tried in order.

    Any failure of a mirror, a wrong hash included, moves on to the next, which is asked only for what is still missing.
    Raises `InputError`, with what went wrong at each mirror and `advice`, when none is left.
    """
    pooch.get_logger().setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: pinned for name, pinned in files.items() if not _is_there(folder / name, pinned)}
    failures = []
    for mirror in mirrors:
        try:
            for name, pinned in list(wanted.items()):
                _fetch_one(mirror, name, pinned, folder, timeouts)
                del wanted[name]
            return
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _NO_MIRRORS_FAULT:
                raise OSError(error.errno, error.strerror, str(folder)) from error
            failures.append(f"  {mirror}: {name}: {_reason(error)}")
    raise InputError("\n".join([f"no mirror gave {', '.join(wanted)}:", *failures, advice]))


def _is_there(path: Path, pinned: Pinned) -> bool:
    return path.is_file() and path.stat().st_size == pinned.size and pooch.file_hash(str(path)) == pinned.sha256


def _fetch_one(mirror: str, name: str, pinned: Pinned, folder: Path, timeouts: Timeouts) -> None:
    remote = mirror.lower().startswith(("https://", "http://"))
    root = os.environ.get("DVC_ROOT", "")  # the project, also where `dvc exp run --temp` runs this elsewhere
    source = f"{mirror.rstrip('/')}/{name}" if remote else str(Path(root, os.path.expanduser(mirror), name))  # noqa: PTH111
    downloader = _Http(source, pinned.size, timeouts) if remote else partial(_copy, pinned.size)
    pooch.retrieve(source, f"sha256:{pinned.sha256}", name, folder, downloader=downloader)


def _copy(size: int, source: str, target: str, _: Any) -> None:
    found = Path(source).stat().st_size
    if found != size:
        raise ValueError(f"has {found} bytes of {size}")
    shutil.copyfile(source, target)


class _Http:
    """A pooch downloader that bounds what pooch's own leaves open: the size, the whole time, redirects off https."""

    def __init__(self, url: str, size: int, timeouts: Timeouts) -> None:
        self.size, self.timeouts = size, timeouts
        retries = urllib3.Retry(
            timeouts.tries - 1,
            backoff_factor=0.5,
            status_forcelist=[429, 500, 502, 503, 504],
            respect_retry_after_header=False,
        )
        adapter = requests.adapters.HTTPAdapter(max_retries=retries)
        self.session = requests.Session()
        self.session.max_redirects = 5
        self.session.adapters.clear()
        for scheme in ("https://", "http://") if url.lower().startswith("http://") else ("https://",):
            self.session.mount(scheme, adapter)

    def __call__(self, url: str, target: str, _: Any) -> None:
        # In a thread, to be left alone when its time is over: a server that sends its headers a byte at a time, never
        # silent for long, holds up whoever reads them.
        done: Future[None] = Future()
        deadline = time.monotonic() + self.timeouts.total
        threading.Thread(target=self._receive, args=(done, url, Path(target), deadline), daemon=True).start()
        try:
            done.result(self.timeouts.total)
        except TimeoutError:
            raise self._too_slow() from None

    def _receive(self, done: "Future[None]", url: str, target: Path, deadline: float) -> None:
        try:
            self._get(url, target, deadline)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is raised where the result is waited for)
            done.set_exception(error)
        else:
            done.set_result(None)

    def _get(self, url: str, target: Path, deadline: float) -> None:
        # Identity, and the raw stream below: a server's Content-Encoding must not unpack what is pinned packed.
        headers = {"Accept-Encoding": "identity"}
        with self.session.get(url, headers=headers, stream=True, timeout=self.timeouts.silence) as response:
            response.raise_for_status()
            if time.monotonic() > deadline:
                raise self._too_slow()
            with target.open("wb") as file:
                self._drain(response, file, Path(url).name, deadline)

    def _drain(self, response: requests.Response, file: IO[bytes], name: str, deadline: float) -> None:
        received = 0
        with tqdm(total=self.size, desc=name, unit="B", unit_scale=True, leave=False, disable=None) as progress:
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                received += len(chunk)
                if received > self.size:
                    raise ValueError(f"sends more than the file's {self.size} bytes")
                if time.monotonic() > deadline:
                    raise self._too_slow()
                file.write(chunk)
                progress.update(len(chunk))
        if received < self.size:
            raise ValueError(f"sent {received} bytes of {self.size}")

    def _too_slow(self) -> TimeoutError:
        return TimeoutError(f"not done after {self.timeouts.total:g} s")


def _reason(error: Exception) -> str:
    cause = getattr(error.args[0], "reason", error) if error.args else error  # what urllib3's retries ended on
    text = " ".join(str(getattr(cause, "strerror", None) or cause).split())
    return f"{type(cause).__name__}: {text:.300}"
