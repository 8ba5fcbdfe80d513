// SPDX-License-Identifier: Apache-2.0
#include "kinds.h"

#include <glob.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "../addresses.h"
#include "../arguments.h"
#include "../words.h"
#include "file_kinds.h"

namespace apps {

namespace {

namespace fs = std::filesystem;

// "~/x" with the home folder.
std::string expanded(const std::string& words) {
    const char* home = std::getenv("HOME");
    const bool is_home = words == "~" || words.compare(0, 2, "~/") == 0;
    return is_home && home != nullptr ? home + words.substr(1) : words;
}

bool is_glob(const std::string& words) {
    return words.find_first_of("*?[") != std::string::npos;
}

std::string kind_of_scheme(const std::string& scheme) {
    if (scheme == "synthetic") {
        return kStreet;
    }
    if (scheme == "bag") {
        return kBag;
    }
    if (is_one_of(scheme, " v4l2 csi gst ")) {
        return kCamera;
    }
    return is_one_of(scheme, " rtsp rtsps rtmp http https udp rtp srt tcp ") ? kStream : kUnknown;
}

Address recording(Kind kind, const std::string& words) {
    Address address;
    address.kind = kind;
    address.place = expanded(words);
    address.label = shown_address(words);
    address.ends = true;
    return address;
}

Address pictures(const std::string& words, std::vector<std::string> found) {
    Address address = recording(Kind::kPictures, words);
    address.pictures = std::move(found);
    return address;
}

Address folder(const std::string& words) {
    std::vector<std::string> found;
    std::size_t entries = 0;
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(expanded(words), code)) {
        ++entries;
        if (is_picture(entry.path())) {
            found.push_back(entry.path().string());
        }
    }
    if (code) {
        throw bad_input("Folder '" + words + "' cannot be read: " + code.message() + ".",
                        "Check its permissions.");
    }
    if (found.empty()) {
        throw bad_input(
            "Folder '" + words + "' has no images (of " + std::to_string(entries) + " entries).",
            "Images end in .png, .jpg or .ppm; subfolders are not searched.");
    }
    std::sort(found.begin(), found.end());
    return pictures(words, std::move(found));
}

Address list(const std::string& words) {
    const fs::path path = expanded(words);
    std::ifstream file(path);
    std::vector<std::string> found;
    for (std::string line; std::getline(file, line);) {
        const std::string name = trimmed(line);
        if (name.empty()) {
            continue;
        }
        found.push_back((path.parent_path() / name).string());
        std::error_code code;
        if (!fs::is_regular_file(found.back(), code)) {
            throw bad_input("An image of '" + words + "' does not exist: " + found.back() + ".",
                            "Paths are relative to the folder of the list.");
        }
    }
    if (found.empty()) {
        throw bad_input("The list of images '" + words + "' is empty, or cannot be read.",
                        "Expected one path per line, relative to the list.");
    }
    return pictures(words, std::move(found));
}

// What only the Python package reads, and how its images get here.
[[noreturn]] void refuse(const std::string& words, const std::string& kind) {
    const std::string shown = shown_address(words);
    if (kind == kUnread) {
        throw bad_input("'" + shown + "' is an " + kind + ".", "Convert it to PNG or JPEG.");
    }
    if (kind == kOther) {
        throw bad_input("'" + shown + "' is a " + kind + ".", kGrammar);
    }
    if (kind == kUnknown) {
        throw edge_ovss::Error(EDGE_OVSS_ERROR_USAGE,
                               "There is no source of kind '" +
                                   shown_address(words.substr(0, words.find("://") + 3)) + "'.",
                               kGrammar);
    }
    if (kind == kMissing) {
        throw bad_input("Source '" + shown + "' does not exist.", kGrammar);
    }
    throw edge_ovss::Error(
        EDGE_OVSS_ERROR_USAGE,
        "'" + shown + "' is a source of kind '" + kind + "', which only edge-ovss run reads.",
        "Write its images first, then give that folder: edge-ovss run BUNDLE '" + shown +
            "' --save image --out FOLDER.");
}

Address one_source(const std::string& words, const std::string& kind) {
    if (kind == kCamera || kind == kStream) {
        return parse_camera(words.find("://") == std::string::npos ? expanded(words) : words);
    }
    if (kind == kFolder) {
        return folder(words);
    }
    if (kind == kList) {
        return list(words);
    }
    if (kind == kPicture) {
        return pictures(words, {expanded(words)});
    }
    if (kind == kVideo) {
        return recording(Kind::kVideo, words);
    }
    refuse(words, kind);
}

// All that can be read among the files that match, by name.
std::vector<std::string> matches_of(const std::string& pattern) {
    glob_t found{};
    std::vector<std::string> names;
    if (glob(expanded(pattern).c_str(), GLOB_NOESCAPE, nullptr, &found) == 0) {
        for (std::size_t i = 0; i < found.gl_pathc; ++i) {
            names.emplace_back(found.gl_pathv[i]);
        }
    }
    const std::size_t all = names.size();
    globfree(&found);
    names.erase(std::remove_if(names.begin(), names.end(),
                               [](const std::string& name) {
                                   const std::string kind = file_kind(name);
                                   return kind != kPicture && kind != kVideo && kind != kBag &&
                                          kind != kCamera;
                               }),
                names.end());
    if (names.empty()) {
        throw bad_input("Nothing that can be read matches '" + pattern + "' (" +
                            std::to_string(all) + " files do).",
                        kGrammar);
    }
    std::sort(names.begin(), names.end());
    return names;
}

void refuse_mixed(const std::vector<Address>& found) {
    std::set<std::string> seen;
    for (const Address& address : found) {
        if (address.is_live() != found.front().is_live()) {
            const bool is_live = address.is_live();
            throw edge_ovss::Error(EDGE_OVSS_ERROR_USAGE,
                                   "'" + (is_live ? address : found.front()).label +
                                       "' is live and '" +
                                       (is_live ? found.front() : address).label +
                                       "' is not; expected cameras and streams only, or none.",
                                   "Give them in two runs.");
        }
        const std::string all = address.kind == Kind::kRaw ? address.label : address.place;
        if (address.is_live() && !seen.insert(all).second) {
            throw edge_ovss::Error(EDGE_OVSS_ERROR_USAGE, "'" + address.label + "' is given twice.",
                                   "Give it once.");
        }
    }
}

}  // namespace

std::string source_kind(const std::string& words) {
    const auto mark = words.find("://");
    if (mark != std::string::npos) {
        return kind_of_scheme(lower(words.substr(0, mark)));
    }
    const bool is_pattern = is_glob(words);
    if (words.compare(0, 10, "/dev/video") == 0 && !is_pattern) {
        return kCamera;
    }
    const std::string kind = file_kind(expanded(words));
    if (kind == kMissing && is_number(words)) {
        return kCamera;
    }
    return kind == kMissing && is_pattern ? kGlob : kind;
}

std::vector<Address> find_sources(const std::vector<std::string>& given) {
    std::vector<Address> found;
    for (const std::string& words : given) {
        if (words.compare(0, 4, "raw:") == 0) {
            found.push_back(parse_raw(words));
            continue;
        }
        const std::string kind = source_kind(words);
        if (kind != kGlob) {
            found.push_back(one_source(words, kind));
            continue;
        }
        for (const std::string& name : matches_of(words)) {
            found.push_back(one_source(name, source_kind(name)));
        }
    }
    refuse_mixed(found);
    return found;
}

}  // namespace apps
