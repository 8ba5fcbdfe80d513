"""Addresses are shown without user, password and query: in messages, records and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_ovss._addresses import shown_address, without_secrets
from edge_ovss.cli import main

CASES: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "data" / "addresses.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[case["given"] for case in CASES])
def test_an_address_is_shown_without_what_is_secret(case: dict[str, str]) -> None:
    assert shown_address(case["given"]) == case["shown"]


@pytest.mark.parametrize("case", CASES, ids=[case["given"] for case in CASES])
def test_what_is_shown_stays_as_it_is(case: dict[str, str]) -> None:
    assert shown_address(case["shown"]) == case["shown"]


def test_addresses_within_a_message_lose_their_secrets_and_the_rest_stays() -> None:
    message = "cannot open 'rtsp://me:s3cret@gate:554/1?k=s3cret': see https://a.b/c and a=b@c"
    assert without_secrets(message) == (
        "cannot open 'rtsp://gate:554/1': see https://a.b/c and a=b@c"
    )
    for plain in ("a b", "user=x", "synthetic://street?count=4&seed=0", "rtsp://…, or"):
        assert without_secrets(plain) == plain


@pytest.mark.parametrize(
    "arguments",
    [
        ["rtsp://me:s3cret@gate/1"],
        ["bench", "a.ovss", "b", "rtsp://me:s3cret@gate/1?k=s3cret"],
        ["run", "a.ovss", "b", "--threads", "http://s3cret@gate"],
    ],
)
def test_a_wrong_command_line_repeats_no_password(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    printed = capsys.readouterr().err
    assert "gate" in printed
    assert "s3cret" not in printed


@pytest.mark.parametrize(
    "spec",
    [
        "https://me:s3cret@127.0.0.1:9/a.pth",
        "https://127.0.0.1:9/a.pth?X-Amz-Signature=s3cret",
        "ftp://me:s3cret@gate/a.pth",
        "hf://me:s3cret@owner",
    ],
)
def test_a_checkpoint_that_cannot_be_fetched_repeats_no_password(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from edge_ovss.errors import CheckpointError
    from edge_ovss.models.checkpoints import download

    def refused(text: str, timeout: float) -> None:
        del timeout
        message = f"no route to {text}"
        raise OSError(message)

    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr("urllib.request.urlopen", refused)
    with pytest.raises(CheckpointError) as error:
        download.fetch_checkpoint(spec)
    assert "s3cret" not in str(error.value)
    assert "://" in str(error.value)
