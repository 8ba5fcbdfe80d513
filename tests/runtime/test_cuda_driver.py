"""The CUDA driver through ctypes, against a library with its ABI that is compiled here."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.cuda import driver as cuda_driver
from edge_ovss.runtime.cuda.memory import CtypesMemory

# Handles above 4 GiB show arguments that were cut to 32 bits.
SOURCE = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef uint64_t P;
static const P CONTEXT = 0x7700000007, STREAM = 0x7700000011;
static const P GRAPH = 0x7700000022, EXEC = 0x7700000033;
static int depth, capturing;
int cuInit(unsigned f) { return f; }
int cuGetErrorName(int e, const char **s) { *s = e == 999 ? "UNKNOWN" : "OTHER"; return 0; }
int cuDriverGetVersion(int *v) { *v = 13020; return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "Compiled GPU", n); return d; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 7 : 1; return d; }
int cuDevicePrimaryCtxRetain(P *c, int d) { *c = CONTEXT; return d; }
int cuDevicePrimaryCtxRelease_v2(int d) { return d; }
int cuCtxPushCurrent_v2(P c) { depth++; return c == CONTEXT ? 0 : 201; }
int cuCtxPopCurrent_v2(P *c) { *c = CONTEXT; return --depth ? 201 : 0; }
int cuMemAlloc_v2(P *p, size_t n) { if (n > 1000000) return 2; *p = (P)malloc(n); return 0; }
int cuMemFree_v2(P p) { free((void *)p); return 0; }
int cuMemHostAlloc(void **p, size_t n, unsigned f) { *p = calloc(n, 1); return f; }
int cuMemFreeHost(void *p) { free(p); return 0; }
int cuMemcpyHtoDAsync_v2(P d, const void *s, size_t n, P q)
{ memcpy((void *)d, s, n); return q != STREAM; }
int cuMemcpyDtoHAsync_v2(void *d, P s, size_t n, P q)
{ memcpy(d, (void *)s, n); return q != STREAM; }
int cuStreamCreate(P *q, unsigned f) { *q = STREAM; return f != 1; }
int cuStreamDestroy_v2(P q) { return q != STREAM; }
int cuStreamSynchronize(P q) { return q != STREAM ? 999 : 0; }
int cuStreamBeginCapture_v2(P q, int m) { capturing = 1; return q != STREAM || m != 1; }
int cuStreamEndCapture(P q, P *g) { *g = capturing ? GRAPH : 0; return q != STREAM; }
int cuGraphInstantiateWithFlags(P *e, P g, uint64_t f) { *e = EXEC; return g != GRAPH || f; }
int cuGraphLaunch(P e, P q) { return e != EXEC || q != STREAM; }
int cuGraphExecDestroy(P e) { return e != EXEC; }
int cuGraphDestroy(P g) { return g != GRAPH; }
static const P EVENT = 0x7700000044;
static int events;
int cuEventCreate(P *e, unsigned f) { *e = EVENT + events++; return f; }
int cuEventDestroy_v2(P e) { return e < EVENT || e >= EVENT + events; }
int cuEventRecord(P e, P q) { return cuEventDestroy_v2(e) || q != STREAM; }
int cuEventElapsedTime(float *ms, P a, P b) { *ms = 12.5f; return a >= b; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "cuda.c").write_text(SOURCE)
    made = folder / "libcuda.so.1"
    command = [compiler, "-w", "-shared", "-fPIC", "-o", str(made), str(folder / "cuda.c")]
    subprocess.run(command, check=True, timeout=60)
    return made


@pytest.fixture
def driver(library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[cuda_driver.CudaDriver]:
    monkeypatch.setattr(cuda_driver, "_LIBRARIES", (str(library),))
    cuda_driver.cuda_driver.cache_clear()
    found = cuda_driver.cuda_driver()
    assert found is not None
    yield found
    cuda_driver.cuda_driver.cache_clear()


def test_the_facts_of_the_device(driver: cuda_driver.CudaDriver) -> None:
    facts = driver.device()
    assert (facts.name, facts.capability, facts.cuda) == ("Compiled GPU", "8.7", "13.2")
    assert facts.integrated


def test_bytes_go_there_and_come_back(driver: cuda_driver.CudaDriver) -> None:
    memory = CtypesMemory(driver)
    with memory.current():
        stream, pointer = memory.create_stream(), memory.allocate(5000)
        there, back = memory.allocate_pinned(5000), memory.allocate_pinned(5000)
        there[:] = np.arange(5000) % 251
        memory.upload(pointer, there, stream)
        memory.download(back, pointer, stream)
        memory.synchronize(stream)
        assert np.array_equal(there, back)
        memory.free(pointer)
        memory.free_pinned(there)
        memory.free_pinned(back)
        memory.free_stream(stream)


def test_a_graph_is_captured_launched_and_freed(driver: cuda_driver.CudaDriver) -> None:
    stream = driver.create_stream()
    driver.begin_capture(stream)
    graph = driver.end_capture(stream)
    driver.launch(graph, stream)
    driver.free_graph(graph)
    with pytest.raises(ArtifactError, match="cuGraphExecDestroy failed with error 1"):
        driver.free_graph(graph + 1)


def test_events_take_the_time_between_two_places_of_a_stream(
    driver: cuda_driver.CudaDriver,
) -> None:
    stream = driver.create_stream()
    start, end = driver.create_event(), driver.create_event()
    assert start != end
    driver.record(start, stream)
    driver.record(end, stream)
    assert driver.elapsed_ms(start, end) == 12.5
    with pytest.raises(ArtifactError, match="cuEventElapsedTime failed"):
        driver.elapsed_ms(end, start)
    driver.free_event(start)
    driver.free_event(end)
    with pytest.raises(ArtifactError, match="cuEventDestroy_v2 failed"):
        driver.free_event(end + 9)


def test_errors_name_the_call_and_the_reason(driver: cuda_driver.CudaDriver) -> None:
    with pytest.raises(ArtifactError, match=r"cuStreamSynchronize failed .*UNKNOWN"):
        driver.call("cuStreamSynchronize", 1)
    with pytest.raises(ArtifactError, match="The GPU has no memory left"):
        CtypesMemory(driver).allocate(1 << 40)


def test_a_library_that_lacks_a_function_is_no_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libc = ctypes.CDLL(None)
    assert not hasattr(libc, "cuInit")
    monkeypatch.setattr(cuda_driver, "_LIBRARIES", (str(tmp_path / "none.so"), "libc.so.6"))
    cuda_driver.cuda_driver.cache_clear()
    assert cuda_driver.cuda_driver() is None
    cuda_driver.cuda_driver.cache_clear()
