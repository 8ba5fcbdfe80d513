// SPDX-License-Identifier: Apache-2.0
#include "words.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>

#include "error.h"
#include "fields.h"
#include "word_pack.h"

namespace edge_ovss::internal {

namespace {

constexpr const char* kEncode = "Encode the words with the bundle's own text tower.";

void require_open(const Bundle& bundle) {
    if (bundle.manifest.places == 0) {
        throw usage_error(
            text("The words of bundle '", bundle.folder.filename().u8string(),
                 "' are frozen into its graph."),
            "Export an open one: edge-ovss export --open 150 --vocab VOCABULARY --out DIR");
    }
}

void check_room(const Bundle& bundle, std::size_t words) {
    if (words > static_cast<std::size_t>(bundle.manifest.places)) {
        throw usage_error(text("There are ", words, " words, and the bundle has ",
                               bundle.manifest.places, " places."),
                          text("Remove some, or export a bundle with more: --open ", words, "."));
    }
}

// What the text tower reads of a name: case and white space make no difference.
std::string reading(const std::string& name) {
    std::string found;
    bool blank = false;
    for (const unsigned char letter : name) {
        if (letter == ' ' || (letter >= '\t' && letter <= '\r')) {
            blank = !found.empty();
            continue;
        }
        found += blank ? " " : "";
        blank = false;
        found += static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter + 32 : letter);
    }
    return found;
}

template <class Names>
void refuse_repeated(const Names& names) {
    std::set<std::string> seen;
    for (const auto& name : names) {
        if (!seen.insert(reading(name)).second) {
            throw frame_error(text("The word '", name, "' is there twice."), "Remove one of them.");
        }
    }
}

void check_words(const Bundle& bundle, const Vocabulary& vocabulary) {
    if (vocabulary.categories == 0 || vocabulary.names.empty()) {
        throw frame_error("There are no words; expected at least one.", kEncode);
    }
    if (vocabulary.names.size() > vocabulary.categories) {
        throw frame_error(text("There are ", vocabulary.names.size(), " outputs for ",
                               vocabulary.categories, " words."),
                          kEncode);
    }
    check_room(bundle, vocabulary.categories);
    refuse_repeated(vocabulary.names);
    refuse_repeated(vocabulary.texts);
}

// The sum as numpy has it, in eight strands, so that both runtimes give the graph the same bits.
float squares(const float* at, std::size_t count) {
    constexpr std::size_t strands = 8;
    constexpr std::size_t block = 128;
    if (count < strands) {
        float sum = 0.0F;
        for (std::size_t i = 0; i < count; ++i) {
            sum += at[i] * at[i];
        }
        return sum;
    }
    if (count > block) {
        const std::size_t half = count / 2 - (count / 2) % strands;
        return squares(at, half) + squares(at + half, count - half);
    }
    float part[strands];
    for (std::size_t i = 0; i < strands; ++i) {
        part[i] = at[i] * at[i];
    }
    std::size_t next = strands;
    for (; next + strands <= count; next += strands) {
        for (std::size_t i = 0; i < strands; ++i) {
            part[i] += at[next + i] * at[next + i];
        }
    }
    float sum =
        ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    for (; next < count; ++next) {
        sum += at[next] * at[next];
    }
    return sum;
}

// Make every vector of `width` numbers one of unit norm.
void make_unit(std::vector<float>& vectors, std::size_t width) {
    for (std::size_t at = 0; at < vectors.size(); at += width) {
        const float norm = std::sqrt(squares(&vectors[at], width));
        for (std::size_t i = 0; i < width; ++i) {
            vectors[at + i] /= norm;
        }
    }
}

// The mean over the vectors of each word, [T, P, D] to [T, D].
std::vector<float> mean(const std::vector<float>& all, std::size_t prompts, std::size_t width) {
    std::vector<float> found(all.size() / prompts);
    for (std::size_t word = 0; word * width < found.size(); ++word) {
        for (std::size_t i = 0; i < width; ++i) {
            const float* first = &all[word * prompts * width + i];
            float sum = *first;
            for (std::size_t prompt = 1; prompt < prompts; ++prompt) {
                sum += first[prompt * width];
            }
            found[word * width + i] = sum / static_cast<float>(prompts);
        }
    }
    return found;
}

void check_numbers(const Bundle& bundle, const Words& words) {
    const Manifest& manifest = bundle.manifest;
    const auto row = static_cast<std::size_t>(manifest.prompts * manifest.width);
    if (words.text.size() != words.vocabulary.categories * row) {
        throw frame_error(
            text("There are ", words.text.size(), " numbers for ", words.vocabulary.categories,
                 " words; the graph takes ", row, " for each."),
            kEncode);
    }
    if (!std::all_of(words.text.begin(), words.text.end(),
                     [](float number) { return std::isfinite(number); })) {
        throw frame_error("The embeddings hold numbers that are not finite.", kEncode);
    }
}

}  // namespace

Words read_pack(const Bundle& bundle, const std::string& path) {
    require_open(bundle);
    const Manifest& manifest = bundle.manifest;
    WordPack pack = open_pack(manifest, path);
    check_words(bundle, pack.vocabulary);
    const auto width = static_cast<std::size_t>(manifest.width);
    if (manifest.prompts == 1) {
        pack.numbers = mean(pack.numbers, pack.prompts, width);
    }
    make_unit(pack.numbers, width);
    Words words{std::move(pack.vocabulary), std::move(pack.numbers)};
    check_numbers(bundle, words);
    return words;
}

Words take_words(const Bundle& bundle, const std::string& vocabulary, const float* text,
                 std::size_t count) {
    require_open(bundle);
    Words words;
    try {
        words.vocabulary = read_vocabulary(vocabulary, "vocabulary");
    } catch (const Error& err) {
        throw frame_error(err.what(), "Give what Vocabulary.to_json returns, as JSON.");
    }
    check_words(bundle, words.vocabulary);
    words.text.assign(text, text + count);
    check_numbers(bundle, words);
    return words;
}

Bundle with_words(const Bundle& bundle, Words words) {
    Bundle changed{bundle.folder, bundle.manifest, std::move(words.vocabulary),
                   std::move(words.text)};
    Manifest& manifest = changed.manifest;
    manifest.vocabulary_name = changed.vocabulary.name;
    manifest.vocabulary_sha256 = changed.vocabulary.sha256;
    manifest.categories = static_cast<std::int64_t>(changed.vocabulary.categories);
    manifest.outputs = static_cast<std::int64_t>(changed.vocabulary.names.size());
    manifest.thresholds =
        thresholds_for(bundle, bundle.manifest.thresholds, bundle.manifest.by_output, changed);
    return changed;
}

std::vector<float> thresholds_for(const Bundle& old, const std::vector<float>& thresholds,
                                  bool by_output, const Bundle& now) {
    if (thresholds.empty()) {
        return {};
    }
    const auto lowest = static_cast<float>(old.manifest.lowest);
    const auto highest = static_cast<float>(old.manifest.highest);
    const auto& before = old.vocabulary;
    const auto& names = now.vocabulary.names;
    float all = by_output ? static_cast<float>(old.manifest.automatic.value_or(lowest)) : lowest;
    bool hides = by_output;  // what the background wins is unknown, whatever its score is
    if (!by_output) {
        const std::size_t word = before.background == std::size_t{0} && thresholds.size() > 1;
        all = thresholds[word];
        hides = before.background ? thresholds[*before.background] == highest : all != lowest;
    }
    std::vector<float> found(names.size(), all);
    if (now.vocabulary.background && hides) {
        found[*now.vocabulary.background] = highest;
    }
    for (std::size_t i = 0; by_output && i < names.size(); ++i) {
        const auto at = std::find(before.names.begin(), before.names.end(), names[i]);
        if (at != before.names.end()) {
            found[i] = thresholds[static_cast<std::size_t>(at - before.names.begin())];
        }
    }
    return found;
}

}  // namespace edge_ovss::internal
