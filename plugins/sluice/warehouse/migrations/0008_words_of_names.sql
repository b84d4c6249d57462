-- What a file's name gave to its records: the same bytes under a name that says something else are another delivery (docs/adr/0004).

alter table ops.loads add column from_file_name text[];
comment on column ops.loads.from_file_name is 'what columns took from the name, such as {date=2024-03-07}; null where the file itself said everything';
