// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime_api.h>

#include <cstring>

#include "../check.h"
#include "stand_in.h"

using Work = std::vector<std::function<void()>>;

struct StandInStream {
    Work waiting;
    bool records = false;
    Work recorded;
};
struct StandInGraph {
    Work work;
};
struct StandInGraphExec {
    Work work;
};

namespace stand_in {

std::vector<std::string> done;
std::map<std::string, std::vector<std::uint8_t>> read;
bool integrated = false;
bool captures = true;
int copies_left = -1;
int waits_left = -1;
int pieces_left = -1;

namespace {

struct Piece {
    std::vector<std::uint8_t> bytes;
    bool pinned = false;  // the CPU may use it
    std::string name;
};

// By an address: of pinned memory its own, of other memory one that nobody else may use.
std::map<std::uintptr_t, Piece> pieces;
std::size_t handles = 0;
std::size_t unfinished = 0;
cudaError_t last = cudaSuccess;

cudaError_t fail(cudaError_t error) {
    last = error;
    return error;
}

// Whether the next of a limited number of calls succeeds.
bool take(int& left) {
    const bool taken = left != 0;
    left -= left > 0 ? 1 : 0;
    if (!taken) {
        left = -1;  // one call fails
    }
    return taken;
}

std::uintptr_t number(const void* memory) {
    return reinterpret_cast<std::uintptr_t>(memory);
}

// The piece that holds these bytes, or null.
std::pair<const std::uintptr_t, Piece>* find(const void* memory, std::size_t size) {
    auto at = pieces.upper_bound(number(memory));
    if (at == pieces.begin()) {
        return nullptr;
    }
    --at;
    const std::size_t offset = number(memory) - at->first;
    return offset + size <= at->second.bytes.size() ? &*at : nullptr;
}

cudaError_t allocate(void** memory, std::size_t size, bool pinned) {
    if (size == 0 || !take(pieces_left)) {
        return fail(cudaErrorMemoryAllocation);
    }
    Piece piece;
    piece.bytes.assign(size, 0xAB);  // what was there before
    piece.pinned = pinned;
    // On every 64-bit processor an address that a program of ours cannot have.
    constexpr std::uintptr_t beyond = std::uintptr_t{1} << 52;
    const std::uintptr_t address = number(piece.bytes.data()) | (pinned ? 0 : beyond);
    pieces[address] = std::move(piece);
    *memory = reinterpret_cast<void*>(address);
    done.emplace_back(pinned ? "pin" : "malloc");
    return cudaSuccess;
}

cudaError_t release(void* memory) {
    if (memory != nullptr) {
        CHECK(pieces.erase(number(memory)) == 1);
    }
    return cudaSuccess;
}

// Memory of the CPU: pinned, or any.
std::uint8_t* host_bytes(const void* memory, std::size_t size) {
    auto* const piece = find(memory, size);
    CHECK(piece == nullptr || piece->second.pinned);
    return static_cast<std::uint8_t*>(const_cast<void*>(memory));
}

void copy(void* to, const void* from, std::size_t size, cudaMemcpyKind kind) {
    const bool in = kind == cudaMemcpyHostToDevice;
    const void* const device = in ? to : from;
    const std::string name = find(device, size)->second.name;
    const std::string what = name.empty() ? std::to_string(size) + " bytes" : name;
    done.push_back((in ? "copy " : "fetch ") + what);
    std::memcpy(in ? bytes_at(to, size) : host_bytes(to, size),
                in ? host_bytes(from, size) : bytes_at(from, size), size);
}

void work_off(Work& waiting, std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) {
        waiting[i]();
    }
    unfinished -= waiting.size();
    waiting.clear();
}

}  // namespace

std::size_t count(const std::string& what) {
    std::size_t found = 0;
    for (const auto& each : done) {
        found += each == what ? 1 : 0;
    }
    return found;
}

std::size_t held() {
    return pieces.size() + handles;
}

std::size_t waiting() {
    return unfinished;
}

void name_memory(void* memory, const std::string& name) {
    find(memory, 1)->second.name = name;
}

void put(cudaStream_t stream, std::function<void()> work) {
    (stream->records ? stream->recorded : stream->waiting).push_back(std::move(work));
    unfinished += stream->records ? 0 : 1;
}

std::uint8_t* bytes_at(const void* memory, std::size_t size) {
    auto* const piece = find(memory, size);
    CHECK(piece != nullptr && (integrated || !piece->second.pinned));
    return piece->second.bytes.data() + (number(memory) - piece->first);
}

}  // namespace stand_in

using namespace stand_in;

cudaError_t cudaGetLastError() {
    const cudaError_t error = last;
    last = cudaSuccess;
    return error;
}

const char* cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorMemoryAllocation ? "out of memory" : "the stand-in was told to fail";
}

cudaError_t cudaDriverGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* facts, int) {
    *facts = {"Stand-in", 8, 7, integrated ? 1 : 0};
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    return device == 0 ? cudaSuccess : fail(cudaErrorInvalidValue);
}

cudaError_t cudaMalloc(void** memory, std::size_t size) {
    return allocate(memory, size, false);
}

cudaError_t cudaFree(void* memory) {
    return release(memory);
}

cudaError_t cudaHostAlloc(void** memory, std::size_t size, unsigned) {
    return allocate(memory, size, true);
}

cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
    *device = host;
    return integrated ? cudaSuccess : fail(cudaErrorInvalidValue);
}

cudaError_t cudaFreeHost(void* memory) {
    return release(memory);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    *stream = new StandInStream;
    ++handles;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    CHECK(stream->waiting.empty() && !stream->records);
    delete stream;
    --handles;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    CHECK(!stream->records);  // not allowed while work is recorded
    const bool whole = take(waits_left);
    const std::size_t steps = stream->waiting.size();
    work_off(stream->waiting, whole ? steps : steps / 2);
    return whole ? cudaSuccess : fail(cudaErrorLaunchFailure);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    const bool in = kind == cudaMemcpyHostToDevice;
    if (find(in ? to : from, size) == nullptr) {
        return fail(cudaErrorInvalidValue);
    }
    if (!take(copies_left)) {
        return fail(cudaErrorLaunchFailure);
    }
    put(stream, [=] { copy(to, from, size, kind); });
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    if (!captures) {
        return fail(cudaErrorInvalidValue);
    }
    CHECK(stream->waiting.empty());
    stream->records = true;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    stream->records = false;
    *graph = new StandInGraph{std::move(stream->recorded)};
    stream->recorded.clear();
    ++handles;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
    *made = new StandInGraphExec{graph->work};
    ++handles;
    done.emplace_back("capture");
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    --handles;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    delete graph;
    --handles;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    for (const auto& work : graph->work) {
        put(stream, work);
    }
    return cudaSuccess;
}
