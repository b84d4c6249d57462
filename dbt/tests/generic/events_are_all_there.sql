{#- Returns the source days of which a model has another number of events than were delivered. -#}
{% test events_are_all_there(model, source_days) %}

with

counted as (
    select
        _inputs,
        sum(events) as events
    from {{ model }}
    group by _inputs
)

select
    source_days._inputs,
    source_days.events as delivered,
    counted.events
from {{ source_days }} as source_days
full outer join counted on source_days._inputs = counted._inputs
where source_days.events is distinct from counted.events

{% endtest %}
