// SPDX-License-Identifier: Apache-2.0
// SHA-256 in lower-case hexadecimal, by OpenSSL.
#pragma once

#include <cstdio>
#include <string>

namespace edge_ovss::internal {

std::string sha256_of_bytes(const std::string& bytes);

// Of a file that is open at its beginning. Throws an artifact error that names `name` where it
// cannot be read.
std::string sha256_of_file(std::FILE* file, const std::string& name);

}  // namespace edge_ovss::internal
