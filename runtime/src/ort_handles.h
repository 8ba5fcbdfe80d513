// SPDX-License-Identifier: Apache-2.0
// Owners for the objects of ONNX Runtime's C interface, and its errors as exceptions.
#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>

#include "error.h"

namespace edge_ovss::internal::ort {

// The functions of ONNX Runtime; throws where the library is older than the header.
inline const OrtApi& api() {
    static const OrtApi* const functions = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (functions == nullptr) {
        throw missing_error(text("ONNX Runtime ", OrtGetApiBase()->GetVersionString(),
                                 " does not know the C interface ", ORT_API_VERSION,
                                 " that this library was built with."),
                            "Install a newer ONNX Runtime.");
    }
    return *functions;
}

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throw a `Failure` with ONNX Runtime's words unless `status` is null.
inline void check(OrtStatus* status) {
    if (status != nullptr) {
        const std::unique_ptr<OrtStatus, void (*)(OrtStatus*)> owner(status, api().ReleaseStatus);
        throw Failure(api().GetErrorMessage(status));
    }
}

template <class Object>
using Handle = std::unique_ptr<Object, void (*)(Object*)>;

}  // namespace edge_ovss::internal::ort
