"""What a source may be, in words for errors and --help; the C++ program takes the same."""

GRAMMAR = """A source is one of:
  0, 1, ...                        camera by number (/dev/video0, ...)
  /dev/video0, /dev/v4l/by-id/...  camera by device, or a link to one
  v4l2:///dev/video0?size=720x1280&fps=30&format=MJPG
                                   camera with settings; size is height x width
  csi://0?size=1080x1920&fps=30    CSI camera of a Jetson, by GStreamer
  rtsp://..., http://...           camera on the network; http also MJPEG
  gst://PIPELINE                   GStreamer pipeline, with or without appsink
  image, folder, list (.txt), video, 'images/*.jpg'
  bag://FOLDER?topic=/camera/image, or a .mcap, .db3 or .bag file
                                   ROS 2 or ROS 1 recording
  synthetic://street?count=4&seed=0&size=360x480
                                   drawn streets; ?frames=60&fps=15 moves"""
