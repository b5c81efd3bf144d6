"""FACS notation: what is read, what is written, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from au_adapter.facs import LIP_UNITS, UNITS, format_notation, parse_notation

# A busy machine is no failure: an example may take its time.
unhurried = settings(deadline=None)

STILL_UNITS = [number for number in UNITS if number not in (45, 46)]

intensities = st.one_of(
    st.integers(0, 5).map(float),
    st.floats(-10, 10, allow_nan=False).map(lambda value: round(value, 4)),
)


@st.composite
def faces(draw) -> dict[str, float]:
    """One face as {code: intensity}: each AU whole, on one side or on both sides apart."""
    values: dict[str, float] = {}
    for number in draw(st.lists(st.sampled_from(STILL_UNITS), unique=True, max_size=8)):
        for prefix in draw(st.sampled_from([("",), ("L",), ("R",), ("L", "R")])):
            values[f"{prefix}{number}"] = draw(intensities.filter(bool))
    return values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1+2+5B+26", {"1": 3, "2": 3, "5": 2, "26": 3}),
        ("R12A+L14C", {"R12": 1, "L14": 3}),
        ("AU6:3.5", {"6": 3.5}),
        ("AU6+AU12", {"6": 3, "12": 3}),
        ("6E + 12E", {"6": 5, "12": 5}),
        ("1+2+4+5+20+25,26", dict.fromkeys(["1", "2", "4", "5", "20", "25", "26"], 3)),
        ("L12B+R12D", {"L12": 2, "R12": 4}),
        ("AUL12 LAU14a; au 4e / 17=.5", {"L12": 3, "L14": 1, "4": 5, "17": 0.5}),
        ("T23B B23:-1", {"T23": 2, "B23": -1}),
        ("12 : 3.5, 6 = 2", {"12": 3.5, "6": 2}),
        ("12:0", {"12": 0}),
        ("12:10", {"12": 10}),
        ("AU12:+2", {"12": 2}),
        ("12=+2.5+AU6", {"12": 2.5, "6": 3}),
        ("12:\u22123", {"12": -3}),
        ("12 : \u20130.5", {"12": -0.5}),
        ("AD29", {"29": 3}),
        ("ad19B+AD 30", {"19": 2, "30": 3}),
        ("12L", {"L12": 3}),
        ("12RC + AU4L:2", {"R12": 3, "L4": 2}),
        ("0", {}),
        (" AU0 ", {}),
        ("AU12 + 2", {"12": 3, "2": 3}),
        ("AU12 +AU2", {"12": 3, "2": 3}),
        ("AU12C +2", {"12": 3, "2": 3}),
        ("AU12 +25", {"12": 3, "25": 3}),
        ("", {}),
        (" + ,", {}),
    ],
)
def test_reads(text: str, expected: dict[str, float]) -> None:
    assert parse_notation(text) == expected


def test_a_bare_code_takes_the_default_intensity() -> None:
    assert parse_notation("6+12D", default_intensity=1.5) == {"6": 1.5, "12": 4}

    with pytest.raises(ValueError, match="finite"):
        parse_notation("6", default_intensity=float("nan"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A12", "prefix A"),
        ("V12B", "prefix V"),
        ("LR12", "prefix LR"),
        ("AUAU12", "prefix AU"),
        ("12F", "'F'"),
        ("12CC", "'CC'"),
        ("12C:3", "'C:3'"),
        ("12.5", "'.5'"),
        ("12-3", "'-3'"),
        ("12:3:4", "':3:4'"),
        ("12:", "':'"),
        ("12:nan", "':NAN'"),
        ("AU12 +2", "'AU12 +2' could be two Action Units or an intensity: write ':2'"),
        ("AU6 + AU L12 +2.5", "'AU L12 +2.5' could be two"),
        ("12:+-2", "':'"),
        ("12:--2", "':--2'"),
        ("L12R", "two sides, L and R"),
        ("12LL", "'L'"),
        ("AD12AU", "'AU'"),
        ("AUAD12", "prefix AD"),
        ("12:inf", "':INF'"),
        ("12:1e3", "':1E3'"),
        ("12:3,5", "decimal or a list"),
        ("12x", "1978"),
        ("12Y", "1978"),
        ("5+12z", "1978"),
        ("12*", "any intensity"),
        ("12C/D", "'C/D'"),
        ("12c / d + 4", "'C / D'"),
        ("12 C", "'C' is not"),
        ("26 or 27", "'OR' stands between alternatives"),
        ("26@27", "'@' stands between alternatives"),
        ("51 @ 52", "'@' stands between alternatives"),
        ("12:" + "9" * 400, "finite"),
        ("smile", "'SMILE' is not"),
        ("\u0661\u0662", "is not"),
        ("3", "no Action Unit 3"),
        ("0+12", "no Action Unit 0"),
        ("100", "no Action Unit 100"),
        ("41", "write 43A"),
        ("44", "write 7D"),
        ("45", "cannot be seen in a still"),
        ("L46", "cannot be seen in a still"),
        ("54+64", "Code 54"),
        ("12B+AU12:2", "AU12 is given twice"),
        ("12+L12", "AU12 is given twice"),
        ("L12+L12", "AU12 is given twice"),
        ("T23+L23", "AU23 is given twice"),
        ("B12", "bottom lip"),
        ("T4", "top lip"),
    ],
)
def test_refuses(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="(?s).*") as caught:
        parse_notation(text)
    assert reason in str(caught.value)


@unhurried
@given(faces())
def test_writing_and_reading_is_the_identity(values: dict[str, float]) -> None:
    assert parse_notation(format_notation(values)) == values


@unhurried
@given(faces(), st.data())
def test_spelling_does_not_matter(values: dict[str, float], data: st.DataObject) -> None:
    items = []
    for code, value in values.items():
        prefix, number = code.rstrip("0123456789"), code.lstrip("LR")
        name = data.draw(
            st.sampled_from(["{p}{n}", "AU{p}{n}", "{p}au{n}", "au {p}{n}", "{n}{p}", "AD{n}{p}"])
        )
        mark = data.draw(st.sampled_from([":", "=", " : ", "= "]))
        written = f"{value:+.4f}" if data.draw(st.booleans()) else f"{value:.4f}"
        minus = data.draw(st.sampled_from("-\u2212"))
        items.append(name.format(p=prefix, n=number) + mark + written.replace("-", minus))
    separator = data.draw(st.sampled_from(["+", " + ", ", ", ";", " / ", "  "]))
    text = data.draw(st.sampled_from([str.lower, str.upper]))(separator.join(items))
    assert parse_notation(text) == values


@unhurried
@given(st.text(alphabet="LRTBAU0123456789CDEXYZ*@:=.,;/+-\u2212 ", max_size=20))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        values = parse_notation(text)
    except ValueError as error:
        assert len(str(error)) > 20
    else:
        assert parse_notation(format_notation(values)) == {k: v for k, v in values.items() if v}


@unhurried
@given(st.sampled_from(LIP_UNITS), st.sampled_from("TB"))
def test_one_lip_alone(number: int, prefix: str) -> None:
    assert parse_notation(f"{prefix}{number}B") == {f"{prefix}{number}": 2}


def test_writing_refuses_what_cannot_be_read_back() -> None:
    for values in ({"12": float("nan")}, {"12": float("inf")}, {"12C": 1.0}, {"99": 1.0}):
        with pytest.raises(ValueError):
            format_notation(values)
