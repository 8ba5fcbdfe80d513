// SPDX-License-Identifier: Apache-2.0
// A bundle: a folder with a frozen graph, its words, and proof of what is in it.
//
// A bundle may come from anywhere, so nothing in it is believed: names must stay inside the
// folder, only listed files are read, every listed file has the size and sha256 that the manifest
// says, and manifest, vocabulary, graph and reference answer must fit together.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "manifest.h"
#include "vocabulary.h"

namespace edge_ovss::internal {

struct Bundle {
    std::filesystem::path folder;
    Manifest manifest;
    Vocabulary vocabulary;
    std::vector<float> text;  // embeddings of the words of an open bundle, [T, P, D]

    // Path of the file `name` (relative, with '/'), checked to be inside.
    std::filesystem::path file(const std::string& name) const;
};

// Read and check a bundle. `hashes` false compares sizes only. Throws artifact errors.
Bundle open_bundle(const std::string& path, bool hashes);

// `folder / name`, after checking that it stays inside `folder`, links followed.
std::filesystem::path resolve_inside(const std::filesystem::path& folder, const std::string& name);

// The bytes of a file, of at most `limit` bytes. Throws an artifact error that names `name`.
std::string read_bytes(const std::filesystem::path& path, const std::string& name,
                       std::uintmax_t limit);

}  // namespace edge_ovss::internal
