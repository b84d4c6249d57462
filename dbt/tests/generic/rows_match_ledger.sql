{#-
    Returns the loads of which a mart has another number of rows than the ledger says were loaded.
    For marts with a row per record, incremental by file. Loads that are not in the mart are no
    failure: they may have been committed after the mart was built.
-#}
{% test rows_match_ledger(model, ledger) %}

with

rows_in_mart as (
    select
        _load_id,
        count(*) as row_count
    from {{ model }}
    group by _load_id
)

select
    rows_in_mart._load_id,
    rows_in_mart.row_count,
    loads.rows_loaded
from rows_in_mart
left join {{ ledger }} as loads on rows_in_mart._load_id = loads.load_id
where rows_in_mart.row_count is distinct from loads.rows_loaded

{% endtest %}
