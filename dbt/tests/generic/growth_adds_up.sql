{#-
    Returns the rows of a growth mart that break an identity: active = new + retained + resurrected,
    and active - active of the period before = new + resurrected - churned. Before the first period
    nobody was active. Nor may a count be below zero: one would be if a user were counted twice, or
    lost, in something that these are made of.
-#}
{% test growth_adds_up(model) %}

with

with_previous as (
    select
        *,
        lag(active_users, 1, 0::bigint) over (
            partition by country
            order by period
        ) as previously_active_users
    from {{ model }}
)

select * from with_previous
where
    active_users != new_users + retained_users + resurrected_users
    or active_users - previously_active_users != new_users + resurrected_users - churned_users
    or least(new_users, retained_users, resurrected_users, churned_users) < 0

{% endtest %}
