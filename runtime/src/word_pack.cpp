// SPDX-License-Identifier: Apache-2.0
#include "word_pack.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "error.h"
#include "fields.h"
#include "npy.h"
#include "stored_zip.h"

namespace edge_ovss::internal {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSchema = 1;
constexpr std::uintmax_t kOthers = std::uintmax_t{32} << 20;  // bytes of all but the embeddings
constexpr std::size_t kHashShown = 12;
constexpr double kNormTolerance = 1e-2;
constexpr const char* kAgain = "Make it again with: edge-ovss vocab encode";

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
    throw frame_error(text("'", path, "' is no embedding pack, or it is damaged: ", why, "."),
                      kAgain);
}

std::string read_file(const fs::path& path, const std::string& name, std::uintmax_t limit) {
    std::error_code code;
    if (!fs::is_regular_file(path, code)) {
        throw frame_error(text("There is no file '", name, "'."),
                          "Make one with: edge-ovss vocab encode");
    }
    const auto size = fs::file_size(path, code);
    if (code || size > limit) {
        refuse(name, text("it has ", size, " bytes; expected at most ", limit));
    }
    std::string bytes(static_cast<std::size_t>(size), '\0');
    std::ifstream file(path, std::ios::binary);
    if (!file.read(bytes.data(), static_cast<std::streamsize>(size))) {
        refuse(name, "it cannot be read to its end");
    }
    return bytes;
}

std::string word(const nlohmann::json& header, const char* key, const std::string& path) {
    const auto at = header.find(key);
    if (at == header.end() || !at->is_string()) {
        refuse(path, text("its header has no text '", key, "'"));
    }
    return at->get<std::string>();
}

void check_origin(const Manifest& manifest, const nlohmann::json& header, const std::string& path) {
    const std::string made_by = word(header, "text_tower", path);
    const auto check = [&](const char* what, const char* key, const std::string& wanted) {
        const std::string given = word(header, key, path);
        if (!wanted.empty() && given != wanted) {
            throw frame_error(text("The pack '", path, "' was made with other ", what, ": ",
                                   given.substr(0, kHashShown), " of '", made_by,
                                   "'; the bundle has ", wanted.substr(0, kHashShown), "."),
                              text("Encode the words with --model ", manifest.model,
                                   " and the same checkpoint."));
        }
    };
    check("text tower", "text_tower_sha256", manifest.text_tower_sha256);
    check("templates", "templates_sha256", manifest.templates_sha256);
}

Vocabulary vocabulary_of(const nlohmann::json& header, const std::string& path) {
    const auto document = header.find("vocabulary");
    if (document == header.end() || document->is_null()) {
        throw frame_error(text("The pack '", path, "' does not hold its vocabulary: an older ",
                               "version wrote it."),
                          kAgain);
    }
    Vocabulary vocabulary = read_vocabulary(document->dump(), "vocabulary");
    const auto prompts = header.find("prompts");
    if (vocabulary.sha256 != word(header, "vocabulary_sha256", path) || prompts == header.end() ||
        *prompts != nlohmann::json(vocabulary.texts)) {
        refuse(path, "its embeddings are of other words than its vocabulary");
    }
    return vocabulary;
}

std::uint32_t little(const std::string& bytes, std::size_t at, std::size_t count) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < count; ++i) {
        bits |= std::uint32_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
    }
    return bits;
}

float widened(std::uint32_t half) {
    const auto exponent = static_cast<int>((half >> 10U) & 31U);
    const auto mantissa = static_cast<float>(half & 1023U);
    float found = std::ldexp(exponent == 0 ? mantissa : mantissa + 1024.0F,
                             exponent == 0 ? -24 : exponent - 25);
    if (exponent == 31) {
        found = NAN;  // also infinity: neither is taken
    }
    return (half & 0x8000U) != 0 ? -found : found;
}

std::vector<float> numbers_of(const Array& array) {
    const bool half = array.dtype == "<f2";
    const std::size_t size = half ? 2 : 4;
    std::vector<float> numbers(array.bytes.size() / size);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        const std::uint32_t bits = little(array.bytes, size * i, size);
        if (half) {
            numbers[i] = widened(bits);
        } else {
            std::memcpy(&numbers[i], &bits, sizeof bits);
        }
    }
    return numbers;
}

void check_norms(const std::vector<float>& numbers, std::size_t width, const std::string& path) {
    for (std::size_t at = 0; at < numbers.size(); at += width) {
        double sum = 0.0;
        for (std::size_t i = at; i < at + width; ++i) {
            sum += double{numbers[i]} * double{numbers[i]};
        }
        // What is not finite is not within either.
        if (!(std::abs(std::sqrt(sum) - 1.0) <= kNormTolerance)) {
            refuse(path, "a vector of its embeddings is not of unit norm");
        }
    }
}

WordPack read(const Manifest& manifest, const std::string& archive, const std::string& path) {
    const std::string facts =
        read_npy(stored_entry(archive, "header.npy"), "header", "|u1", 1).bytes;
    const nlohmann::json header = parse_json(facts, "header");
    if (!header.is_object() || header.value("schema", nlohmann::json()) != kSchema) {
        refuse(path, text("its header is no JSON object with the 'schema' ", kSchema));
    }
    check_origin(manifest, header, path);
    WordPack pack;
    pack.vocabulary = vocabulary_of(header, path);
    const std::string entry = stored_entry(archive, "embeddings.npy");
    const bool half = entry.substr(0, 128).find("'<f2'") != std::string::npos;
    const Array array = read_npy(entry, "embeddings", half ? "<f2" : "<f4", 3);
    const std::vector<std::size_t> expected{pack.vocabulary.categories,
                                            static_cast<std::size_t>(manifest.templates),
                                            static_cast<std::size_t>(manifest.width)};
    if (array.shape != expected) {
        refuse(path, text("its embeddings are [", array.shape[0], ", ", array.shape[1], ", ",
                          array.shape[2], "]; expected [", expected[0], ", ", expected[1], ", ",
                          expected[2], "]"));
    }
    pack.prompts = expected[1];
    pack.numbers = numbers_of(array);
    check_norms(pack.numbers, expected[2], path);
    return pack;
}

}  // namespace

WordPack open_pack(const Manifest& manifest, const std::string& path) {
    const auto most = static_cast<std::uintmax_t>(manifest.places) *
                      static_cast<std::uintmax_t>(manifest.templates * manifest.width) *
                      sizeof(float);
    // Twice as much: of too many words shall be said how many they are.
    const std::string archive = read_file(fs::u8path(path), path, 2 * most + kOthers);
    try {
        return read(manifest, archive, path);
    } catch (const Error& err) {
        if (err.status == EDGE_OVSS_ERROR_INPUT) {
            throw;
        }
        std::string why = err.what();
        refuse(path, !why.empty() && why.back() == '.' ? why.substr(0, why.size() - 1) : why);
    }
}

}  // namespace edge_ovss::internal
