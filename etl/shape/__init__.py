"""Where the records are in raw bytes.

In: decompressed bytes. Out: the layout that the first of them show, the boundaries between records, and
the proof that the document around them is sound. In the reader process; the workers search for boundaries.
"""
