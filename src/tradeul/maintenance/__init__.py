"""The heart: brings every dataset up to date, partition by partition, and can prove it."""
