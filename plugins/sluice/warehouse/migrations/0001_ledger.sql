-- The ledger: what arrived, what became of it, and what was published from it.
-- Owned by sluice_loader. Times are UTC; a row of ops.loads never changes, but for stored_at.

-- A load's id is the id of its transaction: as a column default it costs COPY nothing, where
-- a sequence or a setting costs 10-17 % (docs/adr/0002). The number added is 0 until the
-- database is restored on another server, whose transaction ids start again; see
-- warehouse/ledger.py. The body is inlined into the default, so that it is not called per row.
create function ops.current_load_id() returns bigint
    language sql stable parallel safe
    return txid_current() + 0;

create table ops.files (
    file_id bigint generated always as identity primary key,
    source text not null,
    file_name text not null,
    current_load_id bigint,
    unique (source, file_name)
);
comment on table ops.files is 'One row per source and file name ever delivered; current_load_id is the load whose rows are in bronze, null where none are.';

create table ops.loads (
    load_id bigint primary key default ops.current_load_id(),
    file_id bigint not null references ops.files,
    source text not null,
    file_name text not null,
    content_sha256 text not null check (content_sha256 ~ '^[0-9a-f]{64}$'),
    content_bytes bigint not null check (content_bytes >= 0),
    outcome text not null check (outcome in ('loaded', 'skipped', 'rejected')),
    delivery_kind text not null check (delivery_kind in ('new', 'same_again', 'correction', 'redelivery')),
    replaces_load_id bigint references ops.loads,
    duplicate_of_load_id bigint references ops.loads,
    rows_loaded bigint not null default 0 check (rows_loaded >= 0),
    rows_replaced bigint not null default 0 check (rows_replaced >= 0),
    reject_code text,
    reject_reason text,
    reject_record bigint,
    reject_column text,
    stored_path text,
    stored_at timestamptz,
    started_at timestamptz not null,
    loaded_at timestamptz not null default clock_timestamp(),
    check ((outcome = 'rejected') = (reject_code is not null and reject_reason is not null)),
    check (outcome = 'loaded' or rows_loaded = 0)
);
comment on table ops.loads is 'One row per attempt that ended: a delivery loaded, skipped as known, or rejected whole with the reason.';
comment on column ops.loads.delivery_kind is 'new; same_again (same name and bytes); correction (same name, new bytes); redelivery (new name, known bytes)';
comment on column ops.loads.rows_replaced is 'rows of the replaced load that were taken out of bronze';
comment on column ops.loads.stored_path is 'where the delivered bytes go after the commit: archive/... or rejected/...; null where they are deleted, or were gone before they could be moved';
comment on column ops.loads.stored_at is 'when they were moved there (or deleted); null while that is still to be done';

alter table ops.files add foreign key (current_load_id) references ops.loads;
create index loads_by_content on ops.loads (source, content_sha256) where outcome = 'loaded';
create index loads_by_size on ops.loads (source, content_bytes) where outcome = 'loaded';
create index loads_by_source on ops.loads (source, load_id desc);
create index loads_to_store on ops.loads (source) where stored_at is null;
create index loads_that_changed_bronze on ops.loads (source, load_id) where outcome = 'loaded';

create table ops.transformations (
    transformation_id bigint generated always as identity primary key,
    pipeline text not null,
    run_id text not null,
    status text not null default 'running' check (status in ('running', 'passed', 'failed')),
    loads bigint[] not null default '{}',
    marts jsonb not null default '[]',
    message text,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
);
comment on table ops.transformations is 'One row per dbt build of a pipeline: the loads it was frozen on, and the marts (name, key) it built into gold_audit.';
create index transformations_by_pipeline on ops.transformations (pipeline, transformation_id desc);

create table ops.node_results (
    transformation_id bigint not null references ops.transformations on delete cascade,
    unique_id text not null,
    resource_type text not null,
    status text not null,
    failures bigint,
    rows_affected bigint,
    message text,
    execution_seconds double precision not null,
    primary key (transformation_id, unique_id)
);
comment on table ops.node_results is 'dbt''s result of every node of a build: models and tests.';

create table ops.publications (
    publication_id bigint generated always as identity primary key,
    pipeline text not null,
    transformation_id bigint not null unique references ops.transformations,
    published_at timestamptz not null default clock_timestamp()
);
comment on table ops.publications is 'One row per transaction that made a candidate the published gold.';
create index publications_by_pipeline on ops.publications (pipeline, publication_id desc);

create table ops.published_marts (
    publication_id bigint not null references ops.publications on delete cascade,
    mart text not null,
    rows_inserted bigint not null,
    rows_updated bigint not null,
    rows_deleted bigint not null,
    schema_changes text[] not null default '{}',
    primary key (publication_id, mart)
);
comment on table ops.published_marts is 'What a publication changed in each mart.';

create table ops.published_loads (
    pipeline text not null,
    load_id bigint not null references ops.loads,
    publication_id bigint not null references ops.publications on delete cascade,
    primary key (pipeline, load_id)
);
comment on table ops.published_loads is 'Which loads each pipeline has published; a load of a pipeline''s source that is missing here is pending.';

grant usage on schema ops to sluice_transformer;
grant select on all tables in schema ops to sluice_transformer;
grant insert, update on ops.transformations to sluice_transformer;
grant insert on ops.node_results, ops.publications, ops.published_marts, ops.published_loads to sluice_transformer;

grant usage on schema bronze to sluice_transformer;
alter default privileges in schema bronze grant select on tables to sluice_transformer;
