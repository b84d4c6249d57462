"""Sluice in containers: the file of secrets, Airflow's components, what prepares the databases."""
