// call_core BUNDLE BACKEND: images on stdin, answers on stdout, for a test in Python. A line says what
// to do; the bytes of an image follow theirs.
//
//   image ENCODING HEIGHT WIDTH STEP SIZE NOW    answer: pixels three times, or "error WORDS"
//   status NOW                                   answer: level, message, then "key=value", one a line
//   change NAME=VALUE...                         answer: "ok", or "error WORDS"
#include <iostream>
#include <sstream>

#include "core.hpp"
#include "made_from.hpp"

namespace {

void print(const segmenter::Pixels& pixels) {
    std::cout << (pixels.encoding.empty() ? "none" : pixels.encoding) << ' ' << pixels.height << ' '
              << pixels.width << ' ' << pixels.step << ' ' << pixels.data.size() << '\n';
    std::cout.write(reinterpret_cast<const char*>(pixels.data.data()),
                    static_cast<std::streamsize>(pixels.data.size()));
}

void segment(segmenter::Core& core, std::istringstream& words) {
    segmenter::Image image;
    double now = 0.0;
    words >> image.encoding >> image.height >> image.width >> image.step >> image.size >> now;
    std::vector<std::uint8_t> bytes(image.size);
    std::cin.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(image.size));
    image.data = bytes.data();
    const segmenter::Answer answer = core.segment(image, now);
    print(answer.labels);
    print(answer.overlay);
    print(answer.confidence);
}

void tell(const segmenter::Core& core, std::istringstream& words) {
    double now = 0.0;
    words >> now;
    const segmenter::Status status = core.status(now);
    std::cout << int{status.level} << '\n' << status.message << '\n';
    for (const auto& [key, value] : status.values) {
        std::cout << key << '=' << value << '\n';
    }
    std::string names;
    for (const std::string& name : core.names()) {
        names += (names.empty() ? "" : ", ") + name;
    }
    std::cout << "threshold=" << core.threshold() << "\nnames=" << names << "\nend\n";
}

segmenter::Changes changes_of(std::istringstream& words) {
    segmenter::Changes changes;
    for (std::string each; words >> each;) {
        const std::string name = each.substr(0, each.find('='));
        const std::string value = each.substr(name.size() + 1);
        if (name == "words") {
            changes.words = value;
        } else if (name == "unknown") {
            changes.unknown = value;
        } else if (name == "overlay") {
            changes.overlay = value == "true";
        } else if (name == "confidence") {
            changes.confidence = value == "true";
        }
    }
    return changes;
}

void obey(segmenter::Core& core, const std::string& line) {
    std::istringstream words(line);
    std::string what;
    words >> what;
    if (what == "image") {
        segment(core, words);
        return;
    }
    if (what == "status") {
        tell(core, words);
        return;
    }
    core.change(changes_of(words));
    std::cout << "ok\n";
}

}  // namespace

int main(int, char** argv) {
    try {
        segmenter::Core core(argv[1], made_from::digests(), argv[2], 1);
        for (std::string line; std::getline(std::cin, line); std::cout.flush()) {
            try {
                obey(core, line);
            } catch (const edge_ovss::Error& err) {
                std::cout << "error " << err.what() << '\n';
            }
        }
    } catch (const edge_ovss::Error& err) {
        std::cerr << err.what() << '\n';
        return 1;
    }
    return 0;
}
