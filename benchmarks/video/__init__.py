"""What it costs to follow labels from frame to frame."""
