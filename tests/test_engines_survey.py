"""What doctor says about engines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ovss.cli import main
from edge_ovss.runtime.engines import survey
from edge_ovss.runtime.engines.flavours import FLAVOURS
from edge_ovss.runtime.engines.machine import Gpu, choose_capabilities

Capture = pytest.CaptureFixture[str]
Pretended = Any  # the module fake_trt


def test_a_jetson_with_tensorrt_is_ready(trt: Pretended) -> None:
    facts = survey.survey()
    assert facts.gpu is not None
    assert facts.gpu.capability == "8.7"
    assert "ctypes" in facts.device_memory
    found = facts.flavours["tensorrt"]
    assert (found.module, found.version) == ("fake_trt", "10.3.0")
    assert found.builds
    assert found.runs
    assert not facts.flavours["tensorrt-rtx"].runs


def test_tensorrt_of_another_python_is_found_and_the_way_named(tmp_path: Path) -> None:
    package = tmp_path / "python3.10" / "dist-packages" / "tensorrt"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    advice = survey.elsewhere(FLAVOURS["tensorrt"], tmp_path)
    assert advice is not None
    assert "--system-site-packages" in advice
    assert str(package.parent) in advice
    assert survey.elsewhere(FLAVOURS["tensorrt-rtx"], tmp_path) is None


def test_a_library_that_does_not_load_is_said_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_trt.py").write_text("raise ImportError('libnvdla_compiler.so is missing')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    broken = replace(FLAVOURS["tensorrt"], modules=("broken_trt",))
    monkeypatch.setitem(FLAVOURS, "tensorrt", broken)
    found = survey.survey().flavours["tensorrt"]
    assert found.version is None
    assert "libnvdla_compiler.so is missing" in str(found.advice)


def test_doctor_prints_it_as_text_and_as_json(trt: Pretended, capsys: Capture) -> None:
    assert main(["doctor"]) == 0
    assert "10.3.0, builds and runs" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["engines"]["gpu"]["name"] == "Orin (pretended)"
    assert document["backends"]["tensorrt"] is True


@pytest.mark.parametrize(("capability", "runs"), [("8.9", True), ("9.0", False), ("8.7", False)])
def test_tensorrt_for_rtx_takes_the_gpu_at_hand_or_says_no(capability: str, runs: bool) -> None:
    flavour, gpu = FLAVOURS["tensorrt-rtx"], Gpu("some GPU", capability, "driver 580", False)
    if runs:
        assert choose_capabilities(flavour, None, gpu) == (capability,)
        return
    with pytest.raises(Exception, match="does not run on this GPU"):
        choose_capabilities(flavour, None, gpu)
    # Building for another GPU is what needs none.
    assert choose_capabilities(flavour, ("8.6",), gpu) == ("8.6",)
