// SPDX-License-Identifier: Apache-2.0
// The C interface of streams.
#include <edge_ovss/edge_ovss_stream.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "error.h"
#include "fence.h"
#include "stream.h"

namespace {

using namespace edge_ovss::internal;

// As for sessions: a handle is a number that is never used twice, and never followed as a pointer.
struct Table {
    std::mutex mutex;
    std::map<std::uintptr_t, std::shared_ptr<Stream>> streams;
    std::uintptr_t next = 1;
};

Table& table() {
    static Table* const instance = new Table;
    return *instance;
}

std::shared_ptr<Stream> find(edge_ovss_stream* handle, bool remove = false) {
    Table& all = table();
    const std::lock_guard<std::mutex> lock(all.mutex);
    const auto at = all.streams.find(reinterpret_cast<std::uintptr_t>(handle));
    if (at == all.streams.end()) {
        throw usage_error(handle == nullptr ? "The stream is a null pointer."
                                            : "The stream is closed, or was never opened.",
                          "Use the handle that edge_ovss_stream_open gave.");
    }
    std::shared_ptr<Stream> found = at->second;
    if (remove) {
        all.streams.erase(at);
    }
    return found;
}

void check_size(const edge_ovss_frame& frame) {
    if (frame.height < 1 || frame.height > EDGE_OVSS_MAX_SIDE || frame.width < 1 ||
        frame.width > EDGE_OVSS_MAX_SIDE) {
        throw frame_error(text("A frame of ", frame.height, "x", frame.width,
                               " pixels; expected sides of 1 to ", EDGE_OVSS_MAX_SIDE, "."));
    }
}

Motion motion_of(const edge_ovss_motion& given) {
    require(given.vectors, "motion.vectors");
    if (given.height < 1 || given.width < 1) {
        throw frame_error(text("The motion has ", given.height, "x", given.width,
                               " vectors; expected at least one."));
    }
    return {given.vectors,
            given.valid,
            {static_cast<std::size_t>(given.height), static_cast<std::size_t>(given.width)}};
}

}  // namespace

edge_ovss_status edge_ovss_stream_open(const edge_ovss_stream_options* options,
                                       edge_ovss_stream** stream) {
    if (stream != nullptr) {
        *stream = nullptr;
    }
    return fence([&] {
        require(stream, "stream");
        const edge_ovss_stream_options given =
            options == nullptr ? edge_ovss_stream_options_default()
                               : take(options, "stream_options", sizeof(edge_ovss_stream_options));
        auto made = std::make_shared<Stream>(given);
        Table& all = table();
        const std::lock_guard<std::mutex> lock(all.mutex);
        const std::uintptr_t number = all.next++;
        all.streams.emplace(number, std::move(made));
        *stream = reinterpret_cast<edge_ovss_stream*>(number);
    });
}

edge_ovss_status edge_ovss_stream_close(edge_ovss_stream* stream) {
    return fence([&] {
        if (stream != nullptr) {
            find(stream, true);
        }
    });
}

edge_ovss_status edge_ovss_stream_advance(edge_ovss_stream* stream, const edge_ovss_frame* frame,
                                          const edge_ovss_motion* motion, double time_s,
                                          edge_ovss_step* step) {
    return fence([&] {
        const edge_ovss_frame frame_in = take(frame, "frame", sizeof(edge_ovss_frame));
        edge_ovss_step filled = take(step, "step", sizeof(edge_ovss_step));
        check_size(frame_in);
        Motion given;
        if (motion != nullptr) {
            given = motion_of(take(motion, "motion", sizeof(edge_ovss_motion)));
        }
        find(stream)->advance(frame_in, motion == nullptr ? nullptr : &given, time_s, filled);
        give(filled, step);
    });
}

edge_ovss_status edge_ovss_stream_answer(edge_ovss_stream* stream, void* labels, size_t size,
                                         size_t stride, int32_t label_bytes,
                                         edge_ovss_step* step) {
    return fence([&] {
        require(labels, "labels");
        edge_ovss_step filled = edge_ovss_step_default();
        if (step != nullptr) {
            filled = take(step, "step", sizeof(edge_ovss_step));
        }
        find(stream)->answer(labels, size, stride, label_bytes, &filled);
        if (step != nullptr) {
            give(filled, step);
        }
    });
}

edge_ovss_status edge_ovss_stream_ask(edge_ovss_stream* stream) {
    return fence([&] { find(stream)->ask(); });
}

edge_ovss_status edge_ovss_stream_late_answer(edge_ovss_stream* stream, void* labels, size_t size,
                                              size_t stride, int32_t label_bytes,
                                              edge_ovss_step* step) {
    return fence([&] {
        require(labels, "labels");
        edge_ovss_step filled = edge_ovss_step_default();
        if (step != nullptr) {
            filled = take(step, "step", sizeof(edge_ovss_step));
        }
        find(stream)->late_answer(labels, size, stride, label_bytes, &filled);
        if (step != nullptr) {
            give(filled, step);
        }
    });
}

edge_ovss_status edge_ovss_stream_forget(edge_ovss_stream* stream) {
    return fence([&] { find(stream)->forget(); });
}
