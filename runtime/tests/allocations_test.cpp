// SPDX-License-Identifier: Apache-2.0
// After the first frame of a size the library allocates nothing: every malloc of the process is
// counted, but for those inside ONNX Runtime's Run.
#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include <cstdint>
#include <string>

#include <atomic>
#include <vector>

#include "check.h"
#include "session.h"

namespace {

// Plain (not dynamically allocated) state: malloc itself reads it.
std::atomic<long> allocations{0};
thread_local bool counting = false;

void count() noexcept {
    if (counting) {
        allocations.fetch_add(1, std::memory_order_relaxed);
    }
}

}  // namespace

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);

void* malloc(std::size_t size) {
    count();
    return __libc_malloc(size);
}

void* calloc(std::size_t number, std::size_t size) {
    count();
    return __libc_calloc(number, size);
}

void* realloc(void* memory, std::size_t size) {
    count();
    return __libc_realloc(memory, size);
}

// The library asks for ONNX Runtime's functions here, and gets a table whose Run does not count.
static OrtStatus* ORT_API_CALL run_uncounted(OrtSession* session, const OrtRunOptions* options,
                                             const char* const* input_names,
                                             const OrtValue* const* inputs, std::size_t input_count,
                                             const char* const* output_names,
                                             std::size_t output_count, OrtValue** outputs) noexcept;
const OrtApiBase* ORT_API_CALL OrtGetApiBase(void) noexcept;

}  // extern "C"

namespace {

std::string library;  // ONNX Runtime's, from the command line

const OrtApiBase* real_base() {
    using GetBase = const OrtApiBase* (*)();
    void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    CHECK(handle != nullptr);
    const auto address = reinterpret_cast<std::uintptr_t>(dlsym(handle, "OrtGetApiBase"));
    CHECK(address != 0);
    return reinterpret_cast<GetBase>(address)();
}

const OrtApi* real_api() {
    static const OrtApi* const api = real_base()->GetApi(ORT_API_VERSION);
    return api;
}

std::atomic<long> runs{0};

const OrtApi* ORT_API_CALL wrapped_api(uint32_t) noexcept {
    static OrtApi table;
    memcpy(static_cast<void*>(&table), real_api(), sizeof table);
    table.Run = run_uncounted;
    return &table;
}

const char* ORT_API_CALL real_version() noexcept {
    return real_base()->GetVersionString();
}

}  // namespace

extern "C" {

static OrtStatus* ORT_API_CALL run_uncounted(OrtSession* session, const OrtRunOptions* options,
                                             const char* const* input_names,
                                             const OrtValue* const* inputs, std::size_t input_count,
                                             const char* const* output_names,
                                             std::size_t output_count,
                                             OrtValue** outputs) noexcept {
    const bool before = counting;
    counting = false;
    ++runs;
    OrtStatus* status = real_api()->Run(session, options, input_names, inputs, input_count,
                                        output_names, output_count, outputs);
    counting = before;
    return status;
}

const OrtApiBase* ORT_API_CALL OrtGetApiBase(void) noexcept {
    static const OrtApiBase base{wrapped_api, real_version};
    return &base;
}

}  // extern "C"

namespace {

struct Memory {
    std::vector<std::uint8_t> frame = std::vector<std::uint8_t>(640 * 480 * 4, 50);
    std::vector<std::uint8_t> labels = std::vector<std::uint8_t>(640 * 480);
    std::vector<float> confidence = std::vector<float>(640 * 480);
    std::vector<std::int32_t> alive = std::vector<std::int32_t>(3);
};

void segment(edge_ovss_session* session, Memory& memory, int format, int height, int width) {
    edge_ovss_frame frame = edge_ovss_frame_default();
    frame.data = memory.frame.data();
    frame.format = format;
    frame.height = height;
    frame.width = width;
    edge_ovss_result result = edge_ovss_result_default();
    result.labels = memory.labels.data();
    result.labels_capacity = memory.labels.size();
    result.confidence = memory.confidence.data();
    result.confidence_capacity = memory.confidence.size() * sizeof(float);
    result.alive = memory.alive.data();
    result.alive_capacity = memory.alive.size();
    CHECK(edge_ovss_segment(session, &frame, &result) == EDGE_OVSS_OK);
}

long counted(edge_ovss_session* session, Memory& memory, int height, int width) {
    allocations = 0;
    for (int i = 0; i < 20; ++i) {
        counting = true;
        segment(session, memory, i % 7, height, width);
        counting = false;
    }
    return allocations;
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 3);
    library = argv[2];
    edge_ovss_options options = edge_ovss_options_default();
    options.threads = 1;
    edge_ovss_session* session = nullptr;
    const std::string path = std::string(argv[1]) + "/things";
    CHECK(edge_ovss_open(path.c_str(), &options, &session) == EDGE_OVSS_OK);
    Memory memory;
    const long first = counted(session, memory, 480, 640);
    CHECK(first > 0);  // the counter counts
    CHECK(counted(session, memory, 480, 640) == 0);
    CHECK(counted(session, memory, 31, 47) > 0);
    CHECK(counted(session, memory, 31, 47) == 0);
    CHECK(runs == 80);
    printf("allocations_test: %ld allocations in the first frames, 0 in the next 20\n", first);
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
    return 0;
}
