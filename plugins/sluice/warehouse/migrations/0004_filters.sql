-- Files of which a part is loaded: the records that a filter of the run lets through (docs/adr/0010).

alter table ops.loads
    add column filters text[] check (cardinality(filters) > 0),
    add column rows_left_out bigint not null default 0 check (rows_left_out >= 0);
alter table ops.loads add constraint loads_left_out_check check (filters is not null or rows_left_out = 0);
comment on column ops.loads.filters is 'which records were wanted, such as {date=2024-02-24}: those that one of these lets through; null for all';
comment on column ops.loads.rows_left_out is 'records that no filter let through; records in the file = rows_loaded + rows_rejected + rows_left_out';

alter table ops.loads drop constraint loads_delivery_kind_check;
alter table ops.loads add constraint loads_delivery_kind_check
    check (delivery_kind in ('new', 'same_again', 'extension', 'correction', 'redelivery', 'withdrawal'));
comment on column ops.loads.delivery_kind is 'new; same_again (same name and bytes); extension (same name and bytes, of which more is wanted than was loaded); correction (same name, new bytes); redelivery (known bytes, under another name or after others took their place); withdrawal';
