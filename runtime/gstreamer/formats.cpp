// SPDX-License-Identifier: Apache-2.0
#include "formats.h"

#include <array>
#include <cstring>
#include <string>

#include "../apps/sources/gstreamer_format.h"

namespace ovss {

namespace {

// What an overlay is drawn in.
constexpr std::array<const char*, 6> kDrawn{"RGB", "BGR", "RGBx", "BGRx", "RGBA", "BGRA"};

void append(GValue* list, const char* format) {
    GValue value = G_VALUE_INIT;
    g_value_init(&value, G_TYPE_STRING);
    g_value_set_string(&value, format);
    gst_value_list_append_and_take_value(list, &value);
}

// The formats that are drawn in, that of the input first where it is one of them.
void set_drawn(GstStructure* structure) {
    const char* own = gst_structure_get_string(structure, "format");
    const std::string first = own != nullptr ? own : "";
    GValue list = G_VALUE_INIT;
    g_value_init(&list, GST_TYPE_LIST);
    for (const char* each : kDrawn) {
        if (first == each) {
            append(&list, each);
        }
    }
    for (const char* each : kDrawn) {
        if (first != each) {
            append(&list, each);
        }
    }
    gst_structure_take_value(structure, "format", &list);
}

void set_labels(GstStructure* structure, int label_bytes) {
    if (label_bytes != 0) {
        gst_structure_set(structure, "format", G_TYPE_STRING,
                          label_bytes == 1 ? "GRAY8" : "GRAY16_LE", nullptr);
        return;
    }
    GValue list = G_VALUE_INIT;
    g_value_init(&list, GST_TYPE_LIST);
    append(&list, "GRAY8");
    append(&list, "GRAY16_LE");
    gst_structure_take_value(structure, "format", &list);
}

// What the element takes: these structures with every color format, then with gray.
GstCaps* taken_caps(const GstCaps* caps) {
    GstCaps* taken = gst_caps_new_empty();
    for (const char* formats : {kColored, kGray}) {
        for (guint i = 0; i < gst_caps_get_size(caps); ++i) {
            GstStructure* structure = gst_structure_copy(gst_caps_get_structure(caps, i));
            gst_structure_remove_field(structure, "format");
            GstStructure* with_formats = gst_structure_from_string(
                (std::string("formats, format = (string) ") + formats).c_str(), nullptr);
            gst_structure_set_value(structure, "format",
                                    gst_structure_get_value(with_formats, "format"));
            gst_structure_free(with_formats);
            gst_caps_append_structure(taken, structure);
        }
    }
    return taken;
}

}  // namespace

GstCaps* caps_of(std::initializer_list<const char*> formats) {
    GstCaps* caps = gst_caps_new_empty();
    for (const char* each : formats) {
        const std::string words = std::string("video/x-raw, format = (string) ") + each +
                                  ", width = (int) [ 1, 32768 ], height = (int) [ 1, 32768 ], "
                                  "framerate = (fraction) [ 0, max ]";
        gst_caps_append(caps, gst_caps_from_string(words.c_str()));
    }
    return caps;
}

GstCaps* gray_last(GstCaps* caps) {
    GstCaps* ordered = gst_caps_new_empty();
    for (const bool wants_gray : {false, true}) {
        for (guint i = 0; i < gst_caps_get_size(caps); ++i) {
            const GstStructure* structure = gst_caps_get_structure(caps, i);
            const char* format = gst_structure_get_string(structure, "format");
            const bool is_gray = format != nullptr && std::strcmp(format, kGray) == 0;
            if (is_gray == wants_gray) {
                gst_caps_append_structure(ordered, gst_structure_copy(structure));
            }
        }
    }
    return ordered;
}

GstCaps* other_caps(GstPadDirection direction, GstCaps* caps, Mode mode, int label_bytes) {
    if (mode == Mode::kMeta) {
        return gst_caps_copy(caps);
    }
    GstCaps* other = direction == GST_PAD_SRC ? taken_caps(caps) : gst_caps_copy(caps);
    for (guint i = 0; i < gst_caps_get_size(other); ++i) {
        GstStructure* structure = gst_caps_get_structure(other, i);
        if (direction == GST_PAD_SINK && mode == Mode::kLabels) {
            set_labels(structure, label_bytes);
        } else if (direction == GST_PAD_SINK) {
            set_drawn(structure);
        }
        // Of the other pad's format, and nothing that carries over.
        gst_structure_remove_fields(structure, "colorimetry", "chroma-site", nullptr);
    }
    return other;
}

MappedFrame::MappedFrame(const GstVideoInfo& info, GstBuffer* buffer, GstMapFlags flags) {
    // The reference that a map may take would keep an output buffer from being writable.
    const auto all = static_cast<GstMapFlags>(flags | GST_VIDEO_FRAME_MAP_FLAG_NO_REF);
    if (gst_video_frame_map(&frame_, &info, buffer, all) == FALSE) {
        throw edge_ovss::Error(EDGE_OVSS_ERROR_INPUT,
                               "A buffer is no frame in memory, or is shorter than its caps say.",
                               "Put nvvidconv (Jetson) or videoconvert in front.");
    }
}

MappedFrame::~MappedFrame() {
    gst_video_frame_unmap(&frame_);
}

// Bytes from the start of a plane to the end of what is mapped there.
std::size_t MappedFrame::readable(unsigned plane) const {
    // With GstVideoMeta every plane has a map of its own, without it they share the first.
    for (const GstMapInfo& map : frame_.map) {
        const auto* start = static_cast<const std::uint8_t*>(frame_.data[plane]);
        if (map.data != nullptr && start >= map.data && start <= map.data + map.size) {
            return static_cast<std::size_t>(map.data + map.size - start);
        }
        if (frame_.meta == nullptr) {
            break;
        }
    }
    return 0;
}

edge_ovss::Frame MappedFrame::view() const {
    const int stride = frame_.info.stride[0];
    const bool has_chroma = format() == GST_VIDEO_FORMAT_NV12;
    const std::size_t room = readable(0);
    const std::size_t chroma_room = has_chroma ? readable(1) : 0;
    if (stride <= 0 || room == 0 || (has_chroma && chroma_room == 0)) {
        throw edge_ovss::Error(EDGE_OVSS_ERROR_INPUT,
                               "The planes of a buffer do not lie in it, or its rows go upwards.",
                               "Put videoconvert or videoflip in front.");
    }
    edge_ovss::Frame frame(apps::format_of(format()), frame_.data[0], height(), width(),
                           static_cast<std::size_t>(stride), room);
    if (has_chroma) {
        frame.c.chroma = frame_.data[1];
        frame.c.chroma_size = chroma_room;
        frame.c.chroma_stride = static_cast<std::size_t>(frame_.info.stride[1]);
    }
    return frame;
}

apps::Plane<std::uint8_t> drawn_plane(const MappedFrame& frame) {
    const GstVideoInfo& info = frame.info();
    const auto at = [&](guint component) {
        return static_cast<std::size_t>(GST_VIDEO_INFO_COMP_POFFSET(&info, component));
    };
    return {frame.row(0),
            info.stride[0],
            static_cast<std::size_t>(GST_VIDEO_INFO_COMP_PSTRIDE(&info, 0)),
            {at(0), at(1), at(2)}};
}

bool has_our_colors(const GstVideoInfo& info) {
    if (!GST_VIDEO_INFO_IS_YUV(&info)) {
        return true;
    }
    return info.colorimetry.matrix == GST_VIDEO_COLOR_MATRIX_BT601 &&
           info.colorimetry.range == GST_VIDEO_COLOR_RANGE_16_235;
}

}  // namespace ovss
