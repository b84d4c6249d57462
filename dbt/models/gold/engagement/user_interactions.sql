with

interactions as (
    select
        country,
        event_type,
        transaction_category,
        sum(interactions)::bigint as interactions
    from {{ ref('int_interactions_by_file') }}
    group by country, event_type, transaction_category
),

final as (
    select
        country,
        event_type,
        transaction_category,
        interactions,
        round(
            interactions / sum(interactions) over (partition by country, event_type), 10
        ) as share
    from interactions
)

select * from final
