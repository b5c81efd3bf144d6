"""Shards and the stream of them: order, restart, lanes over processes, damaged files."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import logging
import lzma
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from labelled_faces import write_faces

from au_adapter.data.card import describe_folder, shard_counts
from au_adapter.data.rendered import SAMPLE, load
from au_adapter.data.shards import count_faces, find_shards, make_label, read_shard, write_shard
from au_adapter.data.stream import FaceStream, Lane, Piece, StreamedBatch

COUNTS = (5, 7, 6, 4, 8, 3)
FACES = sum(COUNTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), COUNTS)


def numbers(batch: StreamedBatch) -> list[int]:
    """Which faces a batch holds; pictures and labels must agree."""
    found = batch.pictures[:, 0, 0, 0].tolist()
    assert [round(100 * label["units"]["12"]) for label in batch.labels] == found
    return found


def stream(folder: Path, **settings: object) -> FaceStream:
    return FaceStream([folder], **{"size": 8, "lanes": 2, "buffer": 4, **settings})


def test_shards_hold_what_was_written(folder: Path) -> None:
    shards = find_shards(folder)
    assert [count_faces(shard) for shard in shards] == list(COUNTS)
    assert list(shard_counts(shards).values()) == list(COUNTS)
    first = next(read_shard(shards[1]))
    assert set(first) == {"key", "png", "json"} and first["key"] == b"0005"
    assert next(read_shard(shards[1], only="json")) == {**first, "png": b""}
    assert json.loads(first["json"])["caption"] == "face 5"


def test_a_folder_without_shards_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="au-adapter render` or `au-adapter prepare"):
        FaceStream([tmp_path], 8)


def test_an_epoch_shows_every_face_once(folder: Path) -> None:
    lane = Lane([Piece(s, count_faces(s)) for s in find_shards(folder)], [0], buffer=5)
    reader = lane.faces_from(0)
    epochs = [[next(reader).files["key"] for _ in range(FACES)] for _ in range(2)]
    assert all(len(set(epoch)) == FACES for epoch in epochs)
    assert epochs[0] != epochs[1] and epochs[0] != sorted(epochs[0])


@pytest.mark.parametrize("start", [1, 11, 29, FACES, 2 * FACES + 17])
def test_a_lane_is_entered_anywhere(folder: Path, start: int) -> None:
    lane = Lane([Piece(s, count_faces(s)) for s in find_shards(folder)], [3], buffer=5)
    whole, entered = lane.faces_from(0), lane.faces_from(start)
    for _ in range(start):
        next(whole)
    assert [next(entered).files["key"] for _ in range(40)] == [
        next(whole).files["key"] for _ in range(40)
    ]


def test_a_late_entry_reads_few_shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def watched(self: Piece):
        opened.append(self.shard)
        return read(self)

    read = Piece.read
    monkeypatch.setattr(Piece, "read", watched)
    pieces = [Piece(s, count_faces(s)) for s in find_shards(folder)] * 50
    next(Lane(pieces, [0], buffer=5).faces_from(40 * FACES + 13))
    assert len(opened) <= 4


def test_batches_depend_on_seed_and_step_alone(folder: Path) -> None:
    first, again = stream(folder), stream(folder)
    rows = [numbers(first.read(step, 4)) for step in range(12)]
    assert [numbers(again.read(step, 4)) for step in (7, 8, 2, 3, 11)] == [
        rows[step] for step in (7, 8, 2, 3, 11)
    ]
    assert [numbers(stream(folder, seed=1).read(step, 4)) for step in range(3)] != rows[:3]


@pytest.mark.parametrize("lanes", [4, 8])
def test_processes_share_the_batch_of_one(folder: Path, lanes: int) -> None:
    settings = {"lanes": lanes}
    whole = stream(folder, **settings)
    halves = [stream(folder, **settings) for _ in range(2)]
    for step in range(6):
        parts = [numbers(half.read(step, 8, index, 2)) for index, half in enumerate(halves)]
        assert parts[0] + parts[1] == numbers(whole.read(step, 8))


def test_processes_read_shards_of_their_own(folder: Path) -> None:
    halves = [stream(folder) for _ in range(2)]
    seen = [
        {n for step in range(20) for n in numbers(half.read(step, 4, index, 2))}
        for index, half in enumerate(halves)
    ]
    assert not seen[0] & seen[1] and seen[0] | seen[1] == set(range(FACES))


def test_more_lanes_than_shards_divide_the_shards(tmp_path: Path) -> None:
    faces = stream(write_faces(tmp_path, [8, 8]), lanes=4)
    epoch = Counter(n for step in range(4) for n in numbers(faces.read(step, 4)))
    assert epoch == Counter(range(16))


@pytest.mark.parametrize(
    ("size", "count", "message"),
    [
        (6, 4, "batch of 6 in 2 lanes does not split over 4 processes"),
        (3, 1, None),
        (1, 1, "batch of 1 cannot take a face from each of 2 lanes"),
    ],
)
def test_batches_that_do_not_split(
    folder: Path, size: int, count: int, message: str | None
) -> None:
    if message is None:  # an uneven batch of one process takes more of one lane
        assert len(numbers(stream(folder).read(0, size, 0, count))) == size
        return
    with pytest.raises(ValueError, match=message):
        stream(folder).read(0, size, 0, count)


def test_too_many_lanes_for_the_faces(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 faces in 1 shards do not fill 8 lanes"):
        stream(write_faces(tmp_path, [2]), lanes=8).read(0, 8)


def test_a_damaged_picture_is_named_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    label = make_label({"12": 0.07}, "whole")
    whole = next(read_shard(find_shards(write_faces(tmp_path / "source", [8]))[0]))["png"]
    shard = tmp_path / "shard-00000.tar"
    write_shard(shard, [("good", "png", whole, label), ("bad", "png", whole[:40], label)])
    with caplog.at_level(logging.WARNING, "au_adapter"):
        pictures = stream(tmp_path, lanes=1).read(0, 2).pictures
    assert (pictures == pictures[0]).all()
    assert f"picture bad in {shard} cannot be read: no picture, or damaged" in caplog.text


def test_a_shard_cut_off_is_named(tmp_path: Path) -> None:
    (shard,) = find_shards(write_faces(tmp_path, [3]))
    shard.write_bytes(shard.read_bytes()[:1800])
    with pytest.raises(ValueError, match="shard-00000.tar is damaged or cut off"):
        list(read_shard(shard))
    shard.write_bytes(b"no archive at all")
    with pytest.raises(ValueError, match="shard-00000.tar is damaged or cut off"):
        count_faces(shard)


def packed(folder: Path, files: dict[str, bytes]) -> Path:
    """A shard as `tar cf shard-0.tar --sort=name .` makes it of a folder with these files."""
    for name, content in files.items():
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / name).write_bytes(content)
    with tarfile.open(folder / "shard-0.tar", "w") as tar:
        tar.add(folder / "in", ".")
    return folder / "shard-0.tar"


def test_shards_that_tar_made_of_a_folder(tmp_path: Path) -> None:
    label = json.dumps(make_label({"12": 2.0}, "a man")).encode()
    picture = next(read_shard(find_shards(write_faces(tmp_path / "source", [1]))[0]))["png"]
    names = ("000", "001", "b/000")
    files = {
        f"{name}.{kind}": c for name in names for kind, c in (("PNG", picture), ("json", label))
    }
    shard = packed(tmp_path, {**files, "._000.jpg": b"of a Mac", ".DS_Store": b"", "README": b""})
    assert count_faces(shard) == 3
    assert [face["key"].decode() for face in read_shard(shard)] == [f"./{name}" for name in names]
    assert describe_folder(tmp_path)["units"]["12"]["mean"] == 2.0
    read = stream(tmp_path, lanes=1).read(0, 3)
    assert len(read.pictures) == 3 and all(label["caption"] == "a man" for label in read.labels)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a.jpg": b"", "a.txt": b""}, "face ./a of .*shard-0.tar has no json, only jpg, txt"),
        (
            {"a.jpg": b"", "a.json": b"not"},
            "a json in which units, left, right, caption is missing",
        ),
        ({"a.json": b'{"caption": "x", "url": "y"}'}, "in which units, left, right is missing"),
        (
            {"a.json": json.dumps({**make_label({"4": 1}, ""), "left": {"AU4": 1}}).encode()},
            "a json in which left is missing or something else",
        ),
    ],
)
def test_shards_without_labels_are_named(
    tmp_path: Path, files: dict[str, bytes], found: str
) -> None:
    packed(tmp_path, files)
    with pytest.raises(ValueError, match=f"{found}.*KEY.json.*au-adapter prepare"):
        describe_folder(tmp_path)


def test_the_stream_names_a_face_without_a_label(tmp_path: Path) -> None:
    packed(tmp_path, {"a.png": b"", "a.txt": b""})
    with pytest.raises(ValueError, match=r"face \./a of .* has no json, only png, txt"):
        stream(tmp_path, lanes=1).read(0, 1)


def test_half_a_shard_never_stays(tmp_path: Path) -> None:
    def faces():
        yield "a", "png", b"picture", {}
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_shard(tmp_path / "shard-00000.tar", faces())
    assert list(tmp_path.iterdir()) == []


def test_labels_keep_their_sides() -> None:
    label = make_label({"12": 3.0, "L4": 2.0}, "a man", {"subject": "SN001", "units": {"1": 5.0}})
    assert label["units"] == {"4": 1.0, "12": 3.0}
    assert label["left"] == {"4": 2.0, "12": 3.0} and label["right"] == {"4": 0.0, "12": 3.0}
    assert label["caption"] == "a man" and label["subject"] == "SN001"


def test_renders_stream_too() -> None:
    renders = load(SAMPLE, limit=20)
    read = FaceStream([SAMPLE], size=renders.images.shape[1], lanes=1).read(0, 4)
    captions = {caption: i for i, caption in enumerate(load(SAMPLE).captions)}
    assert read.pictures.shape == (4, *renders.images.shape[1:])
    assert all(label["caption"] in captions for label in read.labels)
    card = describe_folder(SAMPLE)
    assert card["faces"] == sum(card["shards"].values()) == len(load(SAMPLE))
    assert card["settings"] == {"source": "rendered"}


def test_faces_that_were_not_rendered_are_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="face 0000 of .* has no mask.png"):
        load(folder)


def test_the_layout_is_webdatasets(folder: Path) -> None:
    with tarfile.open(find_shards(folder)[0]) as tar:
        assert tar.getnames()[:3] == ["0000.png", "0000.json", "0001.png"]


@pytest.mark.parametrize("promised", [3, 9])
def test_a_card_of_other_shards_is_named(tmp_path: Path, promised: int) -> None:
    (shard,) = find_shards(write_faces(tmp_path, [4]))
    card = {"schema": 1, "shards": {shard.name: promised}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    faces = stream(tmp_path, lanes=1)
    with pytest.raises(ValueError, match=f"holds 4 faces, and the card.json .* says {promised}"):
        for step in range(20):
            faces.read(step, 1)


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_shard_of_zeros_ends_the_stream(tmp_path: Path, lanes: int) -> None:
    shard = tmp_path / "shard-00000.tar"
    shard.write_bytes(bytes(10240))
    (tmp_path / "card.json").write_text(json.dumps({"schema": 1, "shards": {shard.name: 8}}))
    with pytest.raises(ValueError, match="shard-00000.tar holds 0 faces, .* says 8"):
        stream(tmp_path, lanes=lanes).read(0, 4)


def sparse(folder: Path, size: int, pax: bool) -> Path:
    """A shard with a file of so many bytes that holds hardly any."""
    hollow = tarfile.TarInfo("a.json")
    if pax:
        hollow.pax_headers = {
            "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.json",
            "GNU.sparse.realsize": str(size),
        }  # fmt: skip
    content = b"1\n0\n1\n".ljust(512, b"\0") + b"x" if pax else b""
    hollow.size = len(content)
    with tarfile.open(folder / "shard-00000.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(hollow, io.BytesIO(content))
    return folder / "shard-00000.tar"


def test_a_file_with_holes_is_not_filled_in_memory(tmp_path: Path) -> None:
    shard = sparse(tmp_path, 6 * 2**30, pax=True)
    for read in (count_faces, lambda path: list(read_shard(path))):
        with pytest.raises(ValueError, match="shard-00000.tar holds 'a.json', which has holes"):
            read(shard)


def test_a_file_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("a.json")
    entry.size = 6 * 2**30
    (tmp_path / "shard-00000.tar").write_bytes(entry.tobuf() + bytes(10240))
    with pytest.raises(ValueError, match="'a.json', which is of 6,442,450,944 bytes"):
        count_faces(tmp_path / "shard-00000.tar")


@pytest.mark.parametrize(
    ("packer", "name"), [(gzip, "gzip"), (bz2, "bzip2"), (lzma, "xz")], ids=lambda x: str(x)
)
def test_a_compressed_shard_is_named(tmp_path: Path, packer: object, name: str) -> None:
    (shard,) = find_shards(write_faces(tmp_path, [2]))
    shard.write_bytes(packer.compress(shard.read_bytes()))
    with pytest.raises(ValueError, match=f"shard-00000.tar is compressed by {name}: unpack it"):
        count_faces(shard)


@pytest.mark.parametrize(
    "label",
    [
        b"[" * 100_000,
        b'{"units": {"12": 1e999}, "left": {}, "right": {}, "caption": ""}',
        b'{"units": {"12": 1' + b"0" * 400 + b'}, "left": {}, "right": {}, "caption": ""}',
        b'{"units": {"' + b"1" * 5000 + b'": 1}, "left": {}, "right": {}, "caption": ""}',
        b"\xff\xfe",
    ],
    ids=["deep", "infinite", "large", "no unit", "no text"],
)
def test_hostile_labels_are_named(tmp_path: Path, label: bytes) -> None:
    packed(tmp_path, {"a.png": b"", "a.json": label})
    with pytest.raises(ValueError, match=r"face \./a of .*shard-0.tar has a json in which units"):
        describe_folder(tmp_path)


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (b"{", "card.json is damaged: no JSON"),
        (b"\xff", "card.json is damaged: no JSON"),
        (b"[" * 100_000, "card.json is damaged: no JSON"),
        (b"[1]", "card.json has schema None"),
        (b'{"schema": 1}', '"shards" gives the number of faces'),
        (b'{"schema": 1, "shards": [3]}', '"shards" gives the number of faces'),
        (b'{"schema": 1, "shards": {"shard-00000.tar": -1}}', '"shards" gives the number'),
    ],
)
def test_a_damaged_card_is_named(tmp_path: Path, card: bytes, words: str) -> None:
    write_faces(tmp_path, [2])
    (tmp_path / "card.json").write_bytes(card)
    with pytest.raises(ValueError, match=words):
        stream(tmp_path)
