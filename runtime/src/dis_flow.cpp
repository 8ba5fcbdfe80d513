// SPDX-License-Identifier: Apache-2.0
// Motion by OpenCV's dense inverse search, as edge_ovss/motion/dis.py estimates it.
#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/video/tracking.hpp>

#include "error.h"
#include "pixels.h"
#include "stream.h"

namespace edge_ovss::internal {

namespace {

constexpr int kColumns = 240;
constexpr int kSmallest = 64;  // the search crashes on smaller images
constexpr int kChecked = 2;    // rows and columns from one check to the next
constexpr int kApart = 20;     // gray levels
constexpr float kShare = 0.05F;
constexpr float kSlack = 0.5F;
constexpr double kSteps = 32.0;

cv::Ptr<cv::DISOpticalFlow> search(int iterations, int refinements, int stride) {
    auto dis = cv::DISOpticalFlow::create(cv::DISOpticalFlow::PRESET_ULTRAFAST);
    dis->setFinestScale(1);
    dis->setPatchSize(8);
    dis->setPatchStride(stride);
    dis->setGradientDescentIterations(iterations);
    dis->setVariationalRefinementIterations(refinements);
    return dis;
}

// Every kChecked-th row and column.
template <class Pixel>
cv::Mat thinned(const cv::Mat& image) {
    cv::Mat thin((image.rows + kChecked - 1) / kChecked, (image.cols + kChecked - 1) / kChecked,
                 image.type());
    for (int y = 0; y < thin.rows; ++y) {
        for (int x = 0; x < thin.cols; ++x) {
            thin.at<Pixel>(y, x) = image.at<Pixel>(y * kChecked, x * kChecked);
        }
    }
    return thin;
}

class DisFlow final : public FlowEstimator {
public:
    bool advance(const edge_ovss_frame& frame, Motion& motion) override {
        try {
            return advance_to(frame, motion);
        } catch (const cv::Exception& err) {
            throw Error(EDGE_OVSS_ERROR_INTERNAL, text("OpenCV: ", err.what()),
                        "Please report this as a fault.");
        }
    }

    void forget() override { before_.release(); }

private:
    bool advance_to(const edge_ovss_frame& frame, Motion& motion) {
        cv::Mat gray = reduced(frame);
        const cv::Size size(frame.width, frame.height);
        cv::Mat before = before_;
        const bool known = !before.empty() && size == size_;
        before_ = gray;
        size_ = size;
        if (!known) {
            return false;
        }
        cv::Mat flow;
        cv::Mat back;
        find(gray, before, flow, back);
        cv::Mat valid = agreement(flow, back, gray, before);
        scale(flow, gray.size());
        cv::resize(valid, valid_, size, 0, 0, cv::INTER_NEAREST);
        motion.vectors = vectors_.ptr<std::int16_t>();
        motion.valid = valid_.ptr<std::uint8_t>();
        motion.grid = {static_cast<std::size_t>(size.height), static_cast<std::size_t>(size.width)};
        return true;
    }

    cv::Mat reduced(const edge_ovss_frame& frame) {
        const Pixels pixels = check_frame(frame);
        rgb_.create(frame.height, frame.width, CV_8UC3);
        to_rgb(pixels, rgb_.ptr<std::uint8_t>(), rgb_.step[0]);
        cv::Mat gray;
        cv::cvtColor(rgb_, gray, cv::COLOR_RGB2GRAY);
        const double share = std::min(1.0, static_cast<double>(kColumns) / frame.width);
        // As Python rounds: halves to the even number.
        const int rows = std::max(static_cast<int>(std::nearbyint(frame.height * share)),
                                  std::min(frame.height, kSmallest));
        const int cols = static_cast<int>(std::nearbyint(frame.width * share));
        if (rows != gray.rows || cols != gray.cols) {
            cv::Mat small;
            cv::resize(gray, small, cv::Size(cols, rows), 0, 0, cv::INTER_AREA);
            return small;
        }
        return gray;
    }

    void find(const cv::Mat& gray, const cv::Mat& before, cv::Mat& flow, cv::Mat& back) {
        const int below = std::max(kSmallest - gray.rows, 0);
        const int right = std::max(kSmallest - gray.cols, 0);
        cv::Mat now = gray;
        cv::Mat then = before;
        if (below > 0 || right > 0) {
            cv::copyMakeBorder(gray, now, 0, below, 0, right, cv::BORDER_REPLICATE);
            cv::copyMakeBorder(before, then, 0, below, 0, right, cv::BORDER_REPLICATE);
        }
        forward_->calc(now, then, flow);
        backward_->calc(then, now, back);
        const cv::Rect whole(0, 0, gray.cols, gray.rows);
        flow = flow(whole).clone();
        back = back(whole).clone();
    }

    // Where the flow back undoes the flow, and the image looks like where it comes from.
    static cv::Mat agreement(const cv::Mat& flow, const cv::Mat& back, const cv::Mat& gray,
                             const cv::Mat& before) {
        const cv::Mat thin = thinned<cv::Vec2f>(flow);
        cv::Mat at = thin.clone();
        for (int y = 0; y < at.rows; ++y) {
            for (int x = 0; x < at.cols; ++x) {
                at.at<cv::Vec2f>(y, x) +=
                    cv::Vec2f(static_cast<float>(kChecked * x), static_cast<float>(kChecked * y));
            }
        }
        cv::Mat there;
        cv::remap(back, there, at, cv::noArray(), cv::INTER_LINEAR, cv::BORDER_REPLICATE);
        cv::Mat soft_now;
        cv::Mat soft_before;
        cv::blur(gray, soft_now, cv::Size(3, 3));
        cv::blur(before, soft_before, cv::Size(3, 3));
        cv::Mat moved;
        cv::remap(soft_before, moved, at, cv::noArray(), cv::INTER_LINEAR, cv::BORDER_REPLICATE);
        const cv::Mat looks = thinned<std::uint8_t>(soft_now);
        cv::Mat valid(thin.size(), CV_8U);
        for (int y = 0; y < valid.rows; ++y) {
            for (int x = 0; x < valid.cols; ++x) {
                const cv::Vec2f f = thin.at<cv::Vec2f>(y, x);
                const cv::Vec2f b = there.at<cv::Vec2f>(y, x);
                const cv::Vec2f apart = f + b;
                const float excess = apart.dot(apart) - kShare * (f.dot(f) + b.dot(b));
                const int differ = std::abs(static_cast<int>(moved.at<std::uint8_t>(y, x)) -
                                            static_cast<int>(looks.at<std::uint8_t>(y, x)));
                valid.at<std::uint8_t>(y, x) = excess < kSlack && differ < kApart ? 1 : 0;
            }
        }
        return valid;
    }

    // Vectors in 1/32 pixel of the frame, for each of its pixels.
    void scale(cv::Mat& flow, const cv::Size& gray) {
        const cv::Scalar steps(kSteps * size_.width / gray.width,
                               kSteps * size_.height / gray.height);
        cv::multiply(flow, steps, flow);
        cv::Mat whole;
        flow.convertTo(whole, CV_16S);
        if (gray == size_) {
            vectors_ = whole;
        } else {
            cv::resize(whole, vectors_, size_, 0, 0, cv::INTER_LINEAR);
        }
    }

    cv::Ptr<cv::DISOpticalFlow> forward_ = search(8, 1, 4);
    cv::Ptr<cv::DISOpticalFlow> backward_ = search(6, 0, 5);
    cv::Mat before_;
    cv::Mat rgb_;
    cv::Mat vectors_;
    cv::Mat valid_;
    cv::Size size_;
};

}  // namespace

std::unique_ptr<FlowEstimator> make_dis_flow() {
    return std::make_unique<DisFlow>();
}

}  // namespace edge_ovss::internal
