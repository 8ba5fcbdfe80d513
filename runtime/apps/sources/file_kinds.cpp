// SPDX-License-Identifier: Apache-2.0
#include "file_kinds.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <fstream>
#include <vector>

#include "../words.h"

namespace apps {

namespace {

namespace fs = std::filesystem;

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

}  // namespace

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

bool is_picture(const fs::path& path) {
    if (path.filename().string().compare(0, 1, ".") == 0) {
        return false;
    }
    std::error_code code;
    return is_one_of(suffix_of(path), kSuffixes[0].names) ? !fs::is_directory(path, code)
                                                          : file_kind(path) == kPicture;
}

}  // namespace apps
