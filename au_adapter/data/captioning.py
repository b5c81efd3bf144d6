"""Models that caption pictures, or answer questions about them, while a data set is made.

Anything with these methods will do; `blip2` has one that does both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PIL import Image


class Captioner(Protocol):
    """Describes pictures. name: what made the captions, for the data card."""

    name: str

    def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
        """One caption for each RGB picture."""


class Answerer(Protocol):
    """Answers a question about pictures. name: for the data card."""

    name: str

    def answer(self, pictures: Sequence[Image.Image], question: str) -> list[str]:
        """One answer, such as "yes", for each RGB picture."""


class VisionModel(Captioner, Answerer, Protocol):
    """Describes pictures and answers questions about them."""


class Asked:
    """A step that drops pictures by what an Answerer says to a question.

    Keeps a picture whose answer begins with `wanted`, in small letters.
    """

    def __init__(self, answerer: Answerer, question: str, wanted: str, name: str):
        self.answerer, self.question, self.wanted, self.name = answerer, question, wanted, name

    def keeps(self, faces: Sequence) -> list[bool]:
        answers = self.answerer.answer([face.picture for face in faces], self.question)
        return [answer.strip().lower().startswith(self.wanted) for answer in answers]
