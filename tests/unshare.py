"""What starts a command in namespaces of its own, where this user may have them."""

import shutil
import subprocess
from functools import cache


@cache
def can_unshare(*flags: str, command: tuple[str, ...] = ("true",)) -> bool:
    """Whether this user may run `command` in new namespaces of those kinds."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", *flags, *command], capture_output=True, check=False).returncode == 0


def can_mount() -> bool:
    """Whether this user may mount a file system in a mount namespace of the command's own."""
    return can_unshare("--mount", command=("mount", "-t", "tmpfs", "tmpfs", "/mnt"))


def without_network() -> list[str]:
    """What starts a command without a network, or nothing where this user may not."""
    return ["unshare", "--net"] if can_unshare("--net") else []
