"""English to Action Units: "slightly doubtful, lips parted, left brow raised" as an AUVector, with
an account of how each word was understood.

The name of an expression gives the AUs of its recipe. A statement about a part of the face
overrides the recipe, and a negation overrides both. Ambiguous phrases and unknown words are errors,
because a wrong face would go unnoticed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .conflicts import describe_conflicts
from .face_text import read_sentence
from .lexicon import Lexicon, Look, shipped_lexicon
from .notation import DEFAULT_INTENSITY, format_notation, parse_notation, split_code
from .phrases import ParsedText, Statement, read_phrases
from .presets import PRESETS, Preset
from .vector import AUVector

MAXIMUM = 5.0
EXAMPLE = "such as 'slightly doubtful, lips parted, left brow raised' or '6B+12C'"
ALIKE = 0.8  # from here on two words may be one with a slip of the pen
PLACES = ("brows", "eyes", "cheeks", "nose", "mouth")
_SIDES = ("L", "R")
_CODE_WORD = re.compile(r"[LRTB]?A[UD][LRTB]?|[A-Z]|[LR][A-E]|OR", re.IGNORECASE)
_Halves = dict[tuple[str, int], float]  # {("L", 12): 3.0}


@dataclass(frozen=True)
class Understanding:
    """One face, and a line for each thing that was understood."""

    vector: AUVector
    lines: tuple[str, ...]


@dataclass
class _Statements:
    """The sum of the statements. expressions, actions: intensities. absent: AUs denied."""

    expressions: _Halves = field(default_factory=dict)
    actions: _Halves = field(default_factory=dict)
    absent: dict[tuple[str, int], str] = field(default_factory=dict)  # with the words that say so

    def halves(self) -> _Halves:
        """The result; ValueError where an AU is both asked for and ruled out."""
        for half, words in self.absent.items():
            if half in self.actions:
                raise ValueError(f"AU{half[1]} is asked for, and ruled out by '{words}': drop one")
        both = {**self.expressions, **self.actions}
        return {half: value for half, value in both.items() if value and half not in self.absent}


def understand(text: str, presets: Mapping[str, Preset] | None = None) -> Understanding:
    """Read English about a face, FACS notation, or a text that `describe` wrote.

    presets: expressions by name beside the shipped ones, such as a person's own of `read_presets`.
    ValueError, in a sentence each, for words that are not known (named, with the nearest that are),
    for what is no Action Unit, for what can be meant in two ways, and for an empty text.
    """
    if not text.strip():
        raise ValueError(f"there are no words: write what the face does, {EXAMPLE}")
    if is_notation(text):
        vector = AUVector.parse(text)
        return Understanding(vector, (f"FACS notation: {vector.notation() or 'neutral'}",))
    lexicon = Lexicon([*PRESETS.values(), *presets.values()]) if presets else shipped_lexicon()
    face, lines = _Statements(), []
    for piece, codes in _pieces(text):
        if codes is None:
            lines += _add_phrases(piece, lexicon, face)
        else:
            _add_codes(codes, piece, face.actions)
            lines.append(f"{piece}: {format_notation(codes) or 'neutral'}")
    vector = AUVector.from_dict(_codes(face.halves()))
    return Understanding(vector, (*lines, *describe_conflicts(vector)))


def is_notation(text: str) -> bool:
    """Whether a text has numbers, and no word but those of FACS codes."""
    words = re.findall(r"[^\W\d_]+", text)
    return bool(re.search(r"\d", text)) and all(map(_CODE_WORD.fullmatch, words))


def _pieces(text: str) -> list[tuple[str, dict[str, float] | None]]:
    """The text in pieces: sentences and entries that `face_text` wrote, with their codes; all else
    with None."""
    pieces: list[tuple[str, dict[str, float] | None]] = []
    for sentence in re.split(r"(?<=\.)\s+|\n", text):
        codes = read_sentence(sentence)
        parts = [sentence] if codes is not None else re.split(r",\s+", sentence)
        for piece, found in ((part, read_sentence(part)) for part in parts):
            if found is None and pieces and pieces[-1][1] is None:
                pieces[-1] = (f"{pieces[-1][0]}, {piece}", None)
            elif piece.strip():
                pieces.append((piece.strip(), found))
    return pieces


def _add_codes(codes: Mapping[str, float], words: str, halves: _Halves) -> None:
    for half, value in _split(codes).items():
        if halves.setdefault(half, value) != value:
            raise ValueError(
                f"'{words}' asks for AU{half[1]} at {value:g}, and something before for "
                f"{halves[half]:g}: keep one"
            )


def _add_phrases(text: str, lexicon: Lexicon, face: _Statements) -> list[str]:
    parsed = read_phrases(text, lexicon)
    _refuse_unknown(text, parsed, lexicon)
    for statement in parsed.statements:
        if not statement.says_something:
            words = statement.words
            raise ValueError(f"'{words}': say of what, such as '{words} smiling'")
        if statement.parts and not statement.of("action") and not statement.of("look"):
            raise ValueError(
                f"'{statement.words}': say what it does, such as 'raised', 'lowered' or 'parted'"
            )
    return [_add_statement(statement, lexicon, face) for statement in parsed.statements]


def _refuse_unknown(text: str, parsed: ParsedText, lexicon: Lexicon) -> None:
    # One strange word is named; a text in another language is not taken apart word by word.
    one = len(parsed.unknown) == 1 and parsed.unknown[0].isascii()
    if not (parsed.statements or parsed.outside or one):
        raise ValueError(
            f"'{text}' says nothing that is understood as a face: write English words, {EXAMPLE}"
        )
    complaints = [
        f"'{words}' is about {what}, which is no Action Unit here: leave it to the prompt"
        for words, what in dict.fromkeys(parsed.outside)
    ]
    for word in dict.fromkeys(parsed.unknown):
        near = lexicon.names_with(word) or difflib.get_close_matches(
            word, sorted(lexicon.known), 2, ALIKE
        )
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        complaints.append(f"'{word}' is not known{hint}")
    if parsed.unknown:
        complaints[-1] += ": use other words, or notation such as 6B+12C"
    if complaints:
        raise ValueError("; ".join(complaints))


def _add_statement(statement: Statement, lexicon: Lexicon, face: _Statements) -> str:
    """Add a statement to a face, and return one line on how it was understood."""
    degree, side = _degree(statement), _side(statement)
    looks = [item.sense.look for item in statement.of("look") if item.sense.look]
    name = next((look.name for look in looks if look.name), "")
    numbered = any(item.number is not None for item in statement.of("degree"))
    found: _Halves = {}
    for codes in _meanings(statement, lexicon):
        factor = _factor(degree, max(codes.values()) if name else DEFAULT_INTENSITY, numbered)
        for half, value in _split(_on_side(codes, side)).items():
            found[half] = max(found.get(half, 0.0), round(min(value * factor, MAXIMUM), 2))
    if statement.negated and name and not statement.excepts:
        return f"{statement.words}: nothing of {name} is added"
    if statement.negated:
        found = dict.fromkeys(found, 0.0)
    for half in found if statement.excepts else ():
        face.actions.pop(half, None)
        face.expressions.pop(half, None)
    for half, value in found.items():
        if name:
            face.expressions[half] = max(value, face.expressions.get(half, 0.0))
        elif value:
            face.actions[half] = max(value, face.actions.get(half, 0.0))
        else:
            face.absent[half] = statement.words
    source = next((f"{look.name}, {look.source}: " for look in looks if look.name), "")
    return f"{statement.words}: {source}{_account(found)}"


def _account(found: _Halves) -> str:
    """The AUs that are there in notation, and those that are not."""
    there = format_notation(_codes({half: value for half, value in found.items() if value}))
    none = ", ".join(f"no AU{code}" for code in _codes(found) if not _codes(found)[code])
    return ", ".join(filter(None, (there, none))) or "neutral"


def _factor(degree: float | None, strongest: float, numbered: bool) -> float:
    """What multiplies the intensities of a meaning, so that the strongest has the degree.

    In some recipes this is not C. There a word above C weakens nothing, one below C strengthens
    nothing ("very" leaves laughter at E, "a hint of" contempt at A), and a word for C changes
    nothing; a number is meant to the letter.
    """
    if degree is None or not strongest:
        return 1.0
    factor = degree / strongest
    if numbered or strongest == DEFAULT_INTENSITY:
        return factor
    if degree == DEFAULT_INTENSITY:
        return 1.0
    return max(factor, 1.0) if degree > DEFAULT_INTENSITY else min(factor, 1.0)


def _degree(statement: Statement) -> float | None:
    """What a statement says about how much, 1..5; None where it says nothing."""
    given = [item.sense for item in statement.of("degree")]
    plain = [sense for sense in given if not sense.beside_degree]
    degrees = list(dict.fromkeys(sense.degree for sense in plain or given))
    if len(degrees) > 1:  # "barely visible"
        degrees = [degree for degree in degrees if degree != DEFAULT_INTENSITY]
    if len(degrees) > 1:
        words = "' and '".join(item.words for item in statement.of("degree"))
        raise ValueError(
            f"'{statement.words}' has two degrees, '{words}': keep one of slightly, markedly, ..."
        )
    if not degrees:
        return None
    degree = degrees[0]
    if plain and any(sense.beside_degree == "boost" for sense in given):
        step = 1 if degree >= DEFAULT_INTENSITY else -1  # "very slightly" is a trace
        degree = min(max(degree + step, 1.0), MAXIMUM)
    return degree


def _side(statement: Statement) -> str:
    """ "L", "R" or "" for both; ValueError where one side is meant and it is not said which."""
    sides = {item.sense.side for item in statement.of("side")}
    if "viewer" in sides:
        raise ValueError(
            f"'{statement.words}': left and right are the person's own here; of a face that looks "
            "at you, its left is on your right. Write 'left' or 'right' alone"
        )
    named = sides & {"left", "right"}
    single = any(i.sense.look and i.sense.look.one_sided for i in statement.of("look"))
    if len(named) == 2 or "both" in sides:
        return ""
    if not named and ("one" in sides or (single and not statement.negated)):
        raise ValueError(
            f"'{statement.words}' is on one side: write which, left or right of the person"
        )
    return named.pop()[0].upper() if named else ""


def _meanings(statement: Statement, lexicon: Lexicon) -> list[dict[str, float]]:
    """The AUs of each action on each of its parts, or of each look."""
    looks = [_look(item.sense.look, statement, lexicon) for item in statement.of("look")]
    actions = statement.of("action")
    if actions and not statement.parts:
        raise ValueError(
            f"'{statement.words}': say which part of the face, such as 'brows {actions[0].words}'"
        )
    for item in actions:
        for part in statement.parts:
            if item.sense.does.get(part, "").startswith("?"):
                why = item.sense.does[part].removeprefix("? ")
                raise ValueError(f"'{statement.words}' can be meant in two ways. {why}")
            if part in item.sense.does:
                looks.append(parse_notation(item.sense.does[part]))
            elif item.sense.rest:
                looks.append(dict.fromkeys(map(str, lexicon.parts[part]), 0.0))
            else:
                raise ValueError(
                    f"'{item.words}' is nothing that is known of the {part}: write what they do in "
                    f"other words, or in notation, {EXAMPLE}"
                )
    return looks


def _look(look: Look | None, statement: Statement, lexicon: Lexicon) -> dict[str, float]:
    """The AUs of a look; on a part of the face ("angry brows"), only those seen there."""
    if look is None:
        return {}
    codes = parse_notation(look.notation)
    if not statement.parts:
        return codes
    seen = {number for part in statement.parts for number in lexicon.parts[part]}
    here = {code: value for code, value in codes.items() if int(code.lstrip("LRTB")) in seen}
    if not here:
        what = look.name or look.notation
        numbers = {int(code.lstrip("LRTB")) for code in codes}
        elsewhere = [f"'{what} {p}'" for p in PLACES if numbers & {*lexicon.parts[p]}]
        raise ValueError(
            f"'{statement.words}': {what} is {look.notation}, of which nothing is seen on the "
            f"{' or '.join(statement.parts)}: write {' or '.join(elsewhere) or what}"
        )
    return here


def _on_side(codes: Mapping[str, float], side: str) -> dict[str, float]:
    """Codes on one side alone. Codes with sides are swapped if the first is on the other side."""
    own = next((code[0] for code in codes if code[0] in _SIDES), "")
    if not side or own == side:
        return {**codes}
    if not own:
        return {side + code: value for code, value in codes.items()}
    swapped = str.maketrans("LR", "RL")
    return {code.translate(swapped): value for code, value in codes.items()}


def _split(codes: Mapping[str, float]) -> _Halves:
    """{"L4": 2, "12": 3} -> {("L", 4): 2, ("L", 12): 3, ("R", 12): 3}."""
    halves: _Halves = {}
    for code, value in codes.items():
        plain, _ = split_code(code)
        if plain[0] in ("T", "B"):
            raise ValueError(f"{plain}: a face here has sides, but not one lip without the other")
        for side in _SIDES if plain.isdigit() else plain[0]:
            halves[side, int(plain.lstrip("LR"))] = value
    return halves


def _codes(halves: _Halves) -> dict[str, float]:
    """Both sides alike as one code, others apart."""
    codes = {}
    for number in dict.fromkeys(number for _, number in halves):
        left, right = (halves.get((side, number)) for side in _SIDES)
        both = {"": left} if left == right else {"L": left, "R": right}
        codes |= {f"{side}{number}": v for side, v in both.items() if v is not None}
    return codes
