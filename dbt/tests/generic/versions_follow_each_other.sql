{#-
    Returns the versions of a history (valid_from, valid_to, is_current) that do not end where the
    next one of their key begins; the last one has no end.
-#}
{% test versions_follow_each_other(model, key) %}

with

neighbours as (
    select
        *,
        lead(valid_from) over (partition by {{ key }} order by valid_from) as next_from
    from {{ model }}
)

select * from neighbours
where
    valid_to is distinct from next_from
    or is_current is distinct from (next_from is null)
    or valid_to <= valid_from

{% endtest %}
