"""Where every pixel of a frame was in the frame before: optical flow, estimated or handed in."""
