"""The script that makes the bundled models, in seconds: every stage, its check, and packing."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from face_pictures import TASK
from PIL import Image
from test_rendering import model_path  # noqa: F401 - a face model that can be rendered
from two_processes import in_two_processes

from au_adapter import load_adapter
from au_adapter.bundled import SIDED_ADAPTER, load_diffusers_pipeline
from au_adapter.models.autoencoder import AutoencoderConfig, DemoAutoencoder
from au_adapter.weights.aueditnet_files import load_aueditnet
from au_adapter.weights.autoencoder_files import load_autoencoder, read_colours
from au_adapter.weights.magicface_files import load_magicface
from au_adapter.weights.wplus_files import load_wplus
from tools.sample_faces import few_faces
from tools.train_bundled import (
    adapter_check,
    aueditnet_check,
    autoencoder_check,
    base_check,
    checks,
    work,
)
from tools.train_bundled import magicface_check as edits
from tools.train_bundled.packing import fit_colours, pack_all
from tools.train_bundled.plan import DRAWS, STAGES, Draw
from tools.train_bundled.work import Workshop, trained_steps, training_seconds

STEPS = {"steps": 2, "batch_size": 2, "warmup_steps": 0, "decay_steps": 0, "log_every": 1}
TINY = {name: replace(s, settings={**s.settings, **STEPS}) for name, s in STAGES.items()}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """All stages after two steps each."""
    shop = Workshop(Path("none.npz"), tmp_path_factory.mktemp("output"), "no")
    for name in DRAWS:
        few_faces(shop.renders(name))
    for name, stage in TINY.items():
        shop.train(name, stage)
    return shop


def test_every_stage_of_the_plan_takes_what_earlier_ones_leave() -> None:
    done: set[str] = set()
    for name, stage in STAGES.items():
        assert set(stage.needs.values()) <= done
        assert {*stage.draws, *stage.checked_on} <= DRAWS.keys()
        done.add(name)
    assert checks.CHECKS.keys() == STAGES.keys()


def test_no_person_is_in_two_draws() -> None:
    people = sorted((d.first_identity, d.count // d.images_per_identity) for d in DRAWS.values())
    for (first, count), (after, _) in zip(people, people[1:], strict=False):
        assert first + count <= after


def test_a_draw_is_rendered_once(model_path: Path, tmp_path: Path) -> None:  # noqa: F811
    shop = Workshop(model_path, tmp_path, "no")
    draw = Draw("sided", 2, seed=1, first_identity=5, units=(1, 12))
    (shard,) = shop.render("few", draw).glob("*.tar")
    written = shard.stat().st_mtime_ns
    seconds = json.loads((shop.renders("few") / "seconds.json").read_text())
    shop.render("few", draw)
    assert shard.stat().st_mtime_ns == written
    assert seconds > 0


def test_a_finished_stage_is_left_and_a_longer_one_goes_on(shop: Workshop) -> None:
    stage, run = TINY["regressor"], shop.output / "regressor"
    written = (run / "state.pt").stat().st_mtime_ns
    shop.train("regressor", stage)
    assert (run / "state.pt").stat().st_mtime_ns == written
    longer = replace(stage, settings={**stage.settings, "steps": 4})
    assert trained_steps(shop.train("regressor", longer)) == 4
    rows = [json.loads(row) for row in (run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert training_seconds(run) == pytest.approx(sum(r["seconds_per_step"] for r in rows))


def test_a_stage_that_was_stopped_says_so(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(recipe: str, data: list[Path], output: Path, **settings: object) -> None:
        (output / "result").mkdir(parents=True)
        (output / "result" / "training.json").write_text('{"step": 1}')

    monkeypatch.setattr(work, "train", stopped)
    with pytest.raises(work.Stopped, match="regressor stopped at step 1 of 2"):
        replace(shop, output=tmp_path).train("regressor", TINY["regressor"])


def test_every_stage_is_checked_and_its_cost_noted(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "locate", lambda *_, **__: TASK)
    monkeypatch.setattr(base_check, "PICTURES", 2)
    monkeypatch.setattr(adapter_check, "PROMPTS", adapter_check.PROMPTS[:1])
    monkeypatch.setattr(adapter_check, "LEVELS", (0.0, 5.0))
    monkeypatch.setattr(edits, "PHOTOS", 2)
    monkeypatch.setattr(aueditnet_check, "TRIALS", 4)
    monkeypatch.setattr(aueditnet_check, "SHOWN", 2)
    for module in (base_check, adapter_check, edits):
        monkeypatch.setattr(module, "STEPS", 1)
    for name in STAGES:
        numbers = checks.check(name, shop)
        assert numbers and all(isinstance(value, float) for value in numbers.values())
    table = checks.write_table(shop).read_text()
    assert all(f"| {name} |" in table for name in STAGES)
    report = checks.read_report(shop.output)
    assert report["sided"]["numbers"]["change_on_the_side_asked"] > 0
    with Image.open(shop.output / "sheets" / "autoencoder.png") as sheet:
        assert sheet.height < sheet.width


def test_the_packed_models_load(shop: Workshop, tmp_path: Path) -> None:
    pack_all(shop, tmp_path, calibrated=False)
    pipeline = load_diffusers_pipeline(tmp_path)
    channels = pipeline.vae.config.latent_channels
    assert pipeline.unet.config.in_channels == channels == 16
    factors, bias = read_colours(tmp_path)
    assert (len(factors), len(factors[0]), len(bias)) == (channels, 3, 3)
    adapter = load_adapter(tmp_path / "adapters" / SIDED_ADAPTER)
    assert adapter.config.sides and len(adapter.config.units) == 17
    network = load_magicface(tmp_path / "magicface" / "demo_magicface.safetensors")
    assert network.unet.config.in_channels == 2 * channels
    both = load_wplus(tmp_path / "aueditnet" / "demo_wplus.safetensors")
    editor = load_aueditnet(tmp_path / "aueditnet" / "demo_aueditnet.safetensors")
    assert editor.space == both.space and both.generator.config.size == 128
    packed, last, first = (
        load_autoencoder(f) for f in (tmp_path, shop.result("decoder"), shop.result("autoencoder"))
    )
    assert packed.config == first.config
    for found, wanted in (
        (packed.latent_deviation, first.latent_deviation),  # latents stay, the decoder is the last
        (packed.patches_in.weight, first.patches_in.weight),
        (packed.patches_out.weight, last.patches_out.weight),
    ):
        off = 1e-3 + float(wanted.abs().max()) / 250  # numbers of 8 bits
        torch.testing.assert_close(found, wanted, atol=off, rtol=0)
    assert not torch.equal(first.patches_out.weight, last.patches_out.weight)


def test_two_processes_train_one_stage_and_the_first_checks_it(
    shop: Workshop, tmp_path: Path
) -> None:
    shutil.copytree(shop.renders("regressor"), tmp_path / "renders" / "regressor")
    (tmp_path / "face.npz").touch()
    stage = replace(TINY["regressor"], draws=("regressor",), checked_on=())
    script = f"""
from tools.train_bundled import __main__ as command, checks, work
from tools.train_bundled.plan import Stage
command.STAGES = {{"regressor": {stage!r}}}
work.Workshop.render = lambda *_: print("renders")
checks.check = lambda *_: print("checks")
command.main(["--model", "face.npz", "--output", ".", "--stage", "regressor"])
"""
    said = in_two_processes([sys.executable, "-c", script], cwd=tmp_path)
    assert [out.split() for out, _ in said] == [["renders", "checks"], []]
    assert trained_steps(tmp_path / "regressor" / "result") == STEPS["steps"]


def test_packing_without_a_base_is_refused(tmp_path: Path) -> None:
    shop = Workshop(Path("none.npz"), tmp_path, "no")
    with pytest.raises(FileNotFoundError, match="holds no base"):
        pack_all(shop, tmp_path / "bundled")


def test_colours_of_a_linear_code_are_found() -> None:
    """Three channels that are the mean red, green and blue of a cell, in another scale."""
    torch.manual_seed(0)
    small = AutoencoderConfig((8, 8), (16, 8, 8), (1, 1), (1, 1, 1), latent_channels=3)
    autoencoder = DemoAutoencoder(small).requires_grad_(False)
    pictures = torch.rand(4, 3, 32, 32) * 2 - 1
    autoencoder.start_from_principal_components(pictures)  # the networks beside are silent now
    autoencoder.patches_in.weight.zero_()
    for colour in range(3):
        autoencoder.patches_in.weight[colour, colour] = 1 / 64
    autoencoder.patches_in.bias.copy_(torch.tensor([0.5, 0.0, 0.0]))
    autoencoder.set_latent_statistics(autoencoder.encode_raw(pictures))
    factors, bias = fit_colours(autoencoder, pictures)
    torch.testing.assert_close(factors, autoencoder.latent_deviation.diag(), atol=1e-4, rtol=0)
    wanted = autoencoder.latent_mean - torch.tensor([0.5, 0.0, 0.0])
    torch.testing.assert_close(bias, wanted, atol=1e-4, rtol=0)


def test_the_same_picture_has_all_its_edges() -> None:
    pictures = torch.rand(2, 3, 16, 16)
    noisy = (pictures + 0.1).clamp(0, 1)
    assert autoencoder_check.psnr(pictures, noisy) == pytest.approx(20, abs=1)
    flat = torch.zeros(1, 3, 4, 4)
    flat[..., 2:] = 1
    assert autoencoder_check.edges(flat).sum() == 4  # one step in each of four lines
