/* SPDX-License-Identifier: Apache-2.0
 *
 * A pretended V4L2 driver, preloaded in front of libc: it answers for /dev/video0 what a driver may
 * answer, as the kernel's documentation of the interface has it. Two environment variables:
 *
 *   FAKE_V4L2       FORMAT:HEIGHTxWIDTH:STRIDE, the only thing that this camera can do
 *   FAKE_V4L2_FAIL  used (by another program), busy (no buffers), deaf (the stream does not start),
 *                   silent (no frame comes), unplugged (after three frames, for good), replugged
 *                   (away after three frames, and back at the third opening), stalled (2.5
 *                   seconds pass before the third frame), or paced (100 frames per second)
 *
 * A row of the frames is gray 50 + its number; what lies behind a row is 235.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <jpeglib.h>

enum { BUFFERS = 4, ROOM = 1 << 16 };

static int device = -1;
static char fourcc[5];
static unsigned height, width, stride;
static unsigned char *buffers[BUFFERS];
static unsigned queued[BUFFERS], waiting, frames, asked, opened;

/* A function of libc, as bytes: ISO C has no cast from an object to a function. */
static void find(void *function, const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found);
}

static int fails(const char *how) {
    const char *given = getenv("FAKE_V4L2_FAIL");
    return given != NULL && strcmp(given, how) == 0;
}

static unsigned wanted_format(void) {
    return v4l2_fourcc((unsigned)fourcc[0], (unsigned)fourcc[1], (unsigned)fourcc[2],
                       (unsigned)fourcc[3]);
}

static int refuse(int why) {
    errno = why;
    return -1;
}

static size_t paint_rows(unsigned char *memory) {
    const unsigned format = wanted_format();
    for (unsigned row = 0; row < height; ++row) {
        memset(memory + (size_t)row * stride, 235, stride);
        for (unsigned at = 0; at < width; ++at) {
            unsigned char *place = memory + (size_t)row * stride;
            const unsigned char gray = (unsigned char)(50 + row);
            if (format == V4L2_PIX_FMT_YUYV) {
                place[2 * at] = gray;
                place[2 * at + 1] = 128;
            } else if (format == V4L2_PIX_FMT_RGB24 || format == V4L2_PIX_FMT_BGR24) {
                memset(place + 3 * at, gray, 3);
            } else {
                place[at] = gray;
            }
        }
    }
    const size_t size = (size_t)height * stride;
    if (format != V4L2_PIX_FMT_NV12) {
        return size;
    }
    memset(memory + size, 128, size / 2);
    return size + size / 2;
}

static size_t paint_jpeg(unsigned char *memory) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *made = NULL;
    unsigned long size = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &made, &size);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = 1;
    jpeg.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    unsigned char *row = malloc(width);
    while (jpeg.next_scanline < height) {
        memset(row, (int)(50 + jpeg.next_scanline), width);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    memcpy(memory, made, size);
    free(row);
    free(made);
    return size;
}

static int set_format(struct v4l2_format *format) {
    struct v4l2_pix_format *pixels = &format->fmt.pix;
    ++asked;
    /* A driver does not refuse what it cannot do: it answers with what it can. */
    pixels->pixelformat = wanted_format();
    pixels->height = height;
    pixels->width = width;
    pixels->bytesperline = wanted_format() == V4L2_PIX_FMT_MJPEG ? 0 : stride;
    pixels->sizeimage = ROOM;
    return 0;
}

static int dequeue(struct v4l2_buffer *buffer) {
    if ((fails("unplugged") || (fails("replugged") && opened == 1)) && frames == 3) {
        return refuse(ENODEV);
    }
    if (fails("paced")) {
        usleep(10000);
    }
    if (fails("stalled") && frames == 2) {
        usleep(2500000);
    }
    if (fails("silent") || waiting == 0) {
        return refuse(EAGAIN);
    }
    buffer->index = queued[0];
    memmove(queued, queued + 1, --waiting * sizeof queued[0]);
    unsigned char *memory = buffers[buffer->index];
    buffer->bytesused = (unsigned)(wanted_format() == V4L2_PIX_FMT_MJPEG ? paint_jpeg(memory)
                                                                          : paint_rows(memory));
    ++frames;
    return 0;
}

static int answer(unsigned long request, void *argument) {
    struct v4l2_requestbuffers *request_buffers = argument;
    struct v4l2_buffer *buffer = argument;
    switch (request) {
        case VIDIOC_S_FMT:
            return set_format(argument);
        case VIDIOC_REQBUFS:
            request_buffers->count = BUFFERS;
            return fails("busy") ? refuse(EBUSY) : 0;
        case VIDIOC_QUERYBUF:
            buffer->length = ROOM;
            buffer->m.offset = buffer->index * ROOM;
            return 0;
        case VIDIOC_QBUF:
            queued[waiting++] = buffer->index;
            return 0;
        case VIDIOC_DQBUF:
            return dequeue(buffer);
        case VIDIOC_STREAMON:
            return fails("deaf") ? refuse(EIO) : 0;
        case VIDIOC_STREAMOFF:
            fprintf(stderr, "fake_v4l2: %u formats asked for, %u frames\n", asked, frames);
            return 0;
        default:
            return refuse(ENOTTY);
    }
}

int open(const char *path, int flags, ...) {
    int (*real)(const char *, int, ...);
    find(&real, "open");
    va_list more;
    va_start(more, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    const char *camera = getenv("FAKE_V4L2");
    if (camera == NULL || strcmp(path, "/dev/video0") != 0) {
        return real(path, flags, mode);
    }
    if (sscanf(camera, "%4[^:]:%ux%u:%u", fourcc, &height, &width, &stride) != 4) {
        abort();
    }
    ++opened;
    if (fails("used")) {
        return refuse(EBUSY);
    }
    if ((fails("unplugged") && opened > 1) || (fails("replugged") && opened == 2)) {
        return refuse(ENOENT);
    }
    frames = waiting = 0;
    device = real("/dev/null", O_RDWR);
    return device;
}

int ioctl(int file, unsigned long request, ...) {
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (file == device) {
        return answer(request, argument);
    }
    int (*real)(int, unsigned long, ...);
    find(&real, "ioctl");
    return real(file, request, argument);
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
    void *(*real)(void *, size_t, int, int, int, off_t);
    find(&real, "mmap");
    if (file != device || device < 0) {
        return real(address, size, protection, flags, file, offset);
    }
    void *memory = real(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    buffers[offset / ROOM] = memory;
    return memory;
}

int poll(struct pollfd *files, nfds_t count, int patience) {
    if (count == 1 && device >= 0 && fails("silent")) {
        usleep((useconds_t)patience * 1000);
        return 0; /* the time has passed */
    }
    int (*real)(struct pollfd *, nfds_t, int);
    find(&real, "poll");
    return real(files, count, patience);
}
