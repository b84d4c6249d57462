{#-
    Returns the groups of which a column of counts comes to another number than another model has
    rows. For sums that follow changes: what was once missed would be missing for ever.
-#}
{% test adds_up_to_rows(model, column_name, counted, group_by) %}

with

sums as (
    select
        {{ group_by }},
        sum({{ column_name }}) as total
    from {{ model }}
    group by {{ group_by }}
),

counts as (
    select
        {{ group_by }},
        count(*) as row_count
    from {{ counted }}
    group by {{ group_by }}
)

select
    coalesce(sums.{{ group_by }}, counts.{{ group_by }}) as {{ group_by }},
    sums.total,
    counts.row_count
from sums
full outer join counts on sums.{{ group_by }} = counts.{{ group_by }}
where sums.total is distinct from counts.row_count

{% endtest %}
