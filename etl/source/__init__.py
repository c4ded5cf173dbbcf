"""A URI becomes decompressed bytes with a proven end.

In: where a feed is. Out: its bytes, into memory that the caller gives; the end is reported only if the
transfer and the compressed stream were complete. In the reader process.
"""
