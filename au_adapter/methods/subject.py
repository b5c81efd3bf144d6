"""What is evaluated: a diffusers pipeline with an AU-Adapter, drawing and editing faces.

subject = Subject.load()                               # the bundled model
subject = Subject.load("folder_of_a_pipeline", "adapter.safetensors", steps=30)
pictures = subject.draw("a portrait of a man", 7, AUVector.parse("6C+12D"))
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..bundled import demo_folder, load_diffusers_pipeline
from ..facs import AUVector
from ..models.adapter import AUAdapter
from ..models.diffusers_unet import AppliedAdapter, apply_to_unet
from ..weights.adapter_files import adapter_hash, load_adapter
from ..weights.tensors import weights_name

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline


@dataclass(frozen=True)
class Subject:
    """A pipeline of Stable Diffusion's kind and an adapter of its base.

    steps, guidance, strength: as in every picture it makes. calibrated: ask by the adapter's
    response curves. start: 0..1, the share of the steps that run (of a photo, those that draw it
    anew) before the AUs begin to act; the later, the nearer a picture stays to the one without
    AUs. edit_noise: 0..1, how much of a photo is drawn anew where photos are edited (SDEdit, Meng
    et al. 2022). batch: pictures drawn at once.
    """

    pipeline: StableDiffusionPipeline
    adapter: AUAdapter
    steps: int = 20
    guidance: float = 7.5
    strength: float = 1.0
    calibrated: bool = False
    start: float = 0.0
    edit_noise: float = 0.6
    batch: int = 8

    @classmethod
    def load(
        cls, model: str | Path | None = None, adapter: str | Path | None = None, **settings: Any
    ) -> Subject:
        """The bundled model and adapter, or a folder as diffusers saves a pipeline and an adapter
        file; on the process's GPU where there is one. Nothing is downloaded. ValueError,
        FileNotFoundError for other files."""
        if model is None:
            pipeline = load_diffusers_pipeline()
        elif Path(model, "model_index.json").is_file():
            from diffusers import DiffusionPipeline

            pipeline = DiffusionPipeline.from_pretrained(str(model), local_files_only=True)
        else:
            raise FileNotFoundError(
                f"{model} holds no diffusers pipeline: model_index.json is missing. Give the "
                "folder that DiffusionPipeline.save_pretrained wrote"
            )
        if adapter is None and model is not None:
            raise ValueError(f"The model {model} needs the file of an adapter that fits it")
        device = _device()
        pipeline.set_progress_bar_config(disable=True)
        loaded = load_adapter(adapter or demo_folder() / "adapter.safetensors")
        loaded = loaded.requires_grad_(False).eval().to(device)
        return cls(pipeline.to(device), loaded, **settings)

    def changed(self, **settings: Any) -> Subject:
        """The same model with other settings or another adapter."""
        return replace(self, **settings)

    def settings(self) -> dict[str, object]:
        """What a reader of its numbers must know."""
        calibration = self.adapter.calibration
        networks = (self.pipeline.unet, self.pipeline.text_encoder, self.pipeline.vae)
        return {
            "adapter": adapter_hash(self.adapter),
            "base": self.adapter.config.base or "unnamed",
            "weights": weights_name(*networks),
            "steps": self.steps,
            "guidance": self.guidance,
            "strength": self.strength,
            "start": self.start,
            "calibration": calibration.name() if self.calibrated and calibration else "off",
        }

    def conditions(self) -> str:
        """How its pictures are made, in one line, for a calibration."""
        settings = self.settings()
        names = ("base", "steps", "guidance", "strength", *(("start",) if self.start else ()))
        return ", ".join(f"{name} {settings[name]}" for name in names)

    def size(self) -> int:
        """The side of its pictures in pixels."""
        return self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor

    def draw(self, prompt: str, seed: int, aus: AUVector) -> Tensor:
        """Pictures [N, H, W, 3] of N AU vectors, all from the same noise."""
        parts = [self._drawn(prompt, seed, part) for part in self._batches(aus)]
        return torch.cat(parts)

    def draw_plain(self, prompt: str, seed: int) -> Tensor:
        """The picture [1, H, W, 3] of the base without the adapter: no AU condition."""
        return self._pictures(self.pipeline, prompt, 1, latents=self._noise(seed))

    def edit(self, photo: Tensor, prompt: str, seed: int, aus: AUVector) -> Tensor:
        """A photo [1, H, W, 3] drawn again from `edit_noise` on, with N AU vectors: [N, H, W, 3] at
        the photo's size."""
        from diffusers import StableDiffusionImg2ImgPipeline

        parts = {**self.pipeline.components, "requires_safety_checker": False}
        editor = StableDiffusionImg2ImgPipeline(**parts)
        editor.set_progress_bar_config(disable=True)
        small = resized(photo, (self.size(), self.size())).movedim(-1, 1)
        edited = [
            self._with_adapter(
                editor,
                prompt,
                part,
                image=small.expand(len(part), -1, -1, -1),
                strength=self.edit_noise,
                generator=[torch.Generator().manual_seed(seed) for _ in range(len(part))],
            )
            for part in self._batches(aus)
        ]
        return resized(torch.cat(edited), tuple(photo.shape[1:3]))

    def _batches(self, aus: AUVector) -> Iterator[AUVector]:
        for start in range(0, len(aus), self.batch):
            rows = range(start, min(start + self.batch, len(aus)))
            yield AUVector.stack([aus.face(row) for row in rows])

    def _drawn(self, prompt: str, seed: int, aus: AUVector) -> Tensor:
        latents = self._noise(seed).expand(len(aus), -1, -1, -1)
        return self._with_adapter(self.pipeline, prompt, aus, latents=latents.clone())

    def _with_adapter(self, pipeline: Any, prompt: str, aus: AUVector, **inputs: Any) -> Tensor:
        tokens = self.adapter.encode(aus, self.calibrated)
        if self.guidance > 1:  # the unconditional half comes first
            tokens = torch.cat([self.adapter.encode_zero().expand_as(tokens), tokens])
        steps = self._steps_run(pipeline, inputs.get("strength"))
        with self._applied() as applied:
            told = {"cross_attention_kwargs": {"au_tokens": tokens}, **self._begin(applied, steps)}
            return self._pictures(pipeline, prompt, len(aus), **told, **inputs)

    def _steps_run(self, pipeline: Any, noise: float | None) -> int:
        """How many steps a pipeline will run; noise: of a photo, the share that is drawn anew."""
        pipeline.scheduler.set_timesteps(self.steps)
        if noise is None:
            return len(pipeline.scheduler.timesteps)
        return len(pipeline.get_timesteps(self.steps, noise, pipeline.device)[0])

    def _begin(self, applied: AppliedAdapter, steps: int) -> dict[str, Any]:
        """What a pipeline is told so that the AUs act from `start` of its steps on."""
        first = round(self.start * steps)

        def step_ended(pipeline: Any, step: int, timestep: Any, inputs: dict) -> dict:
            if step + 1 == first:
                applied.switch(self.strength)
            return inputs

        if not first:
            return {}
        applied.switch(0.0)
        return {"callback_on_step_end": step_ended}

    @contextmanager
    def _applied(self) -> Iterator[AppliedAdapter]:
        handle = apply_to_unet(self.pipeline.unet, self.adapter, self.strength)
        try:
            yield handle
        finally:
            handle.remove()

    @torch.no_grad()
    def _pictures(self, pipeline: Any, prompt: str, count: int, **inputs: Any) -> Tensor:
        found = pipeline(
            [prompt] * count,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            output_type="pt",
            **inputs,
        ).images
        return found.movedim(1, -1).float().cpu().clamp(0, 1)

    def _noise(self, seed: int) -> Tensor:
        unet = self.pipeline.unet
        shape = (1, unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return noise.to(unet.device, unet.dtype)


def _device() -> torch.device:
    """The GPU of this process, of those that accelerate launched, or the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures [N, H, W, 3] at another size."""
    if tuple(images.shape[1:3]) == size:
        return images
    channels_first = images.movedim(-1, 1)
    resized = interpolate(channels_first, size, mode="bicubic", antialias=True)
    return resized.movedim(1, -1).clamp(0, 1)
