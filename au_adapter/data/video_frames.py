"""The frames of videos as pictures, a folder for each video."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
JPEG_QUALITY = 95
LOGGER = logging.getLogger("au_adapter")


def frames_of(pictures: Path, output: Path) -> Path:
    """The folder that holds the frames of a video, or a folder each for the videos of a folder;
    written into `output`. A folder without videos is returned as it is."""
    files = sorted(pictures.iterdir()) if pictures.is_dir() else [pictures]
    videos = [f for f in files if f.suffix.lower() in SUFFIXES and f.name[0] != "." and f.is_file()]
    for video in videos:
        write_frames(video, output / video.stem)
    if not videos:
        return pictures
    return output if pictures.is_dir() else output / pictures.stem


def write_frames(video: Path, folder: Path) -> int:
    """Write the frames of a video into a folder as 00000.jpg, 00001.jpg, ...; returns their number.

    A folder that is there is whole already. Needs the package av. ValueError, naming the video,
    where it cannot be read or shows nothing.
    """
    import av  # brings FFmpeg; comes with ComfyUI

    if folder.is_dir():
        return len(list(folder.glob("*.jpg")))
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    count = 0
    try:
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                frame.to_image().save(partial / f"{count:05d}.jpg", quality=JPEG_QUALITY)
                count += 1
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{video} cannot be read as a video ({error})") from error
    if not count:
        raise ValueError(f"{video} has no frames")
    partial.replace(folder)
    LOGGER.info("%d frames of %s", count, video)
    return count
