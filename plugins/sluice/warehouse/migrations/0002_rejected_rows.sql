-- Rejected records, withdrawals, and the attempt under way of each source.

alter table ops.loads
    add column rows_rejected bigint not null default 0 check (rows_rejected >= 0),
    add column notes text[] not null default '{}',
    add column file_columns text[];
comment on column ops.loads.rows_rejected is 'records of the delivery that could not be loaded; see ops.rejected_rows';
comment on column ops.loads.notes is 'what the reader took and why: encoding, dialect, lines passed over, columns added';
comment on column ops.loads.file_columns is 'the names of the file''s fields in its order, as its records were taken apart; null where none was';

alter table ops.loads drop constraint loads_outcome_check;
alter table ops.loads add constraint loads_outcome_check
    check (outcome in ('loaded', 'skipped', 'rejected', 'withdrawn'));
alter table ops.loads drop constraint loads_delivery_kind_check;
alter table ops.loads add constraint loads_delivery_kind_check
    check (delivery_kind in ('new', 'same_again', 'correction', 'redelivery', 'withdrawal'));
comment on table ops.loads is 'One row per attempt that ended: a delivery loaded, skipped as known, rejected whole with the reason, or a file''s rows withdrawn.';

drop index ops.loads_that_changed_bronze;
create index loads_that_changed_bronze on ops.loads (source, load_id) where outcome in ('loaded', 'withdrawn');
comment on column ops.loads.delivery_kind is 'new; same_again (same name and bytes); correction (same name, new bytes); redelivery (known bytes, under another name or after others took their place); withdrawal';
comment on column ops.loads.replaces_load_id is 'the newest load whose rows were taken out of bronze for this one, or withdrawn by it';
comment on column ops.loads.rows_replaced is 'rows of other loads that were taken out of bronze';
-- A file's withdrawals, and a source's newest rejections, are few among many.
create index loads_withdrawn on ops.loads (source, file_name, load_id) where outcome = 'withdrawn';
create index loads_rejected on ops.loads (source, load_id desc) where outcome = 'rejected';
create index loads_by_file on ops.loads (file_id, load_id);

-- A changed file that on_changed_file: append puts beside the rows that are there is a part of its own.
alter table ops.files add column part integer not null default 1 check (part >= 1);
alter table ops.files drop constraint files_source_file_name_key;
alter table ops.files add constraint files_source_file_name_part_key unique (source, file_name, part);
comment on table ops.files is 'One row per source and file name ever delivered; current_load_id is the load whose rows are in bronze, null where none are.';
comment on column ops.files.part is '1; counts up where on_changed_file: append has put the rows of a changed file beside the earlier ones';
create index files_by_current_load on ops.files (source, current_load_id) where current_load_id is not null;

create table ops.rejected_rows (
    load_id bigint not null references ops.loads deferrable initially deferred,
    source text not null,
    file_name text not null,
    row_number bigint not null,
    line_number bigint,
    byte_offset bigint,
    code text not null,
    column_name text,
    reason text not null,
    raw_record text not null,
    raw_is_cut boolean not null default false,
    fields text[],
    primary key (load_id, row_number)
);
comment on table ops.rejected_rows is 'One row per record that could not be loaded: its place in the file, the reason, and the record itself.';
comment on column ops.rejected_rows.row_number is 'the record''s number in its file, the first after the header is 1: as _source_row_number in bronze';
comment on column ops.rejected_rows.line_number is 'the line on which it begins, from 1 and counting the header; null where the format has no lines';
comment on column ops.rejected_rows.byte_offset is 'the byte at which it begins in the decompressed content; null where unknown';
comment on column ops.rejected_rows.raw_record is 'the record as it stands in the file, capped; masked columns are masked here too';
comment on column ops.rejected_rows.raw_is_cut is 'whether raw_record was cut at the cap';
comment on column ops.rejected_rows.fields is 'the record''s fields in the order of ops.loads.file_columns, as far as it could be taken apart; null where it could not, or is too long';
create index rejected_rows_by_source on ops.rejected_rows (source, load_id desc);

-- COPY's WHERE says of each row that a rule forbids that it is one. Stable by name only: a volatile
-- function there would have COPY insert row by row.
create function ops.note_broken_rule(row_number bigint) returns boolean
    language plpgsql stable
as $$
begin
    raise notice 'record % breaks a rule', row_number using errcode = '01S01';
    return false;
end
$$;

create table ops.attempts (
    source text primary key,
    backend_pid integer not null,
    backend_start timestamptz not null,
    client text not null,
    task text,
    started_at timestamptz not null default clock_timestamp()
);
comment on table ops.attempts is 'Who holds each source''s lock: an attempt whose predecessor hangs ends that one''s backend by this. A row without such a backend is history.';
comment on column ops.attempts.client is 'the machine and the process that loads or withdraws';
comment on column ops.attempts.task is 'the orchestrator''s task, of which it runs one attempt at a time; null where a person started it';

grant select on ops.rejected_rows, ops.attempts to sluice_transformer;
