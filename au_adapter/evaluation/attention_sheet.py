"""Attention maps of an edit as a picture: a row of each kind, a column for some of the steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ..data.pictures import as_picture, read_picture, write_png
from ..facs import AUVector
from ..models.attention_maps import AttentionMaps
from .contact_sheet import contact_sheet
from .picture_batch import Wanted

LOGGER = logging.getLogger("au_adapter")

SHOWN = 6  # steps, from the first to the last
SMALLEST = 128  # pixels of a side of a map
SHADE = 0.45  # of the face under a map
# From little to much attention: dark blue, red, yellow.
RAMP = torch.tensor([[0.05, 0.05, 0.30], [0.85, 0.15, 0.15], [1.0, 0.95, 0.30]])


def write_sheets(editor: Any, wanted: Sequence[Wanted], output: Path, face: int = 0) -> list[Path]:
    """A sheet for each edit that changes something, into a folder; see `attention_sheet`.

    ValueError for an editor whose photos have no `attention`. A photo that cannot be edited is left
    out: the batch of edits says why.
    """
    output.mkdir(parents=True, exist_ok=True)
    files = []
    for photo, edits in groupby(wanted, lambda one: one.photo):
        try:
            opened = editor.open(read_picture(Path(photo)), face)
        except ValueError as error:
            LOGGER.warning("%s: no attention maps (%s)", photo, error)
            continue
        for one in (edit for edit in edits if any(edit.aus.values())):
            if not hasattr(opened, "attention"):
                raise ValueError(
                    f"{editor.name} tells nothing of its attention: leave --attention out"
                )
            maps = opened.attention(AUVector.from_dict(one.aus), one.seed)
            files.append(output / f"{one.name()}.png")
            write_png(files[-1], attention_sheet(maps, opened.face, one.name()))
    return files


def attention_sheet(maps: AttentionMaps, face: Tensor, title: str) -> Image.Image:
    """The maps over a face [S, S, 3] in 0..1. The colours of a row go from its least attention to
    its most, so that steps can be compared."""
    size = max(SMALLEST, len(face))
    rows, columns = [], []
    for kind, label in (("self", "self-attention"), ("cross", "cross-attention")):
        found = maps.maps(kind)
        steps = np.linspace(0, len(found) - 1, min(SHOWN, len(found))).round().astype(int)
        columns = [f"step {step + 1} of {len(found)}" for step in steps]
        shown = (found - found.min()) / (found.max() - found.min()).clamp(min=1e-9)
        rows.append((label, [_heat(shown[step], face, size) for step in steps]))
    return contact_sheet(rows, columns, title)


def _heat(strength: Tensor, face: Tensor, size: int) -> Image.Image:
    """A map [h, w] in 0..1 in colours over the grey face."""
    fine, grey = (
        interpolate(plane[None, None], (size, size), mode="bilinear")[0, 0]
        for plane in (strength, face.mean(-1))
    )
    place = fine.clamp(0, 1) * (len(RAMP) - 1)
    below = place.floor().long().clamp(max=len(RAMP) - 2)
    colours = torch.lerp(RAMP[below], RAMP[below + 1], (place - below)[..., None])
    mixed = (1 - SHADE) * colours + SHADE * grey[..., None]
    return as_picture(mixed)
