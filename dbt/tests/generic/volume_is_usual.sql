{#-
    Returns those of a source's last five files whose number of rows is less than half of, or more
    than twice, what is usual: the median of the source's last thirty files. With fewer than seven
    files nothing is usual yet, and where twenty rows are usual, half of them is chance. It reads
    the ledger, and no row of the model.
-#}
{% test volume_is_usual(model, source_name, files, loads) %}

with

delivered as (
    select
        loads.load_id,
        loads.file_name,
        loads.rows_loaded,
        row_number() over (order by loads.load_id desc) as place
    from {{ files }} as files
    inner join {{ loads }} as loads on files.current_load_id = loads.load_id
    where files.source = '{{ source_name }}'
    order by loads.load_id desc
    limit 30
),

usual as (
    select percentile_cont(0.5) within group (order by rows_loaded) as rows_loaded
    from delivered
    having count(*) >= 7 and percentile_cont(0.5) within group (order by rows_loaded) > 20
)

select
    delivered.load_id,
    delivered.file_name,
    delivered.rows_loaded,
    usual.rows_loaded as usual_rows
from delivered
inner join usual
    on
        delivered.rows_loaded < usual.rows_loaded / 2
        or delivered.rows_loaded > usual.rows_loaded * 2
where delivered.place <= 5

{% endtest %}
