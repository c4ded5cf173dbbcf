"""Where the records are, and what stands around them."""

from __future__ import annotations

import pytest

from etl.errors import DataError, EmptyFeed, MalformedFeed, ReplyError, TruncatedFeed
from etl.shape.document import Envelope
from etl.shape.head import learn
from etl.shape.layout import Container, Layout

RECORD = b'{"Proposal":{"Client":"f01"},"State":{}}'


def look(document: bytes, complete: bool = True) -> Layout:
    return learn(document, complete, "Proposal", ("result",), ("Proposal", "State"))


@pytest.mark.parametrize(
    ("document", "container", "path", "before"),
    [
        (b'{"1":' + RECORD + b"}", Container.OBJECT, (), b"{"),
        (b' \n{ "1" : ' + RECORD + b"}", Container.OBJECT, (), b" \n{"),
        (b"[" + RECORD + b"]", Container.ARRAY, (), b"["),
        (RECORD + b"\n" + RECORD, Container.LINES, (), b""),
        (b"\xef\xbb\xbf" + RECORD, Container.LINES, (), b"\xef\xbb\xbf"),
        (b'{"id":0,"result":{"1":' + RECORD + b"}}", Container.OBJECT, ("result",), b'{"id":0,"result":{'),
        (b'{"result":[' + RECORD + b'],"id":0}', Container.ARRAY, ("result",), b'{"result":['),
        (b'{"result":' + RECORD + b"}", Container.OBJECT, (), b"{"),
        (b'{"1":5,"2":{"State":{}},"3":' + RECORD + b"}", Container.OBJECT, (), b"{"),
    ],
)
def test_the_container_is_found(
    document: bytes, container: Container, path: tuple[str, ...], before: bytes
) -> None:
    layout = look(document, complete=False)
    assert (layout.container, layout.path, document[: layout.start]) == (container, path, before)


def test_the_first_member_seen_joins_the_signature() -> None:
    layout = look(b'{"1":{"Note":1,"Proposal":{"Client":"f01"}}}')
    assert layout.members == ("Proposal", "State", "Note")


@pytest.mark.parametrize(
    ("document", "error", "said"),
    [
        (b"", TruncatedFeed, "empty"),
        (b"  ", TruncatedFeed, "empty"),
        (b"{}", EmptyFeed, "no records"),
        (b'{"jsonrpc":"2.0","result":{},"id":0}', EmptyFeed, "no records"),
        (b'{"jsonrpc":"2.0","error":{"code":1,"message":"no"}}', ReplyError, "no (code 1)"),
        (b'{"error":"gone","result":null}', ReplyError, "gone"),
        (b'{"error":{"code":1,"message":"no"},"id":7}', ReplyError, "no (code 1)"),
        (b'{"id":7,"error":"gone"}', ReplyError, "gone"),
        (b'{"error":{"State":{}}}', MalformedFeed, "no record"),
        (b'{"error":"gone"}', MalformedFeed, "no record"),
        (b'{"id":7,"level":"debug","error":"gone"}', MalformedFeed, "no record"),
        (b'{"1":{"State":{}},"error":{"State":{}}}', MalformedFeed, "no record"),
        (b'{"result":null}', MalformedFeed, "no record"),
        (b'{"name":"something else"}', MalformedFeed, "Proposal"),
        (b'{"1":', TruncatedFeed, "byte 5"),
        (b"hello", MalformedFeed, "byte 0"),
        (b'{"1":}', MalformedFeed, "byte 5"),
        (b"\xff\xfe{\x00", MalformedFeed, "UTF-16"),
        (b"\x00{\x00}", MalformedFeed, "UTF-16"),
        (b'{} "', MalformedFeed, "byte 3"),
        (b'"a" "', MalformedFeed, "byte 4"),
        (b"\v{}", MalformedFeed, "byte 0"),  # white space to the parser alone
        (b'{"result":null,"x":' + b"[" * 5000 + b"]" * 5000 + b"}", MalformedFeed, "no record"),
        (b'{"id":1e99999999999999999999}', MalformedFeed, "no record"),  # beyond any decimal's range
        (b'{"id":' + b"7" * 5000 + b"}", MalformedFeed, "no record"),
    ],
)
def test_a_document_without_records_is_judged(document: bytes, error: type[DataError], said: str) -> None:
    with pytest.raises(error, match=said.replace("(", r"\(").replace(")", r"\)")):
        look(document)


@pytest.mark.parametrize(
    ("head", "tail", "error"),
    [
        (b"{", b"} \n", None),
        (b'{"result":{', b'},"id":0}', None),
        (b'{"result":{', b'},"error":null}', None),
        (b'{"result":{', b'},"error":{"code":5,"message":"late"}}', ReplyError),
        (b"{", b"", TruncatedFeed),
        (b'{"result":{', b"}", TruncatedFeed),
        (b"{", b"}}", MalformedFeed),
        (b"{", b"} x", MalformedFeed),
        (b'{"result":{', b'},"result":{}}', MalformedFeed),
        (b'{"result":{', b'},"error":null,"error":"late"}', ReplyError),
        (b'{"data":[', b'],"error":0.02}', None),
        (b'{"error":"none so far","data":[', b"]}", None),
        (b'{"jsonrpc":"2.0","data":[', b'],"error":"late"}', ReplyError),
        (b"[", b"}", MalformedFeed),
        (b"[", b']"', MalformedFeed),
        (b"[", b']\n"}', MalformedFeed),
        (b"[", b"\f]", MalformedFeed),
        (b"[", b"]\v", MalformedFeed),
    ],
)
def test_what_stands_around_the_records_is_checked(
    head: bytes, tail: bytes, error: type[DataError] | None
) -> None:
    document = Envelope(("result",))

    def pass_by() -> None:
        document.feed(head, 0)
        document.feed(tail, 1000)
        document.close()

    if error is None:
        pass_by()
    else:
        with pytest.raises(error):
            pass_by()
