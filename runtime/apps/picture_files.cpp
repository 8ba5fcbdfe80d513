// SPDX-License-Identifier: Apache-2.0
#include "picture_files.h"

#include <jpeglib.h>
// After jpeglib.h, of which it needs the types.
#include <jerror.h>
#include <png.h>

#include <cerrno>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>

#include "arguments.h"

namespace apps {

namespace {

constexpr int kLongestSide = EDGE_OVSS_MAX_SIDE;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File open_file(const std::string& path, const char* mode) {
    File file(std::fopen(path.c_str(), mode), std::fclose);
    if (!file) {
        throw bad_input("'" + path + "' cannot be opened: " + std::strerror(errno) + ".");
    }
    return file;
}

std::vector<std::uint8_t> read_all(const std::string& path) {
    const File file = open_file(path, "rb");
    std::vector<std::uint8_t> bytes;
    std::uint8_t piece[65536];
    for (std::size_t count = 0; (count = std::fread(piece, 1, sizeof piece, file.get())) > 0;) {
        bytes.insert(bytes.end(), piece, piece + count);
    }
    if (std::ferror(file.get()) != 0) {
        throw bad_input("'" + path + "' cannot be read: " + std::strerror(errno) + ".");
    }
    return bytes;
}

Picture make_picture(const std::string& what, long height, long width) {
    if (height < 1 || width < 1 || height > kLongestSide || width > kLongestSide) {
        throw bad_input("'" + what + "' is " + std::to_string(height) + " x " +
                        std::to_string(width) + "; expected 1 to 32768 each.");
    }
    Picture picture{static_cast<int>(height), static_cast<int>(width), {}};
    picture.rgb.resize(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3);
    return picture;
}

Picture decode_png(const std::vector<std::uint8_t>& bytes, const std::string& what) {
    png_image image;
    std::memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) {
        throw bad_input("'" + what + "' is not a PNG image: " + image.message + ".");
    }
    const std::unique_ptr<png_image, void (*)(png_image*)> owner(&image, png_image_free);
    // Without an alpha channel in the target libpng composes on the background: drop it instead.
    image.format = PNG_FORMAT_RGBA;
    Picture picture =
        make_picture(what, static_cast<long>(image.height), static_cast<long>(image.width));
    std::vector<std::uint8_t> rgba(PNG_IMAGE_SIZE(image));
    if (png_image_finish_read(&image, nullptr, rgba.data(), 0, nullptr) == 0) {
        throw bad_input("'" + what + "' is a damaged PNG image: " + image.message + ".");
    }
    for (std::size_t i = 0; i < picture.rgb.size() / 3; ++i) {
        std::memcpy(&picture.rgb[3 * i], &rgba[4 * i], 3);
    }
    return picture;
}

// libjpeg leaves by longjmp, or it would end the program.
struct JpegErrors {
    jpeg_error_mgr base;
    std::jmp_buf back;
    char message[JMSG_LENGTH_MAX];
    bool damaged;
};

void leave(j_common_ptr info) {
    auto* errors = reinterpret_cast<JpegErrors*>(info->err);
    info->err->format_message(info, errors->message);
    std::longjmp(errors->back, 1);
}

// JPEG has no checksum: libjpeg fills what is missing with gray, warns, and goes on. Bytes that are
// too many, and an end marker that some cameras leave out, are no damage.
void note_damage(j_common_ptr info, int level) {
    if (level >= 0) {
        return;
    }
    switch (info->err->msg_code) {
        case JWRN_HIT_MARKER:
        case JWRN_HUFF_BAD_CODE:
        case JWRN_MUST_RESYNC: {
            auto* errors = reinterpret_cast<JpegErrors*>(info->err);
            if (!errors->damaged) {
                info->err->format_message(info, errors->message);
            }
            errors->damaged = true;
            break;
        }
        default:
            break;
    }
}

// Whether the scans of a progressive picture brought every coefficient to its last bit.
bool is_complete(const jpeg_decompress_struct& info) {
    if (info.coef_bits == nullptr) {
        return true;
    }
    for (int part = 0; part < info.num_components; ++part) {
        for (int place = 0; place < DCTSIZE2; ++place) {
            if (info.coef_bits[part][place] != 0) {
                return false;
            }
        }
    }
    return true;
}

// Nothing here has a destructor that the longjmp would skip. `rows` null: only the size.
bool run_jpeg(const std::uint8_t* bytes, std::size_t size, JpegErrors& errors, long* height,
              long* width, std::uint8_t* rows) {
    jpeg_decompress_struct info;
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = leave;
    errors.base.emit_message = note_damage;
    errors.damaged = false;
    if (setjmp(errors.back) != 0) {
        jpeg_destroy_decompress(&info);
        return false;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes, static_cast<unsigned long>(size));
    jpeg_read_header(&info, TRUE);
    *height = static_cast<long>(info.image_height);
    *width = static_cast<long>(info.image_width);
    if (rows != nullptr) {
        info.out_color_space = JCS_RGB;
        jpeg_start_decompress(&info);
        while (info.output_scanline < info.output_height) {
            JSAMPROW row = rows + static_cast<std::size_t>(info.output_scanline) * 3U *
                                      static_cast<std::size_t>(info.output_width);
            jpeg_read_scanlines(&info, &row, 1);
        }
        if (!errors.damaged && !is_complete(info)) {
            std::strcpy(errors.message, "Some of its scans are missing");
            errors.damaged = true;
        }
        jpeg_finish_decompress(&info);
    }
    jpeg_destroy_decompress(&info);
    return true;
}

Picture decode_ppm(const std::vector<std::uint8_t>& bytes, const std::string& what) {
    std::size_t at = 2;
    int numbers[3] = {0, 0, 0};
    for (int& number : numbers) {
        while (at < bytes.size() && (bytes[at] <= ' ' || bytes[at] == '#')) {
            if (bytes[at] == '#') {
                while (at < bytes.size() && bytes[at] != '\n') {
                    ++at;
                }
            } else {
                ++at;
            }
        }
        for (; at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9'; ++at) {
            number = number > 99999 ? number : 10 * number + (bytes[at] - '0');
        }
    }
    ++at;  // the one blank before the pixels
    Picture picture = make_picture(what, numbers[1], numbers[0]);
    if (numbers[2] != 255 || at > bytes.size() || bytes.size() - at < picture.rgb.size()) {
        throw bad_input("'" + what + "' is a damaged PPM image, or has more than 8 bits.");
    }
    std::memcpy(picture.rgb.data(), bytes.data() + at, picture.rgb.size());
    return picture;
}

bool begins(const std::vector<std::uint8_t>& bytes, const char* magic, std::size_t size) {
    return bytes.size() > size && std::memcmp(bytes.data(), magic, size) == 0;
}

}  // namespace

Picture decode_jpeg(const std::uint8_t* bytes, std::size_t size, const std::string& what,
                    Damage damage) {
    JpegErrors errors;
    long height = 0;
    long width = 0;
    Picture picture;
    bool done = run_jpeg(bytes, size, errors, &height, &width, nullptr);
    if (done) {
        picture = make_picture(what, height, width);
        done = run_jpeg(bytes, size, errors, &height, &width, picture.rgb.data());
    }
    if (!done || (errors.damaged && damage == Damage::kRefused)) {
        throw bad_input("'" + what + "' is a damaged JPEG image: " + errors.message + ".");
    }
    return picture;
}

Picture read_picture(const std::string& path) {
    const auto bytes = read_all(path);
    if (begins(bytes, "\x89PNG", 4)) {
        return decode_png(bytes, path);
    }
    if (begins(bytes, "\xFF\xD8", 2)) {
        return decode_jpeg(bytes.data(), bytes.size(), path, Damage::kRefused);
    }
    if (begins(bytes, "P6", 2)) {
        return decode_ppm(bytes, path);
    }
    throw bad_input("'" + path + "' is not an image of a known format; expected PNG, JPEG or PPM.");
}

void write_png(const std::string& path, int height, int width, int channels, int bits,
               const std::uint8_t* pixels) {
    const File file = open_file(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
    png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
    if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) {
        png_destroy_write_struct(&png, &info);
        throw bad_input("'" + path + "' cannot be written.");
    }
    png_init_io(png, file.get());
    png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), bits,
                 channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    if (bits == 16) {
        png_set_swap(png);  // PNG is big-endian
    }
    const auto row =
        static_cast<std::size_t>(width) * static_cast<std::size_t>(channels * bits / 8);
    for (int y = 0; y < height; ++y) {
        png_write_row(png, pixels + static_cast<std::size_t>(y) * row);
    }
    png_write_end(png, nullptr);
    png_destroy_write_struct(&png, &info);
    if (std::fflush(file.get()) != 0) {
        throw bad_input("'" + path + "' cannot be written: " + std::strerror(errno) + ".");
    }
}

}  // namespace apps
