// SPDX-License-Identifier: Apache-2.0
#include "backend.h"

#include <algorithm>

#include "error.h"

namespace edge_ovss::internal {

void Backend::use_words(const Bundle&) {
    throw usage_error("This backend keeps the words with which the bundle was opened.",
                      "Change them on the disk (edge-ovss words), or open it on ONNX Runtime.");
}

const std::vector<std::string>& backend_names() {
    // Whether a GPU works shows only when a session is opened, so the CPU comes first.
    static const std::vector<std::string> names{
#ifdef EDGE_OVSS_HAVE_ONNXRUNTIME
        "onnxruntime",
        "onnxruntime-cuda",
#endif
#if defined(EDGE_OVSS_HAVE_TENSORRT_RTX)
        "tensorrt-rtx",
#elif defined(EDGE_OVSS_HAVE_TENSORRT)
        "tensorrt",
#endif
    };
    return names;
}

std::string resolve_backend(const std::string& name) {
    const auto& names = backend_names();
    if (name.empty() || name == "auto") {
        if (names.empty()) {
            throw missing_error("This library was built without a backend.");
        }
        return names.front();
    }
    if (std::find(names.begin(), names.end(), name) != names.end()) {
        return name;
    }
    std::string known = "auto";
    for (const auto& each : names) {
        known += ", " + each;
    }
    throw usage_error(text("There is no backend '", name, "'; expected one of: ", known, "."));
}

bool chooses_graph(const std::string& name) {
    return name == "onnxruntime" || name == "onnxruntime-cuda";
}

std::unique_ptr<Backend> create_backend(const std::string& name, const Bundle& bundle,
                                        const Settings& settings) {
    (void)bundle;
    if (settings.auto_build && name.rfind("tensorrt", 0) != 0) {
        throw usage_error(
            text("Backend '", name, "' runs the bundle as it is: there is no engine to build."),
            "Leave out auto_build, or choose a backend of TensorRT.");
    }
#ifdef EDGE_OVSS_HAVE_ONNXRUNTIME
    if (name == "onnxruntime" || name == "onnxruntime-cuda") {
        return create_ort_backend(bundle, settings, name == "onnxruntime-cuda");
    }
#endif
#ifdef EDGE_OVSS_HAVE_TENSORRT
    if (name == "tensorrt" || name == "tensorrt-rtx") {
        return create_trt_backend(bundle, settings);
    }
#endif
    throw usage_error(text("There is no backend '", name, "'."));
}

}  // namespace edge_ovss::internal
