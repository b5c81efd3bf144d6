"""The bundled model is made of what training leaves: half the bytes, and it still loads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_demo import write_demo
from torch.testing import assert_close

from au_adapter.bundled import (
    FOLDER_VARIABLE,
    MAGICFACE,
    SIDED_ADAPTER,
    adapters_folder,
    demo_folder,
    magicface_folder,
)
from au_adapter.facs import ALL_UNITS, SET_A
from au_adapter.weights.adapter_files import load_adapter
from au_adapter.weights.magicface_files import find_unets, load_magicface
from tools.pack_bundled import main, pack

LIMIT = 45e6  # bytes in git


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder with the files of every recipe, single precision."""
    folder = write_demo(tmp_path_factory.mktemp("results"))
    (folder / "magicface" / MAGICFACE).rename(folder / "magicface.safetensors")
    (folder / "adapter.safetensors").rename(folder / "regressor.safetensors")  # any weights do
    return folder


def test_magicface_is_packed_by_itself(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["pack", str(tmp_path), "--magicface", str(results)]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    packed, source = magicface_folder() / MAGICFACE, results / "magicface.safetensors"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [packed]
    assert packed.stat().st_size < 0.27 * source.stat().st_size
    whole, small = load_magicface(source).state_dict(), load_magicface(packed).state_dict()
    assert whole.keys() == small.keys()
    for name, tensor in whole.items():
        assert_close(small[name], tensor, atol=0.5 * float(tensor.abs().max()) / 127 + 1e-3, rtol=0)
    assert [part.config for part in find_unets(packed)] == [p.config for p in find_unets(source)]


def test_what_is_not_named_stays(results: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter.safetensors").write_bytes(b"as it was")
    pack(tmp_path, base=results, regressor=results)
    assert (tmp_path / "adapter.safetensors").read_bytes() == b"as it was"
    assert {t.dtype for t in load_file(tmp_path / "unet.safetensors").values()} == {torch.float16}
    kept = load_file(tmp_path / "vae.safetensors")
    assert {t.dtype for t in kept.values()} == {torch.int8, torch.float16}
    assert (tmp_path / "tokenizer" / "vocab.json").is_file()


def test_a_result_without_its_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"magicface\.safetensors"):
        pack(tmp_path / "output", magicface=tmp_path)


def test_the_bundled_models_have_the_size_that_git_allows() -> None:
    bundled = Path(__file__).parents[2] / "au_adapter" / "bundled"
    assert sum(file.stat().st_size for file in bundled.rglob("*.safetensors")) <= LIMIT


def test_both_bundled_adapters_are_of_the_bundled_base() -> None:
    first = load_adapter(demo_folder() / "adapter.safetensors").config
    second = load_adapter(adapters_folder() / SIDED_ADAPTER).config
    assert (first.units, first.sides) == (SET_A, False)
    assert (sorted(second.units), second.sides) == ([*ALL_UNITS], True)
    assert first.layers == second.layers and first.base == second.base == "AU-Adapter demo"
