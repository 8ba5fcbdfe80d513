"""Every name of TensorRT that our code calls exists in the bindings; none was removed in 11.

What the code calls is read from its source: an attribute of a variable that is known to hold an
object of the library. The runtime half is looked up in TensorRT 11's lean bindings too, which have
no builder.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edge_ovss

PACKAGE = Path(edge_ovss.__file__).parent

# What our variables hold, by file.
BUILD_VARIABLES = {
    "library": "",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "error": "ParserError",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "layer": "ILayer",
    "output": "ITensor",
    "runtime": "Runtime",
    "handle": "ICudaEngine",
    "inspector": "EngineInspector",
    "value": "ITensor",
}
RUN_VARIABLES = {
    "library": "",
    "runtime": "Runtime",
    "_runtime": "Runtime",
    "handle": "ICudaEngine",
    "_context": "IExecutionContext",
    "config": "IRuntimeConfig",
    "_cache": "IRuntimeCache",
}
SOURCES = {
    "engines/build_worker.py": BUILD_VARIABLES,
    "runtime/trt/loading.py": RUN_VARIABLES,
    "runtime/trt/session.py": RUN_VARIABLES,
}
# Asked for with hasattr or getattr before it is called: TensorRT for RTX has it, TensorRT not.
RTX_ONLY = {
    "Runtime.get_engine_validity",
    "EngineValidity",
    "EngineValidity.INVALID",
    "EngineValidity.SUBOPTIMAL",
    "EngineInvalidityDiagnostics",
    "IRuntimeConfig.create_runtime_cache",
    "IRuntimeConfig.set_runtime_cache",
    "IRuntimeCache.serialize",
    "IRuntimeCache.deserialize",
    "IExecutionContext.is_stream_capturable",
}
REMOVED = {
    "EXPLICIT_BATCH",
    "FP16",
    "INT8",
    "OBEY_PRECISION_CONSTRAINTS",
    "PREFER_PRECISION_CONSTRAINTS",
    "algorithm_selector",
    "binding_is_input",
    "build_engine",
    "create_execution_context_without_device_memory",
    "device_memory_size",
    "execute_async",
    "execute_async_v2",
    "get_binding_dtype",
    "get_binding_index",
    "get_binding_name",
    "get_binding_shape",
    "has_implicit_batch_dimension",
    "int8_calibrator",
    "max_batch_size",
    "max_workspace_size",
    "num_bindings",
    "parse_with_weight_descriptors",
    "platform_has_fast_fp16",
    "platform_has_fast_int8",
    "platform_has_tf32",
    "set_binding_shape",
    "set_output_type",
    "supports_model",
}


def names_in(file: str) -> Iterator[str]:
    """Yield "Class.member" and "member" for what a file asks of the library."""
    variables = SOURCES[file]
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield from _attribute(node, variables)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from _asked_for(node, variables)


def _attribute(node: ast.Attribute, variables: dict[str, str]) -> Iterator[str]:
    owner = _holder(node.value)
    if owner in variables:
        if not node.attr.startswith("__"):
            yield f"{variables[owner]}.{node.attr}".lstrip(".")
    elif isinstance(node.value, ast.Attribute) and _holder(node.value.value) == "library":
        yield f"{node.value.attr}.{node.attr}"


def _asked_for(node: ast.Call, variables: dict[str, str]) -> Iterator[str]:
    """Yield what hasattr and getattr are given by name."""
    called = node.func.id if isinstance(node.func, ast.Name) else ""
    if called not in ("hasattr", "getattr") or not isinstance(node.args[1], ast.Constant):
        return
    owner = _holder(node.args[0])
    if owner in variables:
        yield f"{variables[owner]}.{node.args[1].value!s}".lstrip(".")


def _holder(node: ast.expr) -> str:
    """Return the last name of "x" or "self.x"."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def missing(module: Any, names: set[str]) -> set[str]:  # noqa: ANN401
    def has(name: str) -> bool:
        owner, _, member = name.rpartition(".")
        return hasattr(getattr(module, owner, None) if owner else module, member)

    return {name for name in names if not has(name)}


def test_the_search_finds_what_it_should() -> None:
    built = set(names_in("engines/build_worker.py"))
    run = set(names_in("runtime/trt/loading.py")) | set(names_in("runtime/trt/session.py"))
    assert {
        "Builder",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "OnnxParser.parse",
        "IBuilderConfig.set_compute_capability",
        "IBuilderConfig.builder_optimization_level",
        "ILayer.get_output",
        "ParserError.node_name",
        "IProgressMonitor",
    } <= built
    assert {
        "Runtime.deserialize_cuda_engine",
        "ICudaEngine.get_tensor_dtype",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.is_stream_capturable",
        "TensorIOMode.INPUT",
        "ILogger.ERROR",
    } <= run
    assert run >= RTX_ONLY


@pytest.mark.parametrize("file", SOURCES)
def test_every_name_is_in_tensorrt_for_rtx(file: str) -> None:
    module = pytest.importorskip("tensorrt_rtx_bindings")
    assert missing(module, set(names_in(file))) == set()


@pytest.mark.parametrize("file", ["runtime/trt/loading.py", "runtime/trt/session.py"])
def test_every_runtime_name_is_in_tensorrt_11(file: str) -> None:
    module = pytest.importorskip(
        "tensorrt_lean_bindings", reason="needs tensorrt_lean_cu13_bindings and _libs 11.4"
    )
    assert str(module.__version__).startswith("11.")
    assert missing(module, set(names_in(file))) <= RTX_ONLY
    inspecting = {"ICudaEngine.create_engine_inspector", "LayerInformationFormat.JSON"}
    assert missing(module, inspecting) == set()


@pytest.mark.parametrize("module", ["tensorrt_rtx_bindings", "tensorrt_lean_bindings"])
def test_the_types_of_our_tensors_are_known(module: str) -> None:
    from edge_ovss.runtime.trt.session import DTYPES

    library = importlib.import_module(module) if _there(module) else pytest.skip(f"no {module}")
    assert set(DTYPES) <= set(library.DataType.__members__)


def _there(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def test_nothing_that_was_removed_is_used() -> None:
    for folder in ("engines", "runtime/trt", "runtime/backends"):
        files = list((PACKAGE / folder).glob("*.py"))
        assert len(files) > 3, folder
        for path in files:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not used & REMOVED, path.name


def test_what_we_call_removed_is_gone_from_the_bindings() -> None:
    real = pytest.importorskip("tensorrt_rtx_bindings")
    for owner in ("Builder", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "OnnxParser"):
        assert not set(dir(getattr(real, owner))) & REMOVED, owner
    assert not set(real.BuilderFlag.__members__) & REMOVED


def test_the_pretended_tensorrt_has_no_name_that_the_real_one_lacks() -> None:
    """A fake that answers to more than the library would prove nothing."""
    real = pytest.importorskip("tensorrt_rtx_bindings")
    tree = ast.parse((Path(__file__).parents[1] / "fake_trt.py").read_text(encoding="utf-8"))
    same = {
        "OnnxParser": "OnnxParser",
        "Builder": "Builder",
        "_Config": "IBuilderConfig",
        "_Profile": "IOptimizationProfile",
        "_Timings": "ITimingCache",
        "Network": "INetworkDefinition",
        "_Error": "ParserError",
        "RuntimeCache": "IRuntimeCache",
        "RuntimeConfig": "IRuntimeConfig",
        "Engine": "ICudaEngine",
        "Runtime": "Runtime",
    }
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in same:
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            public = {f"{same[node.name]}.{name}" for name in methods if name[0] != "_"}
            assert missing(real, public) == set()


@pytest.mark.parametrize(
    "kind", ["EngineValidity", "EngineInvalidityDiagnostics", "ComputeCapability", "DataType"]
)
def test_the_pretended_tensorrt_numbers_its_answers_as_the_real_one(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pytest.importorskip("tensorrt_rtx_bindings")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    pretended = getattr(importlib.import_module("fake_trt"), kind).__members__
    theirs = getattr(real, kind).__members__
    names = set(pretended) - {"UINT16"}  # which TensorRT does not have, and that is the point
    assert {name: int(pretended[name]) for name in names} == {
        name: int(theirs[name]) for name in names
    }
