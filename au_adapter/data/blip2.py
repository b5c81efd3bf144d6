"""BLIP-2 (Li et al. 2023) through transformers, as captioner and as answerer of questions.

FineFace captioned its pictures with it, and told photos from drawings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import Blip2ForConditionalGeneration, Blip2Processor

CAPTION_TOKENS = 40
ANSWER_TOKENS = 8


class Blip2:
    """Captions and answers, written greedily, so always the same."""

    def __init__(self, folder: str | Path, device: str | None = None):
        """folder: the model's files. device: default a GPU in half precision, else the CPU.

        Raises FileNotFoundError, saying what to fetch, when the folder holds no model.
        """
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(
                f"there is no BLIP-2 in {folder}: nothing is downloaded unasked, so fetch it with "
                f"`au-adapter download blip2 --output {folder}` (15 GB, MIT licence), or leave "
                "captions and questions to columns of the table"
            )
        self.name = f"BLIP-2 {folder.name}"
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.float16 if self.device != "cpu" else torch.float32
        self.processor = Blip2Processor.from_pretrained(folder, local_files_only=True)
        self.model = Blip2ForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, dtype=dtype
        )
        self.model.to(self.device).eval()

    def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
        return self._generate(pictures, "", CAPTION_TOKENS)

    def answer(self, pictures: Sequence[Image.Image], question: str) -> list[str]:
        return self._generate(pictures, f"Question: {question} Answer:", ANSWER_TOKENS)

    @torch.inference_mode()
    def _generate(self, pictures: Sequence[Image.Image], prompt: str, tokens: int) -> list[str]:
        prompts = [prompt] * len(pictures)
        inputs = self.processor(
            images=list(pictures), text=prompts, return_tensors="pt", padding=True
        ).to(self.device, self.model.dtype)
        written = self.model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        asked = inputs["input_ids"]
        if torch.equal(written[:, : asked.shape[1]], asked):  # some language models repeat it
            written = written[:, asked.shape[1] :]
        texts = self.processor.batch_decode(written, skip_special_tokens=True)
        return [text.strip() for text in texts]
