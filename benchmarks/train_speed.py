"""How fast FineFace trains on a whole Stable Diffusion 1.5, beside FineFace's own training step.

    python -m benchmarks.train_speed --fineface FOLDER [--size 256] [--batch 1]

FOLDER: a checkout of FineFace (github.com/tvaranka/fineface). Its train.py imports a module that is
not in it and needs two data sets, so its step is taken here, on its own processors and encoder,
with batches that are ready in memory. Ours is `train`, reading shards. Each runs in a process of
its own, on the same random weights, and they take their steps in turn.
"""

from __future__ import annotations

import multiprocessing
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.nn import functional

from au_adapter.bases.family import to_unit_range
from au_adapter.data.stream import FaceStream
from tools.sample_faces import few_faces

from .cost import median_interval
from .full_size import FAMILIES, random_unet

RESULTS = Path(__file__).parent / "results"
WORK = Path(__file__).parents[1] / ".cache" / "benchmarks" / "train_speed"
FACES = 4  # of which the cache knows all after the first epoch
RANK, RATE = 32, 1e-4
OURS = {
    "lora_rank": RANK, "learning_rate": RATE, "lanes": 1, "buffer": FACES, "log_every": 10_000,
    "mixed_precision": "no", "gradient_checkpointing": False, "save_every": 10_000,
}  # fmt: skip


@dataclass
class Runner:
    """One training: its title, the function of its process, and what was measured."""

    title: str
    run: Callable[[Connection], None]
    seconds: list[float] = field(default_factory=list)
    peak: float = 0.0  # GB held at most after the first epoch

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, child = context.Pipe()
        self.process = context.Process(target=self.run, args=(child,), daemon=True)
        self.process.start()
        child.close()
        self.connection.recv()  # it is ready

    def step(self) -> float:
        self.connection.send("go")
        seconds, self.peak = self.connection.recv()
        return seconds


@click.command()
@click.option("--fineface", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--size", default=256, show_default=True, help="Pixels of a side.")
@click.option("--batch", default=1, show_default=True, help="Faces of a step.")
@click.option("--steps", default=8, show_default=True, help="Measured, of each.")
def main(fineface: Path, size: int, batch: int, steps: int) -> None:
    """Measure and write results/train_speed.md."""
    shutil.rmtree(WORK, ignore_errors=True)
    base, faces = write_base(WORK / "base", size), few_faces(WORK / "faces", FACES)
    theirs = partial(run_theirs, fineface, base, faces, batch, size)
    ours = partial(run_ours, base=base, faces=faces, batch=batch)
    pairs = [
        (Runner("FineFace's step", theirs), Runner(title, run))
        for title, run in (
            ("`train`", ours),
            ("`train` with `latent_cache`", partial(ours, latent_cache=str(WORK / "cache"))),
        )
    ]
    for pair in pairs:
        measure(pair, -(-FACES // batch) + 1, steps)
    text = report(pairs, f"{size} pixels, batch {batch}, {steps} steps each")
    (RESULTS / "train_speed.md").write_text(text, encoding="utf-8")
    click.echo(text)
    shutil.rmtree(WORK)


def measure(pair: tuple[Runner, Runner], warm_up: int, steps: int) -> None:
    """Steps of the two in turn, each as often the first."""
    for runner in pair:
        runner.start()
    for number in range(warm_up + steps):
        for runner in pair if number % 2 else pair[::-1]:
            seconds = runner.step()
            if number >= warm_up:
                runner.seconds.append(seconds)
    for runner in pair:
        runner.process.kill()
        runner.process.join()


def report(pairs: list[tuple[Runner, Runner]], told: str) -> str:
    """The table as Markdown."""
    rows = []
    for theirs, ours in pairs:
        ratios = [a / b for a, b in zip(theirs.seconds, ours.seconds, strict=True)]
        ratio, low, high = median_interval(ratios)
        seconds = [median_interval(runner.seconds)[0] for runner in (ours, theirs)]
        rows.append(
            f"| {ours.title} | {seconds[0]:.2f} | {seconds[1]:.2f} | {ratio:.2f} ({low:.2f} to "
            f"{high:.2f}) | {ours.peak:.1f} | {theirs.peak:.1f} |"
        )
    return (
        "# Training speed on a whole Stable Diffusion 1.5\n\n"
        f"`python -m benchmarks.train_speed --fineface FOLDER`: {told}, random weights, float32, "
        f"LoRA of rank {RANK}, no gradient checkpointing, {torch.get_num_threads()} thread(s) on "
        f"{'a GPU' if torch.cuda.is_available() else 'a processor'}. Steps in turn, after the "
        "first epoch. FineFace's batches are ready in memory; ours come from shards.\n\n"
        "| Ours | its seconds a step | FineFace's | times as fast (95% interval) | its GB | "
        "FineFace's |\n|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def write_base(folder: Path, size: int) -> Path:
    """A diffusers folder with Stable Diffusion 1.5's networks at random."""
    from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from au_adapter.training.tokenizer import write_tokenizer

    torch.manual_seed(1)
    write_tokenizer(["a", "portrait", "of", "man", "woman"], folder / "words")
    stages = {
        f"{way}_block_types": (f"{kind}Block2D",) * 4
        for way, kind in (("down", "DownEncoder"), ("up", "UpDecoder"))
    }
    unet = random_unet({**FAMILIES["sd15"], "sample_size": size // 8}).to("cpu")
    StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2, **stages),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408, hidden_size=768, intermediate_size=3072, num_attention_heads=12
            )
        ),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "words"),
        unet=unet,
        scheduler=DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def run_ours(connection: Connection, base: Path, faces: Path, batch: int, **more: Any) -> None:
    """`train`, which waits after every step until it is told to go on."""
    from au_adapter.training.run import train

    def hear(event: dict) -> None:
        if event["event"] == "start":
            connection.send("ready")
            connection.recv()
        elif event["event"] == "step":
            connection.send((event["seconds"], _peak(event["step"], batch)))
            connection.recv()

    output = WORK / f"run-{bool(more)}"
    settings = {**OURS, **more, "batch_size": batch, "steps": 10_000}
    train("fineface-sd15", [faces], output, report=hear, base=str(base), **settings)


def run_theirs(
    fineface: Path, base: Path, faces: Path, batch: int, size: int, connection: Connection
) -> None:
    """FineFace's step, again and again, each when it is told to."""
    from diffusers import StableDiffusionPipeline

    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = StableDiffusionPipeline.from_pretrained(
        base, safety_checker=None, dtype=torch.float32
    ).to(device)
    stream = FaceStream([faces], size, lanes=1, buffer=FACES)
    step = TheirStep(fineface, pipeline)
    connection.send("ready")
    number = 0
    while connection.recv() == "go":
        pictures = torch.from_numpy(stream.read(number, batch).pictures).to(device)
        begun = time.monotonic()
        step(to_unit_range(pictures), ["a portrait"] * batch)
        number += 1
        connection.send((time.monotonic() - begun, _peak(number, batch)))


class TheirStep:
    """One step as FineFace's train.py takes it. It clips no gradients: the iterator of parameters
    that it hands to the clipping is used up by then."""

    def __init__(self, fineface: Path, pipeline: Any):
        from peft import LoraConfig

        sys.path.insert(0, str(fineface))
        from fineface.au_attention import AUAttnProcessor, hack_unet_attn_layers
        from fineface.fineface_pipeline import AUEncoder

        self.pipeline, unet = pipeline, pipeline.unet
        unet.set_default_attn_processor()
        hack_unet_attn_layers(unet, AUAttnProcessor)
        for part in (unet, pipeline.vae, pipeline.text_encoder):
            part.requires_grad_(False)
        targets = ["to_k", "to_q", "to_v", "to_out.0"]
        unet.add_adapter(LoraConfig(r=RANK, init_lora_weights="gaussian", target_modules=targets))
        for processor in unet.attn_processors.values():
            if isinstance(processor, AUAttnProcessor):
                processor.requires_grad_(True)
        unet.train()
        self.encoder = AUEncoder(clip_dim=768).to(unet.device)
        trained = [*unet.parameters(), *self.encoder.parameters()]
        self.optimizer = torch.optim.AdamW(
            [p for p in trained if p.requires_grad], RATE, weight_decay=1e-2
        )

    def __call__(self, pictures: Tensor, captions: list[str]) -> None:
        """pictures [N, 3, H, W] in -1..1."""
        pipeline, device = self.pipeline, pictures.device
        latents = pipeline.vae.encode(pictures).latent_dist.sample()
        latents = latents * pipeline.vae.config.scaling_factor
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, 1000, (len(latents),), device=device)
        noisy = pipeline.scheduler.add_noise(latents, noise, timesteps)
        tokens = pipeline.tokenizer(
            captions, padding="max_length", truncation=True, max_length=77, return_tensors="pt"
        ).input_ids
        text = pipeline.text_encoder(tokens.to(device))[0]
        aus = (0.2 * torch.randn(len(latents), 12, device=device)).clip(0, 5)
        attended = {"au_embedding": self.encoder(aus), "au_scale": 1.0}
        predicted = pipeline.unet(noisy, timesteps, text, cross_attention_kwargs=attended).sample
        loss = functional.mse_loss(predicted.float(), noise.float())
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        loss.item()


def _peak(step: int, batch: int) -> float:
    """GB that this process, or its GPU, held at most since the end of the first epoch."""
    first = step == -(-FACES // batch)
    if torch.cuda.is_available():
        if first:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated() / 1e9
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    if first:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1)) / 1e6


if __name__ == "__main__":
    main()
