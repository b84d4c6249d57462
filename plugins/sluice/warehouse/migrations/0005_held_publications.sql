-- Publications that change more than a pipeline may without a person's approval (docs/adr/0014).

create table ops.held_publications (
    transformation_id bigint primary key references ops.transformations on delete cascade,
    pipeline text not null,
    marts jsonb not null,
    reasons text[] not null check (cardinality(reasons) > 0),
    held_at timestamptz not null default clock_timestamp(),
    decision text check (decision in ('approved', 'refused')),
    decided_by text,
    decided_at timestamptz,
    check ((decision is null) = (decided_at is null) and (decision is null) = (decided_by is null))
);
comment on table ops.held_publications is 'One row per tested candidate that a person had, or has, to approve. One without a decision waits, unless its pipeline has been built anew since.';
comment on column ops.held_publications.marts is 'what the publication would change: a list of mart, rows_before, rows_inserted, rows_updated, rows_deleted, schema_changes';
comment on column ops.held_publications.reasons is 'which limits of approve_when it exceeds';
create index held_publications_by_pipeline on ops.held_publications (pipeline, transformation_id desc);

grant select, insert, update on ops.held_publications to sluice_transformer;
