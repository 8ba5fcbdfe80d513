"""The verbs that prove a bundle: parity, mIoU, latency, reports, data sets."""
