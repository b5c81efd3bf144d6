"""Latents of streamed pictures that are kept: the same training, without encoding twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from labelled_faces import write_faces
from tiny_stable_diffusion import write_stable_diffusion

from au_adapter.bases import find_family, load_base
from au_adapter.data.shards import find_shards
from au_adapter.data.stream import FaceStream
from au_adapter.training.latent_cache import LatentCache
from au_adapter.training.run import train

FACES = 12
SETTINGS = {
    "steps": 6, "batch_size": 4, "mixed_precision": "no", "log_every": 1, "lanes": 2,
    "lora_rank": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stable_diffusion(tmp_path_factory.mktemp("tiny-sd21"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces", (5, 7))


def losses(data: Path, base: Path, output: Path, **settings: object) -> list[float]:
    """Of two epochs."""
    train("fineface-sd21", [data], output, base=str(base), **SETTINGS, **settings)
    return [json.loads(row)["loss"] for row in (output / "log.jsonl").read_text().splitlines()]


def written(cache: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}


def stream(data: Path, cache: LatentCache) -> FaceStream:
    return FaceStream([data], 64, lanes=1, known=cache.holds)


def cache_of(folder: Path, base: Path) -> LatentCache:
    return LatentCache(folder, find_family(base), load_base(base).vae, 64)


def test_training_is_the_same_and_encodes_each_face_once(
    data: Path, base: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    plain = losses(data, base, tmp_path / "plain")
    first = losses(data, base, tmp_path / "first", latent_cache=str(cache))
    files = written(cache)
    assert len(files) == FACES
    again = losses(data, base, tmp_path / "again", latent_cache=str(cache))
    assert first == again and written(cache) == files
    assert first == pytest.approx(plain, rel=1e-5)


def test_pictures_of_kept_faces_are_not_read(data: Path, base: Path, tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "cache", base)
    faces = stream(data, cache)
    seen = faces.read(0, FACES)
    assert seen.pictures.any()
    made = cache.distributions(seen)
    again = stream(data, cache).read(0, FACES)
    assert not again.pictures.any() and again.labels == seen.labels
    assert torch.equal(cache.distributions(again), made)


def test_another_shard_of_the_same_name_is_encoded_anew(
    data: Path, base: Path, tmp_path: Path
) -> None:
    cache = cache_of(tmp_path / "cache", base)
    made = cache.distributions(stream(data, cache).read(0, FACES))
    for shard in find_shards(data):
        os.utime(shard, ns=(0, 0))  # as a new one has another time
    fresh = cache_of(tmp_path / "cache", base)
    seen = stream(data, fresh).read(0, FACES)
    assert seen.pictures.any()
    assert torch.equal(fresh.distributions(seen), made)
    assert len(written(tmp_path / "cache")) == 2 * FACES


def test_a_file_that_went_after_the_batch_was_read_is_no_black_picture(
    data: Path, base: Path, tmp_path: Path
) -> None:
    cache = cache_of(tmp_path / "cache", base)
    cache.distributions(stream(data, cache).read(0, FACES))
    seen = stream(data, cache).read(0, FACES)
    gone = min(written(tmp_path / "cache"))
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=gone.name):
        cache.distributions(seen)
    assert not gone.exists()


def test_a_damaged_file_is_named(data: Path, base: Path, tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "cache", base)
    cache.distributions(stream(data, cache).read(0, FACES))
    damaged = min(written(tmp_path / "cache"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(ValueError, match="Delete it, and it is made again") as caught:
        cache.distributions(stream(data, cache).read(0, FACES))
    assert str(damaged) in str(caught.value)
