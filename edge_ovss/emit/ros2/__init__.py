"""A ROS 2 package that segments the images of a topic with one bundle."""
