"""A text about a face cut into words, codes, numbers and marks."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

#: Marks that end a clause; "+", "&" and "/" join like "and".
CLAUSE_MARKS, JOINT_MARKS = ",;.:!?()[]\n", "+&/"

_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
_QUOTES = dict.fromkeys(map(ord, "'\u2018\u2019\u02bc`\"\u201c\u201d*_"), None)
_FREE = r"(?![\d.]*[^\W\d_])"  # no letter follows: "12:2happy" is neither AU12 at 2 nor happy
_VALUE = rf"\s*[:=]\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+){_FREE}"
# "so" is a degree in "so happy", and none in "so that the teeth show".
_SO_THAT = re.compile(r"\bso(?= (?:that|the|his|her|their|its|it|he|she|they|you|one)\b)")
_TOKEN = re.compile(
    rf"""
    (?P<code>
        \b(?:(?:[lrtb]\s?)?a[ud]\s?[lrtb]?)\d{{1,2}}[lr]?(?:{_VALUE}|[a-e]\b)?(?!\.?\d)
      | \b[lrtb]?\d{{1,2}}(?:{_VALUE}|[a-e]\b)
      | \b(?:[lr]\d{{1,2}}|\d{{1,2}}[lr])\b
    )
  | \b(?:at|level|grade|intensity)\s+(?P<grade>[a-e])(?=\s*(?:[^\w\s]|$|and\b|with\b))
  | (?P<glued>[^\W\d_]+\.\d[\w.]*|\d[\d.:=]*[^\W\d_]\w*)
  | (?P<number>\d+(?:\.\d+)?(?:\s?%|\s?/\s?5\b)?)
  | (?P<word>[^\W\d_]+)
  | (?P<mark>[^\s\w])
  | (?P<line>\n)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """kind: word, code (of an AU), number, grade (a letter A..E), mark, or glued, which is a number
    and a word with nothing between them; text: in lower case."""

    kind: str
    text: str


def tokenize(text: str) -> list[Token]:
    """Lower-case tokens of a text. Apostrophes vanish, hyphens part words, "n't" stays in its word
    (isnt), and a dash between spaces is a comma."""
    plain = unicodedata.normalize("NFKC", text).lower().translate(_QUOTES).translate(_DASHES)
    plain = re.sub(r"(?<=[^\W\d_])-(?=[^\W\d_])", " ", plain)
    plain = _SO_THAT.sub(",", plain)
    plain = re.sub(r"(?<=\s)-+(?=\s)", ",", plain)
    tokens = []
    for match in _TOKEN.finditer(plain):
        kind = "mark" if match.lastgroup == "line" else match.lastgroup
        tokens.append(Token(kind, match[kind] if kind == "grade" else match[0].strip()))
    return tokens
