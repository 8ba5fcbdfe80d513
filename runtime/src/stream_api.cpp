// SPDX-License-Identifier: Apache-2.0
// The C interface of streams.
#include <edge_ovss/edge_ovss_stream.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "error.h"
#include "fence.h"
#include "handles.h"
#include "stream.h"

namespace {

using namespace edge_ovss::internal;

using Streams = HandleTable<edge_ovss_stream, Stream>;

Streams& streams() {
    static Streams* const table =
        new Streams("stream", "Use the handle that edge_ovss_stream_open gave.");
    return *table;
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

// `answer` or `late_answer`; `step` may be null.
void answer_by(decltype(&Stream::answer) answer, edge_ovss_stream* stream, void* labels,
               std::size_t size, std::size_t stride, std::int32_t label_bytes,
               edge_ovss_step* step) {
    require(labels, "labels");
    edge_ovss_step filled = edge_ovss_step_default();
    if (step != nullptr) {
        filled = take(step, "step", sizeof(edge_ovss_step));
    }
    (*streams().find(stream).*answer)(labels, size, stride, label_bytes, filled);
    if (step != nullptr) {
        give(filled, step);
    }
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
        *stream = streams().add(std::make_shared<Stream>(given));
    });
}

edge_ovss_status edge_ovss_stream_close(edge_ovss_stream* stream) {
    return fence([&] {
        if (stream != nullptr) {
            streams().remove(stream);
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
        streams().find(stream)->advance(frame_in, motion == nullptr ? nullptr : &given, time_s,
                                        filled);
        give(filled, step);
    });
}

edge_ovss_status edge_ovss_stream_answer(edge_ovss_stream* stream, void* labels, size_t size,
                                         size_t stride, int32_t label_bytes, edge_ovss_step* step) {
    return fence(
        [&] { answer_by(&Stream::answer, stream, labels, size, stride, label_bytes, step); });
}

edge_ovss_status edge_ovss_stream_ask(edge_ovss_stream* stream) {
    return fence([&] { streams().find(stream)->ask(); });
}

edge_ovss_status edge_ovss_stream_late_answer(edge_ovss_stream* stream, void* labels, size_t size,
                                              size_t stride, int32_t label_bytes,
                                              edge_ovss_step* step) {
    return fence(
        [&] { answer_by(&Stream::late_answer, stream, labels, size, stride, label_bytes, step); });
}

edge_ovss_status edge_ovss_stream_forget(edge_ovss_stream* stream) {
    return fence([&] { streams().find(stream)->forget(); });
}
