// SPDX-License-Identifier: Apache-2.0
// The one exception of the library: a status, what was given and expected, and what to do.
#pragma once

#include <edge_ovss/edge_ovss.h>

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace edge_ovss::internal {

struct Error : std::runtime_error {
    Error(edge_ovss_status kind, const std::string& message, std::string what_to_do = "")
        : std::runtime_error(message), status(kind), hint(std::move(what_to_do)) {}

    edge_ovss_status status;
    std::string hint;
};

// The parts, one after the other.
template <class... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream stream;
    (stream << ... << parts);
    return stream.str();
}

inline Error usage_error(const std::string& message, std::string hint = "") {
    return Error(EDGE_OVSS_ERROR_USAGE, message, std::move(hint));
}

inline Error missing_error(const std::string& message, std::string hint = "") {
    return Error(EDGE_OVSS_ERROR_MISSING, message, std::move(hint));
}

inline Error frame_error(const std::string& message, std::string hint = "") {
    return Error(EDGE_OVSS_ERROR_INPUT, message, std::move(hint));
}

inline Error artifact_error(const std::string& message, std::string hint = "") {
    return Error(EDGE_OVSS_ERROR_ARTIFACT, message, std::move(hint));
}

inline Error capacity_error(const std::string& message, std::string hint = "") {
    return Error(EDGE_OVSS_ERROR_CAPACITY, message, std::move(hint));
}

}  // namespace edge_ovss::internal
