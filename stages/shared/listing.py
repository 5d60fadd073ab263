"""List the files of a folder, without hidden files and files that desktops and storage systems add."""

import os
from pathlib import Path

_CLUTTER = {  # in addition to hidden files such as .DS_Store
    "$recycle.bin",
    "@eadir",  # thumbnails of Synology
    "__macosx",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "lost+found",
    "picasa.ini",
    "system volume information",
    "thumbs.db",
}


def list_visible(folder: Path) -> list[Path]:
    """List files and folders in `folder`, sorted by the bytes of their names, without hidden and system files."""
    entries = sorted(folder.iterdir(), key=os.fsencode)
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER]
