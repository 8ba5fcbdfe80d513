// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

namespace ovss {

namespace {

struct Code {
    GQuark domain;
    int code;
};

Code code_of(edge_ovss_status status) {
    switch (status) {
        case EDGE_OVSS_ERROR_USAGE:
            return {GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS};
        case EDGE_OVSS_ERROR_MISSING:
            return {GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_INIT};
        case EDGE_OVSS_ERROR_ARTIFACT:
            return {GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ};
        case EDGE_OVSS_ERROR_INPUT:
            return {GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT};
        default:
            return {GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_FAILED};
    }
}

}  // namespace

void post(gpointer element, GstMessageType type, edge_ovss_status status,
          const std::string& message, const std::string& hint) {
    const Code code = code_of(status);
    const std::string words = hint.empty() ? message : message + " " + hint;
    gst_element_message_full(GST_ELEMENT(element), type, code.domain, code.code,
                             g_strdup(words.c_str()), nullptr, __FILE__, GST_FUNCTION, __LINE__);
}

}  // namespace ovss
