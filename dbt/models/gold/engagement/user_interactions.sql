with

events as (
    select * from {{ ref('fct_events') }}
),

interactions as (
    select
        country,
        event_type,
        coalesce(transaction_category, 'none') as transaction_category,
        count(*) as interactions
    from events
    group by country, event_type, coalesce(transaction_category, 'none')
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
