// SPDX-License-Identifier: Apache-2.0
// One way to run the graph of a bundle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bundle.h"

namespace edge_ovss::internal {

struct Settings {
    std::string backend;  // "" and "auto": the first
    std::string cache;    // folder for engines; "": `engines` in the bundle
    int threads = 0;      // 0: the cores that this process may use
    int device = 0;
    int frame_height = 0;  // size to make ready for when opening; 0: with the first frame
    int frame_width = 0;
    bool auto_build = false;  // build an engine for a frame that none takes
};

// What the graph answers, in the backend's memory: valid until the next call of the backend.
struct Answer {
    const void* labels = nullptr;       // [height, width], uint8 or uint16 as the manifest says
    const float* confidence = nullptr;  // [height, width], or null
    const float* scores = nullptr;      // [shape[0], shape[1], shape[2]], or null
    std::size_t scores_shape[3] = {0, 0, 0};
    const std::int32_t* alive = nullptr;  // category ids, -1 is an empty slot
    std::size_t alive_count = 0;
    const std::int32_t* counts = nullptr;
    std::size_t counts_count = 0;
};

// Not thread-safe; the session holds its lock around every call.
class Backend {
public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;

    // Where the next frame goes: height * width * 3 bytes, RGB, without gaps. Allocates where the
    // size is another one than last time. Throws an artifact error.
    virtual std::uint8_t* input(std::size_t height, std::size_t width) = 0;

    // Use these thresholds of "unknown" from the next frame on, one for each output. Only for a
    // graph that takes them.
    virtual void use_thresholds(const std::vector<float>& thresholds) { (void)thresholds; }

    // Use the words of `bundle` from the next frame on: the same graph with other words. After an
    // error those before are used. Throws a usage error where the backend cannot.
    virtual void use_words(const Bundle& bundle);

    // Run the graph on what was put there. Throws an artifact error.
    virtual Answer run() = 0;
};

// Names of the backends that were built in, the order is that of "auto".
const std::vector<std::string>& backend_names();

// The name that "auto" or "" stands for. Throws a usage error for an unknown name.
std::string resolve_backend(const std::string& name);

// Whether few words go into a bundle's small graph on this backend: one that reads ONNX files.
bool chooses_graph(const std::string& name);

// Load the graph of `bundle`, which must outlive the backend. `name` is one of backend_names().
std::unique_ptr<Backend> create_backend(const std::string& name, const Bundle& bundle,
                                        const Settings& settings);

// Each is there if its library was found when this one was built.
std::unique_ptr<Backend> create_ort_backend(const Bundle& bundle, const Settings& settings,
                                            bool cuda);
std::unique_ptr<Backend> create_trt_backend(const Bundle& bundle, const Settings& settings);

}  // namespace edge_ovss::internal
