-- How far each table has followed the changes of another: incremental models, and published marts.

create table ops.change_readers (
    reader text not null,
    model text not null,
    generation text not null,
    change_id bigint not null,
    primary key (reader, model)
);
comment on table ops.change_readers is 'How far each table (schema.name) has read the log of changes <model>__changes of another one.';
comment on column ops.change_readers.generation is 'the build in full that made the model''s table; another one means that the log does not go back to what was read';
comment on column ops.change_readers.change_id is 'the last change that was read';

grant select, insert, update on ops.change_readers to sluice_transformer;
