"""Picture files: which of a folder are pictures, and their pixels, for every reader of them.

Opened are the formats below and no others: Pillow would hand a file that holds PostScript to
Ghostscript, whatever its name. AU_ADAPTER_MAX_PIXELS sets how large a picture may be.
"""

from __future__ import annotations

import io
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError, features
from torch import Tensor

from ..disk import replacing

LOGGER = logging.getLogger("au_adapter")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")  # of a folder's pictures
# Names in a table that are a picture's too. A .gif may be a clip.
OTHER_SUFFIXES = (".tif", ".tiff", ".jfif", ".jp2", ".avif", ".ppm", ".pgm", ".heic")
FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000"]
FORMATS += ["AVIF"] if "avif" in features.modules and features.check("avif") else []
PIXELS = "AU_ADAPTER_MAX_PIXELS"
MOST_PIXELS = 64_000_000  # about a gigabyte while it is read
LONGEST_PART = 255  # bytes of a name between slashes
WHITE_OF_16_BITS = 65535
# What Pillow's decoders raise for a file that is damaged, or that is no picture.
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError),
    *(AttributeError, AssertionError, RuntimeError, struct.error, zlib.error),
    Image.DecompressionBombError,
)


class PictureError(ValueError):
    """A picture that cannot be read; the text names it and says why."""


class _Clamped(io.BufferedReader):
    """A file of which a read takes no more memory than the file is long: damaged headers promise
    gigabytes, and Python makes room for them first."""

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self.length = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size if size is None else min(size, self.length))


class PictureFolder:
    """The pictures of a folder, by the names and numbers that a table has for them."""

    def __init__(self, path: str | Path):
        """Raises FileNotFoundError where there is no such folder."""
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"there is no folder of pictures {self.path}")
        self._root = self.path.resolve()

    @cached_property
    def files(self) -> list[Path]:
        """The pictures directly in the folder, by name. Hidden files are none."""
        return sorted(
            path
            for path in self.path.iterdir()
            if path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file()
        )

    def file(self, name: str, where: str) -> Path:
        """The path of a name in a table, whether or not it is there. ValueError, naming the line,
        without a name and for one that leads out of the folder: what a table names is copied."""
        if not name:
            raise ValueError(f"{where} names no picture")
        path = self.path / name.replace("\\", "/")
        try:
            if max(len(os.fsencode(part)) for part in path.parts) > LONGEST_PART:
                raise ValueError("too long")
            inside = path.resolve().is_relative_to(self._root)
        except (ValueError, OSError, RuntimeError) as error:  # zero bytes, a link to itself
            raise ValueError(f"{where}: {name[:80]!r} is no file name ({error})") from error
        if not inside:
            raise ValueError(
                f"{where}: {name!r} leads out of {self.path}, and pictures are taken from there "
                "alone: move it into the folder, or name the folder that holds all"
            )
        return path

    def first_frame(self, frames: Sequence[int], first: int, table: Path) -> int:
        """The frame number of the first picture: `first`, as the tool counts, or the smallest where
        all frames are there by it alone. ValueError where the frames are not of this folder."""
        low, high, count = min(frames), max(frames), len(self.files)
        if first <= low and high - first < count:
            return first
        if high - low + 1 == count:
            return low
        raise ValueError(
            f"{table} has frame {low if low < first else high}, but {self.path} holds {count} "
            f"pictures, counted from {first}: name the folder that was analysed, or give a table "
            "that names the files"
        )


def names_picture(name: str) -> bool:
    """Whether a name in a table ends as that of a picture, and not as a video's."""
    return PureWindowsPath(name).suffix.lower() in (*SUFFIXES, *OTHER_SUFFIXES)


@contextmanager
def opened_picture(source: Path | bytes, name: object = None) -> Iterator[Image.Image]:
    """A picture file, or its content, whose header was read. PictureError, which begins with the
    name, for a file that is damaged, none of FORMATS or too large, then or while it is decoded."""
    name = source if name is None else name
    try:
        stream = io.BytesIO(source) if isinstance(source, bytes) else _Clamped(source)
        with stream, Image.open(stream, formats=FORMATS) as picture:
            _refuse_large(picture.size, name)
            yield picture
    except PictureError:
        raise
    except _DAMAGED as error:
        missing = isinstance(source, Path) and not source.exists()
        unknown = isinstance(error, UnidentifiedImageError)
        why = f"none of {', '.join(FORMATS)}" if unknown else error
        reason = "there is no such file" if missing else f"no picture, or damaged ({why})"
        raise PictureError(f"{name} cannot be read: {reason}") from error


def read_rgb(source: Path | bytes, name: object = None) -> Image.Image:
    """A picture upright, as its camera noted, in 8-bit RGB; grey of 16 bits as well. Raises as
    `opened_picture`, and PictureError for pixels whose white nobody knows."""
    with opened_picture(source, name) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode[0] not in "IF":
            return upright.convert("RGB")
        grey = _deep_grey(upright, source if name is None else name)
        return Image.fromarray(np.rint(grey * 255).astype(np.uint8)).convert("RGB")


def read_picture(file: Path) -> Tensor:
    """[1, H, W, 3] in 0..1, upright; grey of 16 bits in all its steps. Of several frames the first,
    and the log says so. Raises as `read_rgb`."""
    with opened_picture(Path(file)) as picture:
        frames = getattr(picture, "n_frames", 1)
        upright = ImageOps.exif_transpose(picture)
        if upright.mode[0] in "IF":
            pixels = np.repeat(_deep_grey(upright, file)[..., None], 3, axis=-1)
        else:
            pixels = np.asarray(upright.convert("RGB"), np.float32)
            pixels /= 255
    if frames > 1:
        LOGGER.warning("%s holds %d frames: the first was read", file, frames)
    return torch.from_numpy(pixels)[None]


def as_picture(pixels: Tensor) -> Image.Image:
    """Pixels [H, W, 3] in 0..1 as a picture."""
    return Image.fromarray((pixels * 255).round().byte().cpu().numpy())


def file_of(picture: Image.Image, form: str, **options: Any) -> bytes:
    """The content of a picture's file in a format of Pillow's, with options of its writer."""
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def write_png(
    path: Path, picture: Image.Image | Tensor, about: PngImagePlugin.PngInfo | None = None
) -> Path:
    """Write a picture, or one [H, W, 3] in 0..1, whole or not at all; its path."""
    if isinstance(picture, Tensor):
        picture = as_picture(picture)
    with replacing(path) as partial:
        picture.save(partial, "PNG", pnginfo=about)
    return path


def _deep_grey(picture: Image.Image, name: object) -> np.ndarray:
    """[H, W] in 0..1 of a mode with more than 8 bits: "I;16" and its like, "I" and "F". Pillow's
    own conversion would cut everything above 255 off to white."""
    grey = np.asarray(picture, np.float32)
    low, high = grey.min(), grey.max()
    if picture.mode == "F" or low < 0 or high > WHITE_OF_16_BITS:
        kind = "floats" if picture.mode == "F" else "integers"
        raise PictureError(
            f"{name} cannot be read: its pixels are 32-bit {kind} from {low:g} to {high:g}, and "
            "nothing says which number is white; expected 8 or 16 bits a channel. Scale it, and "
            "save it as a PNG of 8 or 16 bits"
        )
    return grey / WHITE_OF_16_BITS


def _refuse_large(size: tuple[int, int], name: object) -> None:
    setting = os.environ.get(PIXELS, str(MOST_PIXELS))
    if not setting.isdecimal():
        raise PictureError(f"{PIXELS} is {setting!r}, expected a number of pixels")
    if size[0] * size[1] > int(setting):
        raise PictureError(
            f"{name} cannot be read: it has {size[0]} x {size[1]} pixels, and at most "
            f"{int(setting):,} are read. Make it smaller, or raise the environment variable "
            f"{PIXELS}"
        )
