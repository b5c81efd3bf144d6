"""Person masks by MediaPipe's selfie segmenter (256 pixels)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .crop import cut
from .executor import read_network
from .picture_checks import finite_pictures


class PersonSegmenter(nn.Module):
    """Masks people with hair, neck, clothes and what they hold."""

    def __init__(self, path: str | Path):
        """Open selfie_segmenter.tflite; ValueError for any other file."""
        super().__init__()
        self.network = read_network(path)
        found = self.network.graph.shapes[self.network.graph.outputs[0]]
        if len(found) != 4 or found[-1] != 1:
            raise ValueError(f"{path} is not the person segmenter: its output is {found}")

    @torch.no_grad()
    def mask(self, images: Tensor) -> Tensor:
        """Pictures [N, H, W, 3] in 0..1 -> confidence in a person at each pixel, [N, H, W] in 0..1.

        A picture with values that are not finite has a mask of 0; the log names it.
        """
        images, groups = finite_pictures(images)
        masks = torch.zeros(images.shape[:3])
        height, width = images.shape[1:3]
        whole = torch.tensor([width / 2, height / 2, width, height, 0.0])  # stretched to a square
        for chosen in groups:
            boxes = whole.expand(len(chosen), 5)
            crops = cut(images, chosen, boxes, self.network.input_size, "edge")
            small = self.network(crops.to(self.network.device))[0].permute(0, 3, 1, 2).cpu()
            masks[chosen] = interpolate(small, (height, width), mode="bilinear")[:, 0]
        return masks
