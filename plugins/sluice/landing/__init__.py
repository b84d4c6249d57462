"""What has arrived: list, settle, fingerprint, store."""
