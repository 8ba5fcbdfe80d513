// SPDX-License-Identifier: Apache-2.0
// Failures as messages on the bus.
#pragma once

#include <gst/gst.h>

#include <edge_ovss/edge_ovss.hpp>
#include <exception>
#include <string>

namespace ovss {

// Post an error or a warning of the element; `hint` follows the message.
void post(gpointer element, GstMessageType type, edge_ovss_status status,
          const std::string& message, const std::string& hint);

// Run `body`; whatever it throws becomes an error message of the element.
template <typename Body>
bool guarded(gpointer element, const Body& body) {
    try {
        body();
        return true;
    } catch (const edge_ovss::Error& err) {
        post(element, GST_MESSAGE_ERROR, err.status(), err.what(), err.hint());
    } catch (const std::exception& err) {
        post(element, GST_MESSAGE_ERROR, EDGE_OVSS_ERROR_INTERNAL, err.what(), "");
    }
    return false;
}

}  // namespace ovss
