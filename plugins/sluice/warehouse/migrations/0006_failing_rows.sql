-- The rows that a test of dbt found, of the test's newest result that was not a pass (docs/adr/0015).

create table ops.failing_rows (
    transformation_id bigint not null,
    unique_id text not null,
    row_number integer not null,
    failing_row jsonb not null,
    primary key (transformation_id, unique_id, row_number),
    foreign key (transformation_id, unique_id) references ops.node_results on delete cascade
);
comment on table ops.failing_rows is 'The first rows that a test found wrong, of its newest build in which it warned or failed; ops.node_results.failures has their number.';
create index failing_rows_by_test on ops.failing_rows (unique_id, transformation_id);

grant select, insert, delete on ops.failing_rows to sluice_transformer;
