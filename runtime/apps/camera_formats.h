// SPDX-License-Identifier: Apache-2.0
// A picture in the form in which a camera gives it, for measuring.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "picture_files.h"

namespace apps {

// EDGE_OVSS_FORMAT_... of a name such as "NV12". Throws a usage error for another name.
int parse_format(const std::string& name);

// The name of a format.
const char* format_name(int format);

// The picture's bytes in `format`, without gaps. YUV is BT.601 of limited range, with the chroma of
// the mean of the pixels that share it.
std::vector<std::uint8_t> in_format(const Picture& picture, int format);

}  // namespace apps
