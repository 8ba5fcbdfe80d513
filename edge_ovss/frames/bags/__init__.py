"""Recordings of ROS: images of a topic in, label maps out. Needs the extra `ros`."""
