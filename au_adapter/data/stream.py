"""An endless seeded stream of labelled faces from tar shards, for data sets of any size.

Shards are dealt to lanes, and every batch takes the same number of rows from each lane. A batch is
therefore the same however many processes share the lanes, and each process reads only its own
shards. Each epoch shuffles the shards of a lane, and faces pass through a shuffle buffer that is
emptied after every few shards: to resume at any step, only those few are read again. Memory holds
the buffers of a process's lanes, as compressed pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from .card import shard_counts
from .pictures import PictureError
from .shards import decode_picture, find_shards, key_of, label_of, picture_of, read_shard

LOGGER = logging.getLogger("au_adapter")
GROUP = 4  # pieces after which a buffer is emptied; how far back an entry has to read


@dataclass(frozen=True)
class StreamedFace:
    """A face of a shard: its number there, from 0, and its files by kind."""

    shard: Path
    number: int
    files: dict[str, bytes]


@dataclass(frozen=True)
class StreamedBatch:
    """Rows of a batch: pictures uint8 [n, side, side, 3], their labels and faces, and which of them
    were known when they were read: their pictures are zeros."""

    pictures: np.ndarray
    labels: list[dict]
    faces: list[StreamedFace]
    known: list[bool]


def nothing_known(face: StreamedFace) -> bool:
    """That every picture is needed."""
    return False


@dataclass(frozen=True)
class Piece:
    """Every `parts`-th face of a shard, from `part` on; the whole shard where parts is 1."""

    shard: Path
    faces: int
    part: int = 0
    parts: int = 1

    def __len__(self) -> int:
        return len(range(self.part, self.faces, self.parts))

    def read(self) -> Iterator[StreamedFace]:
        """The faces. ValueError, after the last, where the shard has another number of them: a
        stream is entered by counts, and one without a face would never give a batch."""
        found = 0
        for found, files in enumerate(read_shard(self.shard), 1):
            if (found - 1) % self.parts == self.part:
                yield StreamedFace(self.shard, found - 1, files)
        if found != self.faces:
            raise ValueError(
                f"{self.shard} holds {found} faces, and the card.json beside it says "
                f"{self.faces}: the shard is another, or damaged. Make it again, or delete "
                "card.json if the shard is right"
            )


class Lane:
    """One reader's pieces, repeated for ever, each epoch in an order of its own."""

    def __init__(self, pieces: list[Piece], seed: Sequence[int], buffer: int):
        self.pieces, self.seed, self.buffer = pieces, list(seed), buffer
        self.faces = sum(map(len, pieces))

    def faces_from(self, start: int) -> Iterator[StreamedFace]:
        """The faces from number `start` of the stream on."""
        epoch, skip = divmod(start, self.faces)
        while True:
            order = self._generator(epoch).permutation(len(self.pieces))
            for first in range(0, len(order), GROUP):
                group = [self.pieces[i] for i in order[first : first + GROUP]]
                count = sum(map(len, group))
                if skip < count:
                    shuffled = self._shuffled(group, self._generator(epoch, first))
                    yield from islice(shuffled, skip, None)
                skip = max(0, skip - count)
            epoch += 1

    def _shuffled(
        self, group: list[Piece], generator: np.random.Generator
    ) -> Iterator[StreamedFace]:
        buffer: list[StreamedFace] = []
        for piece in group:
            for face in piece.read():
                if len(buffer) < self.buffer:
                    buffer.append(face)
                    continue
                chosen = int(generator.integers(len(buffer)))
                buffer[chosen], face = face, buffer[chosen]
                yield face
        for chosen in generator.permutation(len(buffer)):
            yield buffer[chosen]

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([*self.seed, *key])


class FaceStream:
    """Batches of labelled faces from folders of shards, by the number of the step."""

    def __init__(
        self,
        folders: Sequence[str | Path],
        size: int,
        seed: int = 0,
        lanes: int = 8,
        buffer: int = 1000,
        known: Callable[[StreamedFace], bool] = nothing_known,
    ):
        """size: pixels of a side; pictures are squashed to it, as FineFace does. lanes: a multiple
        of the number of processes; another number is another order. buffer: faces of a lane that
        are shuffled together. known: of which faces no picture is needed.

        Raises FileNotFoundError for a folder without shards, ValueError where no shard has a face.
        """
        self.shards = [shard for folder in folders for shard in find_shards(folder)]
        self.counts = shard_counts(self.shards)  # faces of each
        self.size, self.seed, self.lanes, self.buffer = size, seed, lanes, buffer
        self.known = known
        self.readers: dict[int, Iterator[StreamedFace]] = {}
        self._expected: tuple[int, ...] = ()
        self._ahead: Future | None = None
        self._pool = ThreadPoolExecutor(1, "face-stream")
        if not len(self):
            raise ValueError(f"no shard of {', '.join(map(str, folders))} holds a face")

    def __len__(self) -> int:
        """Faces of all shards."""
        return sum(self.counts.values())

    def read(self, step: int, size: int, index: int = 0, count: int = 1) -> StreamedBatch:
        """Rows of process `index` of `count` in the batch of `size` faces at a step.

        Steps in a row are read ahead; any other step is entered by reading a few shards again.
        ValueError where size or lanes do not split evenly over the processes, or a batch is smaller
        than the lanes.
        """
        if self.lanes % count or size % count:
            raise ValueError(
                f"a batch of {size} in {self.lanes} lanes does not split over {count} processes: "
                "choose multiples for batch_size and lanes"
            )
        if size < self.lanes:
            raise ValueError(
                f"a batch of {size} cannot take a face from each of {self.lanes} lanes: raise "
                "batch_size or lower lanes"
            )
        if self._ahead is None or self._expected != (step, size, index, count):
            self._enter(step, size, index, count)
            self._ahead = self._pool.submit(self._batch, size)
        batch = self._ahead.result()
        self._ahead = self._pool.submit(self._batch, size)
        self._expected = (step + 1, size, index, count)
        return batch

    def _enter(self, step: int, size: int, index: int, count: int) -> None:
        if self._ahead is not None:
            self._ahead.result()  # nothing else may use the readers
        share = _rows_of_lanes(self.lanes, size)
        mine = range(index * self.lanes // count, (index + 1) * self.lanes // count)
        lanes = {n: Lane(self._pieces(n), (self.seed, n), self.buffer) for n in mine}
        self.readers = {n: lane.faces_from(step * share[n]) for n, lane in lanes.items()}

    def _pieces(self, lane: int) -> list[Piece]:
        """Whole shards in turn; where they are fewer than lanes, a part of each."""
        filled = [shard for shard in self.shards if self.counts[shard]]
        dealt = np.random.default_rng(self.seed).permutation(len(filled))
        if len(filled) >= self.lanes:
            return [Piece(filled[i], self.counts[filled[i]]) for i in dealt[lane :: self.lanes]]
        pieces = [Piece(filled[i], self.counts[filled[i]], lane, self.lanes) for i in dealt]
        if not any(map(len, pieces)):
            raise ValueError(
                f"{len(self)} faces in {len(filled)} shards do not fill {self.lanes} lanes: lower "
                f"lanes, or make more faces than {filled[0]} holds"
            )
        return pieces

    def _batch(self, size: int) -> StreamedBatch:
        share = _rows_of_lanes(self.lanes, size)
        faces = [
            face for lane, reader in self.readers.items() for face in islice(reader, share[lane])
        ]
        known = [self.known(face) for face in faces]
        unread = np.zeros((self.size, self.size, 3), np.uint8)
        pictures = [
            unread if skipped else self._picture(face)
            for face, skipped in zip(faces, known, strict=True)
        ]
        labels = [label_of(face.files, face.shard) for face in faces]
        whole = [i for i, picture in enumerate(pictures) if picture is not None]
        if not whole:
            raise ValueError(
                f"all {len(pictures)} pictures of a batch are damaged, such as in "
                f"{faces[0].shard}; see the log"
            )
        rows = [i if i in whole else whole[0] for i in range(len(pictures))]
        taken = np.stack([pictures[i] for i in rows])
        return StreamedBatch(taken, *([found[i] for i in rows] for found in (labels, faces, known)))

    def _picture(self, face: StreamedFace) -> np.ndarray | None:
        try:
            name = f"the picture {key_of(face.files)} in {face.shard}"
            return decode_picture(picture_of(face.files, face.shard), self.size, name)
        except PictureError as error:
            LOGGER.warning("%s; another face takes its place", error)
            return None


def _rows_of_lanes(lanes: int, size: int) -> list[int]:
    """Rows that each lane gives to a batch: row r is of lane r lanes // size."""
    return np.bincount([row * lanes // size for row in range(size)], minlength=lanes).tolist()
