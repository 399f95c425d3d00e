"""Export: a training set or a run in the forms others read, from the database alone.

`facts` reads what is said of a set and a run as a whole, `members` streams its examples with the rows behind them; each
other module writes one standard. Times are the database's, so the same database gives the same bytes.
"""
