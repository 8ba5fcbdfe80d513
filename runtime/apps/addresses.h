// SPDX-License-Identifier: Apache-2.0
// How an address is shown: where it leads, never who asks, with which password or which query. The
// rules are those of edge_ovss/_addresses.py; tests/data/addresses.json holds both to them.
#pragma once

#include <string>

namespace apps {

// What may be printed of an address, a pipeline or a path that a user gave.
std::string shown_address(const std::string& given);

// A message with every address in it as `shown_address` shows it.
std::string without_secrets(const std::string& message);

// The list of what a source may be, for messages; it has examples of addresses, and no secrets.
extern const char* const kGrammar;

}  // namespace apps
