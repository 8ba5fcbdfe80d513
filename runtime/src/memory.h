// SPDX-License-Identifier: Apache-2.0
// How much memory a frame takes, and how much this process can still have: by the same rules as
// edge_ovss/_free_memory.py and runtime/backends/frame_memory.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "manifest.h"

namespace edge_ovss::internal {

// Bytes that one pixel of a frame takes at least while the graph runs.
std::uint64_t pixel_bytes(const Manifest& manifest);

// Bytes that this process can still have: the least of what the system has, of what the control
// groups of the process leave and of what its limit on addresses leaves; nothing where it cannot be
// known. `root` is the folder of `proc` and `sys`.
std::optional<std::uint64_t> free_bytes(const std::string& root = "/");

// Throws an artifact error where a frame takes more than is free beside the `held` bytes that
// earlier frames have taken and this one takes over. Returns what it takes.
std::uint64_t require_memory(const Manifest& manifest, std::size_t height, std::size_t width,
                             std::uint64_t held, std::optional<std::uint64_t> free);

}  // namespace edge_ovss::internal
