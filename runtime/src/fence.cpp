// SPDX-License-Identifier: Apache-2.0
#include "fence.h"

#include "printable.h"

namespace edge_ovss::internal {

LastError& last_error() noexcept {
    static thread_local LastError error{};
    return error;
}

edge_ovss_status fail(edge_ovss_status status, const char* message, const char* hint) noexcept {
    copy_printable(message, last_error().message, sizeof last_error().message);
    copy_printable(hint, last_error().hint, sizeof last_error().hint);
    return status;
}

void require(const void* pointer, const char* name) {
    if (pointer == nullptr) {
        throw usage_error(text("'", name, "' is a null pointer."));
    }
}

}  // namespace edge_ovss::internal
