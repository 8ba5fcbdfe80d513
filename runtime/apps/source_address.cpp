// SPDX-License-Identifier: Apache-2.0
#include "source_address.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>
#include <map>

#include "addresses.h"
#include "arguments.h"

namespace apps {

const char* const kGrammar =
    "A source is one of: 0 or another camera number, /dev/video0, "
    "v4l2:///dev/video0?size=720x1280&fps=30&format=MJPG, csi://0?size=1080x1920&fps=30, "
    "rtsp://..., http://..., gst://PIPELINE, a video file, "
    "raw:FILE?format=NV12&size=480x640&fps=30";

namespace {

constexpr double kFastest = 1000.0;

using Setter = std::function<void(Address&, const std::string&)>;
using Options = std::map<std::string, Setter>;

bool is_number(const std::string& words) {
    return !words.empty() && words.size() <= 3 &&
           std::all_of(words.begin(), words.end(),
                       [](unsigned char letter) { return std::isdigit(letter) != 0; });
}

void set_size(Address& address, const std::string& value) {
    const FrameSize size = parse_size(value, "size");
    address.height = size.height;
    address.width = size.width;
}

void set_fps(Address& address, const std::string& value) {
    char* end = nullptr;
    address.fps = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !(address.fps > 0.0 && address.fps <= kFastest)) {
        throw usage("Option fps is '" + value + "'; expected frames per second, such as 30.");
    }
}

void set_format(Address& address, const std::string& value) {
    if (value.size() < 3 || value.size() > 5 ||
        !std::all_of(value.begin(), value.end(),
                     [](unsigned char letter) { return std::isalnum(letter) != 0; })) {
        throw usage("Option format is '" + value + "'; expected a name such as MJPG or NV12.");
    }
    address.format = value;
}

void set_flip(Address& address, const std::string& value) {
    address.flip = parse_number(value, "Option flip", 0, 7);
}

const Options kOfDevice{{"size", set_size}, {"fps", set_fps}, {"format", set_format}};
const Options kOfCsi{{"size", set_size}, {"fps", set_fps}, {"flip", set_flip}};

std::string known(const Options& options) {
    std::string names;
    for (const auto& [name, set] : options) {
        names += (names.empty() ? "" : ", ") + name;
    }
    return names;
}

// Read "PLACE?key=value&key=value".
Address with_options(Kind kind, const std::string& words, const Options& options) {
    Address address;
    address.kind = kind;
    const auto mark = std::min(words.find('?'), words.size());
    address.place = words.substr(0, mark);
    std::string rest = mark == words.size() ? "" : words.substr(mark + 1);
    while (!rest.empty()) {
        const auto end = std::min(rest.find('&'), rest.size());
        const std::string pair = rest.substr(0, end);
        rest.erase(0, end + 1);
        const auto equals = std::min(pair.find('='), pair.size());
        const auto option = options.find(pair.substr(0, equals));
        if (option == options.end()) {
            throw usage("'" + pair.substr(0, equals) + "' is not known in a source; expected " +
                        known(options) + ".");
        }
        option->second(address, pair.substr(std::min(equals + 1, pair.size())));
    }
    return address;
}

Address device(const std::string& words) {
    Address address = with_options(Kind::kDevice, words, kOfDevice);
    if (is_number(address.place)) {
        address.place = "/dev/video" + std::to_string(std::atoi(address.place.c_str()));
    } else if (address.place.empty() || address.place[0] != '/') {
        throw usage("'v4l2://" + words +
                    "' names no device; expected v4l2:///dev/video0 (three slashes) or v4l2://0.");
    }
    return address;
}

Address csi(const std::string& words) {
    Address address = with_options(Kind::kCsi, words, kOfCsi);
    if (!is_number(address.place)) {
        throw usage("'csi://" + words + "' names no camera; expected the sensor, such as csi://0.");
    }
    return address;
}

Address plain(Kind kind, const std::string& place) {
    Address address;
    address.kind = kind;
    address.place = place;
    return address;
}

// A camera is any character device, and a link to one: /dev/v4l/by-id/... keeps its name.
bool is_camera(const std::string& words) {
    struct stat found{};
    return words.compare(0, 10, "/dev/video") == 0 ||
           (stat(words.c_str(), &found) == 0 && S_ISCHR(found.st_mode));
}

std::string lower(std::string words) {
    std::transform(words.begin(), words.end(), words.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    return words;
}

}  // namespace

Address parse_source(const std::string& words) {
    if (words.compare(0, 4, "raw:") == 0) {
        return with_options(Kind::kRaw, words.substr(4), kOfDevice);
    }
    const auto mark = words.find("://");
    const std::string scheme = mark == std::string::npos ? "" : lower(words.substr(0, mark));
    const std::string rest = mark == std::string::npos ? "" : words.substr(mark + 3);
    if (scheme == "v4l2") {
        return device(rest);
    }
    if (scheme == "csi") {
        return csi(rest);
    }
    if (scheme == "gst") {
        return plain(Kind::kPipeline, rest);
    }
    for (const char* known_scheme : {"rtsp", "rtsps", "http", "https"}) {
        if (scheme == known_scheme) {
            return plain(Kind::kNetwork, words);
        }
    }
    if (is_number(words)) {
        return device(words);
    }
    if (is_camera(words)) {
        return plain(Kind::kDevice, words);
    }
    return plain(words.find(" ! ") == std::string::npos ? Kind::kFile : Kind::kPipeline, words);
}

}  // namespace apps
