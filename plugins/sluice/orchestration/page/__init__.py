"""The page in Airflow's UI: what arrived, what became of it, what was published.

It reads the ledger as the role ``observer``. What its buttons start, Airflow does.
"""
