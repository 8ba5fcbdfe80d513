// SPDX-License-Identifier: Apache-2.0
#include "screen.h"

#include <cstdio>
#include <filesystem>

#include "../legend.h"
#ifdef EDGE_OVSS_HAVE_OPENCV
#include "../window.h"
#endif

namespace apps {

namespace {

double milliseconds_since(std::chrono::steady_clock::time_point start) {
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    return passed.count();
}

}  // namespace

Screen::Screen(const Arguments& arguments, const edge_ovss::Segmenter& segmenter,
               std::size_t number, std::size_t count, const std::string& label)
    : palette_(segmenter.palette()),
      names_(segmenter.names()),
      legend_(!arguments.has("--no-legend")),
      alpha_(arguments.real("--alpha", 0.55, 0.0, 1.0)) {
    if (arguments.has("--out")) {
        open_file(arguments, number, count);
    }
    for (std::size_t i = 0; number == 0 && legend_ && i < names_.size(); ++i) {
        if (!can_draw(names_[i])) {
            std::fprintf(stderr, "ovss-camera: in the legend %s stands for '%s'\n",
                         shown_name(names_, i).c_str(), names_[i].c_str());
        }
    }
    if (arguments.has("--window")) {
        open_window(label, count);
    }
}

void Screen::open_file(const Arguments& arguments, std::size_t number, std::size_t count) {
    const std::string given = arguments.value("--out", "");
    if (given == "-" && count > 1) {
        throw usage("--out - takes one source; with several, give the name of a file.");
    }
    std::filesystem::path path = given;
    if (number > 0) {
        path.replace_filename(path.stem().string() + "-" + std::to_string(number + 1) +
                              path.extension().string());
    }
    file_.emplace(path.string(), arguments.number("--fps", 30, 1, 1000));
}

void Screen::open_window(const std::string& label, std::size_t count) {
#ifdef EDGE_OVSS_HAVE_OPENCV
    window_ = count > 1 ? "ovss-camera: " + label : "ovss-camera";
    apps::open_window(window_);
#else
    (void)label;
    (void)count;
    throw edge_ovss::Error(EDGE_OVSS_ERROR_MISSING,
                           "--window needs a build with EDGE_OVSS_WITH_OPENCV.",
                           "Or pipe --out - into a player: | mpv -");
#endif
}

bool Screen::show(const Captured& captured, const edge_ovss::Result& result, long dropped) {
    if (!file_ && window_.empty()) {
        return true;
    }
    const auto frame = captured.frame();
    rgb_.resize(static_cast<std::size_t>(captured.height) *
                static_cast<std::size_t>(captured.width) * 3);
    edge_ovss::check(edge_ovss_to_rgb(&frame.c, rgb_.data(), 0, rgb_.size()));
    painter_.use(palette_, alpha_);
    painter_.paint(packed<const std::uint8_t>(rgb_.data(), captured.width), result,
                   packed(rgb_.data(), captured.width));
    char words[64];
    std::snprintf(words, sizeof words, "%.0f ms  dropped %ld", milliseconds_since(captured.time),
                  dropped);
    const Canvas canvas{rgb_.data(), captured.height, captured.width};
    if (legend_) {
        draw_legend(canvas, result, names_, palette_);
    }
    draw_banner(canvas, words);
    if (file_) {
        file_->write(rgb_.data(), captured.height, captured.width);
    }
#ifdef EDGE_OVSS_HAVE_OPENCV
    return window_.empty() || apps::show(window_, rgb_.data(), captured.height, captured.width);
#else
    return true;
#endif
}

void Screen::close() {
    if (file_) {
        file_->close();
    }
}

}  // namespace apps
