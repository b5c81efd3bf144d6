"""Clips: one AU vector for each frame, through whatever cuts a batch into parts of the time."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy_extras.nodes_custom_sampler as custom
import pytest
import torch
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfy_extras.nodes_latent import LatentBatchSeedBehavior
from other_packs import sliding
from sampling import SIZE, STEPS, Scene, assert_near, demo_scene, run
from torch import Tensor

from au_adapter import AUVector

FRAMES = 6
LEFT = torch.zeros(1, 64, 64)
LEFT[:, :, :32] = 1
SETTINGS = {
    "context_stride": 1, "closed_loop": False, "dim": 0, "freenoise": False,
    "cond_retain_index_list": "", "latent_retain_index_list": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def scene(demo_files: Path) -> Scene:
    return demo_scene(demo_files)


@pytest.fixture(scope="module")
def faces() -> AUVector:
    text = "0: 12E\n2: 4E hold\n4: 26E\n5: 1E+2E"
    return run("AUA_AUKeyframes", frames=[FRAMES], keyframes=[text], easing=["linear"])[0]


def clip(scene: Scene, frames: int = FRAMES) -> Tensor:
    """Frames that start from one noise."""
    latent = {"samples": torch.zeros(frames, 4, SIZE, SIZE)}
    return scene.sample(batch=frames, **LatentBatchSeedBehavior.execute(latent, "fixed").args[0])


def test_every_frame_is_the_picture_of_its_vector(scene: Scene, faces: AUVector) -> None:
    frames = clip(scene.apply(faces))
    for index in range(FRAMES):
        assert_near(frames[index : index + 1], clip(scene.apply(faces.face(index)), 1))
    assert (frames[0] - frames[2]).abs().max() > 0.05


def windows(scene: Scene, length: int, overlap: int, schedule: str, **settings: Any) -> Scene:
    """The scene behind core's Context Windows, by those settings that the ComfyUI here has."""
    known = inspect.signature(ContextWindowsManualNode.execute).parameters
    settings = {"fuse_method": "flat", **SETTINGS, **settings}
    settings = {name: value for name, value in settings.items() if name in known}
    patched = ContextWindowsManualNode.execute(
        scene.model, context_length=length, context_overlap=overlap, context_schedule=schedule,
        **settings,
    ).args[0]  # fmt: skip
    return replace(scene, model=patched)


@pytest.mark.parametrize(
    ("length", "overlap", "schedule", "order", "anchor"),
    [
        (2, 0, "batched", "before", False),
        (4, 0, "batched", "after", False),  # the last window is shorter
        (4, 2, "standard_static", "after", True),
        (4, 2, "standard_static", "before", False),
        (3, 1, "standard_uniform", "after", False),
        (3, 1, "looped_uniform", "after", True),
    ],
)
def test_context_windows_cut_the_vectors_with_the_frames(
    scene: Scene,
    faces: AUVector,
    length: int,
    overlap: int,
    schedule: str,
    order: str,
    anchor: bool,
) -> None:
    """A picture model predicts each frame alone, so windows may not change anything."""
    through = {"length": length, "overlap": overlap, "schedule": schedule}
    through["causal_window_fix"] = anchor
    if order == "before":
        cut = windows(scene, **through).apply(faces)
    else:
        cut = windows(scene.apply(faces), **through)
    assert_near(clip(cut), clip(scene.apply(faces)))


def test_context_windows_cut_masks_with_the_frames(scene: Scene, faces: AUVector) -> None:
    moving = torch.stack([LEFT[0].roll(8 * frame, -1) for frame in range(FRAMES)])
    applied = scene.apply(faces, mask=moving)
    assert_near(clip(windows(applied, 2, 0, "batched")), clip(applied))
    assert (clip(applied) - clip(scene.apply(faces, mask=LEFT))).abs().max() > 0.05


@pytest.mark.parametrize("vectors", [2, 4])
def test_vectors_for_a_window_are_not_vectors_for_the_clip(
    scene: Scene, faces: AUVector, vectors: int
) -> None:
    few = AUVector.stack([faces.face(i) for i in range(vectors)])
    cut = windows(scene.apply(few), 2, 0, "batched")
    with pytest.raises(ValueError, match=f"{vectors} AU vectors for a latent batch of {FRAMES}"):
        clip(cut)
    masks = scene.apply(faces, mask=LEFT.repeat(vectors, 1, 1))
    with pytest.raises(ValueError, match=f"{vectors} masks for a latent batch of {FRAMES}"):
        clip(windows(masks, 2, 0, "batched"))


@pytest.mark.parametrize("order", ["before", "after"])
def test_sliding_windows_of_another_pack_in_either_order(
    scene: Scene, faces: AUVector, order: str
) -> None:
    moving = torch.stack([LEFT[0].roll(8 * frame, -1) for frame in range(FRAMES)])
    expected = clip(scene.apply(faces, mask=moving))
    if order == "before":
        cut = sliding(scene, 3).apply(faces, mask=moving)
    else:
        cut = sliding(scene.apply(faces, mask=moving), 3)
    assert_near(clip(cut), expected)


@pytest.mark.parametrize("order", ["before", "after"])
def test_au_guider_through_sliding_windows(scene: Scene, faces: AUVector, order: str) -> None:
    """Every prediction is made the way the other pack makes its own, that of the AUs apart too."""
    applied = scene.apply(faces)
    cut = sliding(scene, 3).apply(faces) if order == "before" else sliding(applied, 3)
    expected = guided(applied)
    assert_near(guided(cut), expected)
    assert (expected - clip(applied)).abs().max() > 0.05


def guided(scene: Scene) -> Tensor:
    """The frames of `clip`, with the AUs guiding more than the prompt."""
    prompts = {"positive": scene.positive, "negative": scene.negative}
    (guider,) = run("AUA_AUGuider", model=scene.model, **prompts, text_cfg=3.0, au_cfg=5.0)
    latent = {"samples": torch.zeros(FRAMES, 4, SIZE, SIZE)}
    return custom.SamplerCustomAdvanced.execute(
        custom.RandomNoise.execute(1).args[0],
        guider,
        custom.KSamplerSelect.execute("euler").args[0],
        custom.BasicScheduler.execute(scene.model, "normal", STEPS, 1.0).args[0],
        LatentBatchSeedBehavior.execute(latent, "fixed").args[0],
    ).args[0]["samples"]


def test_a_part_of_the_sampling_for_each_frame(scene: Scene, faces: AUVector) -> None:
    """start and end hold for a clip as for a picture."""
    late = clip(scene.apply(faces, start=0.5))
    for index in (0, 3):
        alone = clip(scene.apply(faces.face(index), start=0.5), 1)
        assert_near(late[index : index + 1], alone)
