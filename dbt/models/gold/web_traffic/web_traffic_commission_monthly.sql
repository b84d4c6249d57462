with

commission as (
    select * from {{ ref('int_web_traffic_commission') }}
),

final as (
    select
        operator,
        date_trunc('month', date::timestamp)::date as month,
        sum(events)::bigint as events,
        sum(visits)::bigint as visits,
        sum(signups)::bigint as signups,
        sum(raw_earnings)::numeric(24, 6) as raw_earnings,
        sum(commission)::numeric(24, 6) as commission
    from commission
    group by operator, date_trunc('month', date::timestamp)
)

select * from final
