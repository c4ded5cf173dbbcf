"""What the regular expressions may be made of, so that every interpreter matches alike, and that it does.

CPython 3.11.0 to 3.11.4 match what they should not where a possessive quantifier stands after anything but
a single character or set of them (cpython#100061, #106052); so do others that raise SystemError (#101955).
"""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import etl
import pipelines
import tests.support.damage
from etl.shape.layout import Container, Layout
from etl.shape.patterns import SOME, STRING, repeated, some

ROOT = Path(etl.__file__).parent.parent
PARSER: Any = importlib.import_module("re._parser")
SINGLE = {"LITERAL", "NOT_LITERAL", "ANY", "IN"}


def modules() -> Iterator[Any]:
    """All modules of the product, and those of the tests that look into JSON by themselves."""
    yield tests.support.damage
    for package in (etl, pipelines):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if found.name.split(".")[-1] != "__main__":
                yield importlib.import_module(found.name)


def patterns() -> dict[str, re.Pattern[Any]]:
    """Every pattern that is compiled on import, and the signatures of all kinds of layouts."""
    found = {
        f"{module.__name__}.{name}": value
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
    }
    for container in Container:
        layout = Layout(container, (), 0, ("a", 'b"', ""))
        found[f"boundary of {container.value}"] = layout.boundary()
    return found


PATTERNS = patterns()


def operations(tree: Any) -> Iterator[tuple[str, Any]]:
    """Each operation of a parsed pattern, at any depth, with its arguments."""
    if isinstance(tree, PARSER.SubPattern):
        for name, arguments in tree.data:
            yield str(name), arguments
            yield from operations(arguments)
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from operations(part)


def broken(pattern: re.Pattern[Any]) -> list[Any]:
    """The possessive quantifiers of a pattern that some interpreter gets wrong."""
    return [
        body
        for name, arguments in operations(PARSER.parse(pattern.pattern, pattern.flags & ~re.UNICODE))
        if name == "POSSESSIVE_REPEAT"
        for body in [arguments[2]]
        if len(body) != 1 or str(body[0][0]) not in SINGLE
    ]


@pytest.mark.parametrize("name", PATTERNS)
def test_only_single_characters_are_repeated_possessively(name: str) -> None:
    assert broken(PATTERNS[name]) == []


def test_others_would_be_found() -> None:
    assert broken(re.compile(rb'"(?:\\.[^"\\]*+)*+"'))
    assert broken(re.compile(rb"(?>a(?:b(?=c|(?:de)?+)))"))
    assert not broken(re.compile(rb"(?>(?:ab*+)*)[^x]++a?+.{2,3}+"))
    assert len(PATTERNS) > 25


@pytest.mark.parametrize("folder", ["etl", "pipelines", "tests", "bench"])
def test_no_group_is_repeated_possessively_in_any_source(folder: str) -> None:
    """Those too that are compiled within functions; here they are not to be seen as what they are."""
    sought = re.compile(r"(?:\)|^)(?:[*+?]|\{[0-9,]+\})\+")
    for path in (ROOT / folder).rglob("*.py"):
        if path != Path(__file__):
            assert [text for text in constants(path) if sought.search(text)] == [], path


def constants(path: Path) -> Iterator[str]:
    """All texts that a source has, but for docstrings, in which such patterns may be named."""
    tree = ast.parse(path.read_bytes())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in prose:
            if isinstance(node.value, bytes):
                yield node.value.decode("latin-1")
            elif isinstance(node.value, str):
                yield node.value


def plain(pattern: re.Pattern[Any]) -> re.Pattern[Any]:
    """The same without anything that is never given back: none of ours needs it to match what it does."""
    text = pattern.pattern.decode() if isinstance(pattern.pattern, bytes) else pattern.pattern
    text = text.replace(f"{{1,{SOME}}}))+)", "+)))").replace(
        f"{{1,{SOME}}}", "+"
    )  # nested, they would be slow
    text = re.sub(r"([*+?}])\+", r"\1", text.replace("(?>", "(?:"))
    data: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
    return re.compile(data, pattern.flags & ~re.UNICODE)


def texts(alphabet: bytes, chance: random.Random) -> Iterator[bytes]:
    """All short texts, and some that are longer."""
    for length in range(4):
        for symbols in itertools.product(alphabet, repeat=length):
            yield bytes(symbols)
    for _ in range(3000):
        yield bytes(chance.choices(alphabet, k=chance.randrange(4, 13)))


UNAMBIGUOUS = [
    name for name in PATTERNS
    if name.startswith(("etl.shape.layout.", "etl.shape.grammar."))
    or name in ("etl.shape.document._PIECE", "etl.records.exact._KEY", "etl.records.chunks._PLAIN_KEY")
    or name == "tests.support.damage._TOKEN"
    or name.startswith("boundary")
]  # fmt: skip


@pytest.mark.parametrize("name", UNAMBIGUOUS)
def test_each_pattern_matches_what_its_plain_twin_does(name: str) -> None:
    pattern, twin = PATTERNS[name], plain(PATTERNS[name])
    alphabet = b'"\\{}[],:1a. \n' if name != "etl.shape.grammar._CUT_NUMBER" else b"-+01.eE9"
    for text in texts(alphabet, random.Random(name)):
        found, expected = pattern.match(text), twin.match(text)
        assert (found and found.regs) == (expected and expected.regs), text


def test_what_is_repeated_is_as_in_a_plain_repetition() -> None:
    """Where interpreters were wrong: alternatives, options and groups inside, and what cannot go on."""
    for body in (rb"ab?c", rb"a|ab", rb"ab|a", rb"(?:(?!c).)", rb"(a)|b", rb"(?:a|b[^c]*+c)", rb"a(?>b+)"):
        for text in map(bytes, itertools.chain(*(itertools.product(b"abc", repeat=n) for n in range(7)))):
            first = re.compile(rb"(?:" + body + rb")+").match(text)
            for made in (some(body), repeated(body)):
                found = re.compile(made).match(text)
                assert (found and found.span()) == (first and first.span()), (body, text)
                assert not re.compile(made + rb"(?<=a)(?=b)$|" + made + rb"(?!)").match(text)


@pytest.mark.parametrize("number", [1, 255, 256, 257, 511, 512, 513, 100_000])
def test_any_number_may_be_repeated(number: int) -> None:
    assert re.compile(repeated(rb"ab")).fullmatch(b"ab" * number)
    assert re.compile(STRING, re.DOTALL).fullmatch(b'"' + b'\\"' * number + b'"')
    found = re.compile(some(rb"ab")).match(b"ab" * number)
    assert found is not None
    assert found.end() == 2 * min(number, SOME)
