// SPDX-License-Identifier: Apache-2.0
#include "yuv.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace edge_ovss::internal {

namespace {

std::uint8_t clip(int value) {
    return static_cast<std::uint8_t>(value < 0 ? 0 : (value > 255 ? 255 : value));
}

// The part of the conversion that two neighboring pixels share.
struct Chroma {
    int red;
    int green;
    int blue;

    Chroma(int u, int v)
        : red(409 * (v - 128) + 128),
          green(-100 * (u - 128) - 208 * (v - 128) + 128),
          blue(516 * (u - 128) + 128) {}
};

void put_yuv(std::uint8_t* rgb, int luma, const Chroma& chroma) {
    const int scaled = 298 * (luma - 16);
    // GCC, Clang and MSVC shift negative numbers arithmetically, and C++20 says so.
    rgb[0] = clip((scaled + chroma.red) >> 8);
    rgb[1] = clip((scaled + chroma.green) >> 8);
    rgb[2] = clip((scaled + chroma.blue) >> 8);
}

// Where the samples of a row stand: the luma of pixel x at luma[Step * x], the chroma of x and
// x + 1 (x even) at u[Step * x] and v[Step * x].
template <std::size_t Step>
struct Row {
    const std::uint8_t* luma;
    const std::uint8_t* u;
    const std::uint8_t* v;

    void put(std::size_t x, std::uint8_t* rgb) const {
        const std::size_t pair = Step * (x / 2 * 2);
        put_yuv(rgb + 3 * x, luma[Step * x], Chroma(u[pair], v[pair]));
    }

    // From `x`, which is even, to the end.
    void put_rest(std::size_t x, std::uint8_t* rgb, std::size_t width) const {
        for (; x < width; ++x) {
            put(x, rgb);
        }
    }
};

// Pixels that are converted at once.
constexpr std::size_t kBlock = 16;

#if defined(__SSE2__)

// 16 pixels: Y of each, and UVUV... of the eight pairs.
struct Block {
    __m128i luma;
    __m128i uv;
};

// a * b + c * d + more, over 256, of eight pixels in two halves; saturated to 16 bits.
__m128i weighed(__m128i low, __m128i high, __m128i weights, __m128i more_low, __m128i more_high) {
    low = _mm_add_epi32(_mm_madd_epi16(low, weights), more_low);
    high = _mm_add_epi32(_mm_madd_epi16(high, weights), more_high);
    return _mm_packs_epi32(_mm_srai_epi32(low, 8), _mm_srai_epi32(high, 8));
}

__m128i weights_of(short first, short second) {
    return _mm_setr_epi16(first, second, first, second, first, second, first, second);
}

struct Colors {
    __m128i red;
    __m128i green;
    __m128i blue;
};

// Eight pixels, 16 bits each: luma - 16, and u - 128 and v - 128 of each pixel.
Colors eight(__m128i luma, __m128i u, __m128i v) {
    const __m128i half = _mm_set1_epi32(128);
    const __m128i ones = _mm_set1_epi16(1);
    const __m128i yv_low = _mm_unpacklo_epi16(luma, v);
    const __m128i yv_high = _mm_unpackhi_epi16(luma, v);
    const __m128i u_weights = weights_of(-100, 128);
    const __m128i u_low = _mm_madd_epi16(_mm_unpacklo_epi16(u, ones), u_weights);
    const __m128i u_high = _mm_madd_epi16(_mm_unpackhi_epi16(u, ones), u_weights);
    const __m128i yu_low = _mm_unpacklo_epi16(luma, u);
    const __m128i yu_high = _mm_unpackhi_epi16(luma, u);
    return {weighed(yv_low, yv_high, weights_of(298, 409), half, half),
            weighed(yv_low, yv_high, weights_of(298, -208), u_low, u_high),
            weighed(yu_low, yu_high, weights_of(298, 516), half, half)};
}

// Two times RGB0RGB0 to two times RGBRGB00, and out: 14 bytes, of which 12 count.
void put_four(std::uint8_t* rgb, __m128i rgb0) {
    const __m128i first = _mm_and_si128(rgb0, _mm_set1_epi64x(0xFFFFFF));
    const __m128i second = _mm_and_si128(rgb0, _mm_set1_epi64x(0xFFFFFF00000000));
    const __m128i both = _mm_or_si128(first, _mm_srli_epi64(second, 8));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(rgb), both);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(rgb + 6), _mm_unpackhi_epi64(both, both));
}

// Writes 50 bytes at `rgb`, of which 48 count.
void put_block(const Block& block, std::uint8_t* rgb) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i sixteen = _mm_set1_epi16(16);
    const __m128i middle = _mm_set1_epi16(128);
    // u in the low byte of every pair, v in the high one; then each twice, for both pixels.
    const __m128i u = _mm_sub_epi16(_mm_and_si128(block.uv, _mm_set1_epi16(255)), middle);
    const __m128i v = _mm_sub_epi16(_mm_srli_epi16(block.uv, 8), middle);
    const Colors low = eight(_mm_sub_epi16(_mm_unpacklo_epi8(block.luma, zero), sixteen),
                             _mm_unpacklo_epi16(u, u), _mm_unpacklo_epi16(v, v));
    const Colors high = eight(_mm_sub_epi16(_mm_unpackhi_epi8(block.luma, zero), sixteen),
                              _mm_unpackhi_epi16(u, u), _mm_unpackhi_epi16(v, v));
    const __m128i red = _mm_packus_epi16(low.red, high.red);
    const __m128i green = _mm_packus_epi16(low.green, high.green);
    const __m128i blue = _mm_packus_epi16(low.blue, high.blue);
    const __m128i rg_low = _mm_unpacklo_epi8(red, green);
    const __m128i rg_high = _mm_unpackhi_epi8(red, green);
    const __m128i b_low = _mm_unpacklo_epi8(blue, zero);
    const __m128i b_high = _mm_unpackhi_epi8(blue, zero);
    put_four(rgb, _mm_unpacklo_epi16(rg_low, b_low));
    put_four(rgb + 12, _mm_unpackhi_epi16(rg_low, b_low));
    put_four(rgb + 24, _mm_unpacklo_epi16(rg_high, b_high));
    put_four(rgb + 36, _mm_unpackhi_epi16(rg_high, b_high));
}

__m128i load(const std::uint8_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

Block block_of_nv12(const std::uint8_t* luma, const std::uint8_t* uv) {
    return {load(luma), load(uv)};
}

Block block_of_yuyv(const std::uint8_t* from) {
    const __m128i first = load(from);
    const __m128i second = load(from + 16);
    const __m128i low = _mm_set1_epi16(255);
    return {_mm_packus_epi16(_mm_and_si128(first, low), _mm_and_si128(second, low)),
            _mm_packus_epi16(_mm_srli_epi16(first, 8), _mm_srli_epi16(second, 8))};
}

// The last store of a block reaches into the next pixel, which must be one of this row.
constexpr std::size_t kMore = 1;

#elif defined(__aarch64__) && defined(__ARM_NEON)

// 16 pixels: Y of each, and U and V of the eight pairs, each twice.
struct Block {
    uint8x16_t luma;
    uint8x16_t u;
    uint8x16_t v;
};

int16x8_t less(uint8x8_t samples, std::uint8_t offset) {
    return vreinterpretq_s16_u16(vsubl_u8(samples, vdup_n_u8(offset)));
}

// Eight pixels of one color: (298 y + a u + b v + 128) >> 8, clipped.
uint8x8_t color(int16x8_t y, int16x8_t u, int16x8_t v, std::int16_t a, std::int16_t b) {
    int32x4_t low = vmlal_n_s16(vdupq_n_s32(128), vget_low_s16(y), 298);
    int32x4_t high = vmlal_n_s16(vdupq_n_s32(128), vget_high_s16(y), 298);
    low = vmlal_n_s16(vmlal_n_s16(low, vget_low_s16(u), a), vget_low_s16(v), b);
    high = vmlal_n_s16(vmlal_n_s16(high, vget_high_s16(u), a), vget_high_s16(v), b);
    return vqmovun_s16(vcombine_s16(vshrn_n_s32(low, 8), vshrn_n_s32(high, 8)));
}

void put_eight(uint8x8_t luma, uint8x8_t u8, uint8x8_t v8, std::uint8_t* rgb) {
    const int16x8_t y = less(luma, 16);
    const int16x8_t u = less(u8, 128);
    const int16x8_t v = less(v8, 128);
    vst3_u8(rgb, uint8x8x3_t{
                     {color(y, u, v, 0, 409), color(y, u, v, -100, -208), color(y, u, v, 516, 0)}});
}

void put_block(const Block& block, std::uint8_t* rgb) {
    put_eight(vget_low_u8(block.luma), vget_low_u8(block.u), vget_low_u8(block.v), rgb);
    put_eight(vget_high_u8(block.luma), vget_high_u8(block.u), vget_high_u8(block.v), rgb + 24);
}

uint8x16_t twice(uint8x8_t samples) {
    const uint8x8x2_t both = vzip_u8(samples, samples);
    return vcombine_u8(both.val[0], both.val[1]);
}

Block block_of_nv12(const std::uint8_t* luma, const std::uint8_t* uv) {
    const uint8x8x2_t chroma = vld2_u8(uv);
    return {vld1q_u8(luma), twice(chroma.val[0]), twice(chroma.val[1])};
}

Block block_of_yuyv(const std::uint8_t* from) {
    const uint8x8x4_t all = vld4_u8(from);  // Y0 U Y1 V
    const uint8x8x2_t luma = vzip_u8(all.val[0], all.val[2]);
    return {vcombine_u8(luma.val[0], luma.val[1]), twice(all.val[1]), twice(all.val[3])};
}

constexpr std::size_t kMore = 0;

#endif

}  // namespace

void row_of_nv12(const std::uint8_t* luma, const std::uint8_t* uv, std::uint8_t* rgb,
                 std::size_t width) noexcept {
    std::size_t x = 0;
#if defined(__SSE2__) || (defined(__aarch64__) && defined(__ARM_NEON))
    for (; x + kBlock + kMore <= width; x += kBlock) {
        put_block(block_of_nv12(luma + x, uv + x), rgb + 3 * x);
    }
#endif
    Row<1>{luma, uv, uv + 1}.put_rest(x, rgb, width);
}

void row_of_yuyv(const std::uint8_t* from, std::uint8_t* rgb, std::size_t width) noexcept {
    std::size_t x = 0;
#if defined(__SSE2__) || (defined(__aarch64__) && defined(__ARM_NEON))
    for (; x + kBlock + kMore <= width; x += kBlock) {
        put_block(block_of_yuyv(from + 2 * x), rgb + 3 * x);
    }
#endif
    Row<2>{from, from + 1, from + 3}.put_rest(x, rgb, width);
}

}  // namespace edge_ovss::internal
