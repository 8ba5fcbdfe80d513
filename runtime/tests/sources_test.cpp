// SPDX-License-Identifier: Apache-2.0
// sources_test CAMERA_ADDRESSES.json SOURCE_KINDS.json: the programs understand the words for a
// source as the Python package does, which is tested with the same tables.
#include "../apps/sources/kinds.h"

#include <unistd.h>

#include <edge_ovss/edge_ovss.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "check.h"

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

const char* transport_of(apps::Kind kind) {
    switch (kind) {
        case apps::Kind::kDevice:
            return "V4L2";
        case apps::Kind::kNetwork:
            return "FFmpeg";
        case apps::Kind::kPipeline:
            return "GStreamer";
        default:
            return "none";
    }
}

// What Python says of the same words.
Json row_of(const std::string& given) {
    Json row{{"given", given}};
    try {
        const apps::Address address = apps::parse_camera(given);
        const bool is_pipeline = address.kind == apps::Kind::kPipeline;
        row["transport"] = transport_of(address.kind);
        row["place"] = is_pipeline ? apps::with_appsink(address.place) : address.place;
        // A pipeline of ours goes through OpenCV with one conversion more.
        if (given.compare(0, 3, "csi") == 0) {
            CHECK(address.place.find("appsink") == std::string::npos);
        }
        row["label"] = address.label;
        if (address.ends) {
            row["ends"] = true;
        }
        if (address.height > 0) {
            row["height"] = address.height;
            row["width"] = address.width;
        }
        if (address.fps > 0.0) {
            row["fps"] = address.fps;
        }
        if (!address.format.empty()) {
            row["code"] = address.format;
        }
    } catch (const edge_ovss::Error& err) {
        CHECK(err.status() == EDGE_OVSS_ERROR_USAGE);
        CHECK(!err.hint().empty());
        row["error"] = err.what();
    }
    return row;
}

void check_addresses(const Json& table) {
    CHECK(table.size() >= 40);
    for (Json wanted : table) {
        wanted.erase("stem");  // of files that the C++ programs do not write
        const Json found = row_of(wanted["given"]);
        const bool fails = wanted.contains("error") && found.contains("error");
        const bool same =
            fails ? found["error"].get<std::string>().find(wanted["error"]) != std::string::npos
                  : found == wanted;
        if (!same) {
            std::fprintf(stderr, "found    %s\nexpected %s\n", found.dump().c_str(),
                         wanted.dump().c_str());
        }
        CHECK(same);
    }
}

std::string bytes_of(const std::string& hex) {
    std::string bytes;
    for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
        bytes += static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16));
    }
    return bytes;
}

// "folder", "bag", or the bytes of a file.
void make(const std::string& name, const std::string& content) {
    if (content != "folder" && content != "bag") {
        std::ofstream(name, std::ios::binary) << bytes_of(content);
        return;
    }
    fs::create_directory(name);
    if (content == "bag") {
        std::ofstream(name + "/metadata.yaml") << "rosbag2_bagfile_information:\n";
    }
}

void check_kinds(const Json& table) {
    CHECK(table.size() >= 50);
    for (const Json& row : table) {
        if (row.contains("content")) {
            make(row["given"], row["content"]);
        }
    }
    for (const Json& row : table) {
        const std::string found = apps::source_kind(row["given"]);
        if (found != row["kind"]) {
            std::fprintf(stderr, "'%s' is '%s', expected '%s'\n",
                         row["given"].get<std::string>().c_str(), found.c_str(),
                         row["kind"].get<std::string>().c_str());
        }
        CHECK(found == row["kind"]);
    }
}

void check_fails(const std::vector<std::string>& given, int status, const std::string& words) {
    try {
        apps::find_sources(given);
    } catch (const edge_ovss::Error& err) {
        const std::string all = err.what() + std::string(" ") + err.hint();
        if (err.status() != status || all.find(words) == std::string::npos) {
            std::fprintf(stderr, "status %d: %s\n", err.status(), all.c_str());
        }
        CHECK(err.status() == status);
        CHECK(all.find(words) != std::string::npos);
        return;
    }
    std::fprintf(stderr, "no error: %s\n", words.c_str());
    CHECK(false);
}

// In the folder that `check_kinds` has filled.
void check_many() {
    const auto found = apps::find_sources({"0", "rtsp://me:s3cret@gate/1", "raw:a.raw?fps=2"});
    CHECK(found.size() == 3 && found[0].is_live() && found[1].label == "rtsp://gate/1");
    CHECK(found[2].kind == apps::Kind::kRaw && found[2].fps == 2.0 && found[2].waits());
    fs::create_directory("day");
    for (const char* name : {"b.png", "a.jpg", ".hidden.png", "notes.txt"}) {
        std::ofstream(std::string("day/") + name) << "x";
    }
    const auto day = apps::find_sources({"day"});
    CHECK(day.size() == 1 && day[0].kind == apps::Kind::kPictures && !day[0].is_live());
    CHECK((day[0].pictures == std::vector<std::string>{"day/a.jpg", "day/b.png"}));
    const auto matched = apps::find_sources({"day/*", "a.mp4"});
    CHECK(matched.size() == 3 && matched[0].place == "day/a.jpg");
    CHECK(matched[2].kind == apps::Kind::kVideo);
    std::ofstream("raw:c.png", std::ios::binary) << bytes_of("89504e470d0a1a0a");
    const auto odd = apps::find_sources({"raw*.png"});  // a name that only looks like an address
    CHECK(odd.size() == 1 && odd[0].kind == apps::Kind::kPictures);
    std::ofstream("list.txt") << "day/b.png\n\n  day/a.jpg  \r\n";
    const auto list = apps::find_sources({"list.txt"});
    CHECK((list[0].pictures == std::vector<std::string>{"day/b.png", "day/a.jpg"}));
    std::ofstream("wrong.txt") << "day/none.png\n";
    check_fails({"wrong.txt"}, EDGE_OVSS_ERROR_INPUT, "does not exist: day/none.png");
    check_fails({"a.txt"}, EDGE_OVSS_ERROR_INPUT, "is empty");
    check_fails({"folder"}, EDGE_OVSS_ERROR_INPUT, "has no images (of 0 entries)");
    check_fails({"none.png"}, EDGE_OVSS_ERROR_INPUT, "A source is one of:");
    check_fails({"none*.png"}, EDGE_OVSS_ERROR_INPUT, "Nothing that can be read matches");
    check_fails({"text"}, EDGE_OVSS_ERROR_INPUT, "neither its suffix");
    check_fails({"a.heic"}, EDGE_OVSS_ERROR_INPUT, "Convert it");
    check_fails({"ftp://gate/1"}, EDGE_OVSS_ERROR_USAGE, "A source is one of:");
    check_fails({"drive"}, EDGE_OVSS_ERROR_USAGE, "edge-ovss run BUNDLE 'drive' --save image");
    check_fails({"synthetic://street?count=2"}, EDGE_OVSS_ERROR_USAGE, "?count=2' --save image");
    check_fails({"0", "day"}, EDGE_OVSS_ERROR_USAGE, "'/dev/video0' is live and 'day' is not");
    check_fails({"day", "0"}, EDGE_OVSS_ERROR_USAGE, "'/dev/video0' is live and 'day' is not");
    check_fails({"0", "/dev/video0"}, EDGE_OVSS_ERROR_USAGE, "is given twice");
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 3);
    const Json addresses = Json::parse(std::ifstream(argv[1]));
    const Json kinds = Json::parse(std::ifstream(argv[2]));
    char folder[] = "/tmp/edge_ovss_sources_XXXXXX";
    CHECK(mkdtemp(folder) != nullptr);
    fs::current_path(folder);
    check_addresses(addresses);
    check_kinds(kinds);
    check_many();
    fs::current_path("/");
    fs::remove_all(folder);
    return 0;
}
