"""What stands in a folder, but for what desktops leave in it."""

import os
from pathlib import Path

_CLUTTER = {"thumbs.db", "desktop.ini", "__macosx", "icon\r"}  # besides hidden files, such as .DS_Store


def entries(folder: Path) -> list[Path]:
    """The files and folders in `folder`, but for hidden ones and clutter, in the order of the names' bytes."""
    found = sorted(folder.iterdir(), key=os.fsencode)
    return [entry for entry in found if not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER]
