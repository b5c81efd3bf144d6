"""`au-adapter text`: Action Units as English, and English as Action Units."""

from __future__ import annotations

from pathlib import Path

import click

from .verb import LOGGER, PATH, load, verb


@verb
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--policy",
    type=click.Choice(("paper", "strict")),
    default="paper",
    help="Whether two pairs of AUs may share one, or each AU is used once.",
)
@click.option(
    "--wording",
    type=click.Choice(("anatomical", "short")),
    default="anatomical",
    help="Whole sentences, or a few words for each.",
)
@click.option(
    "--intensity-words/--no-intensity-words", default=True, help="Say how strong each AU is."
)
@click.option("--seed", default=0, help="Which of five wordings.")
@click.option(
    "--token-limit",
    type=click.IntRange(0),
    default=0,
    help="Of CLIP's tokens, 75 for its window; the weakest AUs go first. 0: no limit.",
)
@click.option(
    "--presets",
    type=PATH,
    help="Expressions of your own, a JSON such as {'expressions': {'my look': {'aus': '1B'}}}.",
)
def text(words: tuple[str, ...], presets: Path | None, **settings: object) -> None:
    """Write FACS notation such as 6B+12C as English, or read English such as "raised brows" as
    notation. How it was understood, and what was left out, goes to standard error.
    """
    facs, given = load("facs"), " ".join(words)
    if facs.is_notation(given):
        face = facs.face_text(facs.AUVector.parse(given), **settings)
        click.echo(face.text)
        for reason in face.left_out:
            LOGGER.warning("Left out: %s", reason)
        return
    found = facs.understand(given, facs.read_presets(presets) if presets else None)
    click.echo(found.vector.notation() or "0")
    for line in found.lines:
        LOGGER.info("%s", line)
