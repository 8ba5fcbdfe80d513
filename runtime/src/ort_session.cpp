// SPDX-License-Identifier: Apache-2.0
#include "ort_session.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <thread>

namespace edge_ovss::internal::ort {

namespace {

// ONNX Runtime's own words would go to stderr; what matters comes back as a status.
void ORT_API_CALL keep_quiet(void*, OrtLoggingLevel, const char*, const char*, const char*,
                             const char*) {}

// ONNX Runtime from 1.31 on reports its use over the network, by a thread that may outlive main. It
// reads this variable when its first environment is made; a value that is there stays.
void report_nothing() {
#ifndef _WIN32
    static const int done = setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    static_cast<void>(done);
#endif
}

int usable_cores() {
#ifdef __linux__
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) {
        return std::max(1, CPU_COUNT(&cores));
    }
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void require_cuda() {
    char** names = nullptr;
    int count = 0;
    check(api().GetAvailableProviders(&names, &count));
    std::string present;
    bool found = false;
    for (int i = 0; i < count; ++i) {
        found = found || std::strcmp(names[i], "CUDAExecutionProvider") == 0;
        present += text(present.empty() ? "" : ", ", names[i]);
    }
    check(api().ReleaseAvailableProviders(names, count));
    if (!found) {
        throw missing_error(
            text("Backend 'onnxruntime-cuda' needs CUDAExecutionProvider; there is: ", present,
                 "."),
            "Install an ONNX Runtime with CUDA, or use the backend 'onnxruntime'.");
    }
}

void add_cuda(OrtSessionOptions* options, int device) {
    require_cuda();
    OrtCUDAProviderOptionsV2* cuda = nullptr;
    check(api().CreateCUDAProviderOptions(&cuda));
    const Handle<OrtCUDAProviderOptionsV2> owner(cuda, api().ReleaseCUDAProviderOptions);
    const std::string number = std::to_string(device);
    // By default it computes FP32 in TF32, of ten bits, on all GPUs since Ampere; and it times all
    // ways of every convolution at the first frame of a size, which takes seconds.
    const char* const keys[] = {"device_id", "use_tf32", "cudnn_conv_algo_search"};
    const char* const values[] = {number.c_str(), "0", "HEURISTIC"};
    check(api().UpdateCUDAProviderOptions(cuda, keys, values, std::size(keys)));
    try {
        check(api().SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda));
    } catch (const Failure& err) {
        throw missing_error(text("ONNX Runtime cannot use CUDA: ", first_line(err.what())),
                            "Check the driver and the CUDA libraries, or use the backend "
                            "'onnxruntime'.");
    }
}

Handle<OrtSessionOptions> make_options(const Settings& settings, bool cuda) {
    OrtSessionOptions* options = nullptr;
    check(api().CreateSessionOptions(&options));
    Handle<OrtSessionOptions> owner(options, api().ReleaseSessionOptions);
    const int threads = settings.threads > 0 ? settings.threads : usable_cores();
    check(api().SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL));
    check(api().SetIntraOpNumThreads(options, threads));
    check(api().SetInterOpNumThreads(options, 1));
    check(api().SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_FATAL));
    // A pattern is a second block for the same tensors; the graph cuts wide tensors into pieces so
    // that one is there at a time, which the optimizer named here would undo.
    check(api().DisableMemPattern(options));
    check(api().AddSessionConfigEntry(options, "optimization.disable_specified_optimizers",
                                      "GatherSliceToSplitFusion"));
    if (cuda) {
        add_cuda(options, settings.device);
    }
    return owner;
}

}  // namespace

std::string first_line(const std::string& words) {
    constexpr std::size_t most = 300;
    return words.substr(0, std::min(words.find('\n'), most));
}

Handles open_session(const std::filesystem::path& graph, const Settings& settings, bool cuda) {
    report_nothing();
    Handles handles;
    OrtEnv* env = nullptr;
    check(api().CreateEnvWithCustomLogger(keep_quiet, nullptr, ORT_LOGGING_LEVEL_FATAL, "edge_ovss",
                                          &env));
    handles.env.reset(env);
    const auto options = make_options(settings, cuda);
    OrtSession* session = nullptr;
    check(api().CreateSession(env, graph.c_str(), options.get(), &session));
    handles.session.reset(session);
    OrtMemoryInfo* memory = nullptr;
    check(api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    handles.memory.reset(memory);
    return handles;
}

}  // namespace edge_ovss::internal::ort
