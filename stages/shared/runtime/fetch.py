"""Download a file from the first mirror that delivers it with the expected hash."""

import errno
import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
import urllib3
from tqdm import tqdm

from stages.shared.runtime.errors import InputError

_CHUNK = 1 << 16  # bytes
_LARGE = 2_000_000_000  # bytes, assumed if the size is unknown
_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


@dataclass(frozen=True)
class Limits:
    """Limits of a download from one mirror.

    silence: seconds without data.
    rate, total: a file may take its size / `rate` (bytes/s), plus `total` seconds.
    tries: number of connection attempts.
    """

    silence: float = 15
    total: float = 900
    rate: float = 100_000
    tries: int = 3


def fetch(
    urls: Sequence[str],
    path: Path,
    known_hash: str,
    size: int | None = None,
    advice: str = "",
    limits: Limits = Limits(),
) -> int:
    """Download a file to `path`, unless it is already there; return the index of the URL that was used.

    urls: https, http or local paths, tried in order; an https URL is never redirected to another scheme.
    known_hash: "sha256:…" or "md5:…", which the file must have. size: in bytes, None if unknown.
    advice: what the user can do, the last line of the error.

    Raises `InputError` with the error of each URL; `OSError` if the disk fails. A server that sends its headers one
    byte at a time is not limited.
    """
    pooch.get_logger().setLevel(logging.ERROR)
    failures = []
    for index, url in enumerate(urls):
        remote = url.lower().startswith(("https://", "http://"))
        # Relative paths are relative to the project, even when `dvc exp run --temp` runs in a copy.
        source = url if remote else str(Path(os.environ.get("DVC_ROOT", ""), os.path.expanduser(url)))  # noqa: PTH111
        try:
            pooch.retrieve(
                source, known_hash, path.name, path.parent, downloader=(_Http if remote else _Copy)(size, limits)
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _DISK_FAULTS:
                raise OSError(error.errno, error.strerror, str(path.parent)) from error
            failures.append(f"  {url}: {_reason(error)}")
        else:
            return index
    raise InputError("\n".join([f"{path.name}: could not be downloaded:", *failures, *([advice] if advice else [])]))


@dataclass(frozen=True)
class _Copy:
    """A pooch downloader that copies a local path."""

    size: int | None
    limits: Limits

    def __call__(self, source: str, target: str, _: Any) -> None:
        path = Path(source)
        if not path.is_file():
            path.stat()  # raises if it does not exist
            raise ValueError("expected a file")
        if self.size not in (None, actual := path.stat().st_size):
            raise ValueError(f"has {actual} bytes, expected {self.size}")
        shutil.copyfile(source, target)


@dataclass(frozen=True)
class _Http:
    """A pooch downloader with limits on size and total time; it refuses redirects from https to another scheme."""

    size: int | None
    limits: Limits

    def __call__(self, url: str, target: str, _: Any) -> None:
        total = self.limits.total + (self.size or _LARGE) / self.limits.rate
        deadline, received = time.monotonic() + total, 0
        # With a Content-Encoding, requests would unpack a file whose hash is that of the packed one.
        headers = {"Accept-Encoding": "identity"}
        with (
            self._session(url) as session,
            session.get(url, headers=headers, stream=True, timeout=self.limits.silence) as response,
            Path(target).open("wb") as file,
            tqdm(total=self.size, desc=Path(url).name, unit="B", unit_scale=True, leave=False, disable=None) as bar,
        ):
            response.raise_for_status()
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                received += len(chunk)
                if self.size is not None and received > self.size:
                    raise ValueError(f"sends more than the file's {self.size} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not complete after {total:g} s")
                bar.update(file.write(chunk))
        if self.size not in (None, received):
            raise ValueError(f"sent {received} of {self.size} bytes")

    def _session(self, url: str) -> requests.Session:
        statuses = [429, 500, 502, 503, 504]
        retries = urllib3.Retry(
            self.limits.tries - 1, backoff_factor=0.5, status_forcelist=statuses, respect_retry_after_header=False
        )
        session = requests.Session()
        session.max_redirects = 5
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=retries))
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
        if url.lower().startswith("https://"):
            del session.adapters["http://"]
        return session


def _reason(error: Exception) -> str:
    cause = getattr(error.args[0], "reason", error) if error.args else error  # the last error of urllib3's retries
    text = " ".join(str(getattr(cause, "strerror", None) or cause).split())
    return f"{type(cause).__name__}: {text:.300}"
