"""What this machine and this installation have, for `edge-ovss doctor`."""
