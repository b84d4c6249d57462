"""The warehouse: PostgreSQL's roles, connections, schemas and the ledger's tables."""
