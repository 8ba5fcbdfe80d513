// What the emitted node uses of rclcpp and its messages, declared as their public documentation has
// it: the compiler checks the node against it where there is no ROS. Nothing here runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace builtin_interfaces::msg {
struct Time {
    std::int32_t sec;
    std::uint32_t nanosec;
};
}  // namespace builtin_interfaces::msg

namespace std_msgs::msg {
struct Header {
    builtin_interfaces::msg::Time stamp;
    std::string frame_id;
};
}  // namespace std_msgs::msg

namespace sensor_msgs::msg {
struct Image {
    using ConstSharedPtr = std::shared_ptr<const Image>;
    std_msgs::msg::Header header;
    std::uint32_t height, width;
    std::string encoding;
    std::uint8_t is_bigendian;
    std::uint32_t step;
    std::vector<std::uint8_t> data;
};
}  // namespace sensor_msgs::msg

namespace vision_msgs::msg {
struct VisionClass {
    std::uint16_t class_id;
    std::string class_name;
};
struct LabelInfo {
    std_msgs::msg::Header header;
    std::vector<VisionClass> class_map;
    float threshold;
};
}  // namespace vision_msgs::msg

namespace diagnostic_msgs::msg {
struct KeyValue {
    std::string key, value;
};
struct DiagnosticStatus {
    std::uint8_t level;
    std::string name, message, hardware_id;
    std::vector<KeyValue> values;
};
struct DiagnosticArray {
    std_msgs::msg::Header header;
    std::vector<DiagnosticStatus> status;
};
}  // namespace diagnostic_msgs::msg

namespace rcl_interfaces::msg {
struct ParameterDescriptor {
    std::string name, description;
    bool read_only, dynamic_typing;
};
struct SetParametersResult {
    bool successful;
    std::string reason;
};
}  // namespace rcl_interfaces::msg

namespace ament_index_cpp {
std::string get_package_share_directory(const std::string& package_name);
}

namespace rclcpp {

enum ParameterType : std::uint8_t {
    PARAMETER_NOT_SET,
    PARAMETER_BOOL,
    PARAMETER_INTEGER,
    PARAMETER_DOUBLE,
    PARAMETER_STRING,
};

class ParameterValue {
public:
    explicit ParameterValue(bool value);
    explicit ParameterValue(int value);
    explicit ParameterValue(double value);
    explicit ParameterValue(const char* value);
    explicit ParameterValue(const std::string& value);
};

class Parameter {
public:
    ParameterType get_type() const;
    const std::string& get_name() const;
    bool as_bool() const;
    std::int64_t as_int() const;
    const std::string& as_string() const;
    std::string value_to_string() const;
};

struct KeepLast {
    explicit KeepLast(std::size_t depth);
};

class QoS {
public:
    explicit QoS(const KeepLast& history);
    QoS(std::size_t depth);  // NOLINT: rclcpp's converts too
    QoS& reliable();
    QoS& best_effort();
    QoS& transient_local();
};

class Time {
public:
    operator builtin_interfaces::msg::Time() const;
};
class Clock {
public:
    using SharedPtr = std::shared_ptr<Clock>;
};
class Logger {};
class TimerBase {
public:
    using SharedPtr = std::shared_ptr<TimerBase>;
};
template <typename Message>
class Subscription {
public:
    using SharedPtr = std::shared_ptr<Subscription<Message>>;
};

namespace node_interfaces {
struct OnSetParametersCallbackHandle {
    using SharedPtr = std::shared_ptr<OnSetParametersCallbackHandle>;
};
struct NodeBaseInterface {
    using SharedPtr = std::shared_ptr<NodeBaseInterface>;
};
}  // namespace node_interfaces

void init(int argc, const char* const* argv);
void spin(node_interfaces::NodeBaseInterface::SharedPtr node);
bool shutdown();

// As rclcpp's macros, these check a format and its arguments.
__attribute__((format(printf, 2, 3))) void log(const Logger& logger, const char* format, ...);

}  // namespace rclcpp

#define RCLCPP_ERROR(logger, ...) rclcpp::log(logger, __VA_ARGS__)
#define RCLCPP_ERROR_THROTTLE(logger, clock, milliseconds, ...) \
    (static_cast<void>(clock), static_cast<void>(milliseconds), rclcpp::log(logger, __VA_ARGS__))

namespace rclcpp_lifecycle {

class State {};

namespace node_interfaces {
class LifecycleNodeInterface {
public:
    enum class CallbackReturn : std::uint8_t { SUCCESS, FAILURE, ERROR };
    virtual ~LifecycleNodeInterface();
    virtual CallbackReturn on_configure(const State& previous_state);
    virtual CallbackReturn on_cleanup(const State& previous_state);
    virtual CallbackReturn on_shutdown(const State& previous_state);
    virtual CallbackReturn on_activate(const State& previous_state);
    virtual CallbackReturn on_deactivate(const State& previous_state);
    virtual CallbackReturn on_error(const State& previous_state);
};
}  // namespace node_interfaces

template <typename Message>
class LifecyclePublisher {
public:
    void publish(std::unique_ptr<Message> message);
    void publish(const Message& message);
};

class LifecycleNode : public node_interfaces::LifecycleNodeInterface {
public:
    using ParametersCallback = std::function<rcl_interfaces::msg::SetParametersResult(
        const std::vector<rclcpp::Parameter>&)>;

    explicit LifecycleNode(const std::string& node_name);
    CallbackReturn on_activate(const State& previous_state) override;
    CallbackReturn on_deactivate(const State& previous_state) override;

    const rclcpp::ParameterValue& declare_parameter(
        const std::string& name, const rclcpp::ParameterValue& default_value,
        const rcl_interfaces::msg::ParameterDescriptor& descriptor = {});
    template <typename Value>
    void declare_parameter(const std::string& name, const Value& default_value) {
        declare_parameter(name, rclcpp::ParameterValue(default_value));
    }
    rclcpp::Parameter get_parameter(const std::string& name) const;
    rclcpp::node_interfaces::OnSetParametersCallbackHandle::SharedPtr
    add_on_set_parameters_callback(ParametersCallback callback);

    template <typename Message>
    std::shared_ptr<LifecyclePublisher<Message>> create_publisher(const std::string& topic_name,
                                                                  const rclcpp::QoS& qos);
    template <typename Message>
    std::shared_ptr<rclcpp::Subscription<Message>> create_subscription(
        const std::string& topic_name, const rclcpp::QoS& qos,
        std::function<void(const std::shared_ptr<const Message>&)> callback);
    rclcpp::TimerBase::SharedPtr create_wall_timer(std::chrono::nanoseconds period,
                                                   std::function<void()> callback);

    const char* get_name() const;
    rclcpp::Logger get_logger() const;
    rclcpp::Clock::SharedPtr get_clock();
    rclcpp::Time now() const;
    rclcpp::node_interfaces::NodeBaseInterface::SharedPtr get_node_base_interface();
};

}  // namespace rclcpp_lifecycle
