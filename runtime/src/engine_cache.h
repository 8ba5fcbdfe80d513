// SPDX-License-Identifier: Apache-2.0
// The engines that `edge-ovss build` made in a bundle: which are there, which fit this machine, and
// why the others do not. The key is that of edge_ovss/runtime/trt/engine_key.py, and is compared
// before a byte of a plan is deserialized: a plan is native code. Needs no TensorRT.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bundle.h"

namespace edge_ovss::internal {

struct FrameSize {
    std::int64_t height = 0;
    std::int64_t width = 0;
};

// The GPU at hand.
struct Gpu {
    std::string name;
    std::string capability;  // "8.7"
    std::string system;      // "L4T 36.4.3", or "driver 580.65.06"
};

// What an engine is bound to besides its graph; `device` and `system` only where they matter.
struct Surroundings {
    std::string backend;   // "tensorrt" or "tensorrt-rtx"
    std::string library;   // whole version
    std::string platform;  // "linux-aarch64"; of TensorRT for RTX the processor alone
    std::optional<std::string> device;
    std::optional<std::string> system;
    std::int64_t recipe = 1;
};

struct Engine {
    std::filesystem::path folder;
    std::string graph;  // hash of the ONNX file and its external data
    Surroundings surroundings;
    std::vector<std::string> capabilities;
    FrameSize smallest;
    FrameSize best;
    FrameSize largest;
    std::string sha256;  // of the plan
    std::string created;
    std::string labels;  // "uint8", "uint16", or "int32" where TensorRT has no uint16

    bool takes(FrameSize size) const;
    bool pinned() const;
};

// What an engine that is built here would be bound to.
Surroundings surroundings_here(const std::string& backend, const std::string& library,
                               const Gpu& gpu);

// The engines of `folder` that may be loaded here, the last built first. Throws an artifact error
// where there is none; it says in what each differs, and how to build one.
std::vector<Engine> fitting_engines(const Bundle& bundle, const std::filesystem::path& folder,
                                    const Surroundings& here, const Gpu& gpu);

// The engine for a frame size: pinned before ranged, then the last built. Throws an artifact error.
const Engine& choose_engine(const Bundle& bundle, const std::vector<Engine>& engines,
                            FrameSize size);

// The command that builds an engine, for a person.
std::string build_command(const Bundle& bundle, const std::string& backend,
                          const std::string& options = "");

// The plan, after checking who may write it, and its sha256. Throws an artifact error.
std::string read_plan(const Bundle& bundle, const Engine& engine);

// The hash of the ONNX file and its external data, from the bundle's checked list.
std::string graph_hash(const Bundle& bundle);

}  // namespace edge_ovss::internal
