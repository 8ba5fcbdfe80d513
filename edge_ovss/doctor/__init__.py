"""Facts about this machine and this installation, for `edge-ovss doctor`."""
