// SPDX-License-Identifier: Apache-2.0
// ovss-segment: a picture in; a label map, an overlay and a line of JSON out.
#include <cstdio>
#include <string>

#include "arguments.h"
#include "overlay.h"
#include "picture_files.h"

namespace {

constexpr const char* kHelp =
    "ovss-segment - segment a picture with a bundle\n"
    "\n"
    "  ovss-segment BUNDLE IMAGE [options]     PNG, JPEG or PPM\n"
    "  ovss-segment BUNDLE --selftest            compare with the bundle's reference output\n"
    "\n"
    "  --labels FILE    write the label map (gray PNG, 8 or 16 bits)\n"
    "  --overlay FILE   write the image with the colors of its categories (PNG)\n"
    "  --alpha A        weight of the colors, 0 to 1 (default 0.55)\n"
    "  --unknown WHEN   off, auto, a threshold such as 0.2, or a file of eval --tune-unknown\n"
    "                   (default as the bundle says)\n"
    "  --backend NAME   default auto\n"
    "  --threads N      CPU threads (default: all)\n"
    "\n"
    "Prints one JSON object. Exit status: 0 done, 2 wrong use, 3 something is not installed,\n"
    "4 bad input, 5 the bundle does not fit, 6 the selftest failed.\n";

int selftest(edge_ovss::Segmenter& segmenter) {
    const auto report = segmenter.selftest();
    std::printf("{\"backend\": %s, \"agreement\": %.6f, \"min_agreement\": %.6f, ",
                apps::json_string(segmenter.info().backend).c_str(), report.agreement,
                report.min_agreement);
    if (report.undecided < 0) {
        std::printf("\"undecided\": null, ");
    } else {
        std::printf("\"undecided\": %.6f, ", report.undecided);
    }
    std::printf("\"passed\": true, \"infer_ms\": %.3f}\n", report.infer_ms);
    return 0;
}

void write_files(const apps::Arguments& arguments, apps::Picture picture,
                 const edge_ovss::Segmenter& segmenter, const edge_ovss::Result& result) {
    if (arguments.has("--labels")) {
        apps::write_png(arguments.value("--labels", ""), result.height, result.width, 1,
                        8 * result.label_bytes, result.labels.data());
    }
    if (arguments.has("--overlay")) {
        apps::blend(picture.rgb.data(), result, segmenter.palette(),
                    arguments.real("--alpha", 0.55, 0.0, 1.0));
        apps::write_png(arguments.value("--overlay", ""), result.height, result.width, 3, 8,
                        picture.rgb.data());
    }
}

void print(const edge_ovss::Segmenter& segmenter, const edge_ovss::Result& result) {
    const auto info = segmenter.info();
    std::printf("{\"backend\": %s, \"height\": %d, \"width\": %d, \"shares\": {",
                apps::json_string(info.backend).c_str(), result.height, result.width);
    const apps::Shares shares = apps::shares(result, info.outputs);
    const char* comma = "";
    for (const auto& [output, share] : shares.classes) {
        std::printf("%s%s: %.6f", comma, apps::json_string(segmenter.name(output)).c_str(), share);
        comma = ", ";
    }
    std::printf(
        "}, \"unknown\": %.6f, \"alive\": %zu, \"overflow\": %s, \"timings_ms\": {\"pre\": %.3f, "
        "\"infer\": %.3f, \"post\": %.3f, \"total\": %.3f}}\n",
        shares.unknown, result.alive.size(), result.c.overflow != 0 ? "true" : "false",
        result.c.pre_ms, result.c.infer_ms, result.c.post_ms, result.c.total_ms);
    if (result.c.overflow != 0) {
        std::fprintf(stderr,
                     "ovss-segment: more categories wanted to stay than there are slots; "
                     "the weakest were dropped. Export again with more --slots.\n");
    }
}

int run(int argc, char** argv) {
    const apps::Arguments arguments(
        argc, argv, {"--labels", "--overlay", "--alpha", "--unknown", "--backend", "--threads"},
        {"--selftest", "--help"});
    if (arguments.has("--help")) {
        std::fputs(kHelp, stdout);
        return 0;
    }
    const bool test = arguments.has("--selftest");
    const auto& words = arguments.positional();
    if (words.size() != (test ? 1U : 2U)) {
        throw apps::usage(test ? "Expected BUNDLE." : "Expected BUNDLE and IMAGE.");
    }
    edge_ovss::Segmenter segmenter(words[0], apps::session_options(arguments));
    apps::choose_unknown(arguments, segmenter);
    if (test) {
        return selftest(segmenter);
    }
    const apps::Picture picture = apps::read_picture(words[1]);
    const auto result = segmenter.segment(
        edge_ovss::Frame::rgb8(picture.rgb.data(), picture.height, picture.width));
    write_files(arguments, picture, segmenter, result);
    print(segmenter, result);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return apps::guarded("ovss-segment", [&] { return run(argc, argv); });
}
