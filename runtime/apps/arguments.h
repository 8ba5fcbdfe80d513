// SPDX-License-Identifier: Apache-2.0
// The command line of the programs, and what they do with an error.
#pragma once

#include <edge_ovss/edge_ovss.hpp>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace apps {

// A mistake in the use of a program or its surroundings; `status` is the exit status.
edge_ovss::Error usage(const std::string& message);
edge_ovss::Error bad_input(const std::string& message, const std::string& hint = "");

// Options that take a value ("--threads N") and flags that do not ("--help").
class Arguments {
public:
    // Throws a usage error for an option that is in neither list.
    Arguments(int argc, char** argv, const std::vector<std::string>& with_value,
              const std::vector<std::string>& flags);

    const std::vector<std::string>& positional() const { return positional_; }
    bool has(const std::string& option) const { return values_.count(option) != 0; }
    std::string value(const std::string& option, const std::string& otherwise) const;
    // An integer from `least` to `most`.
    int number(const std::string& option, int otherwise, int least, int most) const;
    double real(const std::string& option, double otherwise, double least, double most) const;

private:
    std::vector<std::string> positional_;
    std::map<std::string, std::string> values_;
};

// An integer of digits alone. `what` names it in the message.
int parse_number(const std::string& words, const std::string& what, int least, int most);

struct FrameSize {
    int height;
    int width;
};

// "480x640", height first. `option` names it in the message.
FrameSize parse_size(const std::string& words, const std::string& option);

// --backend and --threads.
edge_ovss_options session_options(const Arguments& arguments);

// --unknown, if it was given.
void choose_unknown(const Arguments& arguments, edge_ovss::Segmenter& segmenter);

// Run `body`; print an error with its hint to stderr and return its status.
int guarded(const char* program, const std::function<int()>& body);

// `words` as a JSON string, with the quotes.
std::string json_string(const std::string& words);

}  // namespace apps
