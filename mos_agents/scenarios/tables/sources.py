"""The bytes and texts behind a path in a scenario: looked at before they are taken in."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import re
import zlib
from pathlib import Path

from mos_agents.market.types import InputError
from mos_agents.runs.files import check_source, read_regular
from mos_agents.scenarios.tables.options import LARGEST

BUILTIN = "builtin:"
_DATA = Path(__file__).parent.parent / "data"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of Windows' Western code page: letters, currencies, quotes, dashes and the signs that prices have.
_WESTERN = re.compile(r"[ -~\s€‚„…‘’“”–—™£¥§©®°·½¼¾²³«»ŠšŽžŒœŸÀ-ÖØ-öø-ÿ\xa0\xad]*")
_WITHIN_A_WORD = re.compile(r"[^\W\d_][²³][^\W\d_]")  # the Polish l with a stroke, read as Western
_WORD = re.compile(r"[^\W\d_]+")


def resolve(path: str) -> Path:
    """The file behind a path in a scenario; `builtin:NAME` is one that ships with the package."""
    if path.startswith(BUILTIN):
        name = path.removeprefix(BUILTIN)
        shipped = sorted(p.name for p in _DATA.glob("*.csv"))
        if name not in shipped:
            raise InputError(f"path={path!r} is not shipped; shipped are {shipped}")
        return _DATA / name
    return Path(path)


def regular_file(path: str) -> Path:
    """The file behind a path, if it is an ordinary one; InputError for a folder, pipe or device."""
    file = resolve(path)
    check_source(file, shown=f"path={path!r}")
    return file


def digest_of(path: str) -> str:
    """Return the SHA-256 of a file, by which a run recognises the files it was made from.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        with regular_file(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"path={path!r} cannot be read: {error.strerror}") from None


def too_large(shown: str, limit: int = LARGEST) -> InputError:
    return InputError(
        f"{shown}: is larger than {limit >> 20} MB unpacked; split it, or thin it out"
    )


def bytes_of(file: Path, shown: str) -> bytes:
    """A file's bytes, unpacked if it is packed by gzip; never more than LARGEST of them."""
    data = read_regular(file, LARGEST, shown)
    if data[:2] != b"\x1f\x8b":
        if file.suffix.lower() == ".gz":
            raise InputError(f"{shown}: ends in .gz and is not packed by gzip")
        return data
    try:
        with gzip.open(io.BytesIO(data)) as packed:  # counted before it is kept
            room = LARGEST
            while piece := packed.read(2**20):
                room -= len(piece)
                if room < 0:
                    raise too_large(shown)
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{shown}: cannot be unpacked: {str(error)[:80]}") from None


def text_of(data: bytes, shown: str, encoding: str | None) -> tuple[str, list[str]]:
    """A file's text with line ends of one kind, and what was recognised; InputError if none."""
    notes: list[str] = []
    if encoding is not None:
        text = _decoded(data, encoding, shown)
    else:
        found = next((name for mark, name in _MARKS if data.startswith(mark)), None)
        found = found or _utf_16_without_mark(data)
        if found:
            text = _decoded(data, found, shown)
            if "16" in found or "32" in found:
                notes.append(f"encoding {found.upper()}")
        else:
            text, notes = _utf_8_or_western(data, shown)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    strange = re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f]", text)
    if strange:
        line = text.count("\n", 0, strange.start()) + 1
        raise InputError(
            f"{shown}: row {line}: holds the control character {strange[0]!r}: is it text? if so, "
            "say in which encoding, as in encoding: utf-16"
        )
    return text, notes


def _decoded(data: bytes, encoding: str, shown: str) -> str:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):
        raise InputError(f"{shown}: is not text in the encoding {encoding}") from None


def _utf_16_without_mark(data: bytes) -> str | None:
    head = data[:2000]
    if len(head) < 4 or b"\0" not in head:
        return None
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 0.4 * len(head) / 2 and even == 0:
        return "utf-16-le"
    if even > 0.4 * len(head) / 2 and odd == 0:
        return "utf-16-be"
    return None


def _utf_8_or_western(data: bytes, shown: str) -> tuple[str, list[str]]:
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    refusal = InputError(
        f"{shown}: row {line}: is not UTF-8 text; say which encoding it has, as in "
        "encoding: cp1252 (Western Europe), cp1250, cp1251, gb18030 or shift_jis"
    )
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise refusal from None
    # Names in Western languages are mostly ASCII letters; other scripts read as Western are not.
    accented = [word for word in _WORD.findall(text) if not word.isascii()]
    strange = sum(not letter.isascii() for word in accented for letter in word)
    western = _WESTERN.fullmatch(text) and not _WITHIN_A_WORD.search(text)
    if not western or 2 * strange > sum(map(len, accented)):
        raise refusal
    return text, ["encoding cp1252 (Western Europe)"]
