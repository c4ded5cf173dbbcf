"""Who moves the data: the processes, and the queues between them.

In: a plan. Out: what was written. The reader process cuts (`reader`), the worker processes look and decode
(`worker`), the writer process writes (`writer`), and the parent process watches them (`supervisor`).
"""
