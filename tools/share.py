"""Push all that the run cache knows to a DVC remote, so that another clone gets it instead of running it.

`dvc push --run-cache` leaves out the files that git keeps (metrics and plots with `cache: false`), of which the run
cache holds a copy; without them a stage runs again elsewhere. `python tools/share.py [remote]`, in the project's root;
the other clone takes what it needs with `dvc fetch --run-cache` and `dvc repro --pull`.

`stage_cache` and `cloud` are no public interface of DVC: tests/test_share.py guards what is used of them.
"""

import sys

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo


def main(remote: str | None = None) -> None:
    """Push to `remote`, or to the default one, and say how much; ends with a line where that fails."""
    try:
        with Repo() as repo, lock_repo(repo):
            runs, files = share(repo, remote)
    except DvcException as error:
        sys.exit(f"share: {error}")
    print(f"{runs} runs of stages are on the remote now, {files} of their files were new to it")


def share(repo: Repo, remote: str | None) -> tuple[int, int]:
    """Gives how many runs of stages the remote has from here, and how many files had to be sent."""
    repo.cloud.get_remote(remote, "push")  # says what is missing where there is none
    runs = repo.stage_cache.push(remote)
    files = 0
    for objects in repo.stage_cache.get_used_objs(runs, remote=remote, force=True).values():
        sent = repo.cloud.push(objects, remote=remote)
        if sent.failed:
            raise DvcException(f"not sent: {len(sent.failed)} of the files; said again, it sends only these")
        files += len(sent.transferred)
    return len(runs), files


if __name__ == "__main__":
    main(*sys.argv[1:2])
