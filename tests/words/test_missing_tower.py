"""What is said where new words have no text tower."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from open_words import open_up

from edge_ovss.cli import main
from edge_ovss.errors import UsageError


@pytest.mark.parametrize(
    ("templates", "command"),
    [("imagenet80", "edge-ovss vocab tower"), ("learned", "edge-ovss vocab encode")],
)
def test_the_command_is_named_that_helps(
    templates: str,
    command: str,
    make_bundle: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A learned prompt has no tower without torch: its words come as a pack."""
    monkeypatch.setenv("EDGE_OVSS_CACHE", "")
    path = make_bundle(extras=("confidence",))
    open_up(path, places=8, least=8, words=3)
    document = json.loads((path / "manifest.json").read_text())
    document["templates"]["name"] = templates
    (path / "manifest.json").write_text(json.dumps(document))
    assert main(["words", str(path), "--add", "sky"]) == UsageError.status
    said = capsys.readouterr().err
    assert "has no text tower" in said
    assert command in said
    assert "--embeddings" in said
