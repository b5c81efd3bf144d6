"""Several faces in one picture: areas, masks, batches of them, tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from comfy.patcher_extension import WrappersMP
from sampling import SIZE, Scene, assert_near, demo_scene, first_step
from torch import Tensor

import nodes as core
from au_adapter import AUVector

HALF = SIZE // 2
LEFT = torch.zeros(1, 64, 64)
LEFT[:, :, :32] = 1
RIGHT = 1 - LEFT
INSIDE, OUTSIDE = slice(0, HALF), slice(HALF, SIZE)  # of the left half, in latents
SMILE, FROWN, RAISE = "12E", "4E", "1E+2E"


@pytest.fixture(scope="module")
def scene(demo_files: Path) -> Scene:
    return demo_scene(demo_files)


@pytest.fixture(scope="module")
def no_lora(demo_files: Path) -> Scene:
    return demo_scene(demo_files, lora=False)


def with_mask(scene: Scene, mask: Tensor, bounds: str) -> Scene:
    """The positive in a mask, by core's Conditioning (Set Mask)."""
    (masked,) = core.ConditioningSetMask().append(scene.positive, mask, bounds, 1.0)
    return replace(scene, positive=masked)


def in_area(scene: Scene, x: int) -> Scene:
    """The positive in the left (x = 0) or right (32) half, by core's Conditioning (Set Area)."""
    (area,) = core.ConditioningSetArea().append(scene.positive, 32, 64, x, 0, 1.0)
    return replace(scene, positive=area)


REGIONS: dict[str, tuple[Callable[[Scene], Scene], Callable[[Scene], Scene]]] = {
    "mask": (lambda s: with_mask(s, LEFT, "default"), lambda s: with_mask(s, RIGHT, "default")),
    "mask bounds": (
        lambda s: with_mask(s, LEFT, "mask bounds"),
        lambda s: with_mask(s, RIGHT, "mask bounds"),
    ),
    "area": (lambda s: in_area(s, 0), lambda s: in_area(s, 32)),
}


def two_faces(scene: Scene, kind: str, left: Any, right: Any) -> Scene:
    """Two expressions in two regions of one picture."""
    to_left, to_right = REGIONS[kind]
    one, other = to_left(scene.apply(left)), to_right(scene.apply(right))
    (both,) = core.ConditioningCombine().combine(one.positive, other.positive)
    return replace(one, positive=both)


@pytest.mark.parametrize("kind", REGIONS)
def test_at_one_step_the_other_region_is_the_same_to_the_bit(scene: Scene, kind: str) -> None:
    smile, frown = (first_step(two_faces(scene, kind, a, RAISE), 3.0) for a in (SMILE, FROWN))
    assert torch.equal(smile[..., OUTSIDE], frown[..., OUTSIDE])
    assert (smile[..., INSIDE] - frown[..., INSIDE]).abs().max() > 0.05


@pytest.mark.parametrize("kind", REGIONS)
def test_each_region_is_the_prediction_with_its_own_aus(scene: Scene, kind: str) -> None:
    """Without guidance: a region shows what its conditioning shows there alone."""
    both = first_step(two_faces(scene, kind, SMILE, FROWN), 1.0)
    for region, aus, place in zip(REGIONS[kind], (SMILE, FROWN), (INSIDE, OUTSIDE), strict=True):
        alone = first_step(region(scene.apply(aus)), 1.0)
        assert_near(both[..., place], alone[..., place])


@pytest.mark.parametrize("kind", REGIONS)
def test_over_all_steps_both_faces_show(scene: Scene, kind: str) -> None:
    pictures = [
        two_faces(scene, kind, *aus).sample()
        for aus in ((SMILE, FROWN), (FROWN, FROWN), (SMILE, SMILE), (FROWN, SMILE))
    ]
    for one, other in pairwise(pictures):
        assert (one - other).abs().max() > 0.05


@pytest.mark.parametrize("kind", REGIONS)
@pytest.mark.parametrize("aus", ["one for all", "one each"])
def test_how_core_batches_the_conditionings_does_not_matter(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, kind: str, aus: str
) -> None:
    """All in one call of the UNet, or, where memory is short, one call for each."""
    left, right = SMILE, FROWN
    if aus == "one each":
        left = AUVector.stack([AUVector.parse(SMILE), AUVector.parse(RAISE)])
        right = AUVector.stack([AUVector.parse(FROWN), AUVector.parse("26E")])
    faces = two_faces(scene, kind, left, right)
    together, calls = counted(faces)
    monkeypatch.setattr(type(scene.model.model), "memory_required", lambda *a, **k: float("inf"))
    apart, more_calls = counted(faces)
    assert more_calls > calls
    assert_near(together, apart)


def counted(scene: Scene) -> tuple[Tensor, int]:
    """Two pictures after one step, and how often the UNet ran."""
    calls = []

    def count(executor: Callable, *args: Any, **options: Any) -> Tensor:
        calls.append(1)
        return executor(*args, **options)

    model = scene.model.clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "count", count)
    return first_step(replace(scene, model=model), 3.0, batch=2), len(calls)


def test_pictures_of_a_batch_keep_their_faces_in_their_regions(scene: Scene) -> None:
    smile, frown, brows = map(AUVector.parse, (SMILE, FROWN, RAISE))
    batch = two_faces(scene, "area", AUVector.stack([smile, frown]), AUVector.stack([brows, smile]))
    pictures = first_step(batch, 3.0, batch=2)
    for index, (left, right) in enumerate([(smile, brows), (frown, smile)]):
        alone = first_step(two_faces(scene, "area", left, right), 3.0, batch=2)
        assert_near(pictures[index], alone[index])


def chained(scene: Scene, left: str, right: str) -> Scene:
    """Two nodes in a row, each with a mask of its own."""
    return scene.apply(left, mask=LEFT).apply(right, mask=RIGHT)


def test_two_masks_on_two_nodes_in_a_row(no_lora: Scene) -> None:
    pictures = [chained(no_lora, *aus).sample() for aus in ((SMILE, FROWN), (FROWN, SMILE))]
    assert (pictures[0] - pictures[1]).abs().max() > 0.05
    swapped = no_lora.apply(FROWN, mask=RIGHT).apply(SMILE, mask=LEFT)
    assert_near(pictures[0], swapped.sample())


def test_the_same_aus_in_both_masks_are_those_of_one_node(scene: Scene) -> None:
    """LoRA included: it has no region and is applied once."""
    assert_near(chained(scene, SMILE, SMILE).sample(), scene.apply(SMILE).sample())


@pytest.mark.parametrize(
    ("strengths", "expected"), [((1.0, 1.0), 1.0), ((0.5, 1.5), 1.5), ((1.5, 0.5), 1.5)]
)
def test_the_lora_has_the_larger_strength(
    scene: Scene, strengths: tuple[float, float], expected: float
) -> None:
    twice = scene.apply(SMILE, strengths[0], mask=LEFT).apply(FROWN, strengths[1], mask=RIGHT)
    for patches in twice.model.patches.values():
        assert sum(strength for strength, *_ in patches) == pytest.approx(expected)
    assert len(twice.model.patches) == len(scene.adapter.lora)


def test_at_the_injection_the_outside_is_the_same_to_the_bit(no_lora: Scene) -> None:
    """The cross-attention of the first block sees the same input with and without the AUs."""
    plain, masked = first_output(no_lora), first_output(no_lora.apply(SMILE, mask=LEFT))
    assert torch.equal(plain[:, :, OUTSIDE], masked[:, :, OUTSIDE])
    assert (plain - masked)[:, :, INSIDE].abs().min() > 0


def first_output(scene: Scene) -> Tensor:
    """What the first cross-attention puts out at the first step, [N, H, W, C]."""
    found = []

    def keep(n: Tensor, extra_options: dict[str, Any]) -> Tensor:
        found.append(n.unflatten(1, extra_options["activations_shape"][-2:]))
        return n

    model = scene.model.clone()
    model.set_model_attn2_output_patch(keep)
    first_step(replace(scene, model=model), 1.0)
    return found[0]


def tiled(scene: Scene, cut: bool) -> Scene:
    """What tiling nodes do (Tiled Diffusion's public contract): the UNet runs on two halves, put
    behind each other in the batch; conditioning of four dimensions is cut with `cut`, the rest
    repeated."""

    def run(apply_model: Callable, args: dict[str, Any]) -> Tensor:
        x, given = args["input"], args["c"]
        tiles = (INSIDE, OUTSIDE)

        def spread(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            if value.ndim == 4 and cut:
                return torch.cat([value[..., tile] for tile in tiles])
            return torch.cat([value] * len(tiles))

        cropped = torch.cat([x[..., tile] for tile in tiles])
        given = {name: spread(value) for name, value in given.items()}
        out = apply_model(cropped, torch.cat([args["timestep"]] * len(tiles)), **given)
        return torch.cat(out.chunk(len(tiles)), -1)

    model = scene.model.clone()
    model.set_model_unet_function_wrapper(run)
    return replace(scene, model=model)


def test_tiles_get_their_part_of_the_mask(no_lora: Scene) -> None:
    """The left tile is white throughout, so it is that of the AUs everywhere; the right has none;
    and each picture of a batch keeps its own AUs."""
    pair = AUVector.stack([AUVector.parse(SMILE), AUVector.parse(FROWN)])
    masked = first_step(tiled(no_lora.apply(pair, mask=LEFT), cut=True), 3.0, batch=2)
    everywhere = first_step(tiled(no_lora.apply(pair), cut=True), 3.0, batch=2)
    nowhere = first_step(tiled(no_lora, cut=True), 3.0, batch=2)
    assert torch.equal(masked[..., INSIDE], everywhere[..., INSIDE])
    assert torch.equal(masked[..., OUTSIDE], nowhere[..., OUTSIDE])
    assert (everywhere[0] - everywhere[1]).abs().max() > 0.05


def test_tiles_that_do_not_cut_the_mask_are_refused(no_lora: Scene) -> None:
    with pytest.raises(ValueError, match="run on 8 x 4 of a latent of 8 x 8.*disconnect the mask"):
        tiled(no_lora.apply(SMILE, mask=LEFT), cut=False).sample()
    assert tiled(no_lora.apply(SMILE), cut=False).sample().isfinite().all()


def test_a_call_with_another_number_of_vectors_is_refused(no_lora: Scene) -> None:
    """A node that cuts the batch of the latent and not the conditioning."""

    def first_alone(apply_model: Callable, args: dict[str, Any]) -> Tensor:
        x, timestep = args["input"][:1], args["timestep"][:1]
        return apply_model(x, timestep, **args["c"]).expand_as(args["input"])

    pair = AUVector.stack([AUVector.parse(SMILE), AUVector.parse(FROWN)])
    applied = no_lora.apply(pair)
    model = applied.model.clone()
    model.set_model_unet_function_wrapper(first_alone)
    with pytest.raises(ValueError, match="run on 1 pictures or tiles with 2 AU vectors"):
        replace(applied, model=model).sample(batch=2, cfg=1.0)
