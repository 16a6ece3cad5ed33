"""What runs and participants may be called, and where their files may lie: inside their root and
nowhere else."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote

from mos_agents.market.types import InputError
from mos_agents.wording import function

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Starts with a letter or digit: a leading dot marks unfinished files, a leading dash options."""


def checked_name(name: str) -> str:
    """Check the name of a run.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    str
        The same name.

    Raises
    ------
    InputError
        If it is not 1 to 100 of the characters A-Z a-z 0-9 . _ - with a letter or digit first.
    """
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise InputError(
            f"run name {_short(name)} must be 1 to 100 of the characters A-Z a-z 0-9 . _ - and "
            "start with a letter or digit, such as retail-s0-001"
        )
    return name


MOST_LETTERS = 100
"""Of a participant's name."""


def participant_fault(name: str) -> str | None:
    """What is wrong with a participant's name; None where nothing is.

    A name is shown as it is, so that every letter of it can be seen; it may be of any language.
    """
    if not name or name != name.strip():
        return "is empty, or has blanks around it"
    if not name.isprintable():
        return "holds a character that cannot be shown; leave it out"
    if len(name) > MOST_LETTERS:
        return f"is longer than {MOST_LETTERS} characters"
    if "/" in name or "\\" in name or name in (".", "..", "*"):
        return "is no name of a participant: leave out / and \\, and do not call it ., .. or *"
    return None


def file_stem(name: str) -> str:
    """What the files of a participant are called: its name, with % and a number for every character
    that a file's name should not have. No two names have one stem."""
    stem = "".join(c if c.isalnum() or c in "._-" else quote(c, safe="") for c in name)
    if stem[:1] in (".", "-"):
        stem = f"%{ord(stem[0]):02X}{stem[1:]}"
    if stem.endswith("."):
        stem = stem[:-1] + "%2E"
    if len(stem.encode()) <= 200:  # file systems take 255 bytes
        return stem
    kept = stem.encode()[:100].decode(errors="ignore")
    return f"{kept}%{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def slug(text: str) -> str:
    """Turn a text into the name of a run.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The text with other characters replaced by "-", at most 60 long; "run" if nothing is left.
    """
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return kept[:60] or "run"


def path_below(root: Path | str, name: str) -> Path:
    """Return the folder of a run below its root, whether it exists or not.

    Parameters
    ----------
    root : Path or str
        The folder that holds the run folders.
    name : str
        The run's name.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If the name is not valid, or the folder is a symbolic link: links are not followed.
    """
    folder = Path(os.path.realpath(root)) / checked_name(name)
    if folder.is_symlink():
        raise InputError(f"run {name} is a link: move the folder itself into {root}")
    return folder


def locate(given: str, root: Path | str) -> Path:
    """Find the folder of an existing run.

    Parameters
    ----------
    given : str
        The run's name below `root`, or the path of its folder.
    root : Path or str
        The folder that holds the run folders.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    InputError
        If there is no such folder; the message lists the runs that there are.
    """
    if "\0" in given or not Path(given).name:
        raise InputError(f"run {_short(given)} must be the name or the path of a run folder")
    path = Path(given)
    named_by_path = "/" in given.rstrip("/") or path.is_absolute()
    folder = (
        path_below(path.parent, path.name) if named_by_path else path_below(root, given.rstrip("/"))
    )
    if not folder.is_dir():
        where = path.parent if named_by_path else root
        raise InputError(f"run {_short(path.name)} is not in {where}: {_present(Path(where))}")
    return folder


def names_in_turn(stem: str, root: Path) -> list[str]:
    """Default names that are free, lowest first: retail-s0-001, retail-s0-002, ..."""
    taken = [0]
    if root.is_dir():
        pattern = re.compile(re.escape(stem) + r"-(\d{3,9})")
        found = (pattern.fullmatch(entry.name) for entry in root.iterdir())
        taken += [int(match[1]) for match in found if match]
    return [f"{stem}-{number:03d}" for number in range(max(taken) + 1, max(taken) + 100)]


def _present(root: Path) -> str:
    runs = (
        sorted(p.name for p in root.iterdir() if NAME.fullmatch(p.name) and p.is_dir())
        if (root.is_dir())
        else []
    )
    if not runs:
        return f"there are no runs there; {function('run')} makes one"
    return f"there are {', '.join(runs[-5:])}" + (" and others" if len(runs) > 5 else "")


def _short(name: object) -> str:
    text = ascii(name)
    return text if len(text) <= 60 else text[:57] + "..."
