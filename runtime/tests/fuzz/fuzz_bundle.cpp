// SPDX-License-Identifier: Apache-2.0
// Whatever stands in the files of a bundle: an answer or an artifact error, nothing else. Every
// reader gets every input; the wrong ones refuse it at once.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "error.h"
#include "graph_sizes.h"
#include "manifest.h"
#include "npy.h"
#include "onnx_file.h"
#include "vocabulary.h"

namespace {

namespace internal = edge_ovss::internal;

template <class Read>
void survive(Read read) {
    try {
        read();
    } catch (const internal::Error& err) {
        if (err.status != EDGE_OVSS_ERROR_ARTIFACT || std::string(err.what()).empty()) {
            std::abort();
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(data, data + size);
    survive([&] { internal::read_manifest(bytes); });
    survive([&] { internal::read_vocabulary(bytes, "vocabulary.json"); });
    survive([&] {
        internal::check_sizes(internal::read_onnx(data, size, "model.onnx"), "model.onnx", {});
    });
    survive([&] { internal::read_npy(bytes, "a.npy", "|u1", 3); });
    survive([&] { internal::read_npy(bytes, "a.npy", "<i4", 1); });
    return 0;
}
