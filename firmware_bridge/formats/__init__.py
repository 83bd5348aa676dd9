"""What the bytes of a sender mean: serial lines and frames, batches, phones, the kernel's scans."""
