// SPDX-License-Identifier: Apache-2.0
// Opens a graph in ONNX Runtime, on the CPU or on CUDA.
#pragma once

#include <filesystem>

#include "backend.h"
#include "ort_handles.h"

namespace edge_ovss::internal::ort {

// In the order in which they are made; freed in the other.
struct Handles {
    Handle<OrtEnv> env{nullptr, api().ReleaseEnv};
    Handle<OrtSession> session{nullptr, api().ReleaseSession};
    Handle<OrtMemoryInfo> memory{nullptr, api().ReleaseMemoryInfo};  // of the CPU
};

// Throws a `Failure` where the graph does not load, and a missing error where CUDA is not there.
Handles open_session(const std::filesystem::path& graph, const Settings& settings, bool cuda);

// The first line of ONNX Runtime's words, without the rest of its stack.
std::string first_line(const std::string& words);

}  // namespace edge_ovss::internal::ort
