"""Latency, cold start and tegrastats."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_ovss.cli import main
from edge_ovss.errors import ArtifactError, UsageError
from edge_ovss.evaluation.benchmark import Benchmark, BenchmarkOptions, benchmark
from edge_ovss.evaluation.cold_start import measure_cold_start, peak_memory_mib
from edge_ovss.evaluation.latency import BenchOptions, FrameArray, Subject, Times, measure_latency
from edge_ovss.evaluation.tegrastats import (
    Watch,
    gpu_clock_locked,
    parse_line,
    parse_power_mode,
    summarize_samples,
)
from edge_ovss.metrics.reported import BENCHMARK

pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")

MakeBundle = Callable[..., Path]

# Written for this test in the form of JetPack 6; no recording of anybody's machine.
LINE = (
    "11-21-2026 12:00:00 RAM 5432/30536MB (lfb 4x4MB) SWAP 0/15268MB (cached 0MB) "
    "CPU [12%@1728,5%@1190,off,off] EMC_FREQ 3%@2133 GR3D_FREQ 97%@[1300,1298] NVENC off "
    "APE 174 cpu@48.5C tboard@36C soc2@-256C gpu@46.25C tj@48.5C "
    "VDD_GPU_SOC 4400mW/4100mW VDD_CPU_CV 1200mW/1000mW VIN_SYS_5V0 3000mW/2900mW"
)
OLD_LINE = (
    "RAM 2000/7762MB (lfb 10x4MB) CPU [50%@1190] GR3D_FREQ 20% PMIC@50C "
    "VDD_IN 6000mW/5800mW VDD_SOC 1000mW/900mW"
)


def test_a_line_of_tegrastats_is_parsed() -> None:
    sample = parse_line(LINE)
    assert sample.ram_mib == 5432
    assert (sample.gpu_percent, sample.gpu_mhz) == (97, (1300, 1298))
    assert sample.cpu_percent == (12, 5)
    assert sample.cpu_mhz == (1728, 1190)
    assert sample.celsius == {"cpu": 48.5, "tboard": 36.0, "gpu": 46.25, "tj": 48.5}
    assert sample.milliwatts == {"VDD_GPU_SOC": 4400, "VDD_CPU_CV": 1200, "VIN_SYS_5V0": 3000}
    assert sample.board_milliwatts == 8600


def test_a_rail_of_the_whole_board_is_not_added_to_its_parts() -> None:
    sample = parse_line(OLD_LINE)
    assert sample.board_milliwatts == 6000
    assert sample.gpu_percent == 20
    assert sample.gpu_mhz == ()


@pytest.mark.parametrize("line", ["", "tegrastats: permission denied", "RAM ?/?MB CPU []"])
def test_a_line_without_numbers_gives_none(line: str) -> None:
    sample = parse_line(line)
    assert sample.ram_mib is None
    assert sample.board_milliwatts is None


def test_samples_are_summarized() -> None:
    summary = summarize_samples([parse_line(LINE), parse_line(LINE.replace("4400mW/", "6400mW/"))])
    assert summary["power_mw_mean"] == 9600
    assert summary["power_mw_max"] == 10600
    assert summary["gpu_mhz"] == [1298, 1300]
    assert summary["ram_mib_max"] == 5432
    assert summarize_samples([])["power_mw_mean"] is None


def test_tegrastats_is_read_while_something_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "tegrastats"
    program.write_text(f"#!/bin/sh\nwhile :; do echo '{LINE}'; sleep 0.05; done\n")
    program.chmod(0o755)
    (tmp_path / "nvpmodel").write_text("#!/bin/sh\necho 'NV Power Mode: MODE_30W'\necho 2\n")
    (tmp_path / "nvpmodel").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Watch() as watch:
        for _ in range(200):
            if watch.samples:
                break
            __import__("time").sleep(0.02)
    summary = watch.summary()
    assert summary is not None
    assert summary["power_mode"] == "MODE_30W"
    assert summary["power_mw_mean"] == 8600


def test_elsewhere_there_is_no_tegrastats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with Watch() as watch:
        pass
    assert watch.summary() is None


def test_locked_clocks_are_seen(tmp_path: Path) -> None:
    assert gpu_clock_locked(tmp_path) is None
    (tmp_path / "17000000.gpu").mkdir()
    for highest, locked in (("1300500000", True), ("2000000000", False)):
        (tmp_path / "17000000.gpu" / "min_freq").write_text("1300500000\n")
        (tmp_path / "17000000.gpu" / "max_freq").write_text(f"{highest}\n")
        assert gpu_clock_locked(tmp_path) is locked


def test_the_power_mode_is_read() -> None:
    assert parse_power_mode("NV Power Mode: MAXN\n0\n") == "MAXN"
    assert parse_power_mode("command not found") is None


def frame() -> FrameArray:
    return np.zeros((4, 4, 3), np.uint8)


def test_subjects_are_warmed_up_and_interleaved() -> None:
    calls: list[str] = []

    def subject(name: str, milliseconds: float) -> Subject:
        def run(_: FrameArray) -> Times:
            calls.append(name)
            return {"infer": milliseconds / 2, "total": milliseconds}

        return Subject(name, run)

    options = BenchOptions(warmup=1, count=4)
    fast, slow = measure_latency([subject("a", 2), subject("b", 6)], [frame()], options)
    assert calls == ["a", "b", *["a", "b", "b", "a"] * 2]
    assert (fast.frames, slow.frames) == (4, 4)
    assert fast.summary()["total"]["p50"] == 2
    assert fast.summary()["infer"]["max"] == 1
    assert fast.throughput_fps == pytest.approx(500)


def test_a_duration_measures_at_least_once() -> None:
    options = BenchOptions(warmup=0, count=None, duration_s=1e-9)
    (latency,) = measure_latency([Subject("a", lambda _: {"total": 1.0})], [frame()], options)
    assert latency.frames == 1


@pytest.mark.parametrize(
    "options",
    [
        {"warmup": -1},
        {"count": 0},
        {"count": None},
        {"count": 3, "duration_s": 1.0},
        {"count": None, "duration_s": 0.0},
    ],
)
def test_how_long_must_make_sense(options: dict[str, float | None]) -> None:
    with pytest.raises(UsageError):
        BenchOptions(**options)  # type: ignore[arg-type]


def test_a_cold_start_is_a_process_of_its_own(make_bundle: MakeBundle) -> None:
    start = measure_cold_start(make_bundle(), size=(20, 30))
    assert 0.01 < start.seconds < 60
    assert start.peak_mib is None or start.peak_mib > 10


def test_a_cold_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"edge-ovss|no bundle"):
        measure_cold_start(tmp_path / "none.ovss", size=(2, 2))


def command(bundle: Path, *options: str) -> list[str]:
    source = "synthetic://street?count=1&size=32x32"
    return ["bench", str(bundle), "--count", "3", "--warmup", "1", "--source", source, *options]


def test_the_verb_measures_and_writes(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle()
    assert main(command(bundle, "--json", "--gate", "p99_ms<=60000,cold_start_s<=60")) == 0
    document = json.loads(capsys.readouterr().out)
    (subject,) = document["subjects"]
    assert set(subject["stages_ms"]) == {"pre", "infer", "post", "total"}
    assert subject["frames"] == 3
    assert document["numbers"]["cold_start_s"] > 0
    written = json.loads((bundle / "reports" / "bench-onnxruntime.json").read_text())
    assert written["subjects"] == document["subjects"]


def test_two_bundles_run_interleaved_with_their_ratio(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_bundle("other.ovss")
    assert main(command(make_bundle(), "--against", str(other), "--cold-starts", "0")) == 0
    out = capsys.readouterr().out
    assert "other.ovss" in out
    assert "x as long" in out
    assert "cold start" not in out


@pytest.mark.parametrize(
    ("precision", "factor", "said"),
    [("int8", 0.9, True), ("int8", 1.1, False), ("fp32", 0.9, False)],
)
def test_less_precision_that_is_not_faster_is_told(
    precision: str, factor: float, said: bool
) -> None:
    latencies: Any = (SimpleNamespace(name="a"), SimpleNamespace(name="b.ovss fp16"))
    found = Benchmark(latencies, (), {"speedup_p50": factor}, precision, "onnxruntime", {})
    assert ("not faster here than b.ovss fp16" in (found.warning or "")) is said
    assert (found.warning is not None) is said


def test_nothing_is_told_without_a_rival() -> None:
    assert Benchmark((), (), {"speedup_p50": None}, "int8", "onnxruntime", {}).warning is None


def test_a_bundle_is_benchmarked_from_python(tiny_bundle: Path) -> None:
    asked = BenchmarkOptions(run=BenchOptions(0, 2), cold_starts=0, against=str(tiny_bundle))
    found = benchmark(tiny_bundle, asked)
    assert set(found.numbers) == set(BENCHMARK)
    assert found.numbers["speedup_p50"] is not None
    assert found.numbers["cold_start_s"] is None
    assert [latency.frames for latency in found.latencies] == [2, 2]
    assert found.document["numbers"] == found.numbers


def test_options_of_a_benchmark_that_contradict_are_refused() -> None:
    with pytest.raises(UsageError, match="cold-starts is -1"):
        BenchmarkOptions(cold_starts=-1)
    with pytest.raises(UsageError, match="need --against torch"):
        BenchmarkOptions(checkpoint="a.pth")


def test_a_bundle_runs_against_torch(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--against", "torch", "--cold-starts", "0", "--json", "--threads", "1"]
    assert main(command(tiny_bundle, *options, "--out", str(tmp_path / "bench.json"))) == 0
    document = json.loads(capsys.readouterr().out)
    assert [subject["name"] for subject in document["subjects"]][1] == "torch"
    assert document["numbers"]["speedup_p50"] > 0


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--gate", "p95_ms<=1"], 2, "p99_ms"),
        (["--gate", "max_ms<=0"], 6, "max_ms<=0: FAILED"),
        (["--gate", "device_p50_ms<=9"], 6, "there is no value"),
        (["--duration", "1"], 2, "one of them"),
        (["--cold-starts", "-1"], 2, "0 or more"),
        (["--checkpoint", "a.pth"], 2, "--against torch"),
        (["--against", "nowhere"], 5, "no bundle"),
    ],
)
def test_bad_options_and_failed_gates(
    make_bundle: MakeBundle,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
    words: str,
) -> None:
    assert main(command(make_bundle(), "--cold-starts", "0", *options)) == status
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err


def test_the_peak_of_the_process_that_started_this_one_is_not_its_own() -> None:
    # What a child reports of itself stays small while its parent holds 300 MiB.
    ballast = np.ones(300 << 20, np.uint8)
    code = "from edge_ovss.evaluation.cold_start import peak_memory_mib as peak; print(peak())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mine = peak_memory_mib()
    assert mine is not None and mine > ballast.nbytes >> 20
    assert float(done.stdout) < 300


def test_without_the_file_of_linux_the_peak_is_still_known(tmp_path: Path) -> None:
    other = peak_memory_mib(tmp_path / "status")
    assert other is None or other > 10
    (tmp_path / "status").write_text("VmHWM:\t   20480 kB\n")
    assert peak_memory_mib(tmp_path / "status") == 20.0
