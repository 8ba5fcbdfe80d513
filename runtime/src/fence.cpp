// SPDX-License-Identifier: Apache-2.0
#include "fence.h"

#include <algorithm>

namespace edge_ovss::internal {

namespace {

void store(char* room, std::size_t size, const char* words) noexcept {
    std::size_t length = std::min(std::strlen(words), size - 1);
    while (length > 0 && (static_cast<unsigned char>(words[length]) & 0xC0U) == 0x80U) {
        --length;  // do not cut a UTF-8 character in two
    }
    std::memcpy(room, words, length);
    room[length] = '\0';
}

}  // namespace

LastError& last_error() noexcept {
    static thread_local LastError error{};
    return error;
}

edge_ovss_status fail(edge_ovss_status status, const char* message, const char* hint) noexcept {
    store(last_error().message, sizeof last_error().message, message);
    store(last_error().hint, sizeof last_error().hint, hint);
    return status;
}

void require(const void* pointer, const char* name) {
    if (pointer == nullptr) {
        throw usage_error(text("'", name, "' is a null pointer."));
    }
}

}  // namespace edge_ovss::internal
