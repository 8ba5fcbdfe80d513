"""The small files of the package: what ament and the node read, and the page."""

from __future__ import annotations

from xml.sax.saxutils import escape

from edge_ovss._version import VERSION
from edge_ovss.bundle.reader import Bundle
from edge_ovss.emit.cpp_text import quoted
from edge_ovss.emit.origin import Origin

_DEPENDS = (
    "ament_index_python",
    "diagnostic_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "sensor_msgs",
    "vision_msgs",
)
# What the node in C++ is built of and runs with.
_BUILT_WITH = ("ament_index_cpp", "rclcpp", "rclcpp_lifecycle")
_MESSAGES = ("diagnostic_msgs", "rcl_interfaces", "sensor_msgs", "vision_msgs")


def package_xml(package: str, origin: Origin) -> str:
    """Return `package.xml`; edge-ovss itself comes from pip, which rosdep does not know it by."""
    note = " ".join(origin.lines("ros2"))
    depends = "".join(f"  <exec_depend>{name}</exec_depend>\n" for name in _DEPENDS)
    depends += "".join(f"  <depend>{name}</depend>\n" for name in _BUILT_WITH)
    depends += "".join(f"  <build_depend>{name}</build_depend>\n" for name in _MESSAGES)
    return (
        '<?xml version="1.0"?>\n'
        '<package format="3">\n'
        f"  <name>{package}</name>\n"
        f"  <version>{VERSION}</version>\n"
        f"  <description>Label maps of images. {escape(note)}</description>\n"
        '  <maintainer email="maintainer@example.com">whoever runs this robot</maintainer>\n'
        "  <license>Apache-2.0</license>\n"
        "  <buildtool_depend>ament_cmake</buildtool_depend>\n"
        "  <buildtool_depend>ament_cmake_python</buildtool_depend>\n"
        f"{depends}"
        "  <export><build_type>ament_cmake</build_type></export>\n"
        "</package>\n"
    )


def cmake_text(package: str) -> str:
    """Return `CMakeLists.txt`."""
    return _CMAKE.replace("@PACKAGE@", package)


_CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(@PACKAGE@ LANGUAGES CXX)

find_package(ament_cmake REQUIRED)
find_package(ament_cmake_python REQUIRED)

ament_python_install_package(${PROJECT_NAME})
install(PROGRAMS scripts/segmenter DESTINATION lib/${PROJECT_NAME})
install(DIRECTORY launch config bundle DESTINATION share/${PROJECT_NAME})

# The node in C++, where the C++ library of edge-ovss is installed.
find_package(edge_ovss 0.1 QUIET)
if(edge_ovss_FOUND)
  set(used ament_index_cpp diagnostic_msgs rcl_interfaces rclcpp rclcpp_lifecycle sensor_msgs
    vision_msgs)
  foreach(each ${used})
    find_package(${each} REQUIRED)
  endforeach()
  add_executable(segmenter_cpp src/core.cpp src/node.cpp)
  target_compile_features(segmenter_cpp PRIVATE cxx_std_17)
  target_link_libraries(segmenter_cpp edge_ovss::edge_ovss)
  ament_target_dependencies(segmenter_cpp ${used})
  install(TARGETS segmenter_cpp DESTINATION lib/${PROJECT_NAME})
else()
  message(STATUS "edge_ovss for C++ is not installed: segmenter_cpp is left out")
endif()

ament_package()
"""


def script_text(package: str) -> str:
    """Return the program that `ros2 run` starts; its first line is that of a program."""
    return (
        f'"""Run the node of {package}."""\n\n'
        f"from {package}.node import main\n\n"
        'if __name__ == "__main__":\n'
        "    main()\n"
    )


def made_from_text(package: str, origin: Origin) -> str:
    """Return the module from which the node knows its bundle."""
    return (
        '"""From which bundle this package was made."""\n\n'
        f"PACKAGE = {package!r}\n"
        f"BUNDLE = {origin.bundle!r}\n"
        f"GRAPH_SHA256 = {origin.graph_sha256!r}\n"
    )


def made_from_header(package: str, origin: Origin, bundle: Bundle) -> str:
    """Return the header from which the node in C++ knows its bundle."""
    info = bundle.manifest.graph
    files = (info.file, *info.external_data)
    digests = "".join(f'        "{bundle.manifest.files[name].sha256}",\n' for name in files)
    return (
        "// From which bundle this package was made.\n"
        "#pragma once\n\n"
        "#include <string>\n#include <vector>\n\n"
        "namespace made_from {\n\n"
        f'inline constexpr const char* kPackage = "{package}";\n'
        f"inline constexpr const char* kBundle = {quoted(origin.bundle)};\n"
        f'inline constexpr const char* kGraphSha256 = "{origin.graph_sha256}";\n\n'
        "// The sha256 of each file of the graph.\n"
        f"inline std::vector<std::string> digests() {{\n    return {{\n{digests}    }};\n}}\n\n"
        "}  // namespace made_from\n"
    )


PARAMETERS = """\
/**:
  ros__parameters:
    # Folder of the bundle; "" for the one in this package.
    bundle: ""
    # A backend of edge-ovss (edge-ovss doctor lists them), or auto.
    backend: auto
    # CPU threads; 0 for all cores.
    threads: 0
    # When a label is unknown: "off", "auto", a threshold such as 0.2, a file; "" as in the bundle.
    unknown: ""
    # Words of an open bundle, such as "road, forklift", or a file of them; "" as in the bundle. The
    # text tower that encodes them is looked for in the bundle and beside it; or give its folder.
    # An embedding pack, such as /data/words.npz, needs no text tower; the node in C++ takes these.
    words: ""
    tower: ""
    # Publish the image with the labels' colors, and the score of each label.
    overlay: false
    confidence: false
"""


def page_text(package: str, origin: Origin) -> str:
    """Return the page in Markdown."""
    return origin.hidden("ros2") + _PAGE.format(package=package)


_PAGE = """\

# {package}

A ROS 2 package (Humble or later) that segments the images of a topic. It was not run on ROS 2 where
it was made.

```sh
pip install "edge-ovss[device]"     # and an OpenCV, which JetPack has
cp -r . ~/ws/src/{package} && cd ~/ws
rosdep install --from-paths src --ignore-src
colcon build --packages-select {package} && . install/setup.sh
ros2 launch {package} segmenter.launch.py image:=/camera/image_raw
```

| topic | type |
|---|---|
| `image`, in | `sensor_msgs/Image`: RGB, BGR, RGBA, BGRA, mono, YUV or Bayer, 8 bits |
| `labels` | `sensor_msgs/Image`, mono8 or mono16; 255 or 65535 is unknown |
| `label_info` | `vision_msgs/LabelInfo`, latched: the names |
| `overlay`, `confidence` | `sensor_msgs/Image`, where the parameter of that name is true |
| `/diagnostics` | frames, latency, too few slots, unknown pixels |

`config/segmenter.yaml` has the parameters. These change while the node runs:

```sh
ros2 param set /segmenter unknown 0.2
ros2 param set /segmenter overlay true
ros2 param set /segmenter words "road, forklift, person"
```

`words` needs an open bundle (`edge-ovss export --open`), its text tower, and
`pip install "edge-ovss[words]"`. With an embedding pack of `edge-ovss vocab encode` no tower and no
packages are needed. The node in C++ takes such packs only:

```sh
ros2 param set /segmenter words /data/words.npz
```

Where the C++ library of edge-ovss is installed (`find_package(edge_ovss)`), a node in C++ with the
same topics and parameters is built too. It takes the encodings rgb8, bgr8, rgba8, bgra8, mono8,
nv12 and yuv422_yuy2:

```sh
ros2 launch {package} segmenter.launch.py node:=segmenter_cpp
```

The bundle is in `bundle/`. A TensorRT engine is built into a copy of it on the robot: give that
copy as the parameter `bundle`.
"""
