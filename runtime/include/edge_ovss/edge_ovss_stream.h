/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge_ovss_stream.h - labels that do not flicker, and a network that need not see every frame.
 *
 * A stream follows labels from frame to frame along the motion of the images, and holds a label
 * against the network until the network has contradicted it often enough, or until an edge moves
 * over it. It works on labels alone: with every bundle, and with any other network. Python computes
 * the same, byte for byte.
 *
 *     edge_ovss_stream *stream = NULL;
 *     edge_ovss_step step = edge_ovss_step_default();
 *     edge_ovss_stream_open(NULL, &stream);
 *     for (every frame) {
 *         edge_ovss_stream_advance(stream, &frame, &motion, seconds, &step);
 *         if (step.key)
 *             edge_ovss_segment(session, &frame, &result);      // into result.labels
 *         edge_ovss_stream_answer(stream, labels, sizeof labels, 0, 1, &step);
 *         // labels is what to show
 *     }
 *     edge_ovss_stream_close(stream);
 *
 * Ownership, threads, errors and structures are as in edge_ovss.h; calls on one stream wait for
 * each other. A stream remembers two planes (labels and counts) and, with EDGE_OVSS_FLOW_DIS, one
 * gray image of at most 240 columns between frames, two within one. It keeps the room that it works
 * in, some 7 bytes a pixel; with late answers twice that.
 */
#ifndef EDGE_OVSS_EDGE_OVSS_STREAM_H
#define EDGE_OVSS_EDGE_OVSS_STREAM_H

#include <edge_ovss/edge_ovss.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct edge_ovss_stream edge_ovss_stream;

/* How labels move. */
enum {
    EDGE_OVSS_FLOW_GIVEN = 0, /* along vectors that you hand in, of optical flow hardware say */
    EDGE_OVSS_FLOW_DIS = 1,   /* along OpenCV's DIS flow; needs a build with OpenCV */
    EDGE_OVSS_FLOW_NONE = 2   /* not at all: labels stay where they are, cuts are not noticed */
};

/* For edge_ovss_stream_options.keyframe: the network sees what it is asked for. */
#define EDGE_OVSS_NO_KEYFRAMES INT32_MAX

typedef struct edge_ovss_stream_options {
    size_t struct_size;
    double hold_ms;   /* longest time that a label is held against the network, up to 10,000; 0: the
                         network is always right */
    int32_t keyframe; /* the network sees every keyframe-th frame, and any frame after a cut */
    int32_t flow;     /* EDGE_OVSS_FLOW_... */
} edge_ovss_stream_options;

/*
 * Vectors from every pixel of a frame to where it was in the frame before.
 *
 * vectors  vectors[2 (y w + x)] is x, the next one is y, in 1/32 pixel of the frame (S10.5), on a
 *          grid of h x w cells over the frame, at most one for each pixel. A coarser grid is
 *          enlarged bilinearly, in whole numbers.
 * valid    valid[y w + x] is 0 where the vector means nothing; NULL: all are valid.
 */
typedef struct edge_ovss_motion {
    size_t struct_size;
    const int16_t *vectors;
    const uint8_t *valid;
    int32_t height; /* h */
    int32_t width;  /* w */
} edge_ovss_motion;

/* What the stream does for a frame. */
typedef struct edge_ovss_step {
    size_t struct_size;
    int32_t key;   /* 1: the network is to see this frame */
    int32_t cut;   /* 1: the frame has nothing in common with the one before */
    double lost;   /* share of pixels that could not be followed here, 0 to 1 */
    double held;   /* share of pixels that keep a label against the network; after `answer` */
    double age_ms; /* from the newest frame that the network saw to this one; below 0: not known */
} edge_ovss_step;

/*
 * Make a stream. `options` may be NULL: 150 ms, every frame, EDGE_OVSS_FLOW_GIVEN.
 *
 * Status: USAGE (null pointer, a number out of range), MISSING (DIS without OpenCV).
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_stream_open(const edge_ovss_stream_options *options,
                                                     edge_ovss_stream **stream);

/* Free a stream. NULL does nothing; a handle that is closed already gives USAGE. */
EDGE_OVSS_API edge_ovss_status edge_ovss_stream_close(edge_ovss_stream *stream);

/*
 * Take the next frame, and say whether the network is to see it.
 *
 * frame   Its height and width count; its pixels only with EDGE_OVSS_FLOW_DIS.
 * motion  With EDGE_OVSS_FLOW_GIVEN: the motion to the frame before, NULL where there is none (the
 *         frame is then a key frame, and everything before is forgotten). NULL otherwise.
 * time_s  When it was taken, in seconds of a clock that does not go back; below 0: not known, and
 *         15 frames per second are assumed.
 *
 * Status: USAGE (null pointer, closed handle, motion that does not belong here), INPUT (the frame,
 * vectors of another size, time that goes back). After a failure the stream is as before.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_stream_advance(edge_ovss_stream *stream,
                                                        const edge_ovss_frame *frame,
                                                        const edge_ovss_motion *motion,
                                                        double time_s, edge_ovss_step *step);

/*
 * Give the network's labels of a key frame, and get what to show; once after every `advance`.
 *
 * labels       In: the network's labels, if step.key was 1. Out: what to show.
 * size         Room in bytes, at least (height - 1) * stride + width * label_bytes.
 * stride       Bytes from row to row; 0: rows without a gap.
 * label_bytes  1 or 2, the same for a whole stream.
 * step         May be NULL.
 *
 * Status: USAGE (null pointer, closed handle, no `advance` before, wrong stride or label_bytes),
 * CAPACITY.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_stream_answer(edge_ovss_stream *stream, void *labels,
                                                       size_t size, size_t stride,
                                                       int32_t label_bytes, edge_ovss_step *step);

/*
 * Let the network look at the frame that was just answered, while later frames go on: remember what
 * is known of it, and give its labels to edge_ovss_stream_late_answer when they are there. One frame
 * at a time; asking again forgets the one before, and so do a cut, another size and `forget`. Open
 * such a stream with keyframe = EDGE_OVSS_NO_KEYFRAMES: then only the first frame, another size and
 * a cut are key frames.
 *
 * Status: USAGE (closed handle, a frame still waits for its answer, no frame yet).
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_stream_ask(edge_ovss_stream *stream);

/*
 * Give the network's labels of the frame that was asked for, and get what to show for the newest
 * frame; after its `answer`, with the same arguments. If that frame was forgotten, `labels` is what
 * is shown already, and step.key is 0; otherwise it is 1.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_stream_late_answer(edge_ovss_stream *stream, void *labels,
                                                            size_t size, size_t stride,
                                                            int32_t label_bytes,
                                                            edge_ovss_step *step);

/* Take the next frame as the first of a new stream. Status: USAGE. */
EDGE_OVSS_API edge_ovss_status edge_ovss_stream_forget(edge_ovss_stream *stream);

static inline edge_ovss_stream_options edge_ovss_stream_options_default(void) {
    edge_ovss_stream_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.hold_ms = 150.0;
    options.keyframe = 1;
    options.flow = EDGE_OVSS_FLOW_GIVEN;
    return options;
}

static inline edge_ovss_motion edge_ovss_motion_default(void) {
    edge_ovss_motion motion;
    memset(&motion, 0, sizeof motion);
    motion.struct_size = sizeof motion;
    return motion;
}

static inline edge_ovss_step edge_ovss_step_default(void) {
    edge_ovss_step step;
    memset(&step, 0, sizeof step);
    step.struct_size = sizeof step;
    return step;
}

#ifdef __cplusplus
}
#endif

#endif
