"""A secret is taken out of a text in whatever way the text spells it, and where it is cut off."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from urllib.parse import quote, quote_from_bytes, quote_plus, urlencode

import markupsafe
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.spellings import SHORTEST_BEGINNING, basic, scrubbed, spellings

#: Written by others than the package: what servers, browsers, Python and shells make of a text.
WAYS = {
    "plain": str,
    "form": quote_plus,
    "url": quote,
    "segment": lambda text: quote(text, safe=""),
    "form field": lambda text: urlencode({"x": text})[2:],
    "form in a url": lambda text: quote(quote_plus(text)),
    "url in a form": lambda text: quote_plus(quote(text)),
    "lower-case hex": lambda text: "".join(
        char.lower() if char.startswith("%") else char for char in _pieces(quote(text, safe=""))
    ),
    "json": lambda text: json.dumps(text)[1:-1],
    "json in unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json of Go": lambda text: _escaped(json.dumps(text, ensure_ascii=False)[1:-1], "<>&"),
    "json of Gson": lambda text: _escaped(json.dumps(text, ensure_ascii=False)[1:-1], "<>&='"),
    "json in json": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "html": html.escape,
    "html of Jinja": lambda text: str(markupsafe.escape(text)),
    "html of Go": lambda text: str(markupsafe.escape(text)).replace("+", "&#43;"),
    "repr": lambda text: repr(text)[1:-1],
    "ascii": lambda text: ascii(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "read as latin-1": lambda text: text.encode().decode("latin-1"),
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="⟦⟧"), min_size=1, max_size=40)
#: Letters that have one other case, which is as long.
ASCII = st.text(
    st.characters(min_codepoint=33, max_codepoint=126), min_size=SHORTEST_BEGINNING + 1, max_size=60
)


def _escaped(text, unsafe):
    for char in unsafe:
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _pieces(text):
    while text:
        length = 3 if text[0] == "%" else 1
        yield text[:length]
        text = text[length:]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@given(secret=TEXTS, others=st.lists(TEXTS, max_size=3))
def test_every_spelling_of_a_secret_is_taken_out_whole(way, secret, others):
    others = [other for other in others if other not in "⟦***⟧"]
    assert secret not in scrubbed(f"⟦{way(secret)}⟧", [secret, *others]).replace("***", "")
    assert scrubbed(f"⟦{way(secret)}⟧", [secret]) == "⟦***⟧"


@given(secret=ASCII)
def test_case_makes_no_difference(secret):
    for text in (secret.upper(), secret.lower(), quote(secret, safe="").lower()):
        assert scrubbed(f"⟦{text}⟧", [secret]) == "⟦***⟧"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@given(secret=ASCII, data=st.data())
def test_a_secret_that_is_cut_off_is_taken_out_from_eight_characters_on(way, secret, data):
    whole = way(secret)
    length = data.draw(st.integers(SHORTEST_BEGINNING, len(whole)))
    assert scrubbed(f"⟦{whole[:length]}⟧", [secret]) == "⟦***⟧"


@given(text=TEXTS, secrets=st.lists(st.sampled_from([None, ""])))
def test_without_a_secret_a_text_stays_as_it_is(text, secrets):
    assert spellings(secrets) == ()
    assert scrubbed(text, secrets) == text


def test_other_text_stays():
    text = "HTTP 400: Invalid username or password for site 3000001"
    assert scrubbed(text, ['hunter2"&+é€', "0a1b2c3d4e5f"]) == text


@given(user=TEXTS, password=TEXTS)
def test_a_login_is_known_as_basic_authentication_writes_it(user, password):
    assert b64encode(f"{user}:{password}".encode()).decode() in basic(user, password)
    assert basic(user, None) == basic(user, "") == ()


def test_a_half_of_a_character_that_json_can_hold_is_no_reason_to_fail():
    assert scrubbed("a \ud800secret b", ["\ud800secret"]) == "a *** b"
    assert basic("\ud800", "\udfff")


def test_bytes_that_are_no_text_are_hidden_too():
    assert scrubbed(quote_from_bytes("pä".encode()), ["pä"]) == "***"
