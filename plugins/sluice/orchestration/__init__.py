"""The steps of a run as Airflow's: the registry as DAGs, and what wakes them."""
