// SPDX-License-Identifier: Apache-2.0
// The engines of an open bundle, and those that are built while it is open. Needs no TensorRT.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine_cache.h"

namespace edge_ovss::internal {

class EngineShelf {
public:
    // Look for the engines of `bundle`, which must outlive this, in `cache` ("": in the bundle).
    // Throws an artifact error where none may be loaded here, unless missing ones are built; a
    // usage error where they would be built into another folder.
    EngineShelf(const Bundle& bundle, const std::string& cache, Surroundings here, Gpu gpu,
                bool builds);

    // The engine for a frame size, built before if there is none and that was asked for. Valid
    // until the next call. Throws an artifact error; a missing error without the program.
    const Engine& choose(FrameSize size);

private:
    std::vector<Engine> fitting() const;
    bool has(FrameSize size) const;

    const Bundle& bundle_;
    std::filesystem::path folder_;
    Surroundings here_;
    Gpu gpu_;
    bool builds_;
    std::vector<Engine> engines_;
};

}  // namespace edge_ovss::internal
