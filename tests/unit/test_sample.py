"""The synthetic feed: its shapes, its awkward records, and that a seed always gives the same."""

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest
from click.testing import CliRunner

from etl.errors import DatabaseError
from pipelines.deals import sample
from pipelines.deals.sample import (
    HEAD_EPOCH,
    TRACKED,
    SampleSettings,
    Shape,
    documents,
    sample_deals,
    write_sample,
)

SHAPES: tuple[Shape, ...] = get_args(Shape)


def document(settings: SampleSettings) -> bytes:
    return b"".join(documents(settings))


def deals(settings: SampleSettings) -> dict[str, Any]:
    """The deals by id, whatever the shape; fails if an id occurs twice."""
    text = document(settings)
    if settings.shape == "lines":
        listed = [json.loads(line) for line in text.splitlines()]
    elif settings.shape == "array":
        listed = json.loads(text)
    else:
        root = json.loads(text, object_pairs_hook=lambda pairs: unique(pairs))
        found: dict[str, Any] = root["result"] if settings.shape == "rpc" else root
        return found
    return unique([(deal.pop("DealID"), deal) for deal in listed])


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    assert len(members) == len(pairs)
    return members


def matched(found: dict[str, Any]) -> int:
    return sum(deal["Proposal"]["Client"] in TRACKED for deal in found.values())


def state_of(deal: dict[str, Any]) -> str:
    proposal, state = deal["Proposal"], deal["State"]
    if state["SlashEpoch"] > 0:
        return "slashed"
    if state["SectorStartEpoch"] < 0:
        return "proposal_expired" if proposal["StartEpoch"] < HEAD_EPOCH else "published"
    return "expired" if proposal["EndEpoch"] < HEAD_EPOCH else "active"


@pytest.fixture(scope="module")
def ordinary() -> dict[str, Any]:
    return deals(SampleSettings(records=3000, awkward_share=0, match_share=0.1))


@pytest.fixture(scope="module")
def awkward() -> list[dict[str, Any]]:
    return list(deals(SampleSettings(records=64, awkward_share=1)).values())


@pytest.mark.parametrize("records", [0, 1, 511, 512, 513, 1100])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_json_with_the_same_deals(shape: Shape, records: int) -> None:
    settings = {"records": records, "match_share": 0.2, "awkward_share": 0.2}
    found = deals(SampleSettings(shape=shape, **settings))  # type: ignore[arg-type]
    assert len(found) == records
    assert found == deals(SampleSettings(**settings))  # type: ignore[arg-type]


def test_a_record_is_as_the_public_feed_has_it() -> None:
    text = document(SampleSettings(records=1, awkward_share=0, match_share=1))
    deal_id, deal = next(iter(json.loads(text).items()))
    assert text == json.dumps({deal_id: deal}, separators=(",", ":")).encode()
    assert 450 < len(text) < 530
    assert list(deal["Proposal"]) == [
        "PieceCID",
        "PieceSize",
        "VerifiedDeal",
        "Client",
        "Provider",
        "Label",
        "StartEpoch",
        "EndEpoch",
        "StoragePricePerEpoch",
        "ProviderCollateral",
        "ClientCollateral",
    ]
    assert list(deal["State"]) == [
        "SectorNumber",
        "SectorStartEpoch",
        "LastUpdatedEpoch",
        "SlashEpoch",
    ]


def test_the_pretty_shape_is_indented_by_two() -> None:
    settings = SampleSettings(records=50, shape="pretty", awkward_share=0)
    text = document(settings).decode()
    assert text == json.dumps(json.loads(text), indent=2) + "\n"


def test_an_rpc_reply_ends_in_its_id() -> None:
    text = document(SampleSettings(records=2, shape="rpc"))
    assert text.startswith(b'{"jsonrpc":"2.0","result":{"')
    assert text.endswith(b'}},"id":0}\n')


@pytest.mark.parametrize(
    ("shape", "digest"),
    [
        ("object", "4c1daced80726f047218a58e7cb37e51b3c8621535923f98686d58138df481a2"),
        ("pretty", "b7c28d34766ca34cba7ac94b950dce574101f8d37fc213e1b9088f3df03bab10"),
    ],
)
def test_a_seed_gives_the_same_bytes_on_any_machine(shape: Shape, digest: str) -> None:
    settings = SampleSettings(records=2000, seed=7, shape=shape)
    assert hashlib.sha256(document(settings)).hexdigest() == digest


def test_another_seed_gives_other_deals() -> None:
    one, two = (document(SampleSettings(records=10, seed=seed)) for seed in (1, 2))
    assert one != two


def test_a_longer_sample_begins_as_a_shorter_one() -> None:
    short = list(deals(SampleSettings(records=700)).values())
    long = list(deals(SampleSettings(records=1500)).values())
    assert long[:700] == short


def test_blocks_are_of_about_256_kib() -> None:
    sizes = [len(block) for block in documents(SampleSettings(records=2048))]
    assert max(sizes) < 300 * 1024
    assert len([size for size in sizes if size > 200 * 1024]) == 4


@pytest.mark.parametrize("share", [0, 0.001, 0.25, 1])
def test_matched_is_exact(share: float) -> None:
    settings = SampleSettings(records=2000, match_share=share, clients=3)
    summary = write_sample(settings, os.devnull)
    assert summary.records == 2000
    assert summary.bytes == len(document(settings))
    assert summary.matched == matched(deals(settings))
    assert share not in (0, 1) or summary.matched == share * 2000


def test_the_share_of_matches_is_as_asked() -> None:
    summary = write_sample(SampleSettings(records=40_000, match_share=0.05), os.devnull)
    assert summary.matched == pytest.approx(2000, abs=250)  # more than five standard deviations


def test_every_tracked_wallet_has_deals(ordinary: dict[str, Any]) -> None:
    clients = Counter(deal["Proposal"]["Client"] for deal in ordinary.values())
    assert all(clients[address] > 50 for address in TRACKED)


@pytest.mark.parametrize("clients", [1, 2, 2000])
def test_no_other_client_is_a_tracked_wallet(clients: int) -> None:
    names, weights = sample._clients(SampleSettings(clients=clients))
    assert len(set(names)) == len(names) == len(weights) == clients + len(TRACKED)
    found = deals(SampleSettings(records=1000, match_share=0, clients=clients))
    assert matched(found) == 0
    assert len({deal["Proposal"]["Client"] for deal in found.values()}) <= clients


def test_clients_have_shares_on_a_curve(ordinary: dict[str, Any]) -> None:
    clients = Counter(deal["Proposal"]["Client"] for deal in ordinary.values())
    assert clients["f01000000"] > 2 * clients["f01003988"] > 20  # the first and the fifth


def test_ids_ascend_with_gaps_and_pass_32_and_53_bits() -> None:
    ids = [int(key) for key in deals(SampleSettings(records=3000))]
    assert ids == sorted(set(ids))
    assert len({after - before for before, after in pairwise(ids)}) > 1
    assert sum(deal_id > 1 << 53 for deal_id in ids) == 30
    assert sorted(map(str, ids)) == list(map(str, ids))  # the order of keys from Go


def test_every_state_of_a_deal_occurs(ordinary: dict[str, Any]) -> None:
    states = Counter(map(state_of, ordinary.values()))
    assert set(states) == {"active", "published", "expired", "slashed", "proposal_expired"}
    assert min(states.values()) > 50
    assert states["active"] > 1500


def test_epochs_of_a_deal_are_in_order(ordinary: dict[str, Any]) -> None:
    for deal in ordinary.values():
        proposal, state = deal["Proposal"], deal["State"]
        assert 180 * 2880 <= proposal["EndEpoch"] - proposal["StartEpoch"] <= 540 * 2880
        if state["SectorStartEpoch"] >= 0:
            assert state["SectorStartEpoch"] < proposal["StartEpoch"] <= HEAD_EPOCH
            assert state["SectorStartEpoch"] < state["LastUpdatedEpoch"] <= HEAD_EPOCH


def test_cids_decode_to_their_prefix_and_a_digest(ordinary: dict[str, Any]) -> None:
    for deal in ordinary.values():
        piece, label = deal["Proposal"]["PieceCID"]["/"], deal["Proposal"]["Label"]
        for cid, prefix in (piece, "0181e203922020"), (label, "01701220"):
            digits = cid[1:].upper()
            decoded = base64.b32decode(digits + "=" * (-len(digits) % 8))
            assert decoded.hex().startswith(prefix)
            assert len(decoded) == len(prefix) // 2 + 32
            assert base64.b32encode(decoded).decode().strip("=") == digits


def test_cids_do_not_repeat(ordinary: dict[str, Any]) -> None:
    assert len({deal["Proposal"]["PieceCID"]["/"] for deal in ordinary.values()}) == 3000
    assert len({deal["Proposal"]["Label"] for deal in ordinary.values()}) == 3000


def test_awkward_labels_occur_and_survive_the_encoding(awkward: list[dict[str, Any]]) -> None:
    labels = [deal["Proposal"].get("Label", "missing") for deal in awkward]
    assert set(sample._LABELS) | {None, "missing"} <= set(labels)


def test_awkward_pieces_and_prices_occur(awkward: list[dict[str, Any]]) -> None:
    proposals = [deal["Proposal"] for deal in awkward]
    assert any(proposal["PieceCID"] is None for proposal in proposals)
    assert any(int(proposal["StoragePricePerEpoch"]) >= 2**64 for proposal in proposals)
    assert any(int(proposal["ClientCollateral"]) >= 2**64 for proposal in proposals)


def test_awkward_records_are_as_many_as_asked() -> None:
    def is_awkward(proposal: dict[str, Any]) -> bool:
        return (
            not str(proposal.get("Label")).startswith("bafybei")
            or not proposal["PieceCID"]
            or proposal["StoragePricePerEpoch"] != "0"
            or proposal["ClientCollateral"] != "0"
        )

    found = deals(SampleSettings(records=5000, awkward_share=0.1))
    share = sum(is_awkward(deal["Proposal"]) for deal in found.values()) / 5000
    assert share == pytest.approx(0.1, abs=0.02)


def test_angle_brackets_and_ampersands_are_escaped_as_go_does() -> None:
    text = document(SampleSettings(records=64, awkward_share=1)).decode()
    assert not set("<>&\u2028\u2029") & set(text)
    assert r"\u003ca href=\"?a=1\u0026b=2\"\u003e\u2028\u2029" in text
    assert "数据" in text  # not escaped: Go writes UTF-8


def test_labels_full_of_json_do_not_count_as_matches() -> None:
    settings = SampleSettings(records=64, awkward_share=1, match_share=0)
    assert b"f01000" in document(settings)
    assert write_sample(settings, os.devnull).matched == 0


@pytest.mark.parametrize(
    ("suffix", "codec", "magic"),
    [
        (".zst", "zstd", b"\x28\xb5\x2f\xfd"),
        (".gz", "gzip", b"\x1f\x8b"),
        (".bz2", "bz2", b"BZh"),
        (".lz4", "lz4", b"\x04\x22\x4d\x18"),
        (".ZST", "zstd", b"\x28\xb5\x2f\xfd"),
        (".json", None, b"{"),
        ("", None, b"{"),
    ],
)
def test_the_name_decides_the_compression(
    tmp_path: Path, suffix: str, codec: str | None, magic: bytes
) -> None:
    settings = SampleSettings(records=600)
    path = tmp_path / f"feed{suffix}"
    summary = write_sample(settings, path)
    assert path.read_bytes().startswith(magic)
    with pa.input_stream(path, compression=codec) as stream:
        assert stream.read() == document(settings)
    assert summary.bytes == len(document(settings))


def test_zstd_compresses_as_the_real_feed_does(tmp_path: Path) -> None:
    path = tmp_path / "feed.zst"
    summary = write_sample(SampleSettings(records=5000), path)
    assert 3.5 < summary.bytes / path.stat().st_size < 5


def test_progress_adds_up_to_the_records(tmp_path: Path) -> None:
    steps: list[int] = []
    write_sample(SampleSettings(records=1300), tmp_path / "feed.json", steps.append)
    assert sum(steps) == 1300
    assert max(steps) == 512


@pytest.mark.parametrize("name", ["feed.json", "feed.json.zst"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")

    def stop(_: int) -> None:
        assert len(os.listdir(tmp_path)) == 2  # the new one is on its way
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(SampleSettings(records=2000), tmp_path / name, stop)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "feed.json")
    write_sample(SampleSettings(records=1), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(json.loads((tmp_path / "feed.json").read_text())) == 1


def test_a_device_is_written_to_and_not_replaced() -> None:
    write_sample(SampleSettings(records=1), os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_the_command_tells_on_stderr_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "feed.json"
    arguments = ["--records", "300", "--match-share", "1", "--seed", "3", "--output", str(path)]
    result = CliRunner().invoke(sample_deals, arguments)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "wrote 300 records, 300 of tracked wallets f01000 f01001 f01002" in result.stderr
    assert result.stderr.endswith(f", to {path}\n")
    assert path.read_bytes() == document(SampleSettings(records=300, seed=3, match_share=1))


def test_a_dash_is_standard_output() -> None:
    result = CliRunner().invoke(sample_deals, ["--records", "5", "--output", "-"])
    assert result.stdout_bytes == document(SampleSettings(records=5))
    assert "wrote 5 records" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--records", "-1"],
        ["--records", "many"],
        ["--clients", "0"],
        ["--match-share", "1.5"],
        ["--match-share", "nan"],
        ["--awkward-share", "-0.1"],
        ["--shape", "round"],
    ],
)
def test_bad_input_is_a_usage_error(arguments: list[str]) -> None:
    result = CliRunner().invoke(sample_deals, [*arguments, "--output", os.devnull])
    assert result.exit_code == 2
    assert "Error: " in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["missing/feed.json.zst", "file/feed.json", "."])
def test_an_unwritable_file_is_one_line_and_status_74(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / name
    result = CliRunner().invoke(sample_deals, ["--records", "1", "--output", str(path)])
    assert isinstance(result.exception, DatabaseError)
    assert result.exception.exit_status == 74
    assert result.exception.message.startswith(f"cannot write {path}: ")
    assert sorted(os.listdir(tmp_path)) == ["file"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("suffix", ["", ".zst", ".gz", ".bz2", ".lz4"])
def test_a_full_disk_is_one_line_and_status_74(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"full{suffix}").symlink_to("/dev/full")
    path = str(tmp_path / f"full{suffix}")
    result = CliRunner().invoke(sample_deals, ["--records", "4000", "--output", path])
    assert isinstance(result.exception, DatabaseError)
    assert result.exception.message == f"cannot write {path}: No space left on device"


def test_a_reader_that_stops_early_is_no_error() -> None:
    arguments = [sys.executable, "-m", "etl", "sample", "deals", "--records", "20000", "--output", "-"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(100)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_importing_the_module_is_light() -> None:
    command = "import pipelines.deals.sample, sys; print('pyarrow' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert result.stdout == b"False\n"
