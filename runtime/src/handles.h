// SPDX-License-Identifier: Apache-2.0
// Handles that stay safe after they are closed: a handle is a number that is never used twice,
// looked up in a table, and never followed as a pointer.
#pragma once

#include <edge_ovss/edge_ovss.h>

#include <memory>

#include "session.h"

namespace edge_ovss::internal {

edge_ovss_session* add_session(std::shared_ptr<Session> session);

// The session of a handle; it lives as long as the caller holds it. Throws a usage error for a
// handle that is closed, null, or was never one.
std::shared_ptr<Session> find_session(edge_ovss_session* handle);

// Forget a handle. Throws like find_session. Returns the session, so that it is freed outside of
// the table's lock.
std::shared_ptr<Session> remove_session(edge_ovss_session* handle);

}  // namespace edge_ovss::internal
