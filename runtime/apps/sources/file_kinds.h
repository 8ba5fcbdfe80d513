// SPDX-License-Identifier: Apache-2.0
// What a file is, by its suffix and its first bytes: edge_ovss/frames/source_kinds.py says the
// same.
#pragma once

#include <filesystem>
#include <string>

namespace apps {

// Kinds by the names of Python's SourceKind.
inline constexpr const char* kPicture = "image";
inline constexpr const char* kVideo = "video";
inline constexpr const char* kBag = "recording of ROS";
inline constexpr const char* kCamera = "camera";
inline constexpr const char* kStream = "stream";
inline constexpr const char* kFolder = "folder";
inline constexpr const char* kList = "list of images";
inline constexpr const char* kGlob = "pattern of file names";
inline constexpr const char* kStreet = "drawn streets";
inline constexpr const char* kUnread = "image of a format that is not read";
inline constexpr const char* kOther =
    "file of a kind that neither its suffix nor its first bytes tell";
inline constexpr const char* kMissing = "nothing that is there";
inline constexpr const char* kUnknown = "address of an unknown kind";

// Links are followed; a character device is a camera.
std::string file_kind(const std::filesystem::path& path);

// A broken link counts if its name says so, so that the failure to read it is reported.
bool is_picture(const std::filesystem::path& path);

}  // namespace apps
