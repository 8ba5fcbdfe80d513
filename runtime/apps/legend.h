// SPDX-License-Identifier: Apache-2.0
// What is written on an overlay: a line about the frame, and the names of the classes in it.
#pragma once

#include <string>
#include <vector>

#include "lettering.h"
#include "overlay.h"

namespace apps {

// Write `words` into a strip at the top.
void draw_banner(const Canvas& canvas, const std::string& words);

// Write the classes with the largest shares below the banner: color, name, percent. As many as
// fit; none into a picture that is too small for a name. The picture shows through.
void draw_legend(const Canvas& canvas, const edge_ovss::Result& result,
                 const std::vector<std::string>& names, const Palette& palette);

// The name of an output as a legend shows it: "#7" where the font lacks a letter of it.
std::string shown_name(const std::vector<std::string>& names, std::size_t output);

}  // namespace apps
