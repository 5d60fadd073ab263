"""Push the run cache and all its files to a DVC remote, so that other clones don't need to run the stages.

`dvc push --run-cache` doesn't push files that git keeps (metrics and plots with `cache: false`), so their stages run
again in other clones. Usage: `python tools/share.py [remote]` in the project's root; then `dvc fetch --run-cache` and
`dvc repro --pull` in the other clone.

`stage_cache` and `cloud` don't belong to DVC's public interface; tests/tools/test_share.py tests their use.
"""

import sys

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo


def main(remote: str | None = None) -> None:
    """Push to `remote`, or to the default remote, and print how many files; exits with a message on failure."""
    try:
        with Repo() as repo, lock_repo(repo):
            runs, files = share(repo, remote)
    except DvcException as error:
        sys.exit(f"share: {error}")
    print(f"share: the remote has {runs} runs of stages; {files} files were new")


def share(repo: Repo, remote: str | None) -> tuple[int, int]:
    """Push all runs; returns the number of runs, and the number of files that were new in the remote."""
    repo.cloud.get_remote(remote, "push")  # raises an error if there is none
    runs = repo.stage_cache.push(remote)
    files = 0
    for objects in repo.stage_cache.get_used_objs(runs, remote=remote, force=True).values():
        sent = repo.cloud.push(objects, remote=remote)
        if sent.failed:
            raise DvcException(f"{len(sent.failed)} files were not sent; type the command again to send only these")
        files += len(sent.transferred)
    return len(runs), files


if __name__ == "__main__":
    main(*sys.argv[1:2])
