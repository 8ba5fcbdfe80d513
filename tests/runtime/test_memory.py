"""What a frame takes of memory, what there is, and what is refused before it is begun."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_ovss._free_memory import free_bytes
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.backends.frame_memory import pixel_bytes, require_memory

GB = 1_000_000_000


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


def _with(bundle: Bundle, frame_bytes: int | None) -> Manifest:
    document = dict(bundle.manifest.document)
    graph = document["graph"]
    assert isinstance(graph, dict)
    document["graph"] = {**graph, "frame_bytes": frame_bytes}
    return Manifest.from_json(document)


@pytest.fixture(autouse=True)
def _no_address_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: no_limit)


@pytest.mark.parametrize(
    ("meminfo", "free"),
    [
        ("MemTotal: 100 kB\nMemAvailable:   2048 kB\nSwapFree: 0 kB\n", 2048 << 10),
        ("MemAvailable: 2048 kB\nSwapFree: 1024 kB\n", 3072 << 10),
        ("MemTotal: 100 kB\n", None),
        ("MemAvailable: many kB\n", None),
        ("", None),
    ],
)
def test_free_memory_is_what_the_system_has(tmp_path: Path, meminfo: str, free: int | None) -> None:
    assert free_bytes(_write(tmp_path, {"proc/meminfo": meminfo})) == free
    assert free_bytes(tmp_path / "elsewhere") is None


STAT = (
    "anon 5\nactive_file 30\ninactive_file 70\ntotal_active_file 1000\ntotal_inactive_file 2000\n"
)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        # Version 2: the group's own limit, one around it, and none.
        ({"cgroup": "0::/a/b", "a/b/memory.max": "900", "a/b/memory.current": "500"}, 400),
        ({"cgroup": "0::/a/b", "a/memory.max": "900", "a/memory.current": "500"}, 400),
        ({"cgroup": "0::/", "memory.max": "900", "memory.current": "500"}, 400),
        ({"cgroup": "0::/a", "a/memory.max": "max", "a/memory.current": "500"}, 1 << 20),
        (
            {
                "cgroup": "0::/a",
                "a/memory.max": "900",
                "a/memory.current": "500",
                "a/memory.stat": STAT,
            },
            500,
        ),
        # More is used than the limit says: nothing is left.
        ({"cgroup": "0::/a", "a/memory.max": "900", "a/memory.current": "950"}, 0),
        # Version 1, whose limit may be a number beyond all memory.
        (
            {
                "cgroup": "4:memory:/a\n0::/",
                "memory/a/memory.limit_in_bytes": "9000",
                "memory/a/memory.usage_in_bytes": "5000",
                "memory/a/memory.stat": STAT,
            },
            7000,
        ),
        (
            {
                "cgroup": "4:cpu,memory:/gone",
                "memory/memory.limit_in_bytes": "9000",
                "memory/memory.usage_in_bytes": "5000",
            },
            4000,
        ),
        (
            {
                "cgroup": "4:memory:/",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "5000",
            },
            1 << 20,
        ),
    ],
)
def test_control_groups_leave_less(tmp_path: Path, files: dict[str, str], free: int) -> None:
    places = {
        "proc/self/cgroup" if name == "cgroup" else f"sys/fs/cgroup/{name}": text
        for name, text in files.items()
    }
    _write(tmp_path, {"proc/meminfo": "MemAvailable: 1024 kB\n", **places})
    assert free_bytes(tmp_path) == free


def test_a_limit_on_addresses_leaves_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = resource.getpagesize()
    _write(tmp_path, {"proc/meminfo": "MemAvailable: 1024 kB\n", "proc/self/statm": "10 5 3"})
    monkeypatch.setattr(resource, "getrlimit", lambda _: (12 * page, 20 * page))
    assert free_bytes(tmp_path) == 2 * page


def test_a_frame_that_just_fits_is_taken(make_bundle: Callable[..., Path]) -> None:
    manifest = _with(Bundle.open(make_bundle()), 50)
    assert require_memory(manifest, height=3000, width=4000, free=600_000_000) == 600_000_000
    with pytest.raises(ArtifactError, match=r"3000 x 4000 takes about 600 MB.*; 600 MB are free"):
        require_memory(manifest, height=3000, width=4000, free=599_999_999)


def test_what_earlier_frames_took_is_used_again(make_bundle: Callable[..., Path]) -> None:
    manifest = _with(Bundle.open(make_bundle()), 50)
    assert require_memory(manifest, height=10, width=10, held=5000, free=0) == 5000
    assert require_memory(manifest, height=10, width=12, held=5000, free=1000) == 6000
    with pytest.raises(ArtifactError):
        require_memory(manifest, height=10, width=12, held=5000, free=999)


def test_older_bundles_hold_every_slot(make_bundle: Callable[..., Path]) -> None:
    bundle = Bundle.open(make_bundle())
    slots = bundle.manifest.rejection.slots
    assert bundle.manifest.graph.frame_bytes is None
    assert slots is not None
    assert pixel_bytes(bundle.manifest) == 28 + 4 * slots[-1]
    with pytest.raises(ArtifactError) as caught:
        require_memory(bundle.manifest, height=6000, width=8000, free=GB)
    assert caught.value.status == 5
    assert "export the bundle again" in str(caught.value)


def test_a_segmenter_refuses_and_goes_on(
    make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ovss.runtime.backends.frame_memory.free_bytes", lambda: 100_000)
    monkeypatch.setattr("edge_ovss.runtime.backends.ort.CpuBackend.held", 0)
    with Segmenter.open(make_bundle(), backend="onnxruntime") as segmenter:
        with pytest.raises(ArtifactError, match="A frame of 400 x 500 takes about"):
            segmenter.segment(np.zeros((400, 500, 3), np.uint8))
        assert segmenter.segment(np.zeros((8, 9, 3), np.uint8)).labels.shape == (8, 9)
