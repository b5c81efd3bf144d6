"""A StyleGAN2, an e4e encoder and an AUEditNet with random weights, tiny, in every layout that
people hold, and a plain reference of the published formulation to hold ours against."""

from __future__ import annotations

import math
import pickle
import sys
import types
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from au_adapter.bundled import AUEDITNET, WPLUS
from au_adapter.facs import SET_A
from au_adapter.models.aueditnet import AUEditNet, AUEditNetConfig
from au_adapter.models.e4e import E4E, E4EConfig
from au_adapter.models.stylegan2 import StyleGAN2, StyleGAN2Config
from au_adapter.weights.aueditnet_files import save_aueditnet
from au_adapter.weights.tensors import weights_name
from au_adapter.weights.wplus_files import save_wplus

GENERATOR = StyleGAN2Config(channels=(16, 12, 8), style=16, mapping=2)  # 16 pixels, 6 levels
ENCODER = E4EConfig(((16, 1), (24, 2), (32, 1), (40, 2)), style=16, levels=6, size=32, reduction=8)
EDITOR = AUEditNetConfig(
    SET_A, levels=tuple(range(6)), style=16, width=8, hidden=12, layers=1, labels=4
)
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])
KERNEL = TAPS[:, None] * TAPS / 64


def random_generator(config: StyleGAN2Config = GENERATOR, seed: int = 3) -> StyleGAN2:
    """A generator whose every number counts: noise and biases are not zero."""
    torch.manual_seed(seed)
    network = StyleGAN2(config)
    for parameter in network.parameters():
        if parameter.ndim < 2 or parameter.shape[0] == 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return network.eval().requires_grad_(False)


def random_encoder(config: E4EConfig = ENCODER, seed: int = 4) -> E4E:
    """An encoder with statistics of its own in every normalisation."""
    torch.manual_seed(seed)
    network = E4E(config)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.2)
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)


def random_editor(config: AUEditNetConfig = EDITOR, seed: int = 5) -> AUEditNet:
    """An editor whose last layers do something."""
    torch.manual_seed(seed)
    network = AUEditNet(config)
    for part in (network.decoder, network.label_map):
        for parameter in part.parameters() if part is not None else ():
            torch.nn.init.normal_(parameter, std=0.3)
    return network.eval().requires_grad_(False)


def write_ours(folder: Path, zoom: float = 0.75) -> tuple[Path, Path]:
    """Files of generator with encoder, and of an editor, as training leaves them."""
    generator, mean = random_generator(), torch.randn(6, 16, generator=_seeded())
    space = weights_name(generator)
    both = save_wplus(
        folder / "wplus.safetensors", generator, random_encoder(), mean,
        {"kind": "ours", "space": space, "framing": {"zoom": zoom, "lower": 0.5}},
    )  # fmt: skip
    return both, save_aueditnet(random_editor(), folder / "aueditnet.safetensors", space)


def write_shipped(folder: Path) -> None:
    """Files under the names of those in the box, of its size, 128 pixels."""
    config = StyleGAN2Config((8,) * 6, style=16, mapping=0)
    generator = random_generator(config)
    encoder = random_encoder(replace(ENCODER, levels=config.levels))
    described = {
        "kind": "ours", "space": weights_name(generator), "framing": {"zoom": 0.72, "lower": 0.35},
    }  # fmt: skip
    save_wplus(folder / WPLUS, generator, encoder, torch.zeros(config.levels, 16), described)
    editor = random_editor(replace(EDITOR, levels=tuple(range(config.levels))))
    save_aueditnet(editor, folder / AUEDITNET, described["space"])


def rosinality_names(generator: StyleGAN2) -> dict[str, Tensor]:
    """The tensors as rosinality's port has them: ours, and the filters."""
    tensors = dict(generator.state_dict())
    for number in range(len(generator.config.channels) - 1):
        tensors[f"convs.{2 * number}.conv.blur.kernel"] = KERNEL * 4
        tensors[f"to_rgbs.{number}.upsample.kernel"] = KERNEL * 4
    return tensors


def write_e4e(path: Path, generator: StyleGAN2, encoder: E4E) -> Path:
    """e4e_ffhq_encode.pt."""
    tensors = {f"encoder.{n}": t for n, t in encoder.state_dict().items()}
    tensors |= {f"decoder.{n}": t for n, t in rosinality_names(generator).items()}
    rows, style = generator.config.levels, generator.config.style
    content = {
        "state_dict": tensors,
        "latent_avg": torch.randn(rows, style, generator=_seeded()),
        "opts": {"encoder_type": "Encoder4Editing", "start_from_latent_avg": True},
    }
    torch.save(content, path)
    return path


def write_rosinality(path: Path, generator: StyleGAN2, old: bool = False) -> Path:
    """stylegan2-ffhq-config-f.pt, or with what training keeps, and as torch saved before 2020."""
    mean = torch.randn(generator.config.style, generator=_seeded())
    content = {"g_ema": rosinality_names(generator), "latent_avg": mean, "g_optim": {"state": {}}}
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    return path


def nvidia_names(generator: StyleGAN2) -> dict[str, Tensor]:
    """The tensors by NVIDIA's names; no part of ours is used to find them."""
    ours, found = generator.state_dict(), {}
    for number in range(generator.config.mapping):
        for kind in ("weight", "bias"):
            found[f"mapping.fc{number}.{kind}"] = ours[f"style.{number + 1}.{kind}"]
    found["mapping.w_avg"] = torch.randn(generator.config.style, generator=_seeded())
    found["synthesis.b4.const"] = ours["input.input"][0]
    layers = {"b4.conv1": ("conv1", 0), "b4.torgb": ("to_rgb1", None)}
    for number in range(len(generator.config.channels) - 1):
        block = f"b{8 * 2**number}"
        layers[f"{block}.conv0"] = (f"convs.{2 * number}", 2 * number + 1)
        layers[f"{block}.conv1"] = (f"convs.{2 * number + 1}", 2 * number + 2)
        layers[f"{block}.torgb"] = (f"to_rgbs.{number}", None)
    for theirs, (name, noise) in layers.items():
        here = f"synthesis.{theirs}"
        found[f"{here}.weight"] = ours[f"{name}.conv.weight"][0]
        for kind in ("weight", "bias"):
            found[f"{here}.affine.{kind}"] = ours[f"{name}.conv.modulation.{kind}"]
        if noise is None:
            found[f"{here}.bias"] = ours[f"{name}.bias"].flatten()
        else:
            found[f"{here}.bias"] = ours[f"{name}.activate.bias"]
            found[f"{here}.noise_strength"] = ours[f"{name}.noise.weight"].reshape([])
            found[f"{here}.noise_const"] = ours[f"noises.noise_{noise}"][0, 0]
            found[f"{here}.resample_filter"] = KERNEL
    return found


class _Persistent:
    """A network as torch_utils.persistence pickles it: source, class name and state."""

    def __init__(self, state: dict[str, Any], source: str):
        self.state, self.source = state, source

    def __reduce__(self) -> tuple:
        rebuild = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        meta = sys.modules["dnnlib.util"].EasyDict(
            type="class", version=6, module_src=self.source, class_name="G", state=self.state
        )
        return rebuild, (meta,)


class Hostile:
    """Runs a command when it is unpickled in earnest."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> tuple:
        import os

        return os.system, (f"touch {self.file}",)


def write_nvidia(
    path: Path, tensors: dict[str, Tensor], touched: Path, name: str = "G_ema"
) -> Path:
    """ffhq.pkl, whose source, and an object beside the networks, would write the file `touched`."""
    source = f"open({str(touched)!r}, 'w').write('it ran')"
    fakes = _fake_modules()
    sys.modules.update(fakes)
    try:
        content = {"training_set_kwargs": Hostile(touched), name: _network(tensors, source)}
        path.write_bytes(pickle.dumps(content, protocol=4))
    finally:
        for module in fakes:
            del sys.modules[module]
    return path


def _fake_modules() -> dict[str, types.ModuleType]:
    """Modules of NVIDIA's names, which a pickle can refer to."""

    class EasyDict(dict):
        pass

    def _reconstruct_persistent_obj(meta: dict) -> None: ...

    names = ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")
    fakes = {name: types.ModuleType(name) for name in names}
    for thing, module in ((EasyDict, "dnnlib.util"), (_reconstruct_persistent_obj, names[1])):
        thing.__module__, thing.__qualname__ = module, thing.__name__
        setattr(fakes[module], thing.__name__, thing)
    return fakes


def _network(tensors: dict[str, Tensor], source: str) -> _Persistent:
    """Tensors by dotted names as networks in networks."""
    own = {name: t for name, t in tensors.items() if "." not in name}
    fixed = ("w_avg", "noise_const", "resample_filter")
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        head, dot, rest = name.partition(".")
        if dot:
            parts.setdefault(head, {})[rest] = tensor
    parameters = {n: torch.nn.Parameter(t) for n, t in own.items() if n not in fixed}
    state = {
        "training": False,
        "_parameters": OrderedDict(parameters),
        "_buffers": OrderedDict((n, t) for n, t in own.items() if n in fixed),
        "_modules": OrderedDict((n, _network(part, source)) for n, part in parts.items()),
    }
    return _Persistent(state, source)


def reference_pictures(tensors: dict[str, Tensor], codes: Tensor) -> Tensor:
    """What rosinality's formulation draws: weights modulated for each picture, filters by inserted
    zeros. tensors by its names."""
    x = tensors["input.input"].repeat(len(codes), 1, 1, 1)
    x = _styled(tensors, "conv1", x, codes[:, 0], 0)
    picture = _to_rgb(tensors, "to_rgb1", x, codes[:, 1])
    for number in range(sum(name.endswith("upsample.kernel") for name in tensors)):
        at = 2 * number + 1
        x = _styled(tensors, f"convs.{at - 1}", x, codes[:, at], at, up=True)
        x = _styled(tensors, f"convs.{at}", x, codes[:, at + 1], at + 1)
        drawn = _to_rgb(tensors, f"to_rgbs.{number}", x, codes[:, at + 2])
        picture = drawn + _upfirdn(picture, (2, 1), up=2)
    return picture


def _styled(tensors: dict, name: str, x: Tensor, code: Tensor, noise: int, up=False) -> Tensor:
    x = _modulated(tensors, f"{name}.conv", x, code, True, up)
    x = x + tensors[f"{name}.noise.weight"] * tensors[f"noises.noise_{noise}"]
    bias = tensors[f"{name}.activate.bias"][:, None, None]
    return functional.leaky_relu(x + bias, 0.2) * 2**0.5


def _to_rgb(tensors: dict, name: str, x: Tensor, code: Tensor) -> Tensor:
    return _modulated(tensors, f"{name}.conv", x, code, False) + tensors[f"{name}.bias"]


def _modulated(tensors: dict, name: str, x: Tensor, code: Tensor, demodulate, up=False) -> Tensor:
    weight, count = tensors[f"{name}.weight"], len(x)
    affine = tensors[f"{name}.modulation.weight"] / math.sqrt(code.shape[1])
    style = code @ affine.T + tensors[f"{name}.modulation.bias"]
    weight = weight * style[:, None, :, None, None] / math.sqrt(weight[0, 0].numel())
    if demodulate:
        weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    grouped = x.reshape(1, -1, *x.shape[2:])
    side = weight.shape[-1]
    if not up:
        out = functional.conv2d(grouped, weight.flatten(0, 1), padding=side // 2, groups=count)
        return out.reshape(count, -1, *out.shape[2:])
    turned = weight.transpose(1, 2).flatten(0, 1)
    out = functional.conv_transpose2d(grouped, turned, stride=2, groups=count)
    return _upfirdn(out.reshape(count, -1, *out.shape[2:]), (1, 1))


def _upfirdn(x: Tensor, padding: tuple[int, int], up: int = 1) -> Tensor:
    n, channels, height, width = x.shape
    wide = x.new_zeros(n, channels, height, up, width, up)
    wide[:, :, :, 0, :, 0] = x
    wide = functional.pad(wide.reshape(n, channels, height * up, width * up), (*padding, *padding))
    smooth = functional.conv2d(wide.flatten(0, 1)[:, None], KERNEL[None, None] * 4)
    return smooth[:, 0].unflatten(0, (n, channels))


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(8)
