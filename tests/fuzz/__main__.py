"""Read thousands of damaged files with everything that reads files, and count what goes wrong.

    make fuzz                                     # some thousand files, some minutes
    PYTHONPATH=tests python -m fuzz --files 200   # a short form; the same seed, the same files

A file may be read, or refused by an error that a verb shows as one sentence and that names the
file. Anything else counts: a traceback, a message without the name, more than 2 GB, more than a
minute of computing. --keep writes such files to a folder.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import tempfile
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import click

from au_adapter.cli.verb import USER_ERRORS

from .readers import READERS, Reader

MEMORY = 2 * 2**30  # bytes that reading a small file may take
SECONDS = 60  # of the processor, or ten times as long by the clock: machines are busy
READ, REFUSED = "read", "refused"
FAULTS = ("traceback", "no file name", "memory", "too slow")


class TooSlow(BaseException):
    """Reading took longer than SECONDS."""


@click.command()
@click.option("--files", default=6000, show_default=True, help="How many, over all readers.")
@click.option("--seed", default=0, show_default=True)
@click.option("--reader", "names", multiple=True, help="Only these readers.")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder for files of faults.")
def main(files: int, seed: int, names: tuple[str, ...], keep: Path | None) -> None:
    """Fuzz every reader, and end with code 1 where one is at fault."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    chosen = [reader for reader in READERS if not names or reader.name in names]
    shares = sum(reader.share for reader in chosen)
    total: Counter[str] = Counter()
    for reader in chosen:
        count = max(2, round(files * reader.share / shares))
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(reader, Path(folder), count, seed, keep)
        total += found
        click.echo(f"{reader.name:28} {json.dumps(dict(sorted(found.items())))}")
    click.echo(f"{total.total()} files: {json.dumps(dict(sorted(total.items())))}")
    sys.exit(any(total[fault] for fault in FAULTS))


def fuzz(reader: Reader, folder: Path, count: int, seed: int, keep: Path | None) -> Counter[str]:
    """Outcome -> number, of `count` damaged versions of a reader's file, after the whole one."""
    file = reader.make(folder)
    whole, outcomes = file.read_bytes(), Counter()
    with limited_memory():
        reader.read(file)
        for number in range(count):
            content = reader.mutate(
                whole, Random(zlib.crc32(f"{seed} {reader.name} {number}".encode()))
            )
            file.write_bytes(content)
            outcome, error = outcome_of(reader, file)
            outcomes[outcome] += 1
            if outcome in FAULTS:
                lines = traceback.format_exception(error)[-6:]
                click.echo(f"{reader.name} {number}: {outcome}\n{''.join(lines)[-1500:]}")
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{reader.name}-{number}{file.suffix}").write_bytes(content)
    return outcomes


def outcome_of(reader: Reader, file: Path) -> tuple[str, BaseException | None]:
    """What reading a file came to, and the error."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(10 * SECONDS)
    try:
        reader.read(file)
    except TooSlow as error:
        return "too slow", error
    except MemoryError as error:
        return "memory", error
    except USER_ERRORS as error:
        refused = "allocate" in str(error).lower()  # of torch, which has no MemoryError
        places = (file.name, *map(str, file.parents[: reader.up]))
        named = any(place in str(error) for place in places)
        return "memory" if refused else REFUSED if named else "no file name", error
    except Exception as error:
        return "traceback", error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return READ, None


@contextmanager
def limited_memory() -> Iterator[None]:
    """Within it, the process may take MEMORY more than it has, and SECONDS ring as TooSlow."""
    import resource

    def ring(*_: object) -> None:
        raise TooSlow(f"reading took longer than {SECONDS} seconds")

    status = Path("/proc/self/status").read_text()
    used = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData"))
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    clocks = (signal.SIGPROF, signal.SIGALRM)
    previous = {clock: signal.signal(clock, ring) for clock in clocks}
    resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + MEMORY, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        for clock, handler in previous.items():
            signal.signal(clock, handler)


if __name__ == "__main__":
    main()
