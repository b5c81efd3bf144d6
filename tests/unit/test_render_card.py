"""The data card of rendered faces is counted as they are drawn, and says what the labels say."""

from __future__ import annotations

import errno
import shutil

import pytest
import test_rendering

from au_adapter.data.card import describe_folder, read_card
from au_adapter.data.rendering import dataset
from au_adapter.data.shards import find_shards

model_path = test_rendering.model_path  # a fixture


def test_the_card_counts_what_all_shards_show(model_path, tmp_path):
    def render(count):
        dataset.render_dataset(
            model_path, tmp_path, count, size=32, seed=5, expressions="sided", shard_size=4
        )
        return read_card(tmp_path)

    assert render(5)["shards"] == {"shard-00000.tar": 4, "shard-00001.tar": 1}
    card = render(7)
    assert card["faces"] == 7 and card["shards"]["shard-00001.tar"] == 3 and card["uneven"]
    assert render(2) == card, "the folder still holds seven"
    drawn = [path.stat().st_mtime_ns for path in find_shards(tmp_path)]
    (tmp_path / "card.json").unlink()
    shutil.rmtree(tmp_path / "work")  # as older versions left it
    assert describe_folder(tmp_path) == card, "the labels say the same"
    assert render(7) == card and card["settings"] == {"source": "rendered"}
    assert [path.stat().st_mtime_ns for path in find_shards(tmp_path)] == drawn


def test_no_card_is_there_while_it_is_not_true(model_path, tmp_path, monkeypatch):
    def cut_off(renderer, job, index):
        if index == 6:
            raise RuntimeError("power cut")
        return render_files(renderer, job, index)

    settings, render_files = {"size": 32, "shard_size": 4}, dataset.render_files
    dataset.render_dataset(model_path, tmp_path, 5, **settings)
    monkeypatch.setattr(dataset, "render_files", cut_off)
    with pytest.raises(RuntimeError, match="power cut"):
        dataset.render_dataset(model_path, tmp_path, 8, **settings)
    assert read_card(tmp_path) is None and describe_folder(tmp_path)["faces"] == 5
    monkeypatch.setattr(dataset, "render_files", render_files)
    dataset.render_dataset(model_path, tmp_path, 8, **settings)
    assert read_card(tmp_path)["shards"] == {"shard-00000.tar": 4, "shard-00001.tar": 4}


def test_a_full_disk_is_said(model_path, tmp_path, monkeypatch):
    def full(renderer, job, index):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(dataset, "render_files", full)
    with pytest.raises(OSError, match="disk of .* is full.*goes on from there"):
        dataset.render_dataset(model_path, tmp_path, 1, size=32)
    assert not list(tmp_path.rglob("*.partial"))
