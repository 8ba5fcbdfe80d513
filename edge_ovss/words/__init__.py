"""Encode class names without torch: the tokenizer and the text tower beside a bundle."""
