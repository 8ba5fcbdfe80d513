// SPDX-License-Identifier: Apache-2.0
#include "kinds.h"

#include <glob.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "../addresses.h"
#include "../arguments.h"

namespace apps {

namespace {

namespace fs = std::filesystem;

constexpr const char* kPicture = "image";
constexpr const char* kVideo = "video";
constexpr const char* kBag = "recording of ROS";
constexpr const char* kCamera = "camera";
constexpr const char* kStream = "stream";
constexpr const char* kFolder = "folder";
constexpr const char* kList = "list of images";
constexpr const char* kGlob = "pattern of file names";
constexpr const char* kStreet = "drawn streets";
constexpr const char* kUnread = "image of a format that is not read";
constexpr const char* kOther = "file of a kind that neither its suffix nor its first bytes tell";
constexpr const char* kMissing = "nothing that is there";
constexpr const char* kUnknown = "address of an unknown kind";

struct Suffixes {
    const char* kind;
    const char* names;  // each between two blanks
};

constexpr Suffixes kSuffixes[] = {
    {kPicture,
     " png apng jpg jpeg jpe jfif jfi jif pjpeg pjp mpo bmp dib tif tiff webp gif avif avifs "
     "jp2 jpx j2k j2c ppm pgm pbm pnm pam sr ras "},
    {kVideo,
     " mp4 m4v mov qt avi mkv webm mpg mpeg mpe m1v m2v ts mts m2ts m2t vob wmv asf flv f4v 3gp "
     "3g2 ogv mxf divx mjpeg mjpg h264 h265 hevc 264 265 ivf y4m dav amv rm rmvb insv lrv "},
    {kList, " txt lst "},
    {kBag, " mcap db3 bag "},
    {kUnread,
     " heic heif hif jxl jxr wdp psd psb xcf svg svgz eps ico cur icns tga dds qoi pcx fits dcm "
     "exr hdr pic pfm raw dng cr2 cr3 crw nef nrw arw srf sr2 orf raf rw2 pef srw x3f 3fr iiq "},
};

std::string lower(std::string words) {
    std::transform(words.begin(), words.end(), words.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    return words;
}

bool is_one_of(const std::string& name, const char* names) {
    return !name.empty() && name.find(' ') == std::string::npos &&
           std::strstr(names, (" " + name + " ").c_str()) != nullptr;
}

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

std::string head_of(const fs::path& path, std::size_t size) {
    std::ifstream file(path, std::ios::binary);
    std::string head(size, '\0');
    file.read(head.data(), static_cast<std::streamsize>(size));
    head.resize(static_cast<std::size_t>(file.gcount()));
    return head;
}

bool begins(const std::string& head, const std::string& magic, std::size_t at = 0) {
    return head.compare(std::min(at, head.size()), magic.size(), magic) == 0;
}

// Formats that OpenCV may read. Two letters may begin any text: more is asked of these.
bool is_picture_head(const std::string& head) {
    static const std::vector<std::string> magics{"\x89PNG\r\n\x1a\n",
                                                 "\xff\xd8\xff",
                                                 "GIF87a",
                                                 "GIF89a",
                                                 std::string("II*\0", 4),
                                                 std::string("MM\0*", 4),
                                                 std::string("II+\0", 4),
                                                 std::string("MM\0+", 4),
                                                 std::string("\0\0\0\x0cjP  \r\n", 10),
                                                 "\xff\x4f\xff\x51",
                                                 "\x59\xa6\x6a\x95"};
    if (std::any_of(magics.begin(), magics.end(),
                    [&](const std::string& magic) { return begins(head, magic); })) {
        return true;
    }
    if (begins(head, "RIFF") && begins(head, "WEBP", 8)) {
        return true;
    }
    if (begins(head, "ftyp", 4)) {
        return begins(head, "avif", 8) || begins(head, "avis", 8);
    }
    if (begins(head, "BM") && begins(head, std::string(4, '\0'), 6) && head.size() >= 26) {
        return true;
    }
    if (head.size() < 4 || head[0] != 'P' || std::strchr("1234567Ff", head[1]) == nullptr ||
        std::isspace(static_cast<unsigned char>(head[2])) == 0) {
        return false;
    }
    return std::isdigit(static_cast<unsigned char>(head[3])) != 0 || head[3] == '#' ||
           head[1] == '7';
}

bool is_unread_head(const std::string& head) {
    static const std::vector<std::string> magics{"\xff\x0a", std::string("\0\0\0\x0cJXL \r\n", 11),
                                                 "8BPS",     "#?RADIANCE",
                                                 "#?RGBE",   "\x76\x2f\x31\x01"};
    return std::any_of(magics.begin(), magics.end(),
                       [&](const std::string& magic) { return begins(head, magic); }) ||
           (begins(head, "ftyp", 4) &&
            is_one_of(head.substr(8, 4), " heic heix heim heis hevc hevx mif1 "));
}

bool is_video_head(const std::string& head) {
    static const std::vector<std::string> magics{
        "\x1a\x45\xdf\xa3", std::string("FLV\x01"),         "OggS",
        "\x30\x26\xb2\x75", std::string("\0\0\x01\xba", 4), "DKIF"};
    return (head.size() >= 8 && is_one_of(head.substr(4, 4), " ftyp moov mdat wide ")) ||
           (begins(head, "RIFF") && begins(head, "AVI ", 8)) ||
           std::any_of(magics.begin(), magics.end(),
                       [&](const std::string& magic) { return begins(head, magic); });
}

std::string kind_by_content(const fs::path& path) {
    const std::string head = head_of(path, 32);
    if (is_picture_head(head)) {
        return kPicture;
    }
    if (is_unread_head(head)) {
        return kUnread;
    }
    return is_video_head(head) ? kVideo : kOther;
}

// A suffix decides, unless it says video and the first bytes are those of an image, or the other
// way round.
std::string corrected(const std::string& kind, const fs::path& path, const std::string& suffix) {
    const bool in_a_row = suffix == "mjpeg" || suffix == "mjpg";
    if ((kind != kPicture && kind != kVideo) || in_a_row) {
        return kind;
    }
    const std::string seen = kind_by_content(path);
    return seen == kPicture || seen == kVideo ? seen : kind;
}

bool is_bag(const fs::path& folder) {
    return head_of(folder / "metadata.yaml", 1024).find("rosbag2_bagfile_information") !=
           std::string::npos;
}

std::string suffix_of(const fs::path& path) {
    const std::string suffix = path.extension().string();
    return suffix.empty() ? "" : lower(suffix.substr(1));
}

// Links are followed; a character device is a camera.
std::string file_kind(const fs::path& path) {
    std::error_code code;
    const fs::file_status status = fs::status(path, code);
    if (!fs::exists(status)) {
        return kMissing;
    }
    if (fs::is_directory(status)) {
        return is_bag(path) ? kBag : kFolder;
    }
    if (fs::is_character_file(status)) {
        return kCamera;
    }
    const std::string suffix = suffix_of(path);
    for (const auto& [kind, names] : kSuffixes) {
        if (is_one_of(suffix, names)) {
            return fs::is_regular_file(status) ? corrected(kind, path, suffix) : kind;
        }
    }
    // A pipe must not be read: its data could not be read again.
    return fs::is_regular_file(status) ? kind_by_content(path) : kOther;
}

// A broken link counts if its name says so, so that the failure to read it is reported.
bool is_picture(const fs::path& path) {
    if (path.filename().string().compare(0, 1, ".") == 0) {
        return false;
    }
    std::error_code code;
    return is_one_of(suffix_of(path), kSuffixes[0].names) ? !fs::is_directory(path, code)
                                                          : file_kind(path) == kPicture;
}

edge_ovss::Error input(const std::string& message, const std::string& hint) {
    return edge_ovss::Error(EDGE_OVSS_ERROR_INPUT, message, hint);
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
        throw input("Folder '" + words + "' cannot be read: " + code.message() + ".",
                    "Check its permissions.");
    }
    if (found.empty()) {
        throw input(
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
        const auto first = line.find_first_not_of(" \t\r\f\v");
        if (first == std::string::npos) {
            continue;
        }
        const auto last = line.find_last_not_of(" \t\r\f\v");
        found.push_back((path.parent_path() / line.substr(first, last - first + 1)).string());
        std::error_code code;
        if (!fs::is_regular_file(found.back(), code)) {
            throw input("An image of '" + words + "' does not exist: " + found.back() + ".",
                        "Paths are relative to the folder of the list.");
        }
    }
    if (found.empty()) {
        throw input("The list of images '" + words + "' is empty, or cannot be read.",
                    "Expected one path per line, relative to the list.");
    }
    return pictures(words, std::move(found));
}

// What only the Python package reads, and how its images get here.
[[noreturn]] void refuse(const std::string& words, const std::string& kind) {
    const std::string shown = shown_address(words);
    if (kind == kUnread) {
        throw input("'" + shown + "' is an " + kind + ".", "Convert it to PNG or JPEG.");
    }
    if (kind == kOther) {
        throw input("'" + shown + "' is a " + kind + ".", kGrammar);
    }
    if (kind == kUnknown) {
        throw edge_ovss::Error(EDGE_OVSS_ERROR_USAGE,
                               "There is no source of kind '" +
                                   shown_address(words.substr(0, words.find("://") + 3)) + "'.",
                               kGrammar);
    }
    if (kind == kMissing) {
        throw input("Source '" + shown + "' does not exist.", kGrammar);
    }
    throw edge_ovss::Error(
        EDGE_OVSS_ERROR_USAGE,
        "'" + shown + "' is a source of kind '" + kind + "', which only edge-ovss run reads.",
        "Write its images first, then give that folder: edge-ovss run BUNDLE '" + shown +
            "' --save image --out FOLDER.");
}

Address one_source(const std::string& words) {
    if (words.compare(0, 4, "raw:") == 0) {
        return parse_raw(words);
    }
    const std::string kind = source_kind(words);
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
        throw input("Nothing that can be read matches '" + pattern + "' (" + std::to_string(all) +
                        " files do).",
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
        if (words.compare(0, 4, "raw:") == 0 || source_kind(words) != kGlob) {
            found.push_back(one_source(words));
            continue;
        }
        for (const std::string& name : matches_of(words)) {
            found.push_back(one_source(name));
        }
    }
    refuse_mixed(found);
    return found;
}

}  // namespace apps
