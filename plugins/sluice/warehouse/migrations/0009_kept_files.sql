-- Files that stay in the landing zone (after_load: keep), as they were when they were dealt with: docs/adr/0023.

create table ops.kept_files (
    source text not null,
    file_name text not null,
    state text not null,
    load_id bigint not null,
    primary key (source, file_name)
);
comment on table ops.kept_files is 'files that stay where they were delivered; one that has another state by now is looked at again';
comment on column ops.kept_files.file_name is 'of a zip archive its own name, not that of a member';
comment on column ops.kept_files.state is 'what tells one content of the file from another without reading it: its size and time, and its version in an object store';
comment on column ops.kept_files.load_id is 'the newest load that has looked at it';

grant select on ops.kept_files to sluice_transformer;
