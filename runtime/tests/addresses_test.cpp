// SPDX-License-Identifier: Apache-2.0
// addresses_test ADDRESSES.json: the programs show an address as the Python package does.
#include "../apps/addresses.h"

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "check.h"

namespace {

// The texts of a JSON document of ASCII escapes for quotes alone, in order.
std::vector<std::string> texts(const std::string& json) {
    std::vector<std::string> found;
    bool inside = false;
    for (std::size_t at = 0; at < json.size(); ++at) {
        if (json[at] == '"') {
            inside = !inside;
            if (inside) {
                found.emplace_back();
            }
        } else if (inside) {
            at += json[at] == '\\' ? 1 : 0;
            found.back() += json[at];
        }
    }
    return found;
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    std::ifstream file(argv[1], std::ios::binary);
    const std::string json((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    const std::vector<std::string> words = texts(json);
    CHECK(words.size() >= 100 && words.size() % 4 == 0);
    for (std::size_t at = 0; at + 3 < words.size(); at += 4) {
        CHECK(words[at] == "given" && words[at + 2] == "shown");
        const std::string shown = apps::shown_address(words[at + 1]);
        if (shown != words[at + 3]) {
            std::fprintf(stderr, "'%s' is shown as '%s', expected '%s'\n", words[at + 1].c_str(),
                         shown.c_str(), words[at + 3].c_str());
        }
        CHECK(shown == words[at + 3]);
        CHECK(apps::shown_address(shown) == shown);
    }
    CHECK(apps::without_secrets("open 'rtsp://me:s3cret@gate:554/1?k=s3cret': a=b@c http://x") ==
          "open 'rtsp://gate:554/1': a=b@c http://x");
    CHECK(apps::without_secrets("user=x") == "user=x");
    return 0;
}
