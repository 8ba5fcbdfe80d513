// SPDX-License-Identifier: Apache-2.0
// What every entry of the C interface is made of: no exception crosses it, and structures may be
// those of an older header.
#pragma once

#include <edge_ovss/edge_ovss.h>

#include <cstddef>
#include <cstring>
#include <new>

#include "error.h"

namespace edge_ovss::internal {

// Of a fixed size, so that storing a message cannot fail.
struct LastError {
    char message[1024];
    char hint[512];
};

// The last error of this thread.
LastError& last_error() noexcept;

edge_ovss_status fail(edge_ovss_status status, const char* message, const char* hint) noexcept;

void require(const void* pointer, const char* name);

template <class Work>
edge_ovss_status fence(Work&& work) noexcept {
    try {
        work();
        return EDGE_OVSS_OK;
    } catch (const Error& err) {
        return fail(err.status, err.what(), err.hint.c_str());
    } catch (const std::bad_alloc&) {
        return fail(EDGE_OVSS_ERROR_ARTIFACT, "There is not enough memory.",
                    "Close other programs, give smaller frames, or export a smaller model.");
    } catch (const std::exception& err) {
        return fail(EDGE_OVSS_ERROR_INTERNAL, err.what(), "Please report this as a fault.");
    } catch (...) {
        return fail(EDGE_OVSS_ERROR_INTERNAL, "An unknown exception.",
                    "Please report this as a fault.");
    }
}

// Copy a structure in. `first` is its size in the first version of the header.
template <class Struct>
Struct take(const Struct* given, const char* name, std::size_t first) {
    require(given, name);
    if (given->struct_size < first || given->struct_size > sizeof(Struct)) {
        throw usage_error(text("'", name, ".struct_size' is ", given->struct_size, "; expected ",
                               first, " to ", sizeof(Struct), "."),
                          text("Start from edge_ovss_", name,
                               "_default(); a larger structure is "
                               "of a newer header than this library (",
                               edge_ovss_version(), ")."));
    }
    Struct taken;
    std::memset(&taken, 0, sizeof taken);
    std::memcpy(&taken, given, given->struct_size);
    return taken;
}

// Copy a structure out, as much of it as the caller's header knows.
template <class Struct>
void give(const Struct& filled, Struct* target) noexcept {
    const std::size_t size = target->struct_size;
    std::memcpy(target, &filled, size);
    target->struct_size = size;
}

}  // namespace edge_ovss::internal
