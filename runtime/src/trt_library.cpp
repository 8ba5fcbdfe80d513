// SPDX-License-Identifier: Apache-2.0
#include "trt_library.h"

#include <cstring>
#include <fstream>

#include "cuda_memory.h"

namespace edge_ovss::internal::trt {

namespace {

// Keeps the first error of a call, prints nothing. TensorRT goes on using the first logger that it
// is given, so this one is never freed.
class Log final : public nvinfer1::ILogger {
public:
    void log(Severity severity, const char* message) noexcept override {
        if (severity <= Severity::kERROR && first_[0] == '\0') {
            std::size_t i = 0;
            for (; message[i] != '\0' && i + 1 < sizeof first_; ++i) {
                first_[i] = message[i];
            }
            first_[i] = '\0';
        }
    }

    // What was kept, which is then forgotten.
    std::string take() {
        std::string words = first_;
        first_[0] = '\0';
        return words.empty() ? "" : ": " + words;
    }

private:
    static thread_local char first_[300];
};

thread_local char Log::first_[300];

Log& logger() {
    static Log* const log = new Log;
    return *log;
}

std::string first_line(const char* path) {
    std::string line;
    std::getline(std::ifstream(path), line);
    return line;
}

}  // namespace

std::string l4t_release(const std::string& line) {
    constexpr const char* digits = "0123456789";
    constexpr const char* mark = "REVISION:";
    const auto major = line.find('R');
    const auto revision = line.find(mark);
    if (major == std::string::npos || revision == std::string::npos || revision < major) {
        return "";
    }
    const auto part = [&line](std::size_t start, const char* letters) {
        return line.substr(start, line.find_first_not_of(letters, start) - start);
    };
    const std::string first = part(major + 1, digits);
    const auto second = line.find_first_not_of(" \t", revision + std::strlen(mark));
    const std::string rest = second == std::string::npos ? "" : part(second, "0123456789.");
    return first.empty() || rest.empty() ? "" : first + "." + rest;
}

void load(Loaded& loaded, const Bundle& bundle, const Engine& engine) {
    const std::string plan = read_plan(bundle, engine);
    const std::string name = engine.folder.filename().string();
    loaded.runtime.reset(nvinfer1::createInferRuntime(logger()));
    if (!loaded.runtime) {
        throw missing_error(
            text("TensorRT ", library_version(), " is not the one that this library was built for",
                 what_it_said(), "."),
            "Build the edge_ovss library again on this machine.");
    }
    loaded.engine.reset(loaded.runtime->deserializeCudaEngine(plan.data(), plan.size()));
    if (!loaded.engine) {
        throw artifact_error(text("TensorRT ", library_version(), " refuses engine '", name, "'",
                                  what_it_said(), "."),
                             kBuildAgain);
    }
    loaded.context.reset(loaded.engine->createExecutionContext());
    if (!loaded.context) {
        throw artifact_error(text("No execution context for engine '", name, "' can be made."),
                             "Most often the GPU has no memory left: close other programs.");
    }
}

std::string what_it_said() {
    return logger().take();
}

std::string library_version() {
    return text(getInferLibMajorVersion(), ".", getInferLibMinorVersion(), ".",
                getInferLibPatchVersion(), ".", getInferLibBuildVersion());
}

std::string system_name() {
    const std::string release = l4t_release(first_line("/etc/nv_tegra_release"));
    if (!release.empty()) {
        return "L4T " + release;
    }
    const std::string driver = first_line("/sys/module/nvidia/version");
    if (!driver.empty()) {
        return "driver " + driver;
    }
    int version = 0;
    cuda::check(cudaDriverGetVersion(&version), "tell its version");
    return text("CUDA ", version / 1000, ".", version % 1000 / 10);
}

cudaDeviceProp require_gpu(int device) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count <= device) {
        cudaGetLastError();
        throw missing_error(text("Backend '", kBackend, "' needs GPU ", device, "; there are ",
                                 count, " (", cudaGetErrorString(status), ")."),
                            "Check the NVIDIA driver, or use the backend 'onnxruntime'.");
    }
    cudaDeviceProp facts{};
    cuda::check(cudaGetDeviceProperties(&facts, device), "describe the GPU");
    return facts;
}

}  // namespace edge_ovss::internal::trt
