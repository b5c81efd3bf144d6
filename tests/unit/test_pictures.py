"""Picture files: which formats are opened, how large they may be, where they may lie."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_faces import write_picture, write_table
from PIL import EpsImagePlugin, Image

from au_adapter.data import pictures
from au_adapter.data.labelled_folder import LabelledFolder
from au_adapter.data.pictures import PictureError, PictureFolder, read_picture, read_rgb
from au_adapter.data.prepare_shards import prepare
from au_adapter.data.shards import decode_picture, find_shards, read_shard
from au_adapter.data.stream import FaceStream
from au_adapter.faces.picture_checks import finite_pictures


def write_deep_grey(file: Path, level: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((24, 24), level, np.uint16)).save(file)
    return file


def test_grey_of_16_bits_is_the_same_for_every_reader(tmp_path: Path) -> None:
    file = write_deep_grey(tmp_path / "in" / "a.png", 32768)
    assert read_picture(file).mean() == pytest.approx(0.5, abs=1e-4)
    assert np.asarray(read_rgb(file)).mean() == decode_picture(file.read_bytes()).mean() == 128
    table = write_table(tmp_path / "t.csv", [{"file": "a.png", "AU12": 3}])
    for size in (None, 16):
        prepare("folder", tmp_path / "in", table, tmp_path / str(size), size=size)
        seen = FaceStream([tmp_path / str(size)], 16, lanes=1).read(0, 1).pictures
        assert abs(seen.mean() - 128) < 1


def test_no_other_program_is_started_for_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    file = tmp_path / "a.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n")
    assert Image.open(file).format == "EPS"
    for read in (read_picture, read_rgb, lambda path: decode_picture(path.read_bytes())):
        with pytest.raises(PictureError, match="cannot be read: no picture, or damaged .*PNG"):
            read(file)
    assert not started


def bomb(side: int) -> bytes:
    """A small PNG of side x side black pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content)
        )  # fmt: skip

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side * (1 + (side + 7) // 8)), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_a_picture_of_too_many_pixels_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(bomb(13_000))
    for read in (read_picture, read_rgb, lambda path: decode_picture(path.read_bytes())):
        with pytest.raises(PictureError, match="13000 x 13000 pixels, and at most 64,000,000"):
            read(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(bomb(101))
    assert read_picture(tmp_path / "b.png").shape == (1, 101, 101, 3)
    monkeypatch.setenv(pictures.PIXELS, "10000")
    with pytest.raises(PictureError, match=r"b.png .* 101 x 101 pixels, and at most 10,000"):
        read_picture(tmp_path / "b.png")
    monkeypatch.setenv(pictures.PIXELS, "many")
    with pytest.raises(PictureError, match="AU_ADAPTER_MAX_PIXELS is 'many', expected a number"):
        read_picture(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("kind", "modes"),
    [
        ("png", ("RGB", "RGBA", "LA", "P", "L", "1", "I;16")),
        ("tiff", ("RGB", "RGBA", "P", "L", "1", "I;16")),
        ("bmp", ("RGB", "P", "L", "1")),
        ("gif", ("RGB", "P", "L", "1")),
        ("webp", ("RGB", "RGBA")),
        ("ppm", ("RGB", "L", "1")),
        ("jpeg", ("RGB", "L")),
    ],
)
def test_modes_and_formats(kind: str, modes: tuple[str, ...]) -> None:
    for mode in modes:
        content, white = io.BytesIO(), Image.new("L", (6, 4), 255).convert("RGB").convert("L")
        deep = Image.fromarray(np.full((4, 6), 65535, np.uint16))
        (deep if mode == "I;16" else white.convert(mode)).save(content, kind)
        assert (decode_picture(content.getvalue()) >= 254).all(), mode


def test_damaged_pictures_are_one_error(tmp_path: Path) -> None:
    whole = write_picture(tmp_path / "a.png", 7).read_bytes()
    for content in (b"", b"x", whole[:20], whole[:60], b"GIF89a", b"RIFF\0\0\0\0WEBP"):
        (tmp_path / "b.png").write_bytes(content)
        with pytest.raises(PictureError, match="b.png cannot be read"):
            read_rgb(tmp_path / "b.png")


def test_a_folder_lists_its_pictures_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.png", "._a.png"):
        write_picture(tmp_path / name)
    (tmp_path / "c.png").mkdir()
    (tmp_path / "notes.txt").write_text("")
    assert [file.name for file in PictureFolder(tmp_path).files] == ["a.png", "b.PNG"]


NAMES = ["../secret.png", "in/../../secret.png", "{secret}", "link.png", "links/secret.png"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_takes_no_picture_from_outside_its_folder(
    tmp_path: Path, name: str, kind: str
) -> None:
    secret = write_picture(tmp_path / "secret.png")
    write_picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "link.png").symlink_to(secret)
    (tmp_path / "in" / "links").symlink_to(tmp_path)
    table, name = tmp_path / f"t.{kind}", name.format(secret=secret)
    table.write_text(
        f"file,AU12\na.png,1\n{name},1\n"
        if kind == "csv"
        else "\n".join(json.dumps({"file": file, "aus": {"12": 1}}) for file in ("", name)[1:])
    )
    with pytest.raises(ValueError, match=r"line \d of .*t\..* leads out of .*in"):
        prepare("folder", tmp_path / "in", table, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_folder_that_is_numbered_or_has_tables_lead_nowhere(tmp_path: Path) -> None:
    secret = write_picture(tmp_path / "secret.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(secret)
    write_table(tmp_path / "in" / "a.csv", [{"frame": 1, "success": 1, "AU12_r": 1}])
    for table in (tmp_path / "in" / "a.csv", tmp_path / "in"):
        with pytest.raises(ValueError, match="'a.png' leads out of"):
            list(LabelledFolder(tmp_path / "in", table, "openface").faces())


@pytest.mark.parametrize(("name", "words"), [("", "names no"), ("a\0.png", "is no file name")])
def test_names_that_are_none(tmp_path: Path, name: str, words: str) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text(json.dumps({"file": name, "aus": {"12": 1}}))
    with pytest.raises(ValueError, match=f"line 1 of .*{words}"):
        LabelledFolder(tmp_path, table)


def test_a_name_with_the_pictures_own_folder_is_inside(tmp_path: Path) -> None:
    file = write_picture(tmp_path / "in" / "sub" / "a.png")
    for name in (str(file), "sub/a.png", "sub\\a.png", "sub/../sub/a.png"):
        table = write_table(tmp_path / "t.csv", [{"file": name, "AU12": 2}])
        card = prepare("folder", tmp_path / "in", table, tmp_path / f"out{len(name)}")
        assert card["faces"] == 1
    assert len(list(read_shard(find_shards(tmp_path / "out9")[0]))) == 1


def test_text_among_numbers_refuses_the_table(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "a.png")
    for cell in ("2,5", "C"):
        table = write_table(tmp_path / "t.csv", [{"file": "a.png", "AU6": 1, "AU12": cell}])
        with pytest.raises(ValueError, match=f"line 2 of .*t.csv: AU12 is '{cell}', expected"):
            prepare("folder", tmp_path / "in", table, tmp_path / "out")


def test_grey_tensors_are_pictures_too() -> None:
    images, groups = finite_pictures(torch.rand(2, 8, 9, 1))
    assert images.shape == (2, 8, 9, 3) and groups == [[0, 1]]
    assert torch.equal(images[..., 0], images[..., 2])
