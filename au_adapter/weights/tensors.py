"""Named tensors from weight files of any origin: recognised by content, no code run."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..disk import damage_named, replacing
from .eight_bits import from_eight_bits, without_scales

ENDINGS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
PEEK = 512  # bytes at the start that tell a web page or a Git LFS pointer from weights
HASHED = 64  # numbers of each weight in `weights_name`
METADATA_KEY = "au_adapter"  # in the metadata of files that this project writes
M = TypeVar("M", bound=nn.Module)
Shapes = dict[str, tuple[int, ...]]  # name of a tensor -> its shape
UNREADABLE = (RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError)
DAMAGED = "it is truncated or of another kind; copy or download it again"


def weights_name(*modules: nn.Module) -> str:
    """16 hex digits that tell networks of the same shape apart, from the first numbers of each
    weight as float32: fast on networks of any size, independent of the device."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in module.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.flatten()[:HASHED].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Every named tensor of a safetensors file or a pickle of tensors, on the CPU.

    FileNotFoundError without the file; ValueError when it is truncated, a web page, a Git LFS
    pointer, or a pickle of more than tensors, which is refused before anything in it runs.
    """
    path = _checked(path)
    if _is_pickle(path):
        return _named(_unpickle(path, mmap=False), path)
    with damage_named(path), _safetensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> Path:
    """Write a safetensors file whole or not at all, and return its path. Folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        save_file(whole, partial, metadata)
    return path


def kept(path: Path, make: Callable[[], Mapping[str, Tensor]], *needed: str) -> dict[str, Tensor]:
    """The tensors of a file that a training keeps for itself, made where there is none. ValueError,
    saying to delete it, where it is damaged, or lacks one that is needed."""
    if not path.exists():
        write_tensors(path, make())
    with damage_named(path, "Delete it, and it is made again"):
        tensors = load_file(path)
        return {name: tensors[name] for name in needed or tensors}


def read_shapes(path: str | Path) -> Shapes:
    """The shape of every named tensor, without reading the numbers. Errors as `read_tensors`."""
    path = _checked(path)
    if _is_pickle(path):
        tensors = _named(_unpickle(path, mmap=zipfile.is_zipfile(path)), path)
        return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    with _safetensors(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def read_metadata(path: str | Path) -> dict[str, str]:
    """The metadata of a safetensors file; a pickle has none. Errors as `read_tensors`."""
    path = _checked(path)
    if _is_pickle(path):
        return {}
    with _safetensors(path) as file:
        return file.metadata() or {}


def read_described(path: str | Path, key: str, what: str, advice: str) -> str:
    """What a file's metadata says under a key of this project's. ValueError where it says nothing,
    and so is something else than `what`."""
    found = read_metadata(path).get(key)
    if found is None:
        raise ValueError(f"{path} is no {what}: its metadata lacks '{key}'{advice}")
    return found


def require_format(path: str | Path, what: str, found: object, known: int) -> None:
    """ValueError for a file of another format than is known."""
    if found != known:
        raise ValueError(f"{path} is {what} {found}, known is {known}: update AU-Adapter")


def count_numbered(names: Container[str], pattern: str) -> int:
    """How many names follow a pattern such as "body.{}.bias", from 0 on. KeyError for none."""
    number = 0
    while pattern.format(number) in names:
        number += 1
    if not number:
        raise KeyError(pattern.format(0))
    return number


def load_weights(path: str | Path, make: Callable[[], M]) -> M:
    """The module that `make` builds, with the weights in a file, which may be of 8 bits. ValueError
    for other names or shapes, found before any memory is taken, and numbers that are not finite."""
    with damage_named(path):
        with torch.device("meta"):
            expected = {n: tuple(t.shape) for n, t in make().state_dict().items()}
        found = without_scales(read_shapes(path))
        if differ := sorted(n for n in expected.keys() | found if expected.get(n) != found.get(n)):
            name = differ[0]
            raise ValueError(f"{name} is {found.get(name)}, its config says {expected.get(name)}")
        tensors = from_eight_bits(read_tensors(path))
        require_finite(tensors, path)
        module = make()
        module.load_state_dict(tensors)
        return module


def require_finite(tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """ValueError naming file and tensor where a number is NaN or infinite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(
                f"{path}: {name} has NaN or infinite numbers: its training or copy went wrong. Get "
                "the file again, or train with a lower learning rate"
            )


def _checked(path: str | Path) -> Path:
    """The path; FileNotFoundError or ValueError for what cannot be weights."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file of weights {path}")
    start = _start(path).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(
            f"{path} is a web page, not weights: the link to a page was saved. Download the file "
            "itself; on Hugging Face its address has /resolve/ in it, not /blob/"
        )
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(
            f"{path} is a Git LFS pointer of {path.stat().st_size} bytes, not the weights that it "
            "points to: run `git lfs pull` in the folder it came from, or download the file itself"
        )
    return path


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(PEEK)


def _is_pickle(path: Path) -> bool:
    """torch.save writes a zip archive, and before 2020 wrote a bare pickle.

    A safetensors file begins with an 8-byte number, which may look like either, and then "{".
    """
    start = _start(path)
    return start.startswith((b"PK\x03\x04", b"\x80\x02")) and start[8:9] != b"{"


def _unpickle(path: Path, mmap: bool) -> object:
    if zipfile.is_zipfile(path):
        with damage_named(path, DAMAGED), zipfile.ZipFile(path) as archive:
            packed = [e.filename for e in archive.infolist() if e.compress_type]
        if packed:
            raise ValueError(f"{path} is a compressed archive: torch.save writes none. Unpack it")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        if "truncated" in str(error):
            raise _damaged(path) from error
        raise ValueError(
            f"{path} is a pickle that holds more than tensors and could run code, so it was not "
            "opened. Get the weights from their publisher, or as safetensors"
        ) from error
    except (*UNREADABLE, OSError) as error:
        raise _damaged(path) from error


def _named(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors by name; a checkpoint of a training keeps them under state_dict. ValueError for
    one that repeats a few numbers: a small file would become a large one in memory."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    named = content.items() if isinstance(content, dict) else ()
    tensors = {n: t for n, t in named if isinstance(n, str) and isinstance(t, Tensor)}
    for name, tensor in tensors.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(
                f"{path}: {name} is {list(tensor.shape)} of fewer numbers, repeated: {DAMAGED}"
            )
    return tensors


def _safetensors(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> ValueError:
    size = path.stat().st_size
    return ValueError(f"{path} ({size} bytes) is not a whole file of weights: {DAMAGED}")


def some(names: list[str]) -> str:
    """The first three of many names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
