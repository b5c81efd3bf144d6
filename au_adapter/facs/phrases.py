"""Parses English about a face into statements: which part does what, how much, on which side.

Commas and words such as "but" separate clauses; "and" and "with" join the chunks of a clause. In a
chunk, each action finds its part ("brows raised", "raised brows"), and each word of degree, side or
negation finds what it modifies. A statement borrows what it lacks from its neighbours: "eyes and
mouth wide open", "left brow raised, right lowered", "raised, knitted brows".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .lexicon import Lexicon, Look, Sense
from .notation import LETTERS
from .text_tokens import CLAUSE_MARKS, JOINT_MARKS, Token, tokenize

# Adverbs that follow what they modify, as words in -ly do: "brows raised a bit".
_TRAILING = re.compile(r".*ly|.*bit|.*little|.*tad|.*lot|.*possible|.*maximum|.*max|.*way|somewhat")
_UNKNOWN = Sense()


@dataclass
class Item:
    """A phrase of the text, its place and its meaning; `number`, 0..5, if it is one."""

    place: int
    words: str
    sense: Sense
    number: float | None = None
    role: str = ""  # part, action, look, degree, side or not; "" for none


@dataclass
class Statement:
    """One thing that a face does or does not do, with the phrases that say so."""

    items: list[Item] = field(default_factory=list)
    borrowed: list[Item] = field(default_factory=list)  # parts or actions of its neighbours

    def of(self, role: str) -> list[Item]:
        """Its phrases of a role, including borrowed ones."""
        return [item for item in (*self.borrowed, *self.items) if item.role == role]

    @property
    def parts(self) -> list[str]:
        """The parts of the face that it names."""
        return [item.sense.part for item in self.of("part")]

    @property
    def says_something(self) -> bool:
        """Whether it is more than words of degree, side and negation."""
        return any(self.of(role) for role in ("part", "action", "look"))

    @property
    def negated(self) -> bool:
        """Whether it denies something: it has an odd number of words such as "no"."""
        return len(self.of("not")) % 2 == 1

    @property
    def excepts(self) -> bool:
        """Whether it is an exception to another statement: "brows up, but not the inner ends"."""
        return self.negated and any(i.role in ("action", "look") for i in self.borrowed)

    @property
    def words(self) -> str:
        """Its words in the order of the text."""
        items = sorted((*self.borrowed, *self.items), key=lambda item: item.place)
        return " ".join(item.words for item in items)


@dataclass(frozen=True)
class ParsedText:
    """The statements of a text, and its phrases that are unknown or not about AUs."""

    statements: list[Statement]
    unknown: list[str]
    outside: list[tuple[str, str]]


def read_phrases(text: str, lexicon: Lexicon) -> ParsedText:
    """Parse a text into statements. ValueError for an ambiguous phrase."""
    parsed = ParsedText([], [], [])
    place = 0
    for clause in _clauses(tokenize(text)):
        items, place = _items(clause, lexicon, place)
        parsed.unknown.extend(item.words for item in items if item.sense is _UNKNOWN)
        parsed.outside.extend((i.words, i.sense.outside) for i in items if i.sense.outside)
        known = [i for i in items if i.sense is not _UNKNOWN and not i.sense.outside]
        while known:
            ends = [n for n, item in enumerate(known) if item.sense.break_ == "clause"]
            end = ends[0] if ends else len(known)
            _read_clause(known[:end], parsed.statements)
            known = known[end + 1 :]
    _lend(parsed.statements)
    return parsed


def _clauses(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens between marks."""
    clauses: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind == "mark" and token.text in CLAUSE_MARKS:
            clauses.append([])
        else:
            clauses[-1].append(token)
    return [clause for clause in clauses if clause]


def _items(clause: Sequence[Token], lexicon: Lexicon, place: int) -> tuple[list[Item], int]:
    """The longest known phrases of a clause, with codes and numbers between them."""
    items: list[Item] = []
    run: list[str] = []  # words not yet looked up

    def look_up() -> None:
        for words in lexicon.runs(run):
            start = 0
            while start < len(words):
                length, sense = lexicon.find(words, start)
                phrase = " ".join(words[start : start + length])
                items.append(Item(place + len(items), phrase, sense or _UNKNOWN))
                start += length
        run.clear()

    for token in clause:
        if token.kind == "word":
            run.append(token.text)
            continue
        look_up()
        if token.kind == "mark" and token.text in JOINT_MARKS:
            items.append(Item(place + len(items), token.text, Sense(break_="joint")))
        elif token.kind == "code":
            look = Look(re.sub(r"\s", "", token.text).upper())
            items.append(Item(place + len(items), token.text, Sense(look=look)))
        elif token.kind in ("number", "grade"):
            number = _amount(token.text)
            items.append(Item(place + len(items), token.text, Sense(degree=number), number))
        else:
            items.append(Item(place + len(items), token.text, _UNKNOWN))
    look_up()
    return items, place + len(items)


def _amount(text: str) -> float:
    """0..5 of "3.5", "4/5", "60 %" or the grade "c"."""
    if text.upper() in LETTERS:
        return LETTERS[text.upper()]
    value = float(re.split(r"[\s%/]", text)[0]) / (20 if "%" in text else 1)
    if value > 5:
        raise ValueError(f"'{text}': an intensity lies in 0..5, or is a share such as 60 %")
    return value


def _read_clause(items: list[Item], statements: list[Statement]) -> None:
    """Add the statements of a clause, chunk by chunk."""
    own = [item.sense.part for item in items if item.sense.part]
    carried = own or next((s.parts for s in reversed(statements) if s.parts), [])
    first = len(statements)
    chunk: list[Item] = []
    no: Item | None = None  # "no smile or wrinkles": "or" carries the "no" on
    for item in [*items, Item(0, "", Sense(break_="joint"))]:
        if not item.sense.break_:
            chunk.append(item)
            continue
        before = len(statements)
        _read_chunk(chunk, carried, statements, before > first)
        for statement in statements[before:] if no else []:
            if not statement.of("not"):
                statement.borrowed.append(no)
        chunk, no = [], None
        if item.sense.break_ == "or":
            no = next((i for s in reversed(statements[first:]) for i in s.of("not")), None)
            if not no:
                raise ValueError("'or' stands between alternatives: write the one that is meant")
    if 0 < first < len(statements) and not statements[first - 1].says_something:
        first -= 1  # "slight, crooked smile"
        statements[first + 1].items += statements.pop(first).items
    _join_places(statements, first)


def _join_places(statements: list[Statement], first: int) -> None:
    """A part without an action tells where the look before it shows: "winking with the left eye".

    Unless the next statement has an action for it: "smiling, with eyes and mouth wide open".
    """
    for place in statements[first + 1 :]:
        index = statements.index(place)
        look, later = statements[index - 1], statements[index + 1 : index + 2]
        lent = any(other.of("action") and other.of("part") for other in later)
        if look.of("look") and not look.parts and _bare_part(place) and not lent:
            look.items += place.items
            statements.remove(place)


def _bare_part(statement: Statement) -> bool:
    return bool(statement.parts) and not (statement.of("action") or statement.of("look"))


def _read_chunk(
    chunk: list[Item], carried: list[str], statements: list[Statement], joined: bool
) -> None:
    """Add the statements of a chunk. carried: parts of the face named before it. joined: whether it
    follows "and" or "with"."""
    own = [item.sense.part for item in chunk if item.sense.part]
    for item in chunk:
        item.role = _role(item, own, carried, chunk)
    cores = [item for item in chunk if item.role in ("part", "action", "look")]
    modifiers = [item for item in chunk if item.role in ("degree", "side", "not")]
    if not cores:
        _modify(modifiers, statements, joined)
        return
    owner: dict[int, Statement] = {}
    for index, core in enumerate(cores):
        following = [other.role for other in cores[index + 1 : index + 3]]
        current = owner.get(cores[index - 1].place) if index else None
        if current is None or _begins(core, current, following):
            current = Statement()
            statements.append(current)
        if core.role == "part" and current.of("part") and current.of("action"):
            # "mouth turned down at the corners": the place named last is the one that is meant
            current.items = [item for item in current.items if item.role != "part"]
        current.items.append(core)
        owner[core.place] = current
    for item in modifiers:
        owner[_core_of(item, cores, owner).place].items.append(item)


def _role(item: Item, own: Sequence[str], carried: Sequence[str], chunk: Sequence[Item]) -> str:
    """The role of a phrase in its chunk. A part of the face beside it makes it an action; a part
    named earlier does so only if it can be nothing else ("eyes closed, smiling")."""
    sense = item.sense
    acts = any(part in sense.does for part in own) or (sense.rest and own)
    if not own and not sense.look and not sense.neutral and sense.degree is None:
        acts = any(part in sense.does for part in carried) or (sense.rest and carried)
    if sense.part and not (sense.look and not _has_action(sense.part, chunk)):
        return "part"
    if acts:
        return "action"
    if sense.unclear:
        raise ValueError(f"'{item.words}' can be meant in two ways: {sense.unclear}")
    if sense.look or sense.neutral:
        return "look"
    if sense.degree is not None:
        return "degree"
    if sense.side:
        return "side"
    if sense.negates:
        return "not"
    return "action" if sense.does and not sense.filler else ""


def _has_action(part: str, chunk: Sequence[Item]) -> bool:
    return any(part in item.sense.does for item in chunk)


def _begins(core: Item, current: Statement, following: Sequence[str]) -> bool:
    """Whether a part, an action or a look begins a new statement."""
    role = core.role
    parts, actions, looks = (current.of(r) for r in ("part", "action", "look"))
    ends = not following or following[0] != "action"  # what follows is not this part's action
    if role == "look":
        # "contemptuous smile": an expression says which smile
        named = any(item.sense.look and item.sense.look.name for item in looks)
        return bool(actions or (looks and not named)) or not (parts or looks)
    if role == "part":
        if looks:
            return bool(parts) or not ends
        same = any({*item.sense.seen} & {*core.sense.seen} for item in parts)
        return bool(parts and actions) and not (ends and same and _leads(current, "part"))
    if looks:
        return True
    if not (parts and actions):
        return False
    return following[:1] == ["part"] and following[1:2] != ["action"]


def _leads(statement: Statement, role: str) -> bool:
    return next(item.role for item in statement.items if item.role in ("part", "action")) == role


def _core_of(item: Item, cores: Sequence[Item], owner: dict[int, Statement]) -> Item:
    """The part, action or look that a word of degree, side or negation modifies."""
    before = [core for core in cores if core.place < item.place]
    after = [core for core in cores if core.place > item.place]
    if not before or not after:
        return (before or after)[-1 if before else 0]
    last, following = before[-1], after[0]
    if owner[last.place] is owner[following.place]:
        return last
    trails = item.number is not None or _TRAILING.fullmatch(item.words)
    if item.role == "degree" and trails and following.role == "part" and last.role != "part":
        return last
    return following


def _modify(modifiers: list[Item], statements: list[Statement], joined: bool) -> None:
    """A clause of modifiers alone modifies the statement before it: "brows raised, slightly".

    At the beginning, or after a joint, it modifies the next: "with a gentle, closed smile".
    """
    if not modifiers:
        return
    words = " ".join(item.words for item in modifiers)
    last = statements[-1] if statements else Statement()
    coded = any(item.words[-1].isdigit() for item in last.of("look"))
    if coded and any(item.number is not None for item in modifiers):
        raise ValueError(
            f"'{words}' stands alone: write 'AU{words}', or 'at {words}' behind what it is of"
        )
    if last.of("not") and any(item.role == "not" for item in modifiers):
        raise ValueError(f"'{words}': say of what, such as '{words} smiling'")
    degrees_alone = all(item.role == "degree" and item.number is None for item in modifiers)
    if not statements or (joined and degrees_alone):
        statements.append(Statement(modifiers))
    elif any(item.role == "not" for item in modifiers):  # "brows raised, but not the left"
        borrowed = [item for item in last.items if item.role in ("part", "action", "look")]
        statements.append(Statement(modifiers, borrowed))
    else:
        last.items.extend(modifiers)


def _lend(statements: list[Statement]) -> None:
    """Give parts without an action the next action, actions without a part the nearest part."""
    for index, one in enumerate(statements):
        if one.of("look"):
            continue
        if not one.of("action"):
            others = reversed(statements[:index]) if one.negated else statements[index + 1 :]
            other = next((s for s in others if s.of("action")), Statement())
            if not _can(one.parts, other):
                continue
            one.borrowed += other.of("action")
            if not one.of("degree"):
                one.borrowed += other.of("degree")
        elif not one.of("part"):
            _borrow_parts(one, statements[:index], statements[index + 1 :])


def _can(parts: Sequence[str], statement: Statement) -> bool:
    """Whether one of the parts can do what a statement says."""
    return all(
        item.sense.rest or any(part in item.sense.does for part in parts)
        for item in statement.of("action")
    )


def _borrow_parts(one: Statement, earlier: Sequence[Statement], later: Sequence[Statement]) -> None:
    """The part of the nearest statement that can do this, an earlier one before a later one."""
    for nearby in (reversed(earlier), later):
        other = next((s for s in nearby if s.of("part")), Statement())
        if other.parts and _can(other.parts, one):
            one.borrowed += other.of("part")
            if not one.of("side"):
                one.borrowed += other.of("side")
            return
