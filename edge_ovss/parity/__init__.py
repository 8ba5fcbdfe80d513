"""A bundle against the torch model it was made from: tensors, labels, mIoU."""
