"""What the adapter costs on whole Stable Diffusion UNets, random weights, with guidance.

One call of the UNet (positive and negative in one batch) is timed: plain, with our nodes, with our
nodes but real attention over the one AU token, and FineFace's own formulation in diffusers. They
are called in turn, round by round, so that a slow moment slows all; ratios are taken within a
round. The last three, which nothing is promised of, take part in every fifth round. Memory is
measured in a round of its own before. The result is written after every round: `--more` goes on
from it, on the same device.

    python -m benchmarks full_size
    python -m benchmarks.full_size --size 128 --family sd15 --clock cpu    # for a busy machine
"""

from __future__ import annotations

import ctypes
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import psutil
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from au_adapter import AUAdapter, AUVector
from au_adapter.models.adapter import attend, cross_attentions, lora_shapes

from .cost import median_interval
from .in_process import load_nodes

RESULTS = Path(__file__).parent / "results"
FAMILIES = {
    "sd21": {
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
    },
    "sd15": {"cross_attention_dim": 768, "attention_head_dim": 8},
}
TITLES = {"sd21": "Stable Diffusion 2.1", "sd15": "Stable Diffusion 1.5"}
ENCODERS = {1024: "res_mlp64", 768: "res_mlp"}
AUS = AUVector.parse("6C+12E")
BOUND = 1.02
WARM_UP = 8  # cells of a side: enough to compute what ours keeps for all steps of a sampling
RARE, RARE_ROUNDS = ("attention", "diffusers", "official"), 5
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Call = Callable[[Tensor], object]  # of latents [batch, 4, H, W]


@dataclass
class Variant:
    """One way to call the UNet. run: hands the ready call to whoever times it. baseline: the name
    of the variant that it is compared with. seconds: by the number of the round."""

    title: str
    baseline: str
    run: Callable[[Callable[[Call], None]], None]
    seconds: dict[int, float] = field(default_factory=dict)
    peak: float = 0.0  # bytes beyond what was held before the call


@click.command()
@click.option("--size", default=512, show_default=True, help="Pixels of a side; latents are 1/8.")
@click.option("--batch", default=1, show_default=True, help="Pictures.")
@click.option("--rounds", default=30, show_default=True, help="Of all variants.")
@click.option("--family", type=click.Choice(list(FAMILIES)), multiple=True, help="Default: all.")
@click.option("--clock", type=click.Choice(list(CLOCKS)), default="wall", show_default=True)
@click.option("--more", is_flag=True, help="Add rounds to those of the result that is there.")
def main(
    size: int, batch: int, rounds: int, family: tuple[str, ...], clock: str, more: bool
) -> None:
    """Time every variant and write results/full_size_FAMILY_SIZE_batchN.{md,json}."""
    load_nodes()
    for name in family or FAMILIES:
        title = f"{TITLES[name]}, {size} px, batch {batch}, {clock} time"
        file = RESULTS / f"full_size_{name}_{size}_batch{batch}.json"
        unet = random_unet(FAMILIES[name])
        scene = Scene(unet, random_adapter(unet), size // 8, batch)
        variants = scene.variants()
        if more:
            restore(variants, title, json.loads(file.read_text(encoding="utf-8")))
        with torch.inference_mode():
            for _ in measure(variants, scene.latents, rounds, CLOCKS[clock]):
                file.write_text(json.dumps(kept(variants, title), indent=1), encoding="utf-8")
                text = report(title, variants)
                file.with_suffix(".md").write_text(text, encoding="utf-8")
        click.echo(text)


def measure(
    variants: dict[str, Variant], latents: Tensor, rounds: int, clock: Callable[[], float]
) -> Iterator[None]:
    """Seconds and, the first time, peak memory of every variant; comes back after every round, the
    order of the variants turning."""
    done = len(variants["plain"].seconds)
    for variant in variants.values() if not done else ():
        variant.peak = _run(variant, latents, peak_memory)
    _allocate(KEEPS)
    for number in range(done, done + rounds):
        names = [n for n in variants if n not in RARE or number % RARE_ROUNDS == 0]
        turn = number % len(names)
        for variant in (variants[n] for n in names[turn:] + names[:turn]):
            variant.seconds[number] = _run(variant, latents, partial(elapsed, clock))
        yield


def kept(variants: dict[str, Variant], title: str) -> dict:
    """What `restore` reads."""
    rows = {n: {"seconds": v.seconds, "peak": v.peak} for n, v in variants.items()}
    return {"title": title, "device": _device(), "variants": rows}


def restore(variants: dict[str, Variant], title: str, found: dict) -> None:
    """Fill the variants with the rounds of a result. ClickException for one of something else."""
    if (found["title"], found["device"]) != (title, _device()):
        raise click.ClickException(
            f"the result is of {found['title']} on {found['device']}, not of {title} on {_device()}"
        )
    for name, row in found["variants"].items():
        variants[name].peak = row["peak"]
        variants[name].seconds = {int(number): s for number, s in row["seconds"].items()}


def _run(variant: Variant, latents: Tensor, meter: Callable) -> float:
    """What the meter says of a call, after one on small latents."""
    found = []

    def measured(call: Call) -> None:
        call(latents[..., :WARM_UP, :WARM_UP])
        with meter() as reading:
            call(latents)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
        found.append(reading[0])

    variant.run(measured)
    return found[0]


@contextmanager
def elapsed(clock: Callable[[], float]) -> Iterator[list[float]]:
    """Afterwards the list holds the seconds that passed."""
    started, found = clock(), [0.0]
    yield found
    found[0] = clock() - started


# Parameters of glibc's mallopt, of malloc.h, and what they are set to.
GIVES_BACK = {"M_MMAP_THRESHOLD": (-3, 1 << 20)}
KEEPS = {"M_MMAP_THRESHOLD": (-3, 1 << 25), "M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1)}


def _allocate(how: dict[str, tuple[int, int]]) -> None:
    """Have glibc give freed blocks back to the system, so that resident memory tells what a call
    takes; or keep them, as torch does on a GPU. Mapping them anew takes up to a fifth of a call,
    and the more, the more weights happen to lie on the heap."""
    if sys.platform == "linux":
        for parameter, value in how.values():
            ctypes.CDLL(None).mallopt(parameter, value)


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Afterwards the list holds the most bytes that were taken beyond those held at the start."""
    found = [0.0]
    if torch.cuda.is_available():
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        yield found
        found[0] = torch.cuda.max_memory_allocated() - held
        return
    _allocate(GIVES_BACK)
    process, done = psutil.Process(), threading.Event()
    held = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.01):
            found[0] = max(found[0], process.memory_info().rss - held)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def report(title: str, variants: dict[str, Variant]) -> str:
    """The table as Markdown."""
    lines = [
        f"# Cost on a whole UNet: {title}",
        "",
        f"`python -m benchmarks.full_size`, {len(variants['plain'].seconds)} round(s), the rows in "
        f"turn, {_device()}. Seconds of one UNet call with guidance, medians; ratio to plain of "
        "the same library, median of the rounds with 95% interval. "
        f"Aim: upper end at most {BOUND}.",
        "",
        "| | seconds | ratio to plain | peak memory beyond the weights |",
        "|---|---|---|---|",
    ]
    for variant in variants.values():
        base = variants[variant.baseline].seconds
        ratios = [seconds / base[number] for number, seconds in variant.seconds.items()]
        median, low, high = median_interval(ratios)
        own = variant is variants[variant.baseline]
        ratio = "1" if own else f"{median:.3f} ({low:.3f} to {high:.3f}), {len(ratios)} round(s)"
        seconds = statistics.median(variant.seconds.values())
        lines.append(f"| {variant.title} | {seconds:.3f} | {ratio} | {variant.peak / 1e6:.0f} MB |")
    return "\n".join([*lines, ""])


class Scene:
    """One UNet in diffusers and in ComfyUI, and one adapter, called in every way."""

    def __init__(
        self, unet: UNet2DConditionModel, adapter: AUAdapter, size: int, batch: int
    ) -> None:
        from au_adapter_pack.nodes.diffusers_model import build_model

        self.unet, self.adapter = unet, adapter
        generator = torch.Generator().manual_seed(3)
        width = unet.config.cross_attention_dim
        self.latents = torch.randn(batch, 4, size, size, generator=generator)
        self.prompts = torch.randn(2, 1, 77, width, generator=generator)
        self.model = build_model(dict(unet.config), dict(unet.state_dict()))

    def variants(self) -> dict[str, Variant]:
        """Name -> variant, in the order of the table."""
        ours, official = self.in_comfyui, self.in_diffusers
        return {
            "plain": Variant("ComfyUI, plain", "plain", partial(ours, None, False)),
            "ours": Variant("ComfyUI, ours without LoRA", "plain", partial(ours, 0.0, False)),
            "lora": Variant("ComfyUI, ours with LoRA", "plain", partial(ours, 1.0, False)),
            "attention": Variant(
                "ComfyUI, ours through real attention", "plain", partial(ours, 0.0, True)
            ),
            "diffusers": Variant("diffusers, plain", "diffusers", partial(official, False)),
            "official": Variant(
                "diffusers, FineFace's formulation", "diffusers", partial(official, True)
            ),
        }

    def in_comfyui(self, lora: float | None, attends: bool, timed: Callable[[Call], None]) -> None:
        """Through core's guider, inside a sampling; `lora` None leaves our node out."""
        import comfy.samplers

        model, conds = self.model, [[(text, {})] for text in self.prompts]
        if lora is not None:
            model, *conds = self._applied(conds, lora)
        if attends:
            _attend_to_the_token(model)
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(*conds)
        guider.set_cfg(7.5)
        sigma = model.get_model_object("model_sampling").sigmas[500]

        def sampler(wrapped: Any, noise: Tensor, *_: Any, **options: Any) -> Tensor:
            timed(lambda x: wrapped(x * sigma, sigma.expand(len(x)), **options["extra_args"]))
            return noise

        sigmas = torch.tensor([sigma, 0.0])
        guider.sample(self.latents, self.latents, comfy.samplers.KSAMPLER(sampler), sigmas)

    def _applied(self, conds: list, lora: float) -> tuple:
        from au_adapter_pack.nodes.apply import ApplyAUAdapter

        self.adapter.lora_strength = lora
        tokens = self.adapter.encode(AUS)
        return ApplyAUAdapter.execute(self.model, *conds, self.adapter, tokens, 1.0).args

    def in_diffusers(self, adapted: bool, timed: Callable[[Call], None]) -> None:
        """A call of diffusers' UNet, with FineFace's sum of two attentions or without."""
        batch, device = len(self.latents), self.unet.device
        text = self.prompts[:, 0].repeat_interleave(batch, dim=0).to(device)
        tokens = torch.cat([self.adapter.encode(AUS), self.adapter.encode_zero()])
        tokens = tokens.repeat_interleave(batch, dim=0).to(device)
        attentions = cross_attentions(self.unet)
        found = {path: attention.processor for path, attention in attentions.items()}
        for path, attention in attentions.items() if adapted else ():
            attention.set_processor(SumOfAttentions(self.adapter, path, tokens))
        timed(lambda x: self.unet(x.repeat(2, 1, 1, 1).to(device), 500, text).sample)
        for path, attention in attentions.items():
            attention.set_processor(found[path])


@dataclass
class SumOfAttentions:
    """FineFace's Eq. 2 written out: softmax attention to the AU token too, projected every time."""

    adapter: AUAdapter
    path: str
    tokens: Tensor

    def __call__(
        self, attn: nn.Module, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any
    ) -> Tensor:
        text, query = encoder_hidden_states, attn.to_q(hidden_states)
        out = attend(query, attn.to_k(text), attn.to_v(text), attn.heads)
        key, value = (self.adapter.projection(kind, self.path)(self.tokens) for kind in "kv")
        return attn.to_out[0](out + attend(query, key, value, attn.heads))


def _attend_to_the_token(model: Any) -> None:
    """Have our nodes attend to the one token instead of adding its value."""
    from comfy.patcher_extension import WrappersMP

    for wrappers in model.wrappers[WrappersMP.DIFFUSION_MODEL].values():
        applied = wrappers[0].__self__
        applied._compute = partial(_with_keys, applied, applied._compute)


def _with_keys(applied: Any, compute: Callable, tokens: Tensor) -> dict:
    source = tokens.to("cpu", torch.float32)
    return {
        path: replace(term, key=applied.adapter.projection("k", path)(source).to(tokens))
        for path, term in compute(tokens).items()
    }


def random_unet(config: dict) -> UNet2DConditionModel:
    """A whole UNet in float32 whose random weights keep the size of what passes through."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    generator = torch.Generator().manual_seed(7)
    for name, weight in unet.to_empty(device="cpu").named_parameters():
        norm = "norm" in name and name.endswith("weight")
        scale = 0.02 if weight.dim() == 1 else weight[0].numel() ** -0.5
        weight.data.normal_(float(norm), scale, generator=generator)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return unet.eval().requires_grad_(False).to(device)


def random_adapter(unet: UNet2DConditionModel) -> AUAdapter:
    """FineFace's adapter for it, with a LoRA of rank 32."""
    adapter = AUAdapter.for_unet(unet, encoder=ENCODERS[unet.config.cross_attention_dim])
    generator = torch.Generator().manual_seed(11)
    adapter.lora = {
        path: tuple(0.02 * torch.randn(shape, generator=generator) for shape in shapes)
        for path, shapes in sorted(lora_shapes(adapter.config).items())
    }
    return adapter.eval().requires_grad_(False)


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"processor, {torch.get_num_threads()} thread(s), float32"


if __name__ == "__main__":
    main()
