"""Damaged and hostile versions of a file, drawn from a seeded generator; deterministic."""

from __future__ import annotations

import io
import json
import math
import struct
import tarfile
import zipfile
from collections.abc import Callable
from random import Random

# Values that a JSON file may hold in place of the right one.
VALUES: list[object] = [
    None, True, False, 0, -1, 7, 1.5, 10**30, 1e308, math.nan, math.inf, "", "x", "8", "\ud800",
    "../../secret.png", "someone/repo", [], [1], ["x"], [[3]], {}, {"a": 1}, [None] * 3, "9" * 5000,
]  # fmt: skip
CELLS = [
    "", " ", "nan", "-nan(ind)", "inf", "1e999", "-1", "99", "=1+2", '"', 'a"b', "\0", "a,b", "3,5",
    "/etc/hostname", "../x.png", "\ud83d\ude00", "9" * 5000, "12Q", "L12", "0x10", "\u2212" + "2",
]  # fmt: skip
# Whole files of another kind: empty, zeros, web page, Git LFS pointer, other archives.
STRANGERS = [
    b"", b"\0", b"\0" * 4096, b"\n" * 100, b"<!DOCTYPE html><html></html>", b"PK\x03\x04",
    b"\x80\x02.", b"null", b"7", b"[]", b"{}", b"\xff" * 1000, b"[" * 100_000, b'{"a":' * 50_000,
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", b"%!PS-Adobe-3.0\n",
    b"\xff\xfea\0,\0b\0\n\0", b"\x89PNG\r\n\x1a\n", struct.pack("<Q", 2**62),
    struct.pack("<Q", 2) + b"{}",
]  # fmt: skip

Mutate = Callable[[bytes, Random], bytes]


def damaged(content: bytes, random: Random) -> bytes:
    """Bytes that were cut, changed, doubled, zeroed or put elsewhere; or another file's."""
    kind, at = random.randrange(8), random.randrange(len(content) + 1)
    end = min(len(content), at + random.choice((1, 8, 64, 1024)))
    if kind == 0:
        return random.choice(STRANGERS)
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content[:at] + bytes(end - at) + content[end:]
    if kind == 3:
        return content[:at] + content[end:]
    if kind == 4:
        return content[:at] + content[at:end] * 3 + content[end:]
    if kind == 5:
        return content[:at] + random.randbytes(end - at) + content[end:]
    changed = bytearray(content)
    # Headers lie at the front: half of the single changes are there.
    reach = min(len(content), 512) if kind == 6 else len(content)
    for _ in range(random.choice((1, 3, 20)) if reach else 0):
        changed[random.randrange(reach)] = random.choice(
            (0, 1, 127, 128, 255, random.randrange(256))
        )
    return bytes(changed)


def damaged_text(content: bytes, random: Random) -> bytes:
    """A table whose cells, lines, header, encoding or quotes are others."""
    kind = random.randrange(10)
    if kind < 2:
        return damaged(content, random)
    lines = content.decode(errors="surrogateescape").split("\n")
    row = 0 if kind == 2 else random.randrange(len(lines))
    separator = "," if "," in lines[row] else " "
    cells = lines[row].split(separator)
    place = random.randrange(len(cells))
    if kind == 3:
        lines.insert(row, lines[random.randrange(len(lines))])
    elif kind == 4:
        del lines[row]
    elif kind == 5:
        del cells[place]
    elif kind == 6:
        cells.insert(place, random.choice(CELLS))
    else:
        cells[place] = random.choice(CELLS)
    if kind not in (3, 4):
        lines[row] = separator.join(cells)
    encoding = random.choice(("utf-8",) * 8 + ("utf-16", "latin-1"))
    text = "\n".join(lines)
    try:
        return text.encode(encoding, "surrogatepass" if encoding == "utf-8" else "replace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def damaged_json(content: bytes, random: Random) -> bytes:
    """JSON, or lines of it, with a value replaced, taken away or renamed; or damaged bytes."""
    if random.randrange(5) == 0:
        return damaged(content, random)
    lines = content.decode().split("\n")
    rows = [i for i, line in enumerate(lines) if line.strip()]
    try:
        return json.dumps(_other(json.loads(content), random)).encode()
    except ValueError:
        row = random.choice(rows)
        lines[row] = json.dumps(_other(json.loads(lines[row]), random))
        return "\n".join(lines).encode()


def _other(value: object, random: Random) -> object:
    """The value with one node changed, at a random depth. Text that holds JSON is entered."""
    keys = (
        list(value)
        if isinstance(value, dict)
        else range(len(value))
        if isinstance(value, list)
        else ()
    )
    if isinstance(value, str) and value[:1] in "{[" and len(value) > 1 and random.randrange(6):
        try:
            return json.dumps(_other(json.loads(value), random))
        except ValueError:
            return random.choice(VALUES)
    if not keys or random.randrange(6) == 0:
        return random.choice(VALUES)
    key, kind = random.choice(keys), random.randrange(8)
    changed = dict(value) if isinstance(value, dict) else list(value)
    if kind == 0:
        del changed[key]
    elif kind == 1 and isinstance(changed, dict):
        changed[random.choice(("x", "12", "", "\ud800"))] = changed.pop(key)
    else:
        changed[key] = _other(changed[key], random)
    return changed


def damaged_safetensors(content: bytes, random: Random) -> bytes:
    """A safetensors file whose header says something else, or whose numbers are not finite."""
    kind = random.randrange(5)
    if kind == 0:
        return damaged(content, random)
    (size,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    if kind == 1:
        at = random.randrange(max(1, len(data) // 4)) * 4
        broken = struct.pack("<f", random.choice((math.nan, math.inf, -math.inf)))
        data = data[:at] + broken + data[at + 4 :]
    elif kind == 2 and "__metadata__" in header:
        metadata = header["__metadata__"]
        key = random.choice(list(metadata))
        text = _other(metadata[key], random)
        metadata[key] = text if isinstance(text, str) else json.dumps(text)
    else:
        header = _other(header, random)
    packed = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(packed)) + packed + data


def damaged_tar(content: bytes, random: Random) -> bytes:
    """A shard with a member changed, renamed, of another type, doubled or taken away."""
    if random.randrange(4) == 0:
        return damaged(content, random)
    stream = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=stream, mode="w") as new,
    ):
        members = [(member, old.extractfile(member).read()) for member in old]
        chosen, kind = random.randrange(len(members)), random.randrange(6)
        for place, (member, data) in enumerate(members):
            if place == chosen:
                if kind == 0:
                    continue
                if kind == 1:
                    new.addfile(member, io.BytesIO(data))
                elif kind == 2:
                    member.type = random.choice(
                        (tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE, b"Z")
                    )
                    member.linkname, data = "/etc/hostname", b""
                elif kind == 3:
                    member.name = random.choice(
                        ("x", ".json", "../a.png", "\udce4.png", "b." + "c" * 200)
                    )
                else:
                    change = damaged_json if member.name.endswith(".json") else damaged
                    data = change(data, random)
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def damaged_zip(content: bytes, random: Random) -> bytes:
    """A zip (a .task, an .npz, a file of torch.save) with a member changed, renamed or gone."""
    if random.randrange(3) == 0:
        return damaged(content, random)
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        names = old.namelist()
        chosen, kind = random.choice(names), random.randrange(4)
        for name in names:
            data = old.read(name)
            if name == chosen and kind == 0:
                continue
            if name == chosen and kind > 1:
                data = damaged(data, random)
            new.writestr(f"x{name}" if name == chosen and kind == 1 else name, data)
    return stream.getvalue()
