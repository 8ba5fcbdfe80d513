// SPDX-License-Identifier: Apache-2.0
// The live part of ovss-camera with pretended cameras: the newest frame, turns, losses, stalls.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../apps/live/watchdog.h"
#include "check.h"

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSoon(30000);

// What a pretended camera does, from one opening to the next.
struct Script {
    std::mutex mutex;
    int opened = 0;
    int frames = 0;   // of this opening, before it is lost
    int refused = 0;  // openings that fail after the first loss
    bool ends = false;
    bool throws = false;             // a loss is an error of the driver
    std::atomic<bool> hangs{false};  // reads neither return nor heed the end
    std::atomic<bool> is_hanging{false};
    int silent_ms = 0;  // before the third frame
    milliseconds pause{1};
};

class Pretended final : public apps::Source {
public:
    Pretended(std::shared_ptr<Script> script, const std::atomic<bool>& ending)
        : script_(std::move(script)), ending_(ending) {}

    bool ends() const override { return script_->ends; }

    bool read(apps::Captured& captured) override {
        std::this_thread::sleep_for(script_->pause);
        while (script_->hangs && count_ > 0) {
            script_->is_hanging = true;
            std::this_thread::sleep_for(milliseconds(10));
        }
        if (count_ == 2) {
            std::this_thread::sleep_for(milliseconds(script_->silent_ms));
        }
        if (ending_ || (script_->frames > 0 && count_ == script_->frames)) {
            if (script_->throws && !ending_) {
                throw edge_ovss::Error(EDGE_OVSS_ERROR_INPUT, "No such device.", "");
            }
            return false;
        }
        captured.bytes.assign(1, static_cast<std::uint8_t>(count_++));
        captured.time = std::chrono::steady_clock::now();
        return true;
    }

private:
    std::shared_ptr<Script> script_;
    const std::atomic<bool>& ending_;
    int count_ = 0;
};

apps::LiveSource source(const std::shared_ptr<Script>& script, const std::string& label) {
    return {label, [script](const std::atomic<bool>& ending) -> std::unique_ptr<apps::Source> {
                const std::lock_guard<std::mutex> lock(script->mutex);
                ++script->opened;
                if (script->opened > 1 && script->opened <= 1 + script->refused) {
                    throw edge_ovss::Error(EDGE_OVSS_ERROR_INPUT, "It is not there.", "");
                }
                return std::make_unique<Pretended>(script, ending);
            }};
}

// Warnings of all threads.
class Heard {
public:
    apps::Warn warn() {
        return [this](const std::string& words) {
            const std::lock_guard<std::mutex> lock(mutex_);
            words_.push_back(words);
        };
    }
    bool has(const std::string& part) {
        const std::lock_guard<std::mutex> lock(mutex_);
        return std::any_of(words_.begin(), words_.end(), [&](const std::string& words) {
            return words.find(part) != std::string::npos;
        });
    }

private:
    std::mutex mutex_;
    std::vector<std::string> words_;
};

// Quick tries, in the ratio of the real ones.
apps::Persistence quick(double reconnect_s) {
    return {reconnect_s, 0.01, 0.04};
}

template <typename Condition>
void wait_until(Condition holds) {
    const auto start = std::chrono::steady_clock::now();
    while (!holds()) {
        CHECK(std::chrono::steady_clock::now() - start < kSoon);
        std::this_thread::sleep_for(milliseconds(1));
    }
}

void wait_for_end(const apps::Grabber& grabber) {
    wait_until([&] { return grabber.state().has_ended; });
}

void wait_for_return(const apps::Grabber& grabber) {
    wait_until([&] { return grabber.state().reconnects >= 1; });
}

void newest_frames_win_and_sources_take_turns() {
    apps::Newest newest(2, false);
    apps::Captured captured;
    for (int i = 0; i < 5; ++i) {
        for (std::size_t number = 0; number < 2; ++number) {
            captured.bytes.assign(1, static_cast<std::uint8_t>(10 * number + i));
            captured.source = number;
            newest.put(captured);
        }
    }
    CHECK(newest.take(captured, milliseconds(1)) && captured.source == 0 && captured.bytes[0] == 4);
    captured.source = 0;
    captured.bytes.assign(1, 5);
    newest.put(captured);  // the first has another one, but it is the turn of the second
    CHECK(newest.take(captured, milliseconds(1)) && captured.source == 1);
    CHECK(captured.bytes[0] == 14);
    CHECK(newest.take(captured, milliseconds(1)) && captured.source == 0 && captured.bytes[0] == 5);
    CHECK(!newest.take(captured, milliseconds(1)));
    CHECK(newest.dropped(0) == 4 && newest.dropped(1) == 4 && newest.dropped() == 8);
    captured.source = 1;
    newest.put(captured);
    newest.close();
    CHECK(newest.left(1) == 1 && !newest.is_waiting());
}

void nothing_is_dropped_where_all_are_wanted() {
    const auto newest = std::make_shared<apps::Newest>(1, true);
    const auto script = std::make_shared<Script>();
    script->frames = 20;
    script->ends = true;
    script->pause = milliseconds(0);
    Heard heard;
    apps::Grabber grabber(0, source(script, "file"), newest, quick(1.0), heard.warn());
    apps::Captured captured;
    for (int i = 0; i < 20; ++i) {
        CHECK(newest->take(captured, kSoon) && captured.bytes[0] == i);
    }
    wait_for_end(grabber);
    CHECK(!grabber.state().failed && grabber.state().reconnects == 0 && script->opened == 1);
    CHECK(newest->dropped() == 0 && !heard.has("lost"));
}

void a_lost_camera_is_opened_again(bool throws) {
    const auto newest = std::make_shared<apps::Newest>(1, false);
    const auto script = std::make_shared<Script>();
    script->frames = 3;
    script->refused = 3;
    script->throws = throws;
    Heard heard;
    apps::Grabber grabber(0, source(script, "usb"), newest, quick(60.0), heard.warn());
    const auto start = std::chrono::steady_clock::now();
    wait_for_return(grabber);
    // The first loss: tries after 10, 20, 40 and 40 ms.
    CHECK(std::chrono::steady_clock::now() - start >= milliseconds(110));
    grabber.stop();
    wait_for_end(grabber);
    CHECK(!grabber.state().failed && grabber.state().read >= 4);
    CHECK(heard.has("usb is lost; trying to open it again") && heard.has("usb is back after "));
}

// Doubled without an end, the waits would take two minutes.
void tries_are_never_far_apart() {
    const auto newest = std::make_shared<apps::Newest>(1, false);
    const auto script = std::make_shared<Script>();
    script->frames = 3;
    script->refused = 16;
    Heard heard;
    apps::Grabber grabber(0, source(script, "usb"), newest, {600.0, 0.001, 0.002}, heard.warn());
    wait_for_return(grabber);
}

// Else one that sends a frame now and then would be said to stall after each loss.
void the_pace_of_a_camera_outlasts_a_loss() {
    const auto newest = std::make_shared<apps::Newest>(1, false);
    const auto script = std::make_shared<Script>();
    script->frames = 4;
    script->pause = milliseconds(20);
    Heard heard;
    apps::Grabber grabber(0, source(script, "usb"), newest, quick(60.0), heard.warn());
    wait_for_return(grabber);
    const auto state = grabber.state();
    CHECK(state.interval_s >= 0.02 && !state.is_trying && state.read >= 5);
}

void a_camera_that_stays_away_ends_with_its_last_words() {
    const auto newest = std::make_shared<apps::Newest>(1, false);
    const auto script = std::make_shared<Script>();
    script->frames = 3;
    script->refused = 1000;
    Heard heard;
    apps::Grabber grabber(0, source(script, "usb"), newest, quick(0.2), heard.warn());
    wait_for_end(grabber);
    const auto state = grabber.state();
    CHECK(state.failed && state.read == 3 && state.reconnects == 0);
    CHECK(std::string(state.failed->what()).find("was not back within 0.2 s (") !=
          std::string::npos);
    CHECK(state.failed->hint() == "The last try: It is not there.");
}

void without_reconnect_a_loss_is_the_end() {
    const auto newest = std::make_shared<apps::Newest>(1, false);
    const auto script = std::make_shared<Script>();
    script->frames = 3;
    Heard heard;
    apps::Grabber grabber(0, source(script, "usb"), newest, quick(0.0), heard.warn());
    wait_for_end(grabber);
    CHECK(grabber.state().failed && script->opened == 1 && !heard.has("trying"));
    CHECK(grabber.state().failed->what() == std::string("Video source 'usb' ended, or was lost."));
}

void one_that_never_sends_is_an_error() {
    const auto newest = std::make_shared<apps::Newest>(1, false);
    const auto script = std::make_shared<Script>();
    script->pause = milliseconds(600);
    Heard heard;
    std::vector<std::unique_ptr<apps::Grabber>> grabbers;
    grabbers.push_back(std::make_unique<apps::Grabber>(0, source(script, "usb"), newest, quick(1.0),
                                                       heard.warn()));
    apps::Watchdog patient(10.0, heard.warn());
    patient.check(grabbers);
    // The limit is that of opening and two seconds: they are over at once with minus two.
    apps::Watchdog watchdog(-2.0, heard.warn());
    std::this_thread::sleep_for(milliseconds(5));
    bool failed = false;
    try {
        watchdog.check(grabbers);
    } catch (const edge_ovss::Error& err) {
        failed = std::string(err.what()).find("'usb' has sent nothing for") != std::string::npos &&
                 err.status() == EDGE_OVSS_ERROR_INPUT;
    }
    CHECK(failed);
}

void a_stall_is_said_once_and_its_end_too() {
    const auto newest = std::make_shared<apps::Newest>(1, false);
    const auto script = std::make_shared<Script>();
    script->silent_ms = 2500;
    Heard heard;
    std::vector<std::unique_ptr<apps::Grabber>> grabbers;
    grabbers.push_back(std::make_unique<apps::Grabber>(0, source(script, "usb"), newest, quick(1.0),
                                                       heard.warn()));
    apps::Watchdog watchdog(10.0, heard.warn());
    wait_until([&] {
        watchdog.check(grabbers);
        return heard.has("usb sends again after ");
    });
    CHECK(watchdog.stalls() == 1 && heard.has("usb stalls: nothing has come for "));
}

void one_of_several_that_is_lost_is_said() {
    const auto newest = std::make_shared<apps::Newest>(2, false);
    const auto gone = std::make_shared<Script>();
    gone->frames = 2;
    const auto stays = std::make_shared<Script>();
    Heard heard;
    std::vector<std::unique_ptr<apps::Grabber>> grabbers;
    grabbers.push_back(
        std::make_unique<apps::Grabber>(0, source(gone, "left"), newest, quick(0.0), heard.warn()));
    grabbers.push_back(std::make_unique<apps::Grabber>(1, source(stays, "right"), newest,
                                                       quick(0.0), heard.warn()));
    wait_for_end(*grabbers[0]);
    apps::Watchdog watchdog(10.0, heard.warn());
    watchdog.check(grabbers);
    CHECK(heard.has("'left' ended, or was lost. The other sources go on"));
    CHECK(!grabbers[1]->state().has_ended);
}

void a_driver_that_hangs_does_not_keep_the_program() {
    const auto newest = std::make_shared<apps::Newest>(1, false);
    const auto script = std::make_shared<Script>();
    script->hangs = true;
    const auto start = std::chrono::steady_clock::now();
    Heard heard;
    {
        apps::Grabber grabber(0, source(script, "usb"), newest, quick(1.0), heard.warn());
        apps::Captured captured;
        CHECK(newest->take(captured, kSoon));
        wait_until([&] { return script->is_hanging.load(); });
        grabber.stop();
        CHECK(!grabber.join());
    }
    CHECK(std::chrono::steady_clock::now() - start < kSoon);
    script->hangs = false;  // the thread ends, for the sanitizers
    std::this_thread::sleep_for(milliseconds(100));
}

}  // namespace

int main() {
    newest_frames_win_and_sources_take_turns();
    nothing_is_dropped_where_all_are_wanted();
    a_lost_camera_is_opened_again(false);
    a_lost_camera_is_opened_again(true);
    tries_are_never_far_apart();
    the_pace_of_a_camera_outlasts_a_loss();
    a_camera_that_stays_away_ends_with_its_last_words();
    without_reconnect_a_loss_is_the_end();
    one_that_never_sends_is_an_error();
    a_stall_is_said_once_and_its_end_too();
    one_of_several_that_is_lost_is_said();
    a_driver_that_hangs_does_not_keep_the_program();
    return 0;
}
