// SPDX-License-Identifier: Apache-2.0
#include "bundle.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "error.h"
#include "graph_contract.h"
#include "onnx_file.h"
#include "reference.h"
#include "sha256.h"

namespace edge_ovss::internal {

namespace fs = std::filesystem;

namespace {

constexpr const char* kManifest = "manifest.json";
constexpr std::uintmax_t kDocumentLimit = std::uintmax_t{16} << 20;
constexpr std::uintmax_t kGraphLimit = std::uintmax_t{16} << 20;
constexpr std::uintmax_t kBundleLimit = std::uintmax_t{6} << 30;
constexpr std::size_t kLongestName = 255;  // bytes, of a file or folder
constexpr std::size_t kLongestPath = 1024;
constexpr std::size_t kHashShown = 12;
constexpr std::size_t kNameShown = 60;
constexpr const char* kCopyAgain = "Copy or export the bundle again.";
constexpr const char* kNotTrusted =
    "Do not use this bundle unless you know who wrote it; export it again.";

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File open_file(const fs::path& path, const std::string& name) {
    File file(std::fopen(path.c_str(), "rb"), std::fclose);
    if (!file) {
        const std::string reason = std::generic_category().message(errno);
        throw artifact_error(text("'", name, "' of the bundle cannot be read: ", reason, "."),
                             "Check the permissions of the bundle and the disk.");
    }
    return file;
}

void check_folder(const fs::path& folder) {
    std::error_code code;
    if (!fs::exists(folder, code)) {
        throw artifact_error(text("There is no bundle at '", folder.string(), "'."),
                             "Check the path; edge-ovss export writes a bundle.");
    }
    constexpr const char* give = "Give the folder that edge-ovss export wrote.";
    if (!fs::is_directory(folder, code)) {
        throw artifact_error(
            text("'", folder.string(), "' is a file; expected a bundle, which is a folder."), give);
    }
    if (!fs::is_regular_file(folder / kManifest, code)) {
        throw artifact_error(
            text("'", folder.string(), "' is not a bundle: it has no ", kManifest, "."), give);
    }
}

// Every file that the manifest refers to must be in its list of files.
void check_names(const Manifest& manifest) {
    std::vector<std::string> used = manifest.external_data;
    used.insert(used.end(),
                {manifest.graph_file, manifest.vocabulary_file, manifest.reference_frame,
                 manifest.reference_labels, manifest.reference_alive, manifest.reference_counts});
    for (const auto& name : {manifest.reference_lead, manifest.reference_measure}) {
        if (name) {
            used.push_back(*name);
        }
    }
    for (const auto& other : {manifest.spare, manifest.small}) {
        if (other) {
            used.push_back(other->file);
        }
    }
    if (manifest.places > 0) {
        used.push_back(manifest.words_file);
    }
    for (const auto& name : used) {
        if (manifest.files.count(name) == 0) {
            throw artifact_error(
                text("'", name, "' is used by ", kManifest, " but is not in its 'files'."),
                "The bundle is incomplete; export it again.");
        }
    }
}

// Refuse files that are larger than any of their kind before one is read.
void check_limits(const Manifest& manifest) {
    std::uintmax_t total = 0;
    for (const auto& item : manifest.files) {
        total += std::min<std::uintmax_t>(item.second.bytes, kBundleLimit + 1);
    }
    const auto check = [](const std::string& name, std::uintmax_t size, std::uintmax_t limit) {
        if (size > limit) {
            throw artifact_error(
                text("'", name, "' has ", size, " bytes; expected at most ", limit, "."),
                kNotTrusted);
        }
    };
    check("the bundle", total, kBundleLimit);
    const auto& files = manifest.files;
    check(manifest.graph_file, files.at(manifest.graph_file).bytes, kGraphLimit);
    check(manifest.vocabulary_file, files.at(manifest.vocabulary_file).bytes, kDocumentLimit);
    for (const auto& name :
         {manifest.reference_frame, manifest.reference_labels, manifest.reference_alive,
          manifest.reference_counts, manifest.reference_lead.value_or(manifest.reference_frame),
          manifest.reference_measure.value_or(manifest.reference_frame)}) {
        check(name, files.at(name).bytes, kReferenceLimit);
    }
    for (const auto& other : {manifest.spare, manifest.small}) {
        if (other) {
            check(other->file, files.at(other->file).bytes, kGraphLimit);
        }
    }
}

void check_hash(const fs::path& path, const std::string& name, const std::string& expected) {
    const File file = open_file(path, name);
    const std::string given = sha256_of_file(file.get(), name);
    if (given != expected) {
        throw artifact_error(text("'", name, "' of the bundle has been changed: its sha256 is ",
                                  given.substr(0, kHashShown), "..., the manifest says ",
                                  expected.substr(0, kHashShown), "...."),
                             kCopyAgain);
    }
}

void check_files(const fs::path& folder, const Manifest& manifest, bool hashes) {
    for (const auto& [name, entry] : manifest.files) {
        const fs::path path = resolve_inside(folder, name);
        std::error_code code;
        if (!fs::is_regular_file(path, code)) {
            throw artifact_error(
                text("'", name, "' is missing from the bundle '", folder.string(), "'."),
                kCopyAgain);
        }
        const auto size = fs::file_size(path, code);
        if (code || size != entry.bytes) {
            throw artifact_error(text("'", name, "' of the bundle has ", size,
                                      " bytes; the manifest says ", entry.bytes, "."),
                                 kCopyAgain);
        }
        if (hashes) {
            check_hash(path, name, entry.sha256);
        }
    }
}

void check_count(const char* what, std::size_t given, std::int64_t expected) {
    if (given != static_cast<std::size_t>(expected)) {
        throw artifact_error(
            text("The vocabulary has ", given, " ", what, "; the manifest says ", expected, "."),
            kCopyAgain);
    }
}

Vocabulary open_vocabulary(const fs::path& folder, const Manifest& manifest) {
    const auto& name = manifest.vocabulary_file;
    auto vocabulary =
        read_vocabulary(read_bytes(resolve_inside(folder, name), name, kDocumentLimit), name);
    if (vocabulary.sha256 != manifest.vocabulary_sha256) {
        throw artifact_error(
            text("The vocabulary of the bundle has the hash ",
                 vocabulary.sha256.substr(0, kHashShown), "...; the manifest says ",
                 manifest.vocabulary_sha256.substr(0, kHashShown), "...."),
            "These words are not the exported ones; export it again.");
    }
    if (vocabulary.name != manifest.vocabulary_name) {
        throw artifact_error(text("The vocabulary is called '", vocabulary.name,
                                  "'; the manifest says '", manifest.vocabulary_name, "'."),
                             kCopyAgain);
    }
    check_count("output names", vocabulary.names.size(), manifest.outputs);
    check_count("categories", vocabulary.categories, manifest.categories);
    return vocabulary;
}

// The tensors that the ONNX file keeps elsewhere must be in files that the manifest lists.
void check_locations(const fs::path& folder, const Manifest& manifest, const OnnxFile& graph) {
    const auto& name = manifest.graph_file;
    const auto slash = name.rfind('/');
    const std::string parent = slash == std::string::npos ? "" : name.substr(0, slash + 1);
    for (const auto& location : graph.locations) {
        resolve_inside(folder, location);
        const auto& listed = manifest.external_data;
        if (std::find(listed.begin(), listed.end(), parent + location) == listed.end()) {
            throw artifact_error(text("'", name, "' keeps tensors in '", parent + location,
                                      "', which the manifest does not list."),
                                 kNotTrusted);
        }
    }
}

void open_graph(const fs::path& folder, const Manifest& manifest, const Vocabulary& vocabulary) {
    const auto& name = manifest.graph_file;
    const std::string bytes = read_bytes(resolve_inside(folder, name), name, kGraphLimit);
    const auto* start = reinterpret_cast<const std::uint8_t*>(bytes.data());
    const OnnxFile graph = read_onnx(start, bytes.size(), name);
    check_locations(folder, manifest, graph);
    check_graph(manifest, graph);
    check_metadata(manifest, graph, vocabulary);
}

// The embeddings of the words of an open bundle.
std::vector<float> open_words(const fs::path& folder, const Manifest& manifest) {
    if (manifest.places == 0) {
        return {};
    }
    const auto& name = manifest.words_file;
    const auto count =
        static_cast<std::size_t>(manifest.categories * manifest.prompts * manifest.width);
    const std::uintmax_t expected = count * sizeof(float);
    const auto refuse = [&](const std::string& why) {
        throw artifact_error(
            text("'", name, "' of the bundle, the embeddings of its words, ", why, "."),
            kCopyAgain);
    };
    const auto size = manifest.files.at(name).bytes;
    if (size != expected) {
        refuse(text("has ", size, " bytes; ", manifest.categories, " words take ", expected));
    }
    const std::string bytes = read_bytes(resolve_inside(folder, name), name, expected);
    if (bytes.size() != expected) {
        refuse("has another size than before");
    }
    std::vector<float> numbers(count);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t bits = 0;  // little-endian, whatever this processor is
        for (std::size_t j = 0; j < sizeof(float); ++j) {
            bits |= std::uint32_t{static_cast<std::uint8_t>(bytes[sizeof(float) * i + j])}
                    << (8 * j);
        }
        std::memcpy(&numbers[i], &bits, sizeof(float));
        if (!std::isfinite(numbers[i])) {
            refuse("holds numbers that are not finite");
        }
    }
    return numbers;
}

// The other graphs differ in their slots only.
void open_other_graphs(const fs::path& folder, const Manifest& manifest,
                       const Vocabulary& vocabulary) {
    for (const auto& other : {manifest.spare, manifest.small}) {
        if (other && manifest.rejection != "slots") {
            throw artifact_error(text("The bundle's rejection is '", manifest.rejection, "', but '",
                                      other->file, "' has slots."),
                                 "Export the bundle again.");
        }
        if (other) {
            open_graph(folder, manifest.with_graph(*other), vocabulary);
        }
    }
}

bool is_relative_inside(const std::string& name) {
    if (name.find_first_of(std::string("\\:\0", 3)) != std::string::npos) {
        return false;
    }
    std::size_t start = 0;
    while (true) {
        const auto end = std::min(name.find('/', start), name.size());
        const std::string part = name.substr(start, end - start);
        if (part.empty() || part == "." || part == "..") {
            return false;
        }
        if (end == name.size()) {
            return true;
        }
        start = end + 1;
    }
}

bool is_too_long(const std::string& name) {
    std::size_t length = 0;
    for (const char letter : name) {
        length = letter == '/' ? 0 : length + 1;
        if (length > kLongestName) {
            return true;
        }
    }
    return name.size() > kLongestPath;
}

}  // namespace

fs::path Bundle::file(const std::string& name) const {
    return resolve_inside(folder, name);
}

fs::path resolve_inside(const fs::path& folder, const std::string& name) {
    if (!is_relative_inside(name)) {
        throw artifact_error(text("The bundle names the path '", name.substr(0, kNameShown),
                                  "'; expected a relative path inside the bundle."),
                             kNotTrusted);
    }
    if (is_too_long(name)) {
        throw artifact_error(text("The bundle names a file '", name.substr(0, kNameShown),
                                  "...', whose name is too long."),
                             kNotTrusted);
    }
    std::error_code code;
    const fs::path path = folder / fs::u8path(name);
    const fs::path root = fs::weakly_canonical(folder, code);
    const fs::path target = code ? fs::path() : fs::weakly_canonical(path, code);
    if (code) {
        throw artifact_error(
            text("'", name, "' of the bundle cannot be followed: ", code.message(), "."),
            kNotTrusted);
    }
    const auto split = std::mismatch(root.begin(), root.end(), target.begin(), target.end());
    if (split.first != root.end()) {
        throw artifact_error(text("'", name, "' is a link that leaves the bundle."), kNotTrusted);
    }
    return path;
}

std::string read_bytes(const fs::path& path, const std::string& name, std::uintmax_t limit) {
    std::error_code code;
    const auto size = fs::file_size(path, code);
    if (!code && size > limit) {
        throw artifact_error(text(name, " has ", size, " bytes; expected at most ", limit, "."),
                             kNotTrusted);
    }
    const File file = open_file(path, name);
    std::string bytes(code ? 0 : static_cast<std::size_t>(size), '\0');
    const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), file.get());
    if (count != bytes.size()) {
        throw artifact_error(text("'", name, "' of the bundle cannot be read to its end."),
                             kCopyAgain);
    }
    return bytes;
}

Bundle open_bundle(const std::string& path, bool hashes) {
    std::error_code code;
    fs::path folder = fs::absolute(fs::u8path(path), code);
    check_folder(folder);
    const fs::path file = resolve_inside(folder, kManifest);
    Manifest manifest = read_manifest(read_bytes(file, kManifest, kDocumentLimit));
    check_names(manifest);
    check_limits(manifest);
    check_files(folder, manifest, hashes);
    Vocabulary vocabulary = open_vocabulary(folder, manifest);
    check_reference(folder, manifest);
    open_graph(folder, manifest, vocabulary);
    open_other_graphs(folder, manifest, vocabulary);
    std::vector<float> words = open_words(folder, manifest);
    manifest.document.reset();
    return Bundle{std::move(folder), std::move(manifest), std::move(vocabulary), std::move(words)};
}

}  // namespace edge_ovss::internal
