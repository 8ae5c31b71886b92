"""Whether a file can be written to its place, asked before anything is done."""

from __future__ import annotations

import os
from pathlib import Path


def require_place(target: Path, overwrite: bool) -> None:
    """Say in a sentence why a file cannot be written to its place.

    Raises:
        FileExistsError: a file is there and may not be replaced.
        FileNotFoundError: there is no such folder.
        NotADirectoryError: what should be the folder is a file.
        PermissionError: the folder cannot be written.
    """
    folder = target.absolute().parent
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there already. Choose another name, or allow overwrite=True.")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder, and a file was to have this name. Choose another one.")
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, and {target.name!r} was to be in a folder of this name.")
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}. Make it first: pathlib.Path(...).mkdir(parents=True).")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"the folder {folder} cannot be written. Choose another one, or change its rights.")
