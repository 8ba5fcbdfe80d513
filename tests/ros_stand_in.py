"""A small stand-in for rclpy; its messages are those of rosbags' type store.

A message has exactly the fields of its definition. What is published is serialized as ROS 2 does,
and read back: what a test sees is what a subscriber would.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from rosbags.interfaces import Nodetype

from edge_ovss.frames.bags.writing import _types

STORE: Any = _types()
_BASES: dict[str, Any] = {"string": "", "bool": False, "float32": 0.0, "float64": 0.0}


def _default(kind: Any) -> Any:  # noqa: ANN401 (a description of rosbags)
    node, about = kind
    if node == Nodetype.NAME:
        return message_class(about)()
    return [] if node in (Nodetype.SEQUENCE, Nodetype.ARRAY) else _BASES.get(about[0], 0)


def message_class(name: str) -> Any:  # noqa: ANN401 (a class that is made here)
    """A class as rclpy has it: every field has a default, and none other can be set."""
    fields = dict(STORE.fielddefs[name][1])

    class Message:
        kind = name

        def __init__(self, **given: object) -> None:
            for key, about in fields.items():
                setattr(self, key, given.pop(key, None) or _default(about))
            assert not given, f"{name} has no {sorted(given)}"

        def __setattr__(self, key: str, value: object) -> None:
            assert key in fields, f"{name} has no field {key}"
            object.__setattr__(self, key, value)

    return Message


def _as_rosbags(value: Any, kind: Any) -> Any:  # noqa: ANN401 (a field and its description)
    node, about = kind
    if node == Nodetype.NAME:
        fields = STORE.fielddefs[about][1]
        parts = {key: _as_rosbags(getattr(value, key), each) for key, each in fields}
        return STORE.types[about](**parts)
    if node == Nodetype.SEQUENCE and about[0][0] == Nodetype.BASE:
        return np.frombuffer(value, about[0][1][0])
    if node == Nodetype.SEQUENCE:
        return [_as_rosbags(each, about[0]) for each in value]
    if about[0] == "byte":  # rclpy wants bytes of length 1 there
        assert isinstance(value, bytes)
        return ord(value)
    return value


def carried(message: Any) -> Any:  # noqa: ANN401 (a message)
    """The message as a subscriber gets it."""
    whole = _as_rosbags(message, (Nodetype.NAME, message.kind))
    return STORE.deserialize_cdr(STORE.serialize_cdr(whole, message.kind), message.kind)


class Return(enum.Enum):
    SUCCESS = "success"
    FAILURE = "failure"


class Policy(enum.Enum):
    KEEP_LAST = enum.auto()
    RELIABLE = enum.auto()
    BEST_EFFORT = enum.auto()
    VOLATILE = enum.auto()
    TRANSIENT_LOCAL = enum.auto()


@dataclass
class QoSProfile:
    history: Policy
    depth: int
    reliability: Policy
    durability: Policy


@dataclass
class Publisher:
    kind: str
    qos: QoSProfile
    active: bool = False
    messages: list[Any] = field(default_factory=list)

    def publish(self, message: Any) -> None:  # noqa: ANN401 (a message)
        assert message.kind == self.kind
        if self.active:
            self.messages.append(carried(message))


@dataclass
class Parameter:
    name: str
    value: object


class Node:
    """What the node uses of a LifecycleNode, and what a test looks at."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parameters: dict[str, object] = {}
        self.publishers: dict[str, Publisher] = {}
        self.subscriptions: dict[str, tuple[Callable[[Any], None], QoSProfile]] = {}
        self.timers: list[Callable[[], None]] = []
        self.errors: list[str] = []
        self.dynamic: dict[str, bool] = {}

    def declare_parameter(self, name: str, value: object, about: Any) -> None:  # noqa: ANN401
        self.parameters.setdefault(name, value)
        self.dynamic[name] = about.dynamic_typing

    def get_parameter(self, name: str) -> Parameter:
        return Parameter(name, self.parameters[name])

    def add_on_set_parameters_callback(self, callback: Callable[[list[Parameter]], Any]) -> None:
        self.callback = callback

    def change(self, name: str, value: object) -> str:
        """What `ros2 param set` does; returns why not, or ""."""
        return self.change_all({name: value})

    def change_all(self, values: dict[str, object]) -> str:
        """What the service `set_parameters_atomically` does; returns why not, or ""."""
        for name, value in values.items():
            if not self.dynamic[name] and type(value) is not type(self.parameters[name]):
                return "wrong parameter type"
        result = self.callback([Parameter(*each) for each in values.items()])
        if result.successful:
            self.parameters.update(values)
        return str(result.reason)

    def get_name(self) -> str:
        return self.name

    def get_logger(self) -> Any:  # noqa: ANN401 (one method)
        return types.SimpleNamespace(error=lambda text, **_: self.errors.append(text))

    def get_clock(self) -> Any:  # noqa: ANN401 (one method)
        time = message_class("builtin_interfaces/msg/Time")(sec=7, nanosec=8)
        return types.SimpleNamespace(now=lambda: types.SimpleNamespace(to_msg=lambda: time))

    def create_lifecycle_publisher(self, kind: Any, topic: str, qos: QoSProfile) -> Publisher:  # noqa: ANN401
        self.publishers[topic] = Publisher(kind.kind, qos)
        return self.publishers[topic]

    def destroy_publisher(self, publisher: Publisher) -> None:
        self.publishers = {k: v for k, v in self.publishers.items() if v is not publisher}

    def create_subscription(
        self,
        kind: Any,  # noqa: ANN401 (a class of messages)
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
    ) -> str:
        self.subscriptions[topic] = (callback, qos)
        return topic

    def destroy_subscription(self, topic: str) -> None:
        del self.subscriptions[topic]

    def create_timer(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        self.timers.append(callback)
        return callback

    def destroy_timer(self, timer: Callable[[], None]) -> None:
        self.timers.remove(timer)

    def on_activate(self, state: object) -> Return:
        for publisher in self.publishers.values():
            publisher.active = True
        return Return.SUCCESS

    def on_deactivate(self, state: object) -> Return:
        for publisher in self.publishers.values():
            publisher.active = False
        return Return.SUCCESS


def install(monkeypatch: pytest.MonkeyPatch, share: Callable[[str], str]) -> None:
    """Put the stand-in where the node imports rclpy and the messages."""
    import sys

    def module(name: str, **names: object) -> None:
        made = types.ModuleType(name)
        for key, value in names.items():
            setattr(made, key, value)
        monkeypatch.setitem(sys.modules, name, made)

    module("rclpy", init=None, spin=None, try_shutdown=None)
    module("rclpy.executors", ExternalShutdownException=type("Shutdown", (Exception,), {}))
    module("rclpy.lifecycle", LifecycleNode=Node, TransitionCallbackReturn=Return)
    policies = ("DurabilityPolicy", "HistoryPolicy", "ReliabilityPolicy")
    module("rclpy.qos", QoSProfile=QoSProfile, **dict.fromkeys(policies, Policy))
    module("ament_index_python")
    module("ament_index_python.packages", get_package_share_directory=share)
    for package, names in {
        "diagnostic_msgs": ("DiagnosticArray", "DiagnosticStatus", "KeyValue"),
        "rcl_interfaces": ("ParameterDescriptor", "SetParametersResult"),
        "sensor_msgs": ("Image",),
        "vision_msgs": ("LabelInfo", "VisionClass"),
    }.items():
        module(package)
        made = {name: message_class(f"{package}/msg/{name}") for name in names}
        module(f"{package}.msg", **made)
