"""Files of generators and encoders in every layout that people hold, against a plain reference."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_wplus import (
    ENCODER,
    GENERATOR,
    nvidia_names,
    random_encoder,
    random_generator,
    reference_pictures,
    rosinality_names,
    write_e4e,
    write_nvidia,
    write_ours,
    write_rosinality,
)
from torch import Tensor
from torch.nn import functional

from au_adapter.cli.convert import convert_files
from au_adapter.models.e4e import E4E, E4EConfig
from au_adapter.models.ir_se import ArcFace
from au_adapter.models.stylegan2 import StyleGAN2, StyleGAN2Config, published_config
from au_adapter.weights.wplus_files import Framing, load_arcface, load_wplus
from au_adapter.weights.wplus_layouts import read_wplus


def codes(rows: int = 6, style: int = 16) -> Tensor:
    return torch.randn(3, rows, style, generator=torch.Generator().manual_seed(1))


def test_the_published_sizes() -> None:
    with torch.device("meta"):
        generator, encoder = StyleGAN2(published_config(1024)), E4E(E4EConfig())
    assert generator.config.levels == 18 and generator.config.size == 1024
    assert len(generator.state_dict()) + 16 == 171  # and the filters, which never differ
    assert sum(p.numel() for p in generator.parameters()) == pytest.approx(30.37e6, rel=1e-3)
    assert len(encoder.state_dict()) == 621
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(267.1e6, rel=1e-3)
    assert published_config(256).channels == (512, 512, 512, 512, 512, 256, 128)
    assert published_config(256, 1).channels == (512, 512, 512, 512, 256, 128, 64)


@pytest.mark.parametrize("widths", [(16, 12, 8), (8, 8, 8, 4)])
def test_pictures_are_those_of_the_published_formulation(widths: tuple[int, ...]) -> None:
    network = random_generator(StyleGAN2Config(widths, style=16, mapping=0))
    some = codes(2 * len(widths))
    wanted = reference_pictures(rosinality_names(network), some)
    torch.testing.assert_close(network(some), wanted, atol=1e-4, rtol=1e-4)


def test_the_mapping_is_that_of_the_published_formulation() -> None:
    network, z = random_generator(), torch.randn(4, 16)
    x = z / z.square().mean(1, keepdim=True).add(1e-8).sqrt()
    for number in (1, 2):
        layer = network.style[number]
        x = x @ (layer.weight * 0.01 / 4).T + layer.bias * 0.01
        x = functional.leaky_relu(x, 0.2) * 2**0.5
    torch.testing.assert_close(network.map(z), x, atol=1e-5, rtol=1e-4)


def reference_codes(t: dict[str, Tensor], x: Tensor) -> Tensor:
    """e4e's encoder as plain functions of its tensors; stages and heads of the tiny one."""

    def norm(name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            t[f"{name}.{kind}"][:, None, None]
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def prelu(name: str, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, x * t[f"{name}.weight"][:, None, None])

    x = functional.conv2d(x, t["input_layer.0.weight"], padding=1)
    x, taps = prelu("input_layer.2", norm("input_layer.1", x)), {}
    strides = {0: 2, 1: 2, 3: 2, 4: 2}  # the first bottlenecks of (1, 2, 1, 2)
    for n in range(6):
        r, stride = f"body.{n}.res_layer", strides.get(n, 1)
        y = functional.conv2d(norm(f"{r}.0", x), t[f"{r}.1.weight"], padding=1)
        y = functional.conv2d(prelu(f"{r}.2", y), t[f"{r}.3.weight"], stride=stride, padding=1)
        y = norm(f"{r}.4", y)
        squeezed = functional.conv2d(y.mean((2, 3), keepdim=True), t[f"{r}.5.fc1.weight"]).relu()
        y = y * functional.conv2d(squeezed, t[f"{r}.5.fc2.weight"]).sigmoid()
        short = f"body.{n}.shortcut_layer"
        if f"{short}.0.weight" in t:
            beside = norm(f"{short}.1", functional.conv2d(x, t[f"{short}.0.weight"], stride=stride))
        else:
            beside = x[:, :, ::stride, ::stride]
        x = taps[n] = y + beside
    coarse, middle, fine = taps[5], taps[3], taps[2]

    def up(small: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(small, like.shape[2:], mode="bilinear", align_corners=True)

    p2 = up(coarse, middle) + functional.conv2d(middle, t["latlayer1.weight"], t["latlayer1.bias"])
    p1 = up(p2, fine) + functional.conv2d(fine, t["latlayer2.weight"], t["latlayer2.bias"])
    rows = []
    for level in range(ENCODER.levels):
        y = coarse if level < 3 else p2 if level < 7 else p1
        for number in range((y.shape[-1] - 1).bit_length()):
            name = f"styles.{level}.convs.{2 * number}"
            y = functional.conv2d(y, t[f"{name}.weight"], t[f"{name}.bias"], 2, 1)
            y = functional.leaky_relu(y, 0.01)
        weight, bias = (t[f"styles.{level}.linear.{kind}"] for kind in ("weight", "bias"))
        rows.append(y.flatten(1) @ weight.T / weight.shape[1] ** 0.5 + bias)
    return torch.stack([rows[0], *(rows[0] + row for row in rows[1:])], 1)


def test_codes_are_those_of_the_published_formulation() -> None:
    encoder = random_encoder()
    pictures = torch.rand(2, 3, 32, 32) * 2 - 1
    wanted = reference_codes(encoder.state_dict(), pictures)
    torch.testing.assert_close(encoder(pictures), wanted, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny networks in each published layout, and what `convert` makes of them."""
    folder, generator = tmp_path_factory.mktemp("files"), random_generator()
    found = {
        "e4e": write_e4e(folder / "e4e_ffhq_encode.pt", generator, random_encoder()),
        "rosinality": write_rosinality(folder / "550000.pt", generator),
        "old": write_rosinality(folder / "old.pt", generator, old=True),
        "nvidia": write_nvidia(folder / "ffhq.pkl", nvidia_names(generator), folder / "ran"),
    }
    for name in list(found):
        found[f"converted {name}"] = convert_files(found[name], folder / f"{name}.safetensors")
    return found


@pytest.mark.parametrize("name", ["e4e", "rosinality", "old", "nvidia"])
@pytest.mark.parametrize("kind", ["", "converted "])
def test_every_layout_gives_the_same_pictures(files: dict[str, Path], kind: str, name: str) -> None:
    loaded = load_wplus(files[kind + name], files["e4e"])
    assert loaded.generator.config == GENERATOR and loaded.encoder.config == ENCODER
    wanted = reference_pictures(rosinality_names(random_generator()), codes())
    torch.testing.assert_close(loaded.generator(codes()), wanted, atol=1e-4, rtol=1e-4)
    assert "non-commercial" in loaded.licence
    assert loaded.space == load_wplus(files["e4e"]).space
    assert loaded.mean.shape == (6, 16)


def test_a_conversion_keeps_every_number(files: dict[str, Path]) -> None:
    before, after = read_wplus(files["e4e"]), read_wplus(files["converted e4e"])
    for ours, theirs in ((before.generator, after.generator), (before.encoder, after.encoder)):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(before.mean, after.mean)


def test_codes_of_a_picture_have_the_mean_in_them(files: dict[str, Path]) -> None:
    loaded, pictures = load_wplus(files["e4e"]), torch.rand(1, 3, 32, 32)
    mean = read_wplus(files["e4e"]).mean
    assert torch.equal(loaded.invert(pictures), loaded.encoder(pictures) + mean)


def test_a_pickle_with_source_in_it_runs_nothing(files: dict[str, Path]) -> None:
    touched = files["nvidia"].parent / "ran"
    assert b"it ran" in files["nvidia"].read_bytes() and b"touch" in files["nvidia"].read_bytes()
    load_wplus(files["nvidia"], files["e4e"])
    assert not touched.exists()


def test_a_filter_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write_rosinality(tmp_path / "a.pt", random_generator())
    content = torch.load(path, weights_only=True)
    content["g_ema"]["to_rgbs.0.upsample.kernel"][0, 0] = 1
    torch.save(content, path)
    with pytest.raises(ValueError, match="another filter, to_rgbs.0.upsample.kernel"):
        read_wplus(path)


def test_files_that_do_not_fit_are_refused_in_words(files: dict[str, Path], tmp_path: Path) -> None:
    wide = random_generator(StyleGAN2Config((16, 8, 8, 8), style=16, mapping=2))
    other = write_rosinality(tmp_path / "wide.pt", wide)
    with pytest.raises(ValueError, match="codes of 6 x 16 .* draws from 8 x 16"):
        load_wplus(other, files["e4e"])
    with pytest.raises(ValueError, match="550000.pt holds no encoder"):
        load_wplus(files["rosinality"])
    save_file({"conv_in.weight": torch.zeros(2, 2)}, tmp_path / "unet.safetensors")
    with pytest.raises(ValueError, match="neither a StyleGAN2 nor e4e's encoder"):
        load_wplus(tmp_path / "unet.safetensors")
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        load_wplus(tmp_path / "nothing.pt")
    (tmp_path / "page.pt").write_text("<!doctype html><html></html>")
    with pytest.raises(ValueError, match="web page"):
        load_wplus(tmp_path / "page.pt")


def test_damaged_files_are_refused_in_words(files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("e4e", "nvidia", "converted e4e"):
        path = tmp_path / files[name].name
        path.write_bytes(files[name].read_bytes()[:3000])
        with pytest.raises(ValueError, match=path.name):
            load_wplus(path)
    tensors = nvidia_names(random_generator())
    del tensors["synthesis.b8.conv0.affine.bias"]
    cut = write_nvidia(tmp_path / "cut.pkl", tensors, tmp_path / "ran")
    with pytest.raises(ValueError, match="1 tensors of the StyleGAN2 .* convs.0.conv.modulation"):
        load_wplus(cut, files["e4e"])
    strange = {"synthesis.input.freqs": torch.ones(2), **tensors}
    with pytest.raises(ValueError, match="is a StyleGAN3"):
        load_wplus(write_nvidia(cut, strange, tmp_path / "ran"), files["e4e"])
    residual = {n: t for n, t in tensors.items() if "torgb" not in n}
    with pytest.raises(ValueError, match="architecture 'skip', found G_ema"):
        load_wplus(write_nvidia(cut, residual, tmp_path / "ran"), files["e4e"])


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    generator = random_generator()
    generator.input.input[0, 0, 0, 0] = torch.nan
    path = write_e4e(tmp_path / "nan.pt", generator, random_encoder())
    with pytest.raises(ValueError, match="NaN or infinity in input.input"):
        load_wplus(path)


def test_files_of_this_project_carry_their_framing_and_no_licence(tmp_path: Path) -> None:
    both, _ = write_ours(tmp_path, zoom=0.8)
    loaded = load_wplus(both)
    assert (loaded.framing, loaded.licence) == (Framing(0.8, 0.5), "")


def test_arcface_loads_by_the_names_of_e4es_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ArcFace().eval()
    torch.save(network.state_dict(), tmp_path / "model_ir_se50.pth")
    faces = torch.rand(1, 3, 112, 112)
    with torch.no_grad():
        seen = load_arcface(tmp_path / "model_ir_se50.pth")(faces)
        torch.testing.assert_close(seen, network(faces))
    assert float(seen.norm()) == pytest.approx(1)
    with pytest.raises(ValueError, match="tensors of the ArcFace"):
        load_arcface(write_rosinality(tmp_path / "other.pt", random_generator()))
