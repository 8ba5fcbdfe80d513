// SPDX-License-Identifier: Apache-2.0
// What an element holds from frame to frame, for the parts that it is written in.
#pragma once

#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>

#include <memory>

#include "frames.h"
#include "labeler.h"
#include "latency.h"
#include "settings.h"

namespace ovss {

struct State {
    // Of any thread, under the object's lock.
    Settings wanted;
    bool is_changed = true;
    Mode mode = Mode::kOverlay;  // that caps are negotiated for
    int label_bytes = 0;         // of the open bundle; 0: none is open
    LatencyEstimate latency;

    // Of the streaming thread.
    Settings current;
    std::unique_ptr<Labeler> labeler;
    Frames frames;
    guint64 count = 0;
    GstClockTime last_message = GST_CLOCK_TIME_NONE;
};

State& state_of(gpointer element);

// What the element is derived from.
GstBaseTransformClass* parent_class();

// Holds the lock of an object.
class Lock {
public:
    explicit Lock(gpointer element) : element_(element) { GST_OBJECT_LOCK(element_); }
    ~Lock() { GST_OBJECT_UNLOCK(element_); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

private:
    gpointer element_;
};

}  // namespace ovss
