// SPDX-License-Identifier: Apache-2.0
// What becomes of the answers to one source: a file, a window.
#pragma once

#include <cstdint>
#include <edge_ovss/edge_ovss.hpp>
#include <optional>
#include <string>
#include <vector>

#include "../arguments.h"
#include "../painter.h"
#include "../sources/source.h"
#include "../video_file.h"

namespace apps {

class Screen {
public:
    // `number` of `count` sources, from 0: each has a file and a window of its own.
    Screen(const Arguments& arguments, const edge_ovss::Segmenter& segmenter, std::size_t number,
           std::size_t count, const std::string& label);

    // Returns false when the user closes the window.
    bool show(const Captured& captured, const edge_ovss::Result& result, long dropped);

    // Finish what was written. Throws where that fails.
    void close();

private:
    void open_file(const Arguments& arguments, std::size_t number, std::size_t count);
    void open_window(const std::string& label, std::size_t count);

    Palette palette_;
    std::vector<std::string> names_;
    bool legend_;
    double alpha_;
    std::string window_;  // its name; empty: none
    std::optional<VideoFile> file_;
    std::vector<std::uint8_t> rgb_;
    Painter painter_;
};

}  // namespace apps
