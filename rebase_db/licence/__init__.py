"""Licences: what datasets say, the duties that come of it, and which of them a task will not have.

`known` reads what a dataset states, `duties` adds it up over the rows behind examples, sets and runs, `policy` decides.
None of it is legal advice.
"""
