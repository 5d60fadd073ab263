"""A scratch pipeline in git, and clones of it, as people have them who work on one together."""

import shlex
import shutil
from pathlib import Path

from tests.project import PIPELINE, ROOT, Project

IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com"}
IDENTITY |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com"}


def git(project: Project, *arguments: str) -> str:
    return project.run("git", *arguments, check=True, env=IDENTITY).stdout


def dvc(project: Project, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Run DVC, which must end well; gives what it said."""
    return project.dvc(*arguments, check=True, env=IDENTITY | (env or {})).stdout


def typed(project: Project, line: str) -> str:
    """Run a line of a guide, which must end well; gives what it said."""
    said = ""
    for program, *arguments in (shlex.split(command, comments=True) for command in line.split(" && ")):
        if program == "dvc":
            said += dvc(project, *arguments)
        else:
            said += project.run(program, *arguments, check=True, env=IDENTITY).stdout
    return said


def put_in_git(project: Project) -> Project:
    """The finished pipeline in a git repository, committed as a user would."""
    kinds = "outs", "metrics", "plots"
    entries = [entry for stage in PIPELINE.values() for kind in kinds for entry in stage.get(kind, [])]
    (project.root / ".gitignore").write_text("".join([*map(ignored, entries), "__pycache__\n", ".partial*\n"]))
    (project.root / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n/config.local\n")
    git(project, "init", "--quiet", "--initial-branch", "main")
    shutil.copy(ROOT / ".dvc/config", project.root / ".dvc")  # which knows of git
    commit(project, "first")
    return project


def ignored(entry: str | dict[str, dict[str, object]]) -> str:
    """The line of .gitignore for an output of dvc.yaml, if DVC keeps it and not git."""
    path, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
    return f"/{path}\n" if options.get("cache", True) else ""


def commit(project: Project, message: str) -> None:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", message)


def clone(project: Project, root: Path) -> Project:
    git(project, "clone", "--quiet", "--no-hardlinks", str(project.root), str(root))
    return Project(root)
