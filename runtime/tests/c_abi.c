/* SPDX-License-Identifier: Apache-2.0 */
/* The C interface from C: a whole life, and every misuse that the header promises to survive. */
#include "check.h"

enum { HEIGHT = 7, WIDTH = 9, PIXELS = HEIGHT * WIDTH };

static uint8_t rgb[3 * PIXELS];
static uint8_t labels[PIXELS];

static edge_ovss_frame picture(void) {
    edge_ovss_frame frame = edge_ovss_frame_default();
    frame.data = rgb;
    frame.data_size = sizeof rgb;
    frame.height = HEIGHT;
    frame.width = WIDTH;
    return frame;
}

static edge_ovss_result room(void) {
    edge_ovss_result result = edge_ovss_result_default();
    result.labels = labels;
    result.labels_capacity = sizeof labels;
    return result;
}

static edge_ovss_session *opened(const char *folder, const char *name) {
    char path[4096];
    edge_ovss_options options = edge_ovss_options_default();
    edge_ovss_session *session = NULL;
    options.threads = 1;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(edge_ovss_open(path, &options, &session) == EDGE_OVSS_OK);
    return session;
}

static void labels_are_right(edge_ovss_session *session) {
    edge_ovss_frame frame = picture();
    edge_ovss_result result = room();
    CHECK(edge_ovss_segment(session, &frame, &result) == EDGE_OVSS_OK);
    for (int i = 0; i < PIXELS; ++i) {
        CHECK(labels[i] == (rgb[3 * i] + rgb[3 * i + 1] + rgb[3 * i + 2]) % 3);
    }
    CHECK(result.alive_count == 2 && result.counts_count == 3 && result.counts[2] == 2);
    CHECK(result.overflow == 0);
    CHECK(result.scores_shape[0] == 3 && result.scores_shape[1] == 2);
    CHECK(result.total_ms >= result.infer_ms && result.infer_ms > 0.0);
}

static void strided_labels_leave_the_gaps_alone(edge_ovss_session *session) {
    static uint8_t wide[HEIGHT * (WIDTH + 5)];
    edge_ovss_frame frame = picture();
    edge_ovss_result result = room();
    memset(wide, 77, sizeof wide);
    result.labels = wide;
    result.labels_capacity = sizeof wide - 5; /* the last gap need not be there */
    result.labels_stride = WIDTH + 5;
    CHECK(edge_ovss_segment(session, &frame, &result) == EDGE_OVSS_OK);
    for (int y = 0; y < HEIGHT; ++y) {
        for (int x = 0; x < WIDTH + 5; ++x) {
            const int i = y * WIDTH + x;
            const int want =
                x < WIDTH ? (rgb[3 * i] + rgb[3 * i + 1] + rgb[3 * i + 2]) % 3 : 77;
            CHECK(wide[y * (WIDTH + 5) + x] == want);
        }
    }
}

static void everything_is_answered(edge_ovss_session *session) {
    static float confidence[PIXELS];
    float scores[3 * 2 * 3];
    int32_t alive[3];
    edge_ovss_frame frame = picture();
    edge_ovss_result result = room();
    result.confidence = confidence;
    result.confidence_capacity = sizeof confidence;
    result.scores = scores;
    result.scores_capacity = sizeof scores;
    result.alive = alive;
    result.alive_capacity = 3;
    CHECK(edge_ovss_segment(session, &frame, &result) == EDGE_OVSS_OK);
    CHECK(result.alive_count == 2 && alive[0] == 2 && alive[1] == 0);
    CHECK(scores[0] == 0.0F && scores[17] == 17.0F);
    CHECK(confidence[0] >= 0.0F && confidence[0] <= 1.0F);
    result.scores_capacity = sizeof scores - 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_CAPACITY, "scores");
    CHECK(result.scores_shape[2] == 3);
    result.scores = NULL;
    result.alive_capacity = 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_CAPACITY, "alive");
    result.alive = NULL;
    result.confidence_capacity -= 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_CAPACITY,
                "confidence");
}

static void facts_are_told(edge_ovss_session *session) {
    uint8_t colors[9];
    edge_ovss_info info = edge_ovss_info_default();
    CHECK(edge_ovss_describe(session, &info) == EDGE_OVSS_OK);
    CHECK(info.outputs == 3 && info.categories == 3 && info.label_bytes == 1);
    CHECK(info.has_confidence == 1 && info.has_scores == 1);
    CHECK(info.slot_count == 3 && info.slots[2] == 4);
    CHECK(strcmp(info.backend, "onnxruntime") == 0 && strcmp(info.rejection, "slots") == 0);
    CHECK(strcmp(info.model, "sed-tiny") == 0 && strcmp(info.vocabulary, "things") == 0);
    CHECK(strcmp(edge_ovss_name(session, 2), "thing2") == 0);
    CHECK(edge_ovss_name(session, 3) == NULL && edge_ovss_name(session, -1) == NULL);
    CHECK(edge_ovss_palette(session, colors, sizeof colors) == EDGE_OVSS_OK);
    CHECK_FAILS(edge_ovss_palette(session, colors, 8), EDGE_OVSS_ERROR_CAPACITY, "8 bytes");
    CHECK_FAILS(edge_ovss_palette(session, NULL, 9), EDGE_OVSS_ERROR_USAGE, "'rgb' is a null");
    info.struct_size = 8;
    CHECK_FAILS(edge_ovss_describe(session, &info), EDGE_OVSS_ERROR_USAGE, "struct_size");
    CHECK_FAILS(edge_ovss_describe(session, NULL), EDGE_OVSS_ERROR_USAGE, "null pointer");
}

static void selftest_passes(edge_ovss_session *session) {
    edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
    CHECK(edge_ovss_selftest(session, &report) == EDGE_OVSS_OK);
    CHECK(report.agreement == 1.0 && report.same_alive == 1 && report.same_counts == 1);
    CHECK(edge_ovss_selftest(session, NULL) == EDGE_OVSS_OK);
}

static void wrong_frames_are_refused(edge_ovss_session *session) {
    edge_ovss_result result = room();
    edge_ovss_frame frame = picture();
    CHECK_FAILS(edge_ovss_segment(session, NULL, &result), EDGE_OVSS_ERROR_USAGE, "'frame'");
    frame.data = NULL;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_USAGE, "'data'");
    frame = picture();
    frame.height = 0;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "0 x 9");
    frame = picture();
    frame.width = -4;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "7 x -4");
    frame = picture();
    frame.height = EDGE_OVSS_MAX_SIDE + 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "32768");
    frame = picture();
    frame.stride = 3 * WIDTH - 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "stride");
    frame.stride = (size_t)-1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "stride");
    frame = picture();
    frame.data_size -= 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "188 bytes");
    frame = picture();
    frame.format = 7;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "format is 7");
    frame = picture();
    frame.format = EDGE_OVSS_FORMAT_NV12;
    frame.data_size = PIXELS;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "UV plane");
    frame.data_size = PIXELS + 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "UV plane");
    frame.data_size = 0;
    frame.chroma = rgb;
    frame.chroma_stride = WIDTH; /* one byte short of five pairs */
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_INPUT, "UV stride");
    frame = picture();
    frame.struct_size = 0;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_USAGE, "struct_size");
    frame.struct_size = sizeof frame + 8;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_USAGE, "struct_size");
}

static void wrong_results_are_refused(edge_ovss_session *session) {
    const edge_ovss_frame frame = picture();
    edge_ovss_result result = room();
    CHECK_FAILS(edge_ovss_segment(session, &frame, NULL), EDGE_OVSS_ERROR_USAGE, "'result'");
    result.labels = NULL;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_USAGE, "'labels'");
    result = room();
    result.labels_capacity -= 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_CAPACITY, "needs 63");
    result = room();
    result.labels_stride = WIDTH - 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_USAGE, "stride");
}

static void wide_labels_and_overflow(const char *folder) {
    static uint16_t wide[PIXELS];
    edge_ovss_session *session = opened(folder, "many");
    edge_ovss_frame frame = picture();
    edge_ovss_result result = room();
    result.labels = wide;
    result.labels_capacity = sizeof wide;
    result.labels_stride = 2 * WIDTH + 1;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_USAGE, "multiple");
    result.labels_stride = 0;
    CHECK(edge_ovss_segment(session, &frame, &result) == EDGE_OVSS_OK);
    for (int i = 0; i < PIXELS; ++i) {
        CHECK(wide[i] == (rgb[3 * i] + rgb[3 * i + 1] + rgb[3 * i + 2]) % 300);
    }
    CHECK(result.overflow == 1 && result.alive_count == 3);
    result.scores = (float *)(void *)wide;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_USAGE, "Scores");
    result.scores = NULL;
    result.confidence = (float *)(void *)wide;
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_USAGE, "Confidence");
    CHECK(edge_ovss_selftest(session, NULL) == EDGE_OVSS_OK);
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
}

static void closed_handles_are_refused(edge_ovss_session *session) {
    const edge_ovss_frame frame = picture();
    edge_ovss_result result = room();
    edge_ovss_session *const never = (edge_ovss_session *)(void *)&result;
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
    CHECK_FAILS(edge_ovss_close(session), EDGE_OVSS_ERROR_USAGE, "closed");
    CHECK_FAILS(edge_ovss_segment(session, &frame, &result), EDGE_OVSS_ERROR_USAGE, "closed");
    CHECK_FAILS(edge_ovss_segment(never, &frame, &result), EDGE_OVSS_ERROR_USAGE, "never");
    CHECK_FAILS(edge_ovss_segment(NULL, &frame, &result), EDGE_OVSS_ERROR_USAGE, "null");
    CHECK_FAILS(edge_ovss_selftest(session, NULL), EDGE_OVSS_ERROR_USAGE, "closed");
    CHECK(edge_ovss_name(session, 0) == NULL);
    CHECK(edge_ovss_close(NULL) == EDGE_OVSS_OK);
}

static void opening_can_fail(const char *folder) {
    edge_ovss_session *session = (edge_ovss_session *)(void *)rgb;
    edge_ovss_options options = edge_ovss_options_default();
    CHECK_FAILS(edge_ovss_open("/nowhere/x.ovss", NULL, &session), EDGE_OVSS_ERROR_ARTIFACT,
                "no bundle at '/nowhere/x.ovss'");
    CHECK(session == NULL);
    CHECK(edge_ovss_last_hint()[0] != '\0');
    CHECK_FAILS(edge_ovss_open(folder, NULL, &session), EDGE_OVSS_ERROR_ARTIFACT, "manifest.json");
    CHECK_FAILS(edge_ovss_open(NULL, NULL, &session), EDGE_OVSS_ERROR_USAGE, "'path'");
    CHECK_FAILS(edge_ovss_open(folder, NULL, NULL), EDGE_OVSS_ERROR_USAGE, "'session'");
    options.backend = "onxruntime";
    CHECK_FAILS(edge_ovss_open(folder, &options, &session), EDGE_OVSS_ERROR_USAGE,
                "expected one of: auto, onnxruntime");
    options = edge_ovss_options_default();
    options.threads = -1;
    CHECK_FAILS(edge_ovss_open(folder, &options, &session), EDGE_OVSS_ERROR_USAGE, "negative");
    options = edge_ovss_options_default();
    options.auto_build = 2;
    CHECK_FAILS(edge_ovss_open(folder, &options, &session), EDGE_OVSS_ERROR_USAGE, "auto_build");
    options = edge_ovss_options_default();
    options.struct_size += 8;
    CHECK_FAILS(edge_ovss_open(folder, &options, &session), EDGE_OVSS_ERROR_USAGE, "struct_size");
}

/* A backend whose device is not there says so. */
static void every_backend_opens_or_says_why(const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/things", folder);
    for (int32_t i = 0; edge_ovss_backend_name(i) != NULL; ++i) {
        edge_ovss_options options = edge_ovss_options_default();
        edge_ovss_session *session = NULL;
        edge_ovss_status status;
        options.backend = edge_ovss_backend_name(i);
        status = edge_ovss_open(path, &options, &session);
        if (status == EDGE_OVSS_OK) {
            CHECK(edge_ovss_selftest(session, NULL) == EDGE_OVSS_OK);
            CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
        } else {
            CHECK(status == EDGE_OVSS_ERROR_MISSING || status == EDGE_OVSS_ERROR_ARTIFACT);
            printf("c_abi: %s is not usable here: %s\n", options.backend, edge_ovss_last_error());
        }
    }
}

static void constants_have_names(void) {
    CHECK(strcmp(edge_ovss_status_name(EDGE_OVSS_OK), "ok") == 0);
    CHECK(strcmp(edge_ovss_status_name(EDGE_OVSS_ERROR_CAPACITY), "capacity") == 0);
    CHECK(strcmp(edge_ovss_status_name(8), "unknown") == 0);
    CHECK(strcmp(edge_ovss_backend_name(0), "onnxruntime") == 0);
    CHECK(edge_ovss_backend_name(-1) == NULL && edge_ovss_backend_name(99) == NULL);
    CHECK(edge_ovss_frame_bytes(EDGE_OVSS_FORMAT_NV12, 3, 5) == 15 + 2 * 6);
    CHECK(edge_ovss_frame_bytes(EDGE_OVSS_FORMAT_YUYV, 3, 5) == 3 * 12);
    CHECK(edge_ovss_frame_bytes(9, 3, 5) == 0);
    CHECK(edge_ovss_frame_bytes(EDGE_OVSS_FORMAT_RGB8, 0, 5) == 0);
}

int main(int argc, char **argv) {
    edge_ovss_session *session = NULL;
    CHECK(argc == 2); /* the folder of the test bundles */
    for (int i = 0; i < 3 * PIXELS; ++i) {
        rgb[i] = (uint8_t)(i * 37 + i / 5);
    }
    constants_have_names();
    opening_can_fail(argv[1]);
    session = opened(argv[1], "things");
    labels_are_right(session);
    strided_labels_leave_the_gaps_alone(session);
    everything_is_answered(session);
    facts_are_told(session);
    selftest_passes(session);
    wrong_frames_are_refused(session);
    wrong_results_are_refused(session);
    labels_are_right(session); /* after all that, it still works */
    closed_handles_are_refused(session);
    wide_labels_and_overflow(argv[1]);
    every_backend_opens_or_says_why(argv[1]);
    puts("c_abi: all held");
    return 0;
}
