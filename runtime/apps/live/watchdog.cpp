// SPDX-License-Identifier: Apache-2.0
#include "watchdog.h"

#include <algorithm>

#include "../words.h"

namespace apps {

namespace {

constexpr double kShortestStall = 2.0;  // seconds
constexpr double kUsualGaps = 10.0;
constexpr double kSlack = 2.0;  // opening has the same limit of its own, and its message says more

}  // namespace

void Watchdog::check(const std::vector<std::unique_ptr<Grabber>>& grabbers) {
    const bool some_go_on = std::any_of(grabbers.begin(), grabbers.end(),
                                        [](const auto& each) { return !each->state().has_ended; });
    for (std::size_t number = 0; number < grabbers.size(); ++number) {
        const GrabberState state = grabbers[number]->state();
        const std::string& label = grabbers[number]->label();
        if (state.has_ended || state.is_trying) {
            silent_since_.erase(number);  // the loss has been said
            if (state.failed && some_go_on && ended_.insert(number).second) {
                warn_(state.failed->what() + std::string(" The other sources go on"));
            }
        } else if (state.read > 0) {
            check_next(number, label, state);
        } else {
            const std::chrono::duration<double> silent =
                std::chrono::steady_clock::now() - state.heard;
            if (silent.count() > timeout_s_ + kSlack) {
                throw edge_ovss::Error(
                    EDGE_OVSS_ERROR_INPUT,
                    "Video source '" + label + "' has sent nothing for " +
                        in_words("%.0f s.", silent.count()),
                    "Check that it is switched on and sends frames, or raise --timeout.");
            }
        }
    }
}

void Watchdog::check_next(std::size_t number, const std::string& label, const GrabberState& state) {
    const std::chrono::duration<double> silent = std::chrono::steady_clock::now() - state.heard;
    const auto since = silent_since_.find(number);
    if (since == silent_since_.end()) {
        if (silent.count() > std::max(kShortestStall, kUsualGaps * state.interval_s)) {
            ++stalls_;
            silent_since_[number] = state.heard;
            warn_(label + " stalls: nothing has come for " + in_words("%.1f s", silent.count()));
        }
    } else if (state.heard > since->second) {
        const std::chrono::duration<double> gone = state.heard - since->second;
        silent_since_.erase(since);
        warn_(label + " sends again after " + in_words("%.1f s", gone.count()));
    }
}

}  // namespace apps
