"""Another ranking of a task, another cut of its checks: what they would change, from what is stored.

No row is scored, no vector read and no model asked: part scores of all rows are kept, and so are a judge's points.
"""
