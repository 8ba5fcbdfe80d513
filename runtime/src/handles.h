// SPDX-License-Identifier: Apache-2.0
// Handles that stay safe after they are closed: a handle is a number that is never used twice,
// looked up in a table, and never followed as a pointer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "error.h"

namespace edge_ovss::internal {

// The handles of one kind; `Handle` is the type in the C interface, `Object` what it stands for.
// Never destroy one: a program may close a handle from the destructor of a global object.
template <class Handle, class Object>
class HandleTable {
public:
    // `name` is that of a handle in messages, such as "session", `hint` where they come from.
    HandleTable(const char* name, const char* hint) : name_(name), hint_(hint) {}

    Handle* add(std::shared_ptr<Object> object) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const std::uintptr_t number = next_++;
        objects_.emplace(number, std::move(object));
        return reinterpret_cast<Handle*>(number);
    }

    // What a handle stands for; it lives as long as the caller holds it. Throws a usage error for a
    // handle that is closed, null, or was never one.
    std::shared_ptr<Object> find(Handle* handle) {
        const std::lock_guard<std::mutex> lock(mutex_);
        return at(handle)->second;
    }

    // Forget a handle. Throws like find. Returns the object, so that it is freed outside of the
    // table's lock.
    std::shared_ptr<Object> remove(Handle* handle) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto found = at(handle);
        std::shared_ptr<Object> object = std::move(found->second);
        objects_.erase(found);
        return object;
    }

private:
    using Objects = std::map<std::uintptr_t, std::shared_ptr<Object>>;

    typename Objects::iterator at(Handle* handle) {
        const auto found = objects_.find(reinterpret_cast<std::uintptr_t>(handle));
        if (found == objects_.end()) {
            throw usage_error(text("The ", name_,
                                   handle == nullptr ? " is a null pointer."
                                                     : " is closed, or was never opened."),
                              hint_);
        }
        return found;
    }

    const char* name_;
    const char* hint_;
    std::mutex mutex_;
    Objects objects_;
    std::uintptr_t next_ = 1;
};

}  // namespace edge_ovss::internal
