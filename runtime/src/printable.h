// SPDX-License-Identifier: Apache-2.0
// Text that is safe to print: no name of a file or a class sends commands to a terminal.
#pragma once

#include <cstddef>

namespace edge_ovss::internal {

// Copy as much of `words` as fits, and a zero byte. Line ends and tabs stay; other characters that
// cannot be seen, that turn the direction of text, or are not UTF-8 become escapes such as \x1b.
void copy_printable(const char* words, char* room, std::size_t size) noexcept;

}  // namespace edge_ovss::internal
