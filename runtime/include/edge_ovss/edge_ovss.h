/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge_ovss.h - camera bytes in, label maps out: the C interface of edge-ovss.
 *
 * A bundle is a folder that `edge-ovss export` wrote: an ONNX graph with a vocabulary, its
 * names, and proof of what is in it. This library opens a bundle, checks it, and segments frames
 * with it. It gives the same labels as the Python runtime.
 *
 * EXAMPLE
 *
 *     #include <edge_ovss/edge_ovss.h>
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *
 *     int main(void) {
 *         enum { HEIGHT = 480, WIDTH = 640 };
 *         static uint8_t rgb[HEIGHT * WIDTH * 3];               // filled by the camera
 *         static uint8_t labels[HEIGHT * WIDTH];                // up to 255 outputs: one byte each
 *         edge_ovss_session *session = NULL;
 *         edge_ovss_frame frame = edge_ovss_frame_default();
 *         edge_ovss_result result = edge_ovss_result_default();
 *
 *         if (edge_ovss_open("city.ovss", NULL, &session) != EDGE_OVSS_OK) {
 *             fprintf(stderr, "%s\n%s\n", edge_ovss_last_error(), edge_ovss_last_hint());
 *             return EXIT_FAILURE;
 *         }
 *         frame.data = rgb;
 *         frame.height = HEIGHT;
 *         frame.width = WIDTH;
 *         frame.format = EDGE_OVSS_FORMAT_RGB8;
 *         result.labels = labels;
 *         result.labels_capacity = sizeof labels;
 *         if (edge_ovss_segment(session, &frame, &result) != EDGE_OVSS_OK)
 *             fprintf(stderr, "%s\n", edge_ovss_last_error());
 *         else
 *             printf("center: %s\n",
 *                    edge_ovss_name(session, labels[HEIGHT / 2 * WIDTH + WIDTH / 2]));
 *         edge_ovss_close(session);
 *         return EXIT_SUCCESS;
 *     }
 *
 * OWNERSHIP. Everything that you hand in stays yours; nothing of it is kept after a call returns.
 * Results are written into your memory. Strings that a function returns belong to the library:
 * those of a session are valid until it is closed, those of `edge_ovss_last_error` and
 * `edge_ovss_last_hint` until the next call on the same thread, all others forever. All strings
 * are UTF-8 and end with a zero byte.
 *
 * THREADS. Every function may be called from any thread at any time. Calls on one session wait
 * for each other: a session may be shared, but two frames never run at the same time in it. For
 * frames at the same time, open one session per thread. A session may be closed while another
 * thread is inside a call with it: that call finishes, later ones are refused with
 * EDGE_OVSS_ERROR_USAGE. The last error belongs to the thread.
 *
 * ERRORS. A function that can fail returns a status; then the message says what was given and
 * what was expected, and the hint what to do. No exception leaves the library, nothing is
 * printed, nothing aborts. A handle that was closed, or that was never one, is an error like any
 * other.
 *
 * STRUCTURES start with their own size, so that they can grow. The `*_default()` functions below
 * fill it in. A library accepts structures of an older header and refuses those of a newer one.
 *
 * SIZES are always (height, width); strides are bytes from one row to the next.
 */
#ifndef EDGE_OVSS_EDGE_OVSS_H
#define EDGE_OVSS_EDGE_OVSS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EDGE_OVSS_VERSION_MAJOR 0
#define EDGE_OVSS_VERSION_MINOR 1
#define EDGE_OVSS_VERSION_PATCH 0

#if defined(EDGE_OVSS_STATIC)
#define EDGE_OVSS_API
#elif defined(_WIN32) && defined(EDGE_OVSS_BUILDING)
#define EDGE_OVSS_API __declspec(dllexport)
#elif defined(_WIN32)
#define EDGE_OVSS_API __declspec(dllimport)
#else
#define EDGE_OVSS_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ------------------------------------------------------------------------------- */

typedef int32_t edge_ovss_status;

/* 0 to 6 are the exit statuses of the command line `edge-ovss`. */
enum {
    EDGE_OVSS_OK = 0,
    EDGE_OVSS_ERROR_INTERNAL = 1, /* a bug in this library */
    EDGE_OVSS_ERROR_USAGE = 2,    /* a null pointer, a closed handle, an unknown option */
    EDGE_OVSS_ERROR_MISSING = 3,  /* a library, provider or device is missing */
    EDGE_OVSS_ERROR_INPUT = 4,    /* a frame is malformed, or a file of yours cannot be used */
    EDGE_OVSS_ERROR_ARTIFACT = 5, /* a bundle or graph is damaged, too new, or does not fit */
    EDGE_OVSS_ERROR_GATE = 6,     /* a comparison failed (selftest) */
    EDGE_OVSS_ERROR_CAPACITY = 7  /* a buffer for a result is too small */
};

/* Version of the library, such as "0.1.0". */
EDGE_OVSS_API const char *edge_ovss_version(void);

/* Name of a status, such as "artifact"; "unknown" for other numbers. Never NULL. */
EDGE_OVSS_API const char *edge_ovss_status_name(edge_ovss_status status);

/* What went wrong in the last call on this thread that failed; "" before the first. Never NULL. */
EDGE_OVSS_API const char *edge_ovss_last_error(void);

/* What to do about it; "" if there is nothing to say. Never NULL. */
EDGE_OVSS_API const char *edge_ovss_last_hint(void);

/* ---- Sessions ----------------------------------------------------------------------------- */

/* An opened bundle on a backend. */
typedef struct edge_ovss_session edge_ovss_session;

typedef struct edge_ovss_options {
    size_t struct_size;
    const char *backend;  /* a name of edge_ovss_backend_name; NULL or "auto": the first */
    const char *cache;    /* folder for engines (TensorRT); NULL: `engines` in the bundle */
    int32_t threads;      /* CPU threads; 0: the cores that this process may use */
    int32_t device;       /* number of the GPU, from 0 */
    int32_t skip_hashes;  /* 1: compare sizes, not the sha256 of every file; 0: compare both */
    int32_t frame_height; /* TensorRT: make everything ready for frames of this size when */
    int32_t frame_width;  /* opening; 0: when the first frame comes */
    int32_t auto_build;   /* TensorRT: 1: for a frame of a size that no engine takes, build one with
                           * the program edge-ovss (on the PATH, or EDGE_OVSS_PROGRAM), which takes
                           * seconds to minutes and is said on stderr; 0: such a frame is an error */
} edge_ovss_options;

/*
 * Open the bundle in folder `path` and store a handle in `*session`.
 *
 * path     UTF-8.
 * options  NULL for the defaults.
 * session  Set to NULL on failure. Close it with edge_ovss_close.
 *
 * Every file that the manifest lists is checked (size, sha256, no path that leaves the folder).
 *
 * Status: USAGE (null pointer, unknown backend, negative number), MISSING (the backend's library
 * or device is missing), ARTIFACT (the bundle is damaged or too new, the graph does not load).
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_open(const char *path, const edge_ovss_options *options,
                                              edge_ovss_session **session);

/*
 * Close a session and free what it holds. NULL does nothing. Closing a handle twice
 * returns USAGE and does no harm.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_close(edge_ovss_session *session);

/* Name of backend `index` that this library was built with, from 0; NULL past the last. */
EDGE_OVSS_API const char *edge_ovss_backend_name(int32_t index);

#define EDGE_OVSS_MAX_REJECTIONS 8

/* Fields of edge_ovss_result as version 0.1 called them; define EDGE_OVSS_NO_OLD_NAMES to do
 * without. */
#ifndef EDGE_OVSS_NO_OLD_NAMES
#define labels_size labels_capacity
#define confidence_size confidence_capacity
#define scores_size scores_capacity
#define alive_room alive_capacity
#define count_length counts_count
#endif

/* What a session runs. */
typedef struct edge_ovss_info {
    size_t struct_size;
    const char *backend;    /* registered name */
    const char *model;      /* such as "sed-tiny" */
    const char *vocabulary; /* name of the vocabulary */
    const char *precision;  /* such as "fp32" */
    const char *rejection;  /* "slots", "dynamic" or "none" */
    const char *tool;       /* what wrote the bundle, such as "edge-ovss 0.1.0" */
    int32_t outputs;        /* K: labels are 0 ... K-1 */
    int32_t categories;     /* T: ids in `alive` are 0 ... T-1 */
    int32_t label_bytes;    /* 1: labels are uint8_t; 2: uint16_t */
    int32_t network_height; /* the size that the graph scales frames to */
    int32_t network_width;
    int32_t has_confidence; /* 1 if the graph outputs confidence */
    int32_t has_scores;     /* 1 if the graph outputs scores */
    int32_t slot_count;     /* how many of `slots` are used; 0: no limit */
    int32_t slots[EDGE_OVSS_MAX_REJECTIONS]; /* most categories kept by each rejection */
    int32_t takes_thresholds; /* 1 if a label may be unknown; see edge_ovss_set_unknown */
    int32_t unknown_label;    /* the label that means unknown: 255, or 65535 in uint16 */
    int32_t places;           /* room for words that can be changed; 0: they are frozen */
    int32_t reserved;         /* 0 */
} edge_ovss_info;

/* Fill in `info`. Status: USAGE. */
EDGE_OVSS_API edge_ovss_status edge_ovss_describe(edge_ovss_session *session,
                                                  edge_ovss_info *info);

/* Name of output `index`, 0 ... K-1; "unknown" for the label that is reserved for it, where the
 * graph may give it; NULL (and a last error) for another index or a bad handle. */
EDGE_OVSS_API const char *edge_ovss_name(edge_ovss_session *session, int32_t index);

/*
 * Copy the colors into `rgb`: output k has red rgb[3k], green rgb[3k + 1], blue rgb[3k + 2].
 * `size` is the capacity in bytes, at least 3 K. Status: USAGE, CAPACITY.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_palette(edge_ovss_session *session, uint8_t *rgb,
                                                 size_t size);

/* ---- Frames ------------------------------------------------------------------------------- */

/*
 * Byte b of pixel (y, x), with s the stride:
 *
 *   RGB8, BGR8    data[y s + 3 x + b], bytes in the order of the name
 *   RGBA8, BGRA8  data[y s + 4 x + b], the fourth byte is not used
 *   GRAY8         data[y s + x] for red, green and blue
 *   NV12          Y = data[y s + x]
 *                 U = chroma[(y/2) c + 2 (x/2)], V = the byte after it, c the chroma stride
 *                 (ceil(height / 2) rows of 2 ceil(width / 2) bytes)
 *   YUYV          Y = data[y s + 2 x], U = data[y s + 4 (x/2) + 1], V = data[y s + 4 (x/2) + 3]
 *                 (rows of 4 ceil(width / 2) bytes)
 *
 * Divisions round down. YUV is BT.601, limited range, converted in integers:
 *
 *   l = 298 (Y - 16),  u = U - 128,  v = V - 128
 *   red   = clip((l + 409 v + 128) >> 8)
 *   green = clip((l - 100 u - 208 v + 128) >> 8)
 *   blue  = clip((l + 516 u + 128) >> 8)
 *
 * where >> rounds towards minus infinity and clip limits to 0 ... 255.
 */
enum {
    EDGE_OVSS_FORMAT_RGB8 = 0,
    EDGE_OVSS_FORMAT_BGR8 = 1,
    EDGE_OVSS_FORMAT_RGBA8 = 2,
    EDGE_OVSS_FORMAT_BGRA8 = 3,
    EDGE_OVSS_FORMAT_GRAY8 = 4,
    EDGE_OVSS_FORMAT_NV12 = 5,
    EDGE_OVSS_FORMAT_YUYV = 6
};

/* Longest side of a frame. */
#define EDGE_OVSS_MAX_SIDE 32768

typedef struct edge_ovss_frame {
    size_t struct_size;
    const void *data;     /* the image; for NV12 its Y plane */
    size_t data_size;     /* bytes that may be read at `data`; 0: not known, not checked */
    size_t stride;        /* bytes from row to row; 0: rows without a gap */
    const void *chroma;   /* NV12: the UV plane; NULL: it follows at data + stride * height */
    size_t chroma_size;   /* bytes that may be read at `chroma`; 0: not known, not checked */
    size_t chroma_stride; /* NV12: bytes from row to row; 0: 2 * ceil(width / 2), but for
                             chroma == NULL the stride of the Y plane rounded up to even */
    int32_t height;       /* 1 ... EDGE_OVSS_MAX_SIDE */
    int32_t width;        /* 1 ... EDGE_OVSS_MAX_SIDE */
    int32_t format;       /* EDGE_OVSS_FORMAT_... */
    int32_t reserved;     /* 0 */
} edge_ovss_frame;

/* Bytes of a frame whose rows have no gap; 0 for an unknown format or a size out of range. */
EDGE_OVSS_API size_t edge_ovss_frame_bytes(int32_t format, int32_t height, int32_t width);

/*
 * Convert a frame to RGB8 by the formulas above, as `edge_ovss_segment` does.
 *
 * rgb     Where the pixels go: rgb[y stride + 3 x + b].
 * stride  0: 3 * width.
 * size    Capacity in bytes, at least (height - 1) * stride + 3 * width.
 *
 * Status: USAGE (null pointer, wrong stride), INPUT (the frame), CAPACITY.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_to_rgb(const edge_ovss_frame *frame, uint8_t *rgb,
                                                size_t stride, size_t size);

/* ---- Segmentation ------------------------------------------------------------------------- */

typedef struct edge_ovss_result {
    size_t struct_size;

    /* You fill these in. Every buffer except `labels` may be NULL if you do not need it. */
    void *labels;              /* pixel (y, x) is element x of the row at labels + y * stride;
                                  255 (65535 in uint16): unknown */
    size_t labels_capacity;    /* in bytes */
    size_t labels_stride;      /* bytes; 0: rows without a gap; a multiple of label_bytes */
    float *confidence;         /* confidence[y * width + x] in [0, 1]: score of the label */
    size_t confidence_capacity; /* in bytes */
    float *scores;             /* scores[(t * h + y) * w + x], t category, h x w in scores_shape */
    size_t scores_capacity;    /* in bytes */
    int32_t *alive;            /* ids of the categories left after the last rejection */
    size_t alive_capacity;     /* in elements; `categories` always suffices, and `places` for
                                  whatever words are set */

    /* The library fills these in. */
    size_t alive_count;        /* how many are left */
    int32_t scores_shape[3];   /* categories, height, width of `scores`; 0 if there are none */
    int32_t counts_count;      /* how many of `counts` are used */
    int32_t counts[EDGE_OVSS_MAX_REJECTIONS]; /* categories that passed, by rejection */
    int32_t overflow;          /* 1: more passed than there are slots; the weakest were dropped */
    int32_t reserved;          /* 0 */
    double pre_ms;             /* checks and conversion to RGB */
    double infer_ms;           /* the graph, with transfers to and from a GPU */
    double post_ms;            /* copies into your memory */
    double total_ms;           /* frame bytes in, labels out */
} edge_ovss_result;

/*
 * Segment one frame.
 *
 * The first frame of a size allocates; the library allocates nothing for the following frames of
 * the same size (the graph's library may).
 *
 * Status: USAGE (null pointer, closed handle, wrong labels_stride, an output that the graph
 * does not have), INPUT (a malformed frame), CAPACITY (a buffer is too small: nothing was run,
 * unless it is `scores`, whose size is then in scores_shape), ARTIFACT (the graph fails, or there
 * is not enough memory). After a failure the contents of your buffers are undefined.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_segment(edge_ovss_session *session,
                                                 const edge_ovss_frame *frame,
                                                 edge_ovss_result *result);

/* ---- Unknown ------------------------------------------------------------------------------ */

/*
 * A pixel whose best output does not reach that output's threshold is labeled unknown: 255, or
 * 65535 in uint16. At first the thresholds are those of the bundle; whatever is set holds from the
 * next frame on. Thresholds of 0 switch it off. Bundles of older exports take no thresholds:
 * edge_ovss_info.takes_thresholds.
 */

/*
 * Set thresholds. `count` is 1 for the same threshold for all outputs, K for one for each, or 0
 * (then `thresholds` may be NULL) for those of the bundle.
 *
 * Status: USAGE (null pointer, another count, a number outside of the measure's range, a bundle
 * that takes none). After a failure the thresholds are as before.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_set_unknown(edge_ovss_session *session,
                                                     const float *thresholds, size_t count);

/*
 * Set thresholds by words, like --unknown of the programs: "off", "auto" (what was measured for the
 * model), a number such as "0.2", or the path (UTF-8) of a file that `edge-ovss eval
 * --tune-unknown` wrote. "off" is right for every bundle.
 *
 * Status: USAGE (as above, or "auto" without a measurement), INPUT (the file cannot be read, or is
 * for another vocabulary or model).
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_choose_unknown(edge_ovss_session *session,
                                                        const char *words);

/*
 * Copy the K current thresholds. `capacity` is in elements.
 * Status: USAGE (also for a bundle that takes none), CAPACITY.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_get_unknown(edge_ovss_session *session, float *thresholds,
                                                     size_t capacity);

/* ---- Words -------------------------------------------------------------------------------- */

/*
 * The words of an open bundle (`edge-ovss export --open`) can be changed while it runs:
 * edge_ovss_info.places is then above 0. The bundle on the disk stays as it is.
 *
 * What is set holds from the next frame on; `outputs`, `categories`, names and colors are other ones
 * then. Thresholds of unknown go with the names: one threshold for all stays, and of thresholds by
 * output those of names that stay. What a stream remembers is of the words before:
 * edge_ovss_stream_forget.
 */

/*
 * Have the words of an embedding pack, and no others.
 *
 * pack  UTF-8 path of a file that `edge-ovss vocab encode` wrote, with the text tower of the
 *       bundle: `--tower DIR`, or the model and checkpoint of the export.
 *
 * A bundle may have a small graph for few words. Where other words need the other graph, this call
 * loads it, once; frames of other threads go on meanwhile.
 *
 * Status: USAGE (a bundle that is not open, more words than places, a backend that cannot), INPUT
 * (the file cannot be read, is no pack or is damaged, was made with another text tower or other
 * templates, holds no words, or one of them twice), ARTIFACT (not enough memory, or the other graph
 * cannot be loaded). After a failure the words are as before.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_set_words(edge_ovss_session *session, const char *pack);

/*
 * The same for a program that has the embeddings in memory.
 *
 * vocabulary  JSON as in the file `vocabulary.json` of a bundle, with T categories.
 * text        What the graph takes: unit vectors, text[(t P + p) D + d], with P and D those of
 *             `open.prompts` and `open.width` in the manifest.
 * count       How many numbers: T P D.
 *
 * Status: as above.
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_use_words(edge_ovss_session *session,
                                                   const char *vocabulary, const float *text,
                                                   size_t count);

/* ---- Selftest ----------------------------------------------------------------------------- */

typedef struct edge_ovss_selftest_report {
    size_t struct_size;
    double agreement;     /* share of equal labels, among those that count */
    double min_agreement; /* the least that passes */
    double infer_ms;      /* of this one frame */
    int32_t same_alive;   /* 1 if the same categories are left; must be 1 in FP32 only */
    int32_t same_counts;  /* 1 if `counts` are equal; must be 1 in FP32 only */
    double undecided;     /* share of labels that do not count, because a correct backend may
                             differ; below 0 where the bundle does not say which. At 1 nothing but
                             the categories left is compared, and they must be the same */
} edge_ovss_selftest_report;

/*
 * Segment the reference frame of the bundle and compare with the output that it stores, under the
 * current thresholds of "unknown".
 *
 * report  May be NULL.
 *
 * Status: GATE (it ran, and the output differs; the report is filled in), USAGE (also where the
 * words were changed: the reference is of those before), ARTIFACT (the reference cannot be read, or as for edge_ovss_segment).
 */
EDGE_OVSS_API edge_ovss_status edge_ovss_selftest(edge_ovss_session *session,
                                                  edge_ovss_selftest_report *report);

/* ---- Defaults ----------------------------------------------------------------------------- */
/* Compiled into your program, so that the size is the one of the header that you compiled with. */

static inline edge_ovss_options edge_ovss_options_default(void) {
    edge_ovss_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

static inline edge_ovss_info edge_ovss_info_default(void) {
    edge_ovss_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    return info;
}

static inline edge_ovss_frame edge_ovss_frame_default(void) {
    edge_ovss_frame frame;
    memset(&frame, 0, sizeof frame);
    frame.struct_size = sizeof frame;
    return frame;
}

static inline edge_ovss_result edge_ovss_result_default(void) {
    edge_ovss_result result;
    memset(&result, 0, sizeof result);
    result.struct_size = sizeof result;
    return result;
}

static inline edge_ovss_selftest_report edge_ovss_selftest_report_default(void) {
    edge_ovss_selftest_report report;
    memset(&report, 0, sizeof report);
    report.struct_size = sizeof report;
    return report;
}

#ifdef __cplusplus
}
#endif

#endif
