// SPDX-License-Identifier: Apache-2.0
#include "handles.h"

#include <cstdint>
#include <map>
#include <mutex>

#include "error.h"

namespace edge_ovss::internal {

namespace {

struct Table {
    std::mutex mutex;
    std::map<std::uintptr_t, std::shared_ptr<Session>> sessions;
    std::uintptr_t next = 1;
};

// Never destroyed: a program may close a session from the destructor of a global object.
Table& table() {
    static Table* const instance = new Table;
    return *instance;
}

std::uintptr_t number_of(edge_ovss_session* handle) {
    return reinterpret_cast<std::uintptr_t>(handle);
}

[[noreturn]] void refuse(edge_ovss_session* handle) {
    throw usage_error(handle == nullptr ? "The session is a null pointer."
                                        : "The session is closed, or was never opened.",
                      "Use the handle that edge_ovss_open gave, before edge_ovss_close.");
}

}  // namespace

edge_ovss_session* add_session(std::shared_ptr<Session> session) {
    Table& all = table();
    const std::lock_guard<std::mutex> lock(all.mutex);
    const std::uintptr_t number = all.next++;
    all.sessions.emplace(number, std::move(session));
    return reinterpret_cast<edge_ovss_session*>(number);
}

std::shared_ptr<Session> find_session(edge_ovss_session* handle) {
    Table& all = table();
    const std::lock_guard<std::mutex> lock(all.mutex);
    const auto at = all.sessions.find(number_of(handle));
    if (at == all.sessions.end()) {
        refuse(handle);
    }
    return at->second;
}

std::shared_ptr<Session> remove_session(edge_ovss_session* handle) {
    Table& all = table();
    const std::lock_guard<std::mutex> lock(all.mutex);
    const auto at = all.sessions.find(number_of(handle));
    if (at == all.sessions.end()) {
        refuse(handle);
    }
    std::shared_ptr<Session> session = std::move(at->second);
    all.sessions.erase(at);
    return session;
}

}  // namespace edge_ovss::internal
