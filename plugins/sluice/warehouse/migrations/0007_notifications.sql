-- What people were told, and what only the moment of a run knows to be missing (docs/adr/0017).

create table ops.notifications (
    connection text not null,
    event text not null,
    subject text not null,
    since timestamptz not null,
    marker text,
    told_at timestamptz,
    messages bigint not null default 0 check (messages >= 0),
    failed_at timestamptz,
    failure text,
    primary key (connection, event, subject)
);
comment on table ops.notifications is 'One row per Airflow connection, event and subject (source or pipeline) that there ever was a message about.';
comment on column ops.notifications.since is 'what happened before is not told';
comment on column ops.notifications.marker is 'up to where it is told: the newest load, build, publication or missing input; of what is late, its state; null where nothing is';
comment on column ops.notifications.told_at is 'when the newest message was sent; the next one goes an hour later at the earliest, with all that has come since';
comment on column ops.notifications.failed_at is 'when a message could not be sent; null where the newest one was';
comment on column ops.notifications.failure is 'why, without anything of the address';

create table ops.missing_inputs (
    missing_id bigint generated always as identity primary key,
    pipeline text not null,
    input text not null,
    on_missing text not null check (on_missing in ('warn', 'fail')),
    noticed_at timestamptz not null default now()
);
comment on table ops.missing_inputs is 'One row per input that had not come when a run at a time had waited for it.';
create index missing_inputs_by_pipeline on ops.missing_inputs (pipeline, missing_id);

-- What is told is rare among much, and looked for every few minutes.
create index loads_with_rejects on ops.loads (source, load_id) where outcome = 'rejected' or rows_rejected > 0;
create index transformations_failed on ops.transformations (pipeline, transformation_id) where status = 'failed';
create index node_results_warned on ops.node_results (transformation_id) where status = 'warn';

grant select, insert, update on ops.notifications to sluice_transformer;
grant select on ops.missing_inputs to sluice_transformer;
