-- Rejected records, withdrawals, and the attempt under way of each source.

alter table ops.loads
    add column rows_rejected bigint not null default 0 check (rows_rejected >= 0),
    add column notes text[] not null default '{}';
comment on column ops.loads.rows_rejected is 'records of the delivery that could not be loaded; see ops.rejected_rows';
comment on column ops.loads.notes is 'what the reader took and why: encoding, dialect, lines passed over, columns added';

alter table ops.loads drop constraint loads_outcome_check;
alter table ops.loads add constraint loads_outcome_check
    check (outcome in ('loaded', 'skipped', 'rejected', 'withdrawn'));
alter table ops.loads drop constraint loads_delivery_kind_check;
alter table ops.loads add constraint loads_delivery_kind_check
    check (delivery_kind in ('new', 'same_again', 'correction', 'redelivery', 'withdrawal'));
comment on table ops.loads is 'One row per attempt that ended: a delivery loaded, skipped as known, rejected whole with the reason, or a file''s rows withdrawn.';

drop index ops.loads_that_changed_bronze;
create index loads_that_changed_bronze on ops.loads (source, load_id) where outcome in ('loaded', 'withdrawn');

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
    primary key (load_id, row_number)
);
comment on table ops.rejected_rows is 'One row per record that could not be loaded: its place in the file, the reason, and the record itself.';
comment on column ops.rejected_rows.row_number is 'the record''s number in its file, the first after the header is 1: as _source_row_number in bronze';
comment on column ops.rejected_rows.line_number is 'the line on which it begins, from 1 and counting the header; null where the format has no lines';
comment on column ops.rejected_rows.byte_offset is 'the byte at which it begins in the decompressed content; null where unknown';
comment on column ops.rejected_rows.raw_record is 'the record as it stands in the file, capped; masked columns are masked here too';
comment on column ops.rejected_rows.raw_is_cut is 'whether raw_record was cut at the cap';
create index rejected_rows_by_source on ops.rejected_rows (source, load_id desc);

create table ops.attempts (
    source text primary key,
    backend_pid integer not null,
    backend_start timestamptz not null,
    client text not null,
    started_at timestamptz not null default clock_timestamp()
);
comment on table ops.attempts is 'The load under way of each source: an attempt whose predecessor hangs ends that one''s backend by this.';

grant select on ops.rejected_rows, ops.attempts to sluice_transformer;
