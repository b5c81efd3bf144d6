"""The paper's tables on tiny settings: every cell, the numbers by hand, and going on."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks.paper_plan import CELLS, SIZES
from click import ClickException
from click.testing import CliRunner
from PIL import Image
from tiny_demo import write_demo
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from au_adapter.bundled import demo_folder
from au_adapter.training.loop import Trainer
from benchmarks import paper_tables
from benchmarks.paper_report import PUBLISHED, UNTRAINED, measures
from benchmarks.paper_tables import run


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Work and results of the smoke size, its base of random weights, and a CLIP."""
    base = write_demo(tmp_path_factory.mktemp("base"))
    work, results = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("results")
    clip = write_clip(tmp_path_factory.mktemp("clip"))
    run(SIZES["smoke"], work, results, "paper_tables_smoke", base=base, clip=clip)
    return work, results, base, clip


def write_clip(folder: Path) -> Path:
    """A CLIP of random weights, as transformers saves one."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = CLIPVisionConfig(
        **sizes, num_hidden_layers=1, image_size=32, patch_size=16, projection_dim=8
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**size).save_pretrained(folder)
    return folder


def test_smoke_makes_every_cell_and_ranks_nothing(folders: tuple[Path, ...]) -> None:
    work, results, *_ = folders
    text = (results / "paper_tables_smoke.md").read_text()
    for cell in CELLS:
        assert f"| {cell.name} |" in text
        sheet = results / "paper_tables_smoke" / f"{cell.name.replace(' ', '_')}.png"
        assert Image.open(sheet).size[1] == 130
    for title in ("Table 1", "Table 2", "Table 3", "7.45, 0.91", "Too small to rank"):
        assert title in text
    assert "## Order" not in text
    found = json.loads((results / "paper_tables_smoke.json").read_text())
    assert all(seed["combined"] > 0 for seeds in found["cells"].values() for seed in seeds)
    for cell in CELLS:
        (seed,) = found["cells"][cell.name]
        assert -1 <= seed["clip_i_single"] <= 1 and -1 <= seed["clip_i_combined"] <= 1
        assert 0 <= seed["picture_rmse_single"] <= 1
    assert found["cells"].keys() == {cell.name for cell in CELLS} | UNTRAINED.keys()
    assert Image.open(results / "paper_tables_smoke.png").size == (880, 550)


def test_a_second_run_makes_only_what_is_missing(folders: tuple[Path, ...]) -> None:
    work, results, *_ = folders
    files = {path: path.stat().st_mtime_ns for path in work.glob("*/*/seed*/cell.json")}
    assert len(files) == len(CELLS)
    gone = next(path for path in files if "LoRA-T" in str(path))
    shutil.rmtree(gone.parent)
    base, clip = folders[2:]
    run(SIZES["smoke"], work, results, "paper_tables_smoke", names=("LoRA-T",), base=base)
    assert "clip_i" not in json.loads(gone.read_text())["rows"][0]
    run(
        SIZES["smoke"], work, results, "paper_tables_smoke", names=("LoRA-T",), base=base, clip=clip
    )
    found = json.loads(gone.read_text())
    assert "clip_i" in found["rows"][0] and found["hours"] > found["training_hours"] > 0
    assert all(p.stat().st_mtime_ns == time for p, time in files.items() if p != gone)


def test_another_clip_is_asked_anew(folders: tuple[Path, ...]) -> None:
    work, results, base, clip = folders
    (file,) = work.glob("*/LoRA-AU/seed1/cell.json")
    for name, kept in (("another", False), (clip.name, True)):
        found = json.loads(file.read_text())
        rows = [row | {"clip_i": 0.5} for row in found["rows"]]
        file.write_text(json.dumps(found | {"clip": name, "rows": rows}))
        run(SIZES["smoke"], work, results, "other", names=("LoRA-AU",), base=base, clip=clip)
        found = json.loads(file.read_text())
        assert found["clip"] == clip.name and (found["rows"][0]["clip_i"] == 0.5) == kept


def test_cells_of_another_base_are_not_reused(folders: tuple[Path, ...]) -> None:
    work, results, *_ = folders
    run(SIZES["smoke"], work, results, "another", names=("LoRA-T",), base=demo_folder())
    assert len(list(work.glob("*/LoRA-T/seed1/cell.json"))) == 2


def test_another_seed_has_a_report_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper_tables, "WORK", tmp_path / "work")
    monkeypatch.setattr(paper_tables, "RESULTS", tmp_path)
    arguments = ["--size", "smoke", "--seed", "2", "--cell", "LoRA-T"]
    answer = CliRunner().invoke(paper_tables.main, arguments, catch_exceptions=False)
    assert answer.exit_code == 0 and "LoRA-T, seed 2" in answer.output
    assert "--size smoke --seed 2`" in (tmp_path / "paper_tables_smoke_seed2.md").read_text()
    (cell,) = tmp_path.glob("work/smoke_seed2/*/LoRA-T/seed2/cell.json")
    assert json.loads(cell.read_text())["settings"]["seed"] == 2


def test_measures_by_hand() -> None:
    def row(requested: dict, measured: dict, **more: float) -> dict:
        return {"method": "adapter", "requested": requested, "measured": measured, **more}

    found = measures(
        [
            row({}, {"4": 0.0, "12": 0.0}),
            row({"12": 2.0}, {"4": 1.0, "12": 1.0}, clip_i=0.9),
            row({"12": 4.0}, {"4": 0.0, "12": 2.0}, clip_i=0.7),
            row({"4": 1.0, "12": 3.0}, {"4": 1.0, "12": 1.0}),
        ]
    )
    assert found["single"] == pytest.approx((1 + 4) / 2)
    assert found["single_all"] == pytest.approx((1 + 1 + 0 + 4) / 4)
    assert found["combined"] == pytest.approx((0 + 4) / 2)
    assert found["clip_i_single"] == pytest.approx(0.8) and found["clip_i_combined"] is None
    assert found["linearity"] == {"12": (1.0, 1.0)}


def test_every_published_row_is_a_cell() -> None:
    assert PUBLISHED.keys() <= {cell.name for cell in CELLS} | UNTRAINED.keys()


def test_a_cell_of_other_settings_is_refused(folders: tuple[Path, ...]) -> None:
    work, results, base, _ = folders
    longer = replace(SIZES["smoke"], training=SIZES["smoke"].training | {"steps": 3})
    with pytest.raises(ClickException, match="of other settings of LoRA-T: delete that folder"):
        run(longer, work, results, "longer", names=("LoRA-T",), base=base)


def test_a_stopped_training_is_no_cell(
    folders: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Trainer):
        def _train_step(self) -> Tensor:
            signal.raise_signal(signal.SIGINT)
            return super()._train_step()

    monkeypatch.setattr(paper_tables, "Trainer", Interrupted)
    with pytest.raises(ClickException, match="LoRA-T stopped at step 1 of 2: run this again"):
        run(SIZES["smoke"], tmp_path, tmp_path, "stopped", names=("LoRA-T",), base=folders[2])
    assert not list(tmp_path.rglob("cell.json"))
    monkeypatch.undo()
    run(SIZES["smoke"], tmp_path, tmp_path, "stopped", names=("LoRA-T",), base=folders[2])
    assert len(list(tmp_path.rglob("cell.json"))) == 1
