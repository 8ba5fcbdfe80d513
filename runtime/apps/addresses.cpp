// SPDX-License-Identifier: Apache-2.0
#include "addresses.h"

#include <algorithm>
#include <cctype>

#include "words.h"

namespace apps {

const char* const kGrammar =
    "A source is one of:\n"
    "  0, 1, ...                        camera by number (/dev/video0, ...)\n"
    "  /dev/video0, /dev/v4l/by-id/...  camera by device, or a link to one\n"
    "  v4l2:///dev/video0?size=720x1280&fps=30&format=MJPG\n"
    "                                   camera with settings; size is height x width\n"
    "  csi://0?size=1080x1920&fps=30    CSI camera of a Jetson, by GStreamer\n"
    "  rtsp://..., http://...           camera on the network; http also MJPEG\n"
    "  gst://PIPELINE                   GStreamer pipeline, with or without appsink\n"
    "  image, folder, list (.txt), video, 'images/*.jpg'\n"
    "  raw:FILE?format=NV12&size=480x640&fps=30\n"
    "                                   frames without gaps, as a camera";

namespace {

constexpr const char* kMark = "://";
constexpr const char* kHidden = "…";
constexpr const char* kEnds = " \t\r\n\f\v'\"<>`";
constexpr const char* kSecrets[] = {"user-id", "user-pw",  "proxy-id", "proxy-pw", "user",
                                    "passwd",  "password", "pass",     "token"};

bool of_scheme(char letter) {
    return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '+' ||
           letter == '.' || letter == '-';
}

// Where the scheme before a "://" at `mark` begins; `mark` if there is none.
std::size_t scheme_start(const std::string& words, std::size_t mark, std::size_t least) {
    std::size_t start = mark;
    while (start > least && of_scheme(words[start - 1])) {
        --start;
    }
    while (start < mark && std::isalpha(static_cast<unsigned char>(words[start])) == 0) {
        ++start;
    }
    return start;
}

// "[fe80::1]:554" or "name:554"; what has more colons is half a user name.
bool is_host(const std::string& words) {
    std::size_t at = 0;
    if (!words.empty() && words[0] == '[') {
        at = words.find(']');
        if (at == std::string::npos || words.find_first_of("[@/", 1) < at) {
            return false;
        }
        ++at;
    } else {
        at = std::min(words.find_first_of(":[]@"), words.size());
    }
    if (at == words.size()) {
        return true;
    }
    return words[at] == ':' &&
           std::all_of(words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end(),
                       [](unsigned char letter) { return std::isdigit(letter) != 0; });
}

// Some cameras take the password in the path: rtsp://host/user=admin_password=…_channel=1.
std::string shown_path(std::string path) {
    path.resize(std::min(path.find_first_of("?#;\\"), path.size()));
    const auto equals = path.find('=');
    if (equals == std::string::npos) {
        return path;
    }
    return path.substr(0, path.rfind('/', equals)) + "/" + kHidden;
}

std::string shown(const std::string& address) {
    const auto mark = address.find(kMark);
    const std::string scheme = address.substr(0, mark);
    const std::string rest = address.substr(mark + 3);
    const bool has_user = rest.find('@') != std::string::npos;
    if (lower(scheme) == "synthetic" && !has_user) {
        return address;
    }
    const auto end = std::min(rest.find_first_of("/?#\\"), rest.size());
    const std::string authority = rest.substr(0, end);
    const std::string tail = rest.substr(end);
    const auto at = authority.rfind('@');
    const std::string host = at == std::string::npos ? authority : authority.substr(at + 1);
    // In hf://owner/name/file@revision the "@" is no end of a password.
    const bool unclear = tail.find('@') != std::string::npos && lower(scheme) != "hf";
    if (unclear || !is_host(host)) {
        return scheme + kMark + kHidden;
    }
    return scheme + kMark + host + shown_path(tail);
}

// user-pw=… and the like, the properties of a pipeline's elements.
std::string without_properties(const std::string& words) {
    std::string clean;
    std::size_t at = 0;
    while (at < words.size()) {
        const bool begins = begins_word(words, at);
        const auto* found =
            std::find_if(std::begin(kSecrets), std::end(kSecrets), [&](const std::string& name) {
                return begins && lower(words.substr(at, name.size() + 1)) == name + "=" &&
                       at + name.size() + 1 < words.size() &&
                       std::isspace(static_cast<unsigned char>(words[at + name.size() + 1])) == 0;
            });
        if (found == std::end(kSecrets)) {
            clean += words[at++];
            continue;
        }
        const auto size = std::string(*found).size() + 1;
        clean += words.substr(at, size) + kHidden;
        at = std::min(words.find_first_of(" \t\r\n\f\v", at), words.size());
    }
    return clean;
}

// user:password@host without a scheme, or with one that lacks a slash.
std::string shown_bare(std::string words) {
    const auto colon = words.find_first_of("/\\ \t\r\n:");
    if (colon != std::string::npos && words[colon] == ':') {
        const auto space = std::min(words.find_first_of(" \t\r\n"), words.size());
        const auto at = words.substr(0, space).rfind('@');
        if (at != std::string::npos && at > colon) {
            words = std::string(kHidden) + words.substr(at);
        }
    }
    for (auto mark = words.find('?'); mark != std::string::npos; mark = words.find('?', mark + 1)) {
        const auto space = std::min(words.find_first_of(" \t\r\n", mark), words.size());
        if (words.find('=', mark) < space) {
            return words.substr(0, mark);
        }
    }
    return words;
}

}  // namespace

std::string shown_address(const std::string& given) {
    const auto mark = given.find(kMark);
    if (mark == std::string::npos) {
        return shown_bare(given);
    }
    return mark > 0 && scheme_start(given, mark, 0) == 0 ? shown(given) : without_secrets(given);
}

std::string without_secrets(const std::string& message) {
    if (message.find(kMark) == std::string::npos) {
        return message;
    }
    std::string clean;
    std::size_t done = 0;
    for (auto mark = message.find(kMark); mark != std::string::npos;
         mark = message.find(kMark, std::max(done, mark + 1))) {
        const auto start = scheme_start(message, mark, done);
        if (start == mark) {
            continue;
        }
        const auto end = std::min(message.find_first_of(kEnds, mark), message.size());
        clean += message.substr(done, start - done) + shown(message.substr(start, end - start));
        done = end;
    }
    return without_properties(clean + message.substr(done));
}

}  // namespace apps
