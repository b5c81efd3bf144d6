"""What MagicFace's self-attention costs when the own half alone asks, over the released form.

Stable Diffusion 1.5 at 512 px, random weights, a batch with guidance. Both forms of a level run in
interleaved pairs that alternate which comes first; levels count as often as the UNet has them.
Operations are counted on tensors without memory, for the whole UNet too; memory is what all tensors
made in one call hold at the worst moment, in the largest level.

    python -m benchmarks magicface_cost
"""

from __future__ import annotations

import json
import time
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from au_adapter.models.magicface import (
    MagicFace,
    MergedAttention,
    collect_features,
    project_identity,
)

from .cost import median_interval

RESULTS = Path(__file__).parent / "results"
LEVELS = {4096: (320, 5), 1024: (640, 5), 256: (1280, 5), 64: (1280, 1)}  # tokens: channels, blocks
TEXT, HEADS, BATCH = 768, 8, 2  # both sides of guidance
PAIRS, WARM_UP = 10, 1
AIM, BOUND = 0.55, 0.76


def main() -> None:
    """Measure and write results/magicface_cost.{json,md}."""
    ours, released = (sum(c * n for c, n in by_level) for by_level in zip(*_counted(), strict=True))
    whole, memory = operations_of_a_step(), memory_of(max(LEVELS))
    seconds = {tokens: measure(tokens, channels) for tokens, (channels, _) in LEVELS.items()}
    totals = [_total(seconds, pair) for pair in range(PAIRS)]
    median, low, high = median_interval([a / b for a, b in totals])
    text = (
        "# Cost of MagicFace's self-attention\n\n"
        f"`python -m benchmarks magicface_cost`: SD 1.5 shapes at 512 px, batch {BATCH}, float32, "
        f"{torch.get_num_threads()} thread(s), {PAIRS} interleaved pairs for each level.\n\n"
        "| | ours / released |\n|---|---|\n"
        f"| time of the 16 self-attentions with projections | {median:.3f} (95% interval {low:.3f} "
        f"to {high:.3f}); aim: at most {AIM} |\n"
        f"| their operations | {ours / released:.3f} |\n"
        f"| memory at the worst moment, {max(LEVELS)} tokens | {memory[0] / memory[1]:.3f} "
        f"({memory[0] / 2**20:.0f} of {memory[1] / 2**20:.0f} MiB) |\n"
        f"| operations of a whole step | {whole / (whole - ours + released):.3f}; bound {BOUND} |\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "magicface_cost.md").write_text(text, encoding="utf-8")
    content = json.dumps({"seconds of ours and released": seconds}, indent=1)
    (RESULTS / "magicface_cost.json").write_text(content, encoding="utf-8")
    print(text)


def block_of(channels: int) -> BasicTransformerBlock:
    """A transformer block of the UNet."""
    block = BasicTransformerBlock(
        channels, HEADS, channels // HEADS, cross_attention_dim=TEXT, activation_fn="geglu"
    )
    return block.eval().requires_grad_(False)


def forms(block: BasicTransformerBlock, tokens: int) -> tuple[Callable, Callable]:
    """Ours and the released form of the self-attention with its projections, ready to call."""
    channels, device = block.attn1.to_q.in_features, block.attn1.to_q.weight.device
    own = torch.randn(BATCH, tokens, channels, device=device)
    feature = torch.randn(1, tokens, channels, device=device)
    attend = MergedAttention("block")
    seen = {"block": (block.attn1.to_k(feature), block.attn1.to_v(feature))}

    def ours() -> Tensor:
        return attend(block.attn1, own, identity=seen)

    def released() -> Tensor:
        both = torch.cat([own, feature.expand(BATCH, -1, -1)], 1)
        return attend(block.attn1, both)[:, :tokens]

    return ours, released


def measure(tokens: int, channels: int) -> list[tuple[float, float]]:
    """Seconds of ours and of the released form, pair by pair."""
    both = forms(block_of(channels), tokens)
    torch.testing.assert_close(both[0](), both[1](), atol=1e-4, rtol=1e-3)
    pairs = []
    for pair in range(-WARM_UP, PAIRS):
        found = {form: _seconds(form) for form in (both if pair % 2 else reversed(both))}
        if pair >= 0:
            pairs.append((found[both[0]], found[both[1]]))
    return pairs


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are made and still there; `peak` is the most of it."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.live = 0
        self.owners: Counter[int] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._made(tensor)
        return made

    def _made(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        self.owners[place] += 1
        self.live += size if self.owners[place] == 1 else 0  # a view owns nothing new
        self.peak = max(self.peak, self.live)
        weakref.finalize(tensor, self._gone, place, size)

    def _gone(self, place: int, size: int) -> None:
        self.owners[place] -= 1
        self.live -= size if not self.owners[place] else 0


def memory_of(tokens: int) -> tuple[int, int]:
    """Bytes of ours and of the released form at the worst moment, inputs and weights aside."""
    found = []
    for form in forms(block_of(LEVELS[tokens][0]), tokens):
        with LiveBytes() as bytes_seen:
            form()
        found.append(bytes_seen.peak)
    return found[0], found[1]


def operations_of_a_step() -> int:
    """Of one call of the denoising UNet, ours."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=TEXT, attention_head_dim=HEADS)
        wide = UNet2DConditionModel.from_config({**_plain(unet), "in_channels": 8})
        network = MagicFace(wide, unet).requires_grad_(False)
        noisy, text = torch.randn(BATCH, 4, 64, 64), torch.randn(BATCH, 77, TEXT)
        with collect_features(network.id_encoder) as features:
            network.id_encoder(noisy[:1], torch.zeros(1), text[:1])
        identity = project_identity(network.unet, features)
        change, timesteps = torch.randn(BATCH, 12), torch.full((BATCH,), 500)
        return _operations(lambda: network(noisy, timesteps, text, identity, noisy, change))


def _plain(unet: UNet2DConditionModel) -> dict:
    return {name: value for name, value in unet.config.items() if not name.startswith("_")}


def _counted() -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Operations of ours and of the released form with their number of blocks, by level."""
    counted = []
    for tokens, (channels, blocks) in LEVELS.items():
        with torch.device("meta"):
            both = forms(block_of(channels), tokens)
        counted.append(tuple((_operations(form), blocks) for form in both))
    return counted


def _operations(call: Callable) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def _seconds(form: Callable) -> float:
    started = time.perf_counter()
    form()
    return time.perf_counter() - started


def _total(seconds: dict[int, list[tuple[float, float]]], pair: int) -> tuple[float, float]:
    """Seconds of all self-attentions of a step in one pair, ours and released."""
    rows = [(seconds[tokens][pair], blocks) for tokens, (_, blocks) in LEVELS.items()]
    return tuple(sum(pair[form] * blocks for pair, blocks in rows) for form in (0, 1))


if __name__ == "__main__":
    main()
