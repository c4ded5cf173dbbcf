"""The slow twin of what `etl` and the pipeline `deals` do, written as plainly as can be.

It shares with them nothing but the rules, which it states anew; it imports neither. Where the two differ,
one of them is wrong.

    streams     what a compressed stream holds: the codecs' own libraries, member by member
    reading     which records a document holds: `json.loads` of the whole, and a loop
    deals       which rows these records make, and which are rejects
    merge       what becomes of a database's deals, run after run: dicts and loops
"""
