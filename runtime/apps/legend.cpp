// SPDX-License-Identifier: Apache-2.0
#include "legend.h"

#include <algorithm>
#include <cstdio>

namespace apps {

namespace {

constexpr Color kInk{255, 255, 255};
constexpr Color kPaper{0, 0, 0};
constexpr double kPaperWeight = 0.55;
constexpr int kSwatchDots = 10;
constexpr int kGapDots = 4;
constexpr std::size_t kMostLines = 10;
// Fewer than this is no room for a name.
constexpr int kLeastDots = 60;

struct Line {
    std::string name;
    std::string percent;
    Color color;
};

std::string percent_of(double share) {
    char words[16];
    std::snprintf(words, sizeof words, share < 0.001 ? "< 0.1 %%" : "%.1f %%", 100.0 * share);
    return words;
}

// `words`, cut short with "..." to at most `dots`.
std::string fitted(std::string words, int dots) {
    if (text_dots(words) <= dots) {
        return words;
    }
    while (!words.empty() && text_dots(words + "...") > dots) {
        words.pop_back();
    }
    return words + "...";
}

std::vector<Line> lines_of(const edge_ovss::Result& result, const std::vector<std::string>& names,
                           const Palette& palette, std::size_t most) {
    std::vector<Line> lines;
    const Shares found = shares(result, static_cast<int>(names.size()));
    for (const auto& [output, share] : found.classes) {
        if (lines.size() == most) {
            break;
        }
        const auto at = static_cast<std::size_t>(output);
        lines.push_back({shown_name(names, at), percent_of(share), palette[at]});
    }
    return lines;
}

}  // namespace

std::string shown_name(const std::vector<std::string>& names, std::size_t output) {
    return can_draw(names[output]) ? names[output] : "#" + std::to_string(output);
}

void draw_banner(const Canvas& canvas, const std::string& words) {
    const int scale = letter_scale(canvas.height);
    const int right = std::min(canvas.width, (text_dots(words) + 2 * kGapDots) * scale);
    fill(canvas, 0, 0, right, kLineDots * scale, kPaper);
    draw_text(canvas, kGapDots * scale, 0, scale, words, kInk);
}

void draw_legend(const Canvas& canvas, const edge_ovss::Result& result,
                 const std::vector<std::string>& names, const Palette& palette) {
    const int scale = letter_scale(canvas.height);
    const int line = kLineDots * scale;
    const int room = (canvas.height / 2 - line) / line;
    const int fixed = kSwatchDots + 4 * kGapDots + text_dots("100.0 %");
    const int dots = canvas.width / 2 / scale - fixed;
    if (room < 1 || dots < kLeastDots) {
        return;
    }
    const auto lines =
        lines_of(result, names, palette, std::min(kMostLines, static_cast<std::size_t>(room)));
    int widest = 0;
    for (const Line& each : lines) {
        widest = std::max(widest, std::min(dots, text_dots(each.name)));
    }
    const int right = (fixed + widest) * scale;
    fill(canvas, 0, line, right, line * (1 + static_cast<int>(lines.size())), kPaper, kPaperWeight);
    int top = line;
    for (const Line& each : lines) {
        const int left = kGapDots * scale;
        fill(canvas, left, top + 2 * scale, left + kSwatchDots * scale, top + line - 2 * scale,
             each.color);
        draw_text(canvas, left + (kSwatchDots + kGapDots) * scale, top, scale,
                  fitted(each.name, dots), kInk);
        draw_text(canvas, right - (kGapDots + text_dots(each.percent)) * scale, top, scale,
                  each.percent, kInk);
        top += line;
    }
}

}  // namespace apps
