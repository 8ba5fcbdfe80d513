// SPDX-License-Identifier: Apache-2.0
// Other words for an open bundle: packs that are taken, packs that are refused, and what becomes of
// thresholds. How the graph answers is tested in tests/runtime/test_native_words.py.
#include "words.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend.h"
#include "check.h"
#include "error.h"
#include "session.h"
#include "stored_zip.h"

namespace {

using namespace edge_ovss::internal;

std::string packs;  // folder

Vocabulary vocabulary(const std::vector<std::string>& names) {
    Vocabulary made;
    made.name = "before";
    made.names = made.texts = names;
    made.palette.resize(names.size());
    made.categories = names.size();
    for (std::size_t i = 0; i < names.size(); ++i) {
        made.output_map.push_back(static_cast<std::int64_t>(i));
    }
    return made;
}

Bundle open_bundle_of(const std::vector<std::string>& names) {
    Bundle bundle;
    bundle.folder = "a.ovss";
    bundle.vocabulary = vocabulary(names);
    Manifest& manifest = bundle.manifest;
    manifest.categories = manifest.outputs = static_cast<std::int64_t>(names.size());
    manifest.places = 3;
    manifest.least = 1;
    manifest.prompts = manifest.templates = 2;
    manifest.width = 4;
    manifest.templates_sha256 = "templates";
    manifest.text_tower_sha256 = "tower";
    manifest.takes_thresholds = true;
    manifest.thresholds.assign(names.size(), 0.0F);
    return bundle;
}

void refused(const Bundle& bundle, const std::string& path, edge_ovss_status status,
             const std::string& words) {
    try {
        read_pack(bundle, path);
    } catch (const Error& err) {
        const std::string said = err.what() + err.hint;
        if (err.status != status || said.find(words) == std::string::npos) {
            fprintf(stderr, "%s: %s (%d)\n", path.c_str(), said.c_str(), err.status);
        }
        CHECK(err.status == status && said.find(words) != std::string::npos);
        return;
    }
    fprintf(stderr, "%s is taken\n", path.c_str());
    CHECK(false);
}

std::string read(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(stream), {});
}

void a_pack_is_read() {
    for (const char* name : {"/three.npz", "/half.npz"}) {
        const Words words = read_pack(open_bundle_of({"road"}), packs + name);
        CHECK(words.vocabulary.names == std::vector<std::string>({"sky; heaven", "tree", "car"}));
        CHECK(words.vocabulary.output_map == std::vector<std::int64_t>({0, 1, 2}));
        CHECK(words.text.size() == 24);
        for (std::size_t i = 0; i < 24; ++i) {
            const std::size_t word = i / 8;
            const std::size_t prompt = i / 4 % 2;
            CHECK(words.text[i] == (i % 4 == (word + prompt) % 4 ? 1.0F : 0.0F));
        }
    }
}

void prompts_are_averaged_where_the_graph_takes_one() {
    Bundle bundle = open_bundle_of({"road"});
    bundle.manifest.prompts = 1;
    const Words words = read_pack(bundle, packs + "/three.npz");
    CHECK(words.text.size() == 12);
    for (std::size_t i = 0; i < 12; ++i) {
        const bool one = i % 4 == i / 4 || i % 4 == (i / 4 + 1) % 4;
        CHECK(std::abs(words.text[i] - (one ? std::sqrt(0.5F) : 0.0F)) < 1e-6F);
    }
}

void what_does_not_fit_is_refused() {
    const auto input = EDGE_OVSS_ERROR_INPUT;
    const Bundle bundle = open_bundle_of({"road"});
    refused(bundle, packs + "/nowhere.npz", input, "There is no file");
    refused(bundle, packs, input, "There is no file");
    refused(bundle, packs + "/older.npz", input, "does not hold its vocabulary");
    refused(bundle, packs + "/others.npz", input, "of other words than its vocabulary");
    refused(bundle, packs + "/newer.npz", input, "no JSON object with the 'schema' 1");
    refused(bundle, packs + "/packed.npz", input, "compressed");
    refused(bundle, packs + "/long.npz", input, "not of unit norm");
    refused(bundle, packs + "/narrow.npz", input, "are [3, 2, 3]; expected [3, 2, 4]");
    Bundle other = bundle;
    other.manifest.places = 2;
    refused(other, packs + "/three.npz", EDGE_OVSS_ERROR_USAGE, "3 words, and the bundle has 2");
    other.manifest.places = 0;
    refused(other, packs + "/three.npz", EDGE_OVSS_ERROR_USAGE, "export --open 150");
    other = bundle;
    other.manifest.templates_sha256 = "those of SAN";
    refused(other, packs + "/three.npz", input, "other templates: templates of 'toy'");
    other = bundle;
    other.manifest.text_tower_sha256 = "finetuned";
    refused(other, packs + "/three.npz", input, "other text tower: tower of 'toy'");
}

// Whatever is changed in a pack, it is refused or gives the same words.
void damage_is_found() {
    const Bundle bundle = open_bundle_of({"road"});
    const std::string whole = read(packs + "/three.npz");
    const std::string path = "words_test_damaged.npz";
    const auto taken = [&](const std::string& bytes) {
        std::ofstream(path, std::ios::binary) << bytes;
        try {
            const Words words = read_pack(bundle, path);
            CHECK(words.vocabulary.names[0] == "sky; heaven" && words.text[0] == 1.0F);
            return true;
        } catch (const Error& err) {
            CHECK(err.status == EDGE_OVSS_ERROR_INPUT);
            return false;
        }
    };
    CHECK(taken(whole));
    std::size_t refusals = 0;
    constexpr std::size_t step = 3;
    for (std::size_t at = 0; at < whole.size(); at += step) {
        std::string bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
        refusals += taken(bytes) ? 0 : 1;
    }
    CHECK(refusals > whole.size() / step / 2);
    for (std::size_t length = 0; length < whole.size(); length += 29) {
        CHECK(!taken(whole.substr(0, length)));
    }
    std::remove(path.c_str());
}

void words_of_a_program_are_checked() {
    const Bundle bundle = open_bundle_of({"road"});
    const std::vector<float> text(24, 0.5F);
    const auto fails = [&](const std::string& document, std::size_t count, const char* said) {
        try {
            take_words(bundle, document, text.data(), count);
        } catch (const Error& err) {
            CHECK(std::string(err.what()).find(said) != std::string::npos);
            return;
        }
        CHECK(false);
    };
    const auto document = [](const std::string& first, const std::string& second) {
        const std::string color = R"(,"color":[1,2,3]})";
        return R"({"schema":1,"name":"n","outputs":[{"name":")" + first + "\"" + color +
               R"(,{"name":")" + second + "\"" + color + R"(],"categories":[{"text":")" + first +
               R"(","synonyms":["a"],"output":0},{"text":")" + second +
               R"(","synonyms":["b"],"output":1}]})";
    };
    CHECK(take_words(bundle, document("a", "b"), text.data(), 16).text.size() == 16);
    fails(document("a", "b"), 15, "15 numbers for 2 words; the graph takes 8");
    fails(document("a", "A "), 16, "'A ' is there twice");
    fails(R"({"schema":1,"name":"n","outputs":[],"categories":[]})", 0, "no words");
    fails("{", 16, "vocabulary");
    fails("[]", 16, "vocabulary");
}

void thresholds_go_with_the_names() {
    const auto now = [](const std::vector<std::string>& names) { return open_bundle_of(names); };
    using Floats = std::vector<float>;
    Bundle old = open_bundle_of({"road", "car"});
    CHECK(thresholds_for(old, {}, false, now({"car"})).empty());
    CHECK(thresholds_for(old, {0.3F, 0.3F}, false, now({"sky", "car", "x"})) ==
          Floats({0.3F, 0.3F, 0.3F}));
    CHECK(thresholds_for(old, {0.1F, 0.3F}, true, now({"sky", "car"})) == Floats({0.0F, 0.3F}));
    old.manifest.automatic = 0.25;
    CHECK(thresholds_for(old, {0.1F, 0.3F}, true, now({"sky", "car"})) == Floats({0.25F, 0.3F}));
    Bundle hidden = now({"sky", "rest"});
    hidden.vocabulary.background = 1;
    CHECK(thresholds_for(old, {0.3F, 0.3F}, false, hidden) == Floats({0.3F, 1.0F}));
    CHECK(thresholds_for(old, {0.0F, 0.0F}, false, hidden) == Floats({0.0F, 0.0F}));  // off
    CHECK(thresholds_for(old, {0.1F, 0.2F}, true, hidden) == Floats({0.25F, 1.0F}));
    old.vocabulary.background = 0;
    CHECK(thresholds_for(old, {1.0F, 0.0F}, false, hidden) == Floats({0.0F, 1.0F}));
    CHECK(thresholds_for(old, {1.0F, 0.4F}, false, now({"a", "b"})) == Floats({0.4F, 0.4F}));
}

class Recorder final : public Backend {
public:
    explicit Recorder(bool& fails) : fails_(fails) {}
    std::uint8_t* input(std::size_t, std::size_t) override { return nullptr; }
    Answer run() override { return {}; }
    void use_words(const Bundle& bundle) override {
        if (fails_) {
            Backend::use_words(bundle);
        }
    }

private:
    bool& fails_;
};

void a_session_changes_its_words_or_stays_as_it_was() {
    bool fails = false;
    Session session(open_bundle_of({"road", "car"}), std::make_unique<Recorder>(fails));
    session.use_thresholds({0.1F, 0.2F}, true);
    const auto before = session.bundle();
    const char* const road = session.keep(before->vocabulary.names[0]);
    session.use_words(read_pack(*before, packs + "/three.npz"));
    const auto now = session.bundle();
    CHECK(session.info().outputs == 3 && session.info().categories == 3);
    CHECK(session.info().places == 3 && std::string(session.info().vocabulary) == "three");
    CHECK(now->manifest.vocabulary_sha256 == now->vocabulary.sha256);
    CHECK(!session.has_opened_words() && std::string(road) == "road");
    CHECK(session.thresholds() == std::vector<float>({0.0F, 0.0F, 0.2F}));
    bool thrown = false;
    try {
        session.use_thresholds({0.1F, 0.2F}, true);  // those of two words
    } catch (const Error& err) {
        thrown = err.status == EDGE_OVSS_ERROR_USAGE;
    }
    CHECK(thrown);
    fails = true;
    thrown = false;
    try {
        session.use_words(Words{vocabulary({"sky"}), std::vector<float>(8, 0.5F)});
    } catch (const Error& err) {
        thrown = err.status == EDGE_OVSS_ERROR_USAGE;
    }
    CHECK(thrown && session.bundle() == now && session.thresholds().size() == 3);
}

void the_interface_refuses(const std::string& things) {
    edge_ovss_session* session = nullptr;
    CHECK(edge_ovss_open(things.c_str(), nullptr, &session) == EDGE_OVSS_OK);
    const std::string pack = packs + "/three.npz";
    CHECK_FAILS(edge_ovss_set_words(session, pack.c_str()), EDGE_OVSS_ERROR_USAGE,
                "The words of bundle 'things' are frozen into its graph.");
    CHECK_FAILS(edge_ovss_set_words(session, nullptr), EDGE_OVSS_ERROR_USAGE, "pack");
    CHECK_FAILS(edge_ovss_set_words(nullptr, pack.c_str()), EDGE_OVSS_ERROR_USAGE, "null");
    CHECK_FAILS(edge_ovss_use_words(session, "{}", nullptr, 0), EDGE_OVSS_ERROR_USAGE, "text");
    edge_ovss_info info = edge_ovss_info_default();
    CHECK(edge_ovss_describe(session, &info) == EDGE_OVSS_OK && info.places == 0);
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
}

}  // namespace

int main(int, char** arguments) {
    const std::string data = arguments[1];
    packs = data + "/packs";
    a_pack_is_read();
    prompts_are_averaged_where_the_graph_takes_one();
    what_does_not_fit_is_refused();
    damage_is_found();
    words_of_a_program_are_checked();
    thresholds_go_with_the_names();
    a_session_changes_its_words_or_stays_as_it_was();
    the_interface_refuses(data + "/things");
    puts("words_test: all held");
    return 0;
}
