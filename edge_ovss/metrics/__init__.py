"""Numbers from label maps and tensors: confusion, mIoU, bootstrap intervals."""
