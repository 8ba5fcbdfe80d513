// SPDX-License-Identifier: Apache-2.0
#include "address.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>

#include "../addresses.h"
#include "../arguments.h"
#include "../words.h"

namespace apps {

namespace {

constexpr double kFastest = 1000.0;
constexpr std::size_t kSideDigits = 6;
constexpr const char* kTail =
    "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false";

using Setter = std::function<void(Address&, const std::string& value, const std::string& given)>;
using Options = std::map<std::string, Setter>;

edge_ovss::Error wrong(const std::string& message, const std::string& hint) {
    return edge_ovss::Error(EDGE_OVSS_ERROR_USAGE, message, hint);
}

edge_ovss::Error wrong_value(const std::string& name, const std::string& value,
                             const std::string& given, const std::string& expected) {
    return wrong("Option '" + name + "' of '" + given + "' is '" + value + "'.",
                 "Expected " + expected + ".");
}

std::string upper(std::string words) {
    std::transform(words.begin(), words.end(), words.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
    return words;
}

void set_size(Address& address, const std::string& value, const std::string& given) {
    const auto cross = std::min(value.find('x'), value.size());
    const std::string height = value.substr(0, cross);
    const std::string width = value.substr(std::min(cross + 1, value.size()));
    if (is_digits(height, kSideDigits) && is_digits(width, kSideDigits)) {
        address.height = std::atoi(height.c_str());
        address.width = std::atoi(width.c_str());
    }
    address.is_size_asked = true;
    const int largest = std::max(address.height, address.width);
    if (std::min(address.height, address.width) < 1 || largest > EDGE_OVSS_MAX_SIDE) {
        throw wrong_value("size", value, given, "height x width in pixels, such as 720x1280");
    }
}

void set_fps(Address& address, const std::string& value, const std::string& given) {
    char* end = nullptr;
    address.fps = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !(address.fps > 0.0 && address.fps <= kFastest)) {
        throw wrong_value("fps", value, given, "frames per second, such as 30");
    }
}

void set_format(Address& address, const std::string& value, const std::string& given) {
    address.format = upper(value);
    const bool is_plain = std::all_of(
        value.begin(), value.end(), [](unsigned char letter) { return std::isalnum(letter) != 0; });
    if (!is_plain || value.size() < 3 || value.size() > 4) {
        throw wrong_value("format", value, given,
                          "a format of V4L2 such as MJPG or YUYV; see v4l2-ctl --list-formats");
    }
    address.format.resize(4, ' ');
}

void set_raw_format(Address& address, const std::string& value, const std::string&) {
    address.format = value;
}

// Two digits of base 16.
bool is_code(const std::string& words, std::size_t at) {
    return at + 2 <= words.size() && std::isxdigit(static_cast<unsigned char>(words[at])) != 0 &&
           std::isxdigit(static_cast<unsigned char>(words[at + 1])) != 0;
}

std::string decoded(const std::string& words) {
    std::string plain;
    for (std::size_t at = 0; at < words.size(); ++at) {
        if (words[at] == '%' && is_code(words, at + 1)) {
            plain += static_cast<char>(std::strtol(words.substr(at + 1, 2).c_str(), nullptr, 16));
            at += 2;
        } else {
            plain += words[at] == '+' ? ' ' : words[at];
        }
    }
    return plain;
}

// "size", "fps" and the like, in the order in which messages name them.
std::string known(const Options& options) {
    std::string names;
    for (const auto& [name, set] : options) {
        names += (names.empty() ? "" : ", ") + name;
    }
    return names;
}

// Read "PLACE?key=value&key=value"; `scheme` is "v4l2://" or the like.
Address with_options(const std::string& scheme, const std::string& rest, const Options& options) {
    Address address;
    const std::string given = scheme + rest;
    const auto mark = std::min(rest.find('?'), rest.size());
    address.place = rest.substr(0, mark);
    std::string query = mark == rest.size() ? "" : rest.substr(mark + 1);
    std::vector<std::string> seen;
    while (!query.empty()) {
        const auto end = std::min(query.find('&'), query.size());
        const std::string pair = query.substr(0, end);
        query.erase(0, end + 1);
        if (pair.empty()) {
            continue;
        }
        const auto equals = std::min(pair.find('='), pair.size());
        const std::string name = decoded(pair.substr(0, equals));
        const auto option = options.find(name);
        if (option == options.end()) {
            throw wrong(scheme + " has no option '" + name + "'.",
                        "Options: " + known(options) + ".");
        }
        if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
            throw wrong("Option '" + name + "' is given twice in '" + given + "'.",
                        "Give it once.");
        }
        seen.push_back(name);
        option->second(address, decoded(pair.substr(std::min(equals + 1, pair.size()))), given);
    }
    return address;
}

std::string without_slashes(std::string place) {
    const auto last = place.find_last_not_of('/');
    return last == std::string::npos ? place : place.substr(0, last + 1);
}

std::string device_of(const std::string& number) {
    return "/dev/video" + std::to_string(std::atoi(number.c_str()));
}

Address device(const std::string& rest) {
    static const Options options{{"size", set_size}, {"fps", set_fps}, {"format", set_format}};
    Address address = with_options("v4l2://", rest, options);
    address.kind = Kind::kDevice;
    address.place = without_slashes(address.place);
    if (is_number(address.place)) {
        address.place = device_of(address.place);
    } else if (address.place.empty() || address.place[0] != '/') {
        throw wrong("'v4l2://" + rest + "' names no device.",
                    "Expected v4l2:///dev/video0 (three slashes) or v4l2://0.");
    }
    address.label = address.place;
    return address;
}

// "30/1", or "2997/100".
std::string rate(double fps) {
    const bool whole = fps == std::floor(fps);
    return whole ? std::to_string(static_cast<int>(fps)) + "/1"
                 : std::to_string(std::lround(100.0 * fps)) + "/100";
}

Address csi(const std::string& rest) {
    std::string flip = "0";
    const Options options{
        {"size", set_size},
        {"fps", set_fps},
        {"flip", [&flip](Address&, const std::string& value, const std::string& given) {
             if (value.size() != 1 || value[0] < '0' || value[0] > '7') {
                 throw wrong_value("flip", value, given, "the flip-method of nvvidconv, 0 to 7");
             }
             flip = value;
         }}};
    const Address asked = with_options("csi://", rest, options);
    const std::string number = without_slashes(asked.place);
    if (!is_number(number)) {
        throw wrong("'csi://" + rest + "' names no CSI camera.",
                    "Expected the number of the sensor, such as csi://0.");
    }
    Address address;
    address.kind = Kind::kPipeline;
    const std::string sensor = std::to_string(std::atoi(number.c_str()));
    address.label = "csi://" + sensor;
    address.place = "nvarguscamerasrc sensor-id=" + sensor + " ! video/x-raw(memory:NVMM),width=" +
                    std::to_string(asked.width > 0 ? asked.width : 1920) +
                    ",height=" + std::to_string(asked.height > 0 ? asked.height : 1080) +
                    ",framerate=" + rate(asked.fps > 0.0 ? asked.fps : 30.0) +
                    " ! nvvidconv flip-method=" + flip + " ! video/x-raw,format=BGRx";
    return address;
}

// "num-buffers=9"
bool counts_buffers(const std::string& pipeline) {
    const std::string name = "num-buffers=";
    for (auto at = find_start(pipeline, name); at != std::string::npos;
         at = find_start(pipeline, name, at + 1)) {
        if (is_digits(pipeline.substr(at + name.size(), 1), 1)) {
            return true;
        }
    }
    return false;
}

// Elements that read a file by its name.
constexpr const char* kFiles[] = {"filesrc", "multifilesrc", "pushfilesrc", "imagesrc",
                                  "splitmuxsrc"};
// Elements that read an address, which may be that of a file.
constexpr const char* kAddresses[] = {"uridecodebin", "uridecodebin3", "playbin",
                                      "playbin3",     "urisourcebin",  "giosrc"};

// One that reads a file, or counts its frames, ends; all others are expected to go on.
bool has_end(const std::string& pipeline) {
    const auto has = [&](const char* element) { return has_word(pipeline, element); };
    const auto reads_file = [&](const char* element) {
        const auto at = find_word(pipeline, element);
        return at != std::string::npos && find_start(pipeline, "file:", at) != std::string::npos;
    };
    return counts_buffers(pipeline) || std::any_of(std::begin(kFiles), std::end(kFiles), has) ||
           std::any_of(std::begin(kAddresses), std::end(kAddresses), reads_file);
}

Address pipeline(const std::string& words, const std::string& rest) {
    Address address;
    address.kind = Kind::kPipeline;
    address.place = trimmed(rest);
    if (address.place.empty()) {
        throw wrong("The pipeline of 'gst://' is empty.",
                    "Expected gst://SOURCE ! ..., as for gst-launch-1.0.");
    }
    const bool has_address = address.place.find("://") != std::string::npos;
    address.label = has_address ? "gst://" + shown_address(address.place) : words;
    address.ends = has_end(address.place);
    return address;
}

}  // namespace

bool is_number(const std::string& words) {
    return is_digits(words, 3);
}

Address parse_camera(const std::string& words) {
    const auto mark = words.find("://");
    if (mark == std::string::npos) {
        Address address;
        address.kind = Kind::kDevice;
        address.place = is_number(words) ? device_of(words) : words;
        address.label = address.place;
        return address;
    }
    const std::string scheme = lower(words.substr(0, mark));
    const std::string rest = words.substr(mark + 3);
    if (scheme == "v4l2") {
        return device(rest);
    }
    if (scheme == "csi") {
        return csi(rest);
    }
    if (scheme == "gst") {
        return pipeline(words, rest);
    }
    Address address;
    address.kind = Kind::kNetwork;
    address.place = scheme + "://" + rest;
    address.label = shown_address(words);
    return address;
}

Address parse_raw(const std::string& words) {
    static const Options options{{"size", set_size}, {"fps", set_fps}, {"format", set_raw_format}};
    Address address = with_options("raw:", words.substr(4), options);
    address.kind = Kind::kRaw;
    address.label = words;
    address.ends = true;
    return address;
}

std::string with_appsink(const std::string& pipeline) {
    return has_word(pipeline, "appsink") ? pipeline : pipeline + " ! " + kTail;
}

}  // namespace apps
